//! A node's maintenance by HA: told to the master, and waited for until nothing that it looks after is left there.

use std::time::Duration;

use quorate_model::NodeName;
use quorate_model::observation::FacetName;
use quorate_tools::guest::COMMAND_LOST;
use quorate_tools::ha_manager;

use super::ha_rounds::{Heard, Next, ROUNDS, Rounds, Seen, Tries, UNSEEN, of_maintenance};
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;

const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn run(task: &Task<'_>, node: &NodeName, on: bool) -> Result<(), Stopped> {
    task.look_again().await?;
    say(CHANGING);
    task.change(ha_manager::maintenance(task.host.tools(), node.as_str(), on))
        .await?;
    let (clock, limits) = (task.host.clock(), (task.pace.of(ROUNDS), task.pace.of(UNSEEN)));
    let began = clock.monotonic();
    let mut rounds = Rounds::default();
    let mut tries = Tries::default();
    let mut heard = Heard::default();
    let mut master = "the master".to_owned();
    loop {
        let seen = look(task, (node, on), (&mut tries, &mut heard, began), &mut master).await;
        match rounds.after(seen, clock.since(began), limits) {
            Next::Done => return Ok(()),
            Next::Wait(news) => news.iter().for_each(|news| say(news)),
            Next::NeverTaken => {
                return stopped(format!(
                    "{COMMAND_LOST}: after three rounds nothing is under way for {node}; why stands only in the log of {master}: journalctl \
                     -u pve-ha-crm (crm command error)"
                ));
            }
            Next::TakenBack => {
                return stopped(format!(
                    "HA has {node} in maintenance and does not move all guests away: for one of them it finds no other node; see ha-manager \
                     status, and journalctl -u pve-ha-crm on {master}"
                ));
            }
            Next::Failed(why) => return stopped(why),
        }
        task.pause(LOOK_EVERY).await;
    }
}

async fn look(
    task: &Task<'_>,
    (node, on): (&NodeName, bool),
    (tries, heard, began): (&mut Tries, &mut Heard, Duration),
    master: &mut String,
) -> Seen {
    let seen = observe(task.host, &[FacetName::Ha, FacetName::Cluster]).await;
    let member = seen.cluster.get().ok().and_then(|cluster| cluster.member());
    let offline = member.is_some_and(|member| member.quorate && !member.online().any(|name| name == node.as_str()));
    let manager = match seen.ha.get().and_then(|ha| ha.manager.get()) {
        Ok(Some(manager)) => manager,
        Ok(None) => return Seen::Hidden("there is no HA master".to_owned()),
        Err(unknown) => return Seen::Hidden(unknown.reason.clone()),
    };
    master.clone_from(&manager.master);
    let now = match tries.failed(manager, node.as_str()).filter(|_| on) {
        Some(why) => Seen::Broken(why),
        None => of_maintenance(manager, node.as_str(), on, offline),
    };
    let own = manager.master == task.node.as_str();
    let at = (task.host.now(), task.host.clock().since(began));
    heard.look(manager, now, at, own)
}
