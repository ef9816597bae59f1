//! A guest goes to another server, by PVE or by its HA manager, and the task's log says how that went.

use std::time::Duration;

use quorate_model::moves::{MoveKind, service_id};
use quorate_model::observation::{FacetName, GuestKind, GuestRun};
use quorate_model::{Code, NodeName};
use quorate_tools::guest::{COMMAND_LOST, HALFWAY};
use quorate_tools::pve_tasks::TaskEnd;
use quorate_tools::{guest as tool, ha_manager, pvesh};

use super::ha_rounds::{Heard, Next, ROUNDS, Rounds, Seen, UNSEEN, of_service};
use super::task_log::TaskLog;
use super::{CHANGING, Stopped, Task, say, stopped};
use crate::observe::observe;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A log's last line is written when the worker ends, which may be a moment after its tool, and after HA has told of it.
const LAST_LINE: Duration = Duration::from_secs(15);

/// A guest that is to be moved.
pub(super) struct Move<'a> {
    pub(super) guest: u32,
    pub(super) kind: GuestKind,
    pub(super) target: &'a NodeName,
    pub(super) how: MoveKind,
}

pub(super) async fn run(task: &Task<'_>, what: &Move<'_>, managed: bool) -> Result<(), Stopped> {
    task.look_again().await?;
    against_by_pve(task, what).await?;
    let log = TaskLog::before(task.host, what.kind, what.guest)?;
    say(CHANGING);
    if managed {
        by_ha(task, what, log).await
    } else {
        by_pve(task, what, log).await
    }
}

/// PVE knows of more than can be seen from outside: mapped devices, disks that can't be moved. It has such a question for machines alone.
async fn against_by_pve(task: &Task<'_>, what: &Move<'_>) -> Result<(), Stopped> {
    if what.kind != GuestKind::Vm {
        return Ok(());
    }
    // The list of guests says only that its process runs: one that is paused can't be moved live, and PVE finds out half-way.
    if what.how == MoveKind::Live {
        let call = pvesh::guests::current(task.host.tools(), task.node.as_str(), what.guest);
        let answer = task.host.ask(call).await.map_err(|unknown| Stopped(unknown.reason))?;
        let status = pvesh::guests::read_current(&answer)?;
        if status.run != GuestRun::Running {
            return stopped(format!(
                "guest {} is {}: let it go on (qm resume {}), or stop it; then again",
                what.guest,
                status.run.as_str(),
                what.guest
            ));
        }
    }
    let call = pvesh::migrate::ask(task.host.tools(), task.node.as_str(), what.guest, what.target.as_str());
    let answer = task.host.ask(call).await.map_err(|unknown| Stopped(unknown.reason))?;
    let against = pvesh::migrate::read(what.target.as_str(), &answer)?;
    if against.is_empty() {
        return Ok(());
    }
    stopped(format!(
        "PVE would not move guest {}: {}",
        what.guest,
        against.join("; ")
    ))
}

/// The tool tells the task's lines itself; how it ended stands in the log.
async fn by_pve(task: &Task<'_>, what: &Move<'_>, mut log: TaskLog<'_>) -> Result<(), Stopped> {
    let call = tool::migrate(task.host.tools(), what.kind, what.guest, what.target.as_str(), what.how);
    let ran = task.change(call).await;
    let end = last_line(task, &mut log, false).await?;
    verdict(ran, end, log.was_found(), log.reason())
}

/// What the tool's end and its task's last line come to together. Neither alone is proof.
fn verdict(ran: Result<(), Stopped>, end: Option<TaskEnd>, found: bool, reason: Option<&str>) -> Result<(), Stopped> {
    match (ran, end) {
        (Ok(()), Some(end)) if end.is_success() => Ok(()),
        (_, Some(TaskEnd::Error(why))) => stopped(format!("{}: PVE's task failed", with_reason(&why, reason))),
        // It was refused before a task began.
        (Err(failed), None) if !found => Err(failed),
        (ran, _) => {
            let how = ran
                .err()
                .map_or_else(|| "the tool ended well".to_owned(), |Stopped(why)| why);
            stopped(format!("{HALFWAY}: {how}, and no task's log says TASK OK"))
        }
    }
}

/// The task's last line says only that it failed (`migration aborted`); why stands in its last line with ` ERROR: ` in it.
fn with_reason(why: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) if reason.contains(why) => reason.to_owned(),
        Some(reason) => format!("{why} ({reason})"),
        None => why.to_owned(),
    }
}

/// After `migration problems` the guest may be on the other server already.
fn failed_by_ha(why: &str, reason: Option<&str>, sid: &str, node: &NodeName) -> String {
    let stays = match tool::trouble(why) {
        Code::MigrationHalfway => String::new(),
        _ => format!(", and {sid} stays on {node}"),
    };
    format!("{}: the task of HA failed{stays}", with_reason(why, reason))
}

/// HA is told, and what it makes of that is seen in what its master writes, and in the log of the task that its LRM runs here.
async fn by_ha(task: &Task<'_>, what: &Move<'_>, mut log: TaskLog<'_>) -> Result<(), Stopped> {
    let sid = service_id(what.kind, what.guest);
    let tools = task.host.tools();
    let call = match what.how {
        MoveKind::Live => ha_manager::migrate(tools, &sid, what.target.as_str()),
        MoveKind::Restart | MoveKind::Offline => ha_manager::relocate(tools, &sid, what.target.as_str()),
    };
    task.change(call).await?;
    let (clock, limits) = (task.host.clock(), (task.pace.of(ROUNDS), task.pace.of(UNSEEN)));
    let began = clock.monotonic();
    let mut rounds = Rounds::default();
    let mut heard = Heard::default();
    let mut master = "the master".to_owned();
    loop {
        let end = log.follow(true)?;
        if let Some(TaskEnd::Error(why)) = end {
            return stopped(failed_by_ha(&why, log.reason(), &sid, &task.node));
        }
        let seen = look(task, (what, &sid), (&mut heard, began), &mut master).await;
        match rounds.after(seen, clock.since(began), limits) {
            Next::Done => break,
            Next::Wait(news) => news.iter().for_each(|news| say(news)),
            Next::NeverTaken => {
                return stopped(format!(
                    "{COMMAND_LOST}: after three rounds {sid} is where it was; why stands only in the log of {master}: journalctl -u \
                     pve-ha-crm (crm command error)"
                ));
            }
            Next::TakenBack => {
                return stopped(format!(
                    "migration failed: HA began to move {sid} and has it back as started on {}; it does not try again by itself",
                    task.node
                ));
            }
            Next::Failed(why) => return stopped(why),
        }
        task.pause(LOOK_EVERY).await;
    }
    match last_line(task, &mut log, true).await? {
        Some(end) if end.is_success() => Ok(()),
        Some(TaskEnd::Error(why)) => stopped(with_reason(&why, log.reason())),
        _ => stopped(format!(
            "{HALFWAY}: HA has {sid} on {}, and no task's log says TASK OK",
            what.target
        )),
    }
}

async fn look(
    task: &Task<'_>,
    (what, sid): (&Move<'_>, &str),
    (heard, began): (&mut Heard, Duration),
    master: &mut String,
) -> Seen {
    let seen = observe(task.host, &[FacetName::Guests, FacetName::Ha]).await;
    let manager = match seen.ha.get().and_then(|ha| ha.manager.get()) {
        Ok(Some(manager)) => manager,
        Ok(None) => return Seen::Hidden("there is no HA master".to_owned()),
        Err(unknown) => return Seen::Hidden(unknown.reason.clone()),
    };
    master.clone_from(&manager.master);
    let now = match of_service(manager, sid, task.node.as_str(), what.target.as_str()) {
        Seen::There => match seen.guests.get() {
            Err(unknown) => Seen::Hidden(unknown.reason.clone()),
            Ok(guests) => {
                let owner = guests.iter().find(|guest| guest.vmid == what.guest);
                match owner {
                    Some(guest) if guest.node == what.target.as_str() => Seen::There,
                    _ => Seen::Coming(format!(
                        "HA has {sid} on {}, and its configuration is not there yet",
                        what.target
                    )),
                }
            }
        },
        other => other,
    };
    let own = manager.master == task.node.as_str();
    let at = (task.host.now(), task.host.clock().since(began));
    heard.look(manager, now, at, own)
}

/// Waits a moment for the log's end.
async fn last_line(task: &Task<'_>, log: &mut TaskLog<'_>, tell: bool) -> Result<Option<TaskEnd>, Stopped> {
    let clock = task.host.clock();
    let began = clock.monotonic();
    loop {
        let end = log.follow(tell)?;
        if end.is_some() || clock.since(began) >= task.pace.of(LAST_LINE) {
            return Ok(end);
        }
        task.pause(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ran: Result<(), Stopped>, end: Option<TaskEnd>, found: bool) -> Result<(), (String, Code)> {
        verdict(ran, end, found, None).map_err(|Stopped(why)| {
            let code = tool::trouble(&why);
            (why, code)
        })
    }

    fn failed() -> Result<(), Stopped> {
        stopped("/usr/sbin/qm migrate 100 prox2 ended with exit code 255")
    }

    fn error(text: &str) -> Option<TaskEnd> {
        Some(TaskEnd::Error(text.to_owned()))
    }

    #[test]
    fn only_the_tools_end_and_its_tasks_last_line_together_are_success() {
        assert_eq!(said(Ok(()), Some(TaskEnd::Ok), true), Ok(()));
        assert_eq!(said(Ok(()), Some(TaskEnd::Warnings("1".into())), true), Ok(()));
        // Exit code 0, and nobody wrote that the task ended well.
        let (why, code) = said(Ok(()), None, true).unwrap_err();
        assert_eq!(code, Code::MigrationHalfway, "{why}");
        assert_eq!(said(Ok(()), None, false).unwrap_err().1, Code::MigrationHalfway);
        // Exit code 0, and the task failed.
        assert_eq!(
            said(Ok(()), error("migration aborted"), true).unwrap_err().1,
            Code::MigrationFailed
        );
    }

    #[test]
    fn bad_endings_are_told_apart() {
        for (text, code) in [
            ("migration aborted", Code::MigrationFailed),
            ("migration problems", Code::MigrationHalfway),
            (
                "can't lock file '/var/lock/pve-manager/pve-migrate-100' - got timeout",
                Code::GuestLocked,
            ),
        ] {
            let (why, told) = said(failed(), error(text), true).unwrap_err();
            assert_eq!(told, code, "{why}");
            assert!(why.contains(text), "{why}");
        }
        // The worker is gone without a word.
        assert_eq!(said(failed(), None, true).unwrap_err().1, Code::MigrationHalfway);
        // Refused before a task began: the tool's own words count, and nothing has happened.
        assert_eq!(said(failed(), None, false).unwrap_err().1, Code::MigrationFailed);
    }

    #[test]
    fn one_that_may_be_on_the_other_server_is_not_said_to_stay() {
        let node: NodeName = "prox1".parse().unwrap();
        let said = failed_by_ha("migration problems", None, "vm:100", &node);
        assert!(!said.contains("stays"), "{said}");
        assert_eq!(tool::trouble(&said), Code::MigrationHalfway);
        let aborted = "migration aborted (duration 00:00:02): can't migrate VM - check log";
        let said = failed_by_ha("migration aborted", Some(aborted), "vm:100", &node);
        assert_eq!(
            said,
            format!("{aborted}: the task of HA failed, and vm:100 stays on prox1")
        );
        assert_eq!(
            with_reason("migration problems", Some("switch replication job target failed")),
            "migration problems (switch replication job target failed)"
        );
    }
}
