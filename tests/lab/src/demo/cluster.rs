//! The act `cluster`: enrol three servers, look at their disks, write a cluster file, plan, apply, and be quorate.

use std::time::Duration;

use super::fleet::{self, CLUSTER};
use super::narrate::{Failed, Narrator, failed};
use crate::control::Script;
use crate::plants::{Plant, ServiceIs};
use crate::world::oplog::{Entry, What};

pub(super) const FILE: &str = "hk1.toml";

pub(super) async fn play(tell: &Narrator<'_>) -> Result<(), Failed> {
    let nodes = tell.lab.names();
    fleet::begin(tell).await?;
    tell.quorate(&["node", "list"]).await?;
    tell.say("What the servers have for disks: what each is free for, and why not.");
    tell.quorate(&["disks"]).await?;
    write_file(tell, &nodes)?;
    preflight(tell).await?;
    tell.say("One server creates the cluster, the others join it one after the other.");
    // Until the plug was pulled the join must not get ahead, however busy this machine is.
    tell.lab.script("prox2", Script::UdpBlocked(true)).await?;
    let started = tell.quorate(&["apply", FILE, "--yes", "--detach"]).await?;
    killed_in_the_middle(tell).await?;
    let rollout = rollout(&started.stdout)?;
    tell.quorate(&["rollout", "watch", &rollout]).await?;
    tell.quorate(&["status"]).await?;
    tell.say("Asked again, the same file wants nothing more.");
    let again = tell.quorate(&["plan", FILE]).await?;
    if !again.stdout.contains("Nothing to do.") {
        return failed("the second plan is not empty");
    }
    check(tell, &nodes).await
}

/// The cluster as this act leaves it; made in silence, if nobody played the act.
pub(super) async fn there(tell: &Narrator<'_>) -> Result<(), Failed> {
    if tell.lab.layout().coordinator().join(FILE).exists() {
        return Ok(());
    }
    tell.say("Three servers are one quorate cluster: the act `cluster` shows how.");
    let silent = Narrator::new(tell.lab, &|_| {});
    fleet::begin(&silent).await?;
    write_file(&silent, &tell.lab.names())?;
    silent.quorate(&["apply", FILE, "--yes"]).await?;
    Ok(())
}

/// A problem, and what the plan says of it; then without.
async fn preflight(tell: &Narrator<'_>) -> Result<(), Failed> {
    let service = |state| {
        Script::Plant(Plant::Service {
            unit: "pveproxy".to_owned(),
            state,
        })
    };
    tell.say("Before anything is changed, everything that speaks against it is told at once. On prox3 a service does not run:");
    tell.typed("prox3", "systemctl stop pveproxy");
    tell.lab.script("prox3", service(ServiceIs::Stopped)).await?;
    tell.refused(&["plan", FILE]).await?;
    tell.typed("prox3", "systemctl start pveproxy");
    tell.lab.script("prox3", service(ServiceIs::Usual)).await?;
    tell.quorate(&["plan", FILE]).await?;
    Ok(())
}

/// The plug is pulled on the coordinator when the cluster has taken prox2 in and prox2 is not in yet.
async fn killed_in_the_middle(tell: &Narrator<'_>) -> Result<(), Failed> {
    let taken_in = async || {
        let operations = tell.lab.operations().unwrap_or_default();
        operations.iter().any(|entry| entry.what == What::AddnodeCommitted)
    };
    tell.lab
        .wait_for("prox2 being taken in", Duration::from_secs(120), taken_in)
        .await?;
    tell.say("In the middle of prox2's join, past the point of no return, the coordinator dies. What runs on a server goes on there.");
    tell.typed("coordinator", "kill -9 $(pidof quorate)");
    tell.lab.kill_coordinator();
    let ended = |entry: &Entry| {
        entry.node.as_deref() == Some("prox2")
            && matches!(entry.what, What::ToolEnded | What::ToolDied)
            && entry.argv.starts_with(&["pvecm".to_owned(), "add".to_owned()])
    };
    if tell.lab.operations()?.iter().any(ended) {
        return failed("prox2's join had ended before the coordinator was killed");
    }
    tell.lab.script("prox2", Script::UdpBlocked(false)).await?;
    tell.typed("coordinator", "quorate serve &");
    tell.lab.start_coordinator(&[])?;
    tell.coordinator_is_up().await?;
    tell.say("It goes on as if nothing had happened:");
    Ok(())
}

/// The rollout's id, from the sentence that names it.
fn rollout(started: &str) -> Result<String, Failed> {
    match started
        .lines()
        .find_map(|line| line.strip_prefix("Rollout ")?.split(' ').next())
    {
        Some(id) => Ok(id.to_owned()),
        None => failed("the command does not name its rollout"),
    }
}

fn write_file(tell: &Narrator<'_>, nodes: &[String]) -> Result<(), Failed> {
    let mut text = format!("[cluster]\nname = \"{CLUSTER}\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n");
    for node in nodes {
        let address = tell.lab.node(node)?.public_address;
        text.push_str(&format!("\n[nodes.{node}]\naddress = \"{address}\"\n"));
    }
    fleet::write(&tell.lab.layout().coordinator().join(FILE), &text)?;
    tell.say("What the cluster shall be stands in one file.");
    tell.typed("coordinator", &format!("cat {FILE}"));
    for line in text.lines() {
        tell.plain(line);
    }
    Ok(())
}

/// What the world saw, whatever the commands said.
async fn check(tell: &Narrator<'_>, nodes: &[String]) -> Result<(), Failed> {
    let operations = tell.lab.operations()?;
    let count = |what| operations.iter().filter(|entry| entry.what == what).count();
    let (created, joined) = (count(What::ClusterCreated), count(What::JoinCompleted));
    if (created, joined) != (1, nodes.len() - 1) {
        return failed(format!(
            "the world saw {created} clusters created and {joined} nodes joined"
        ));
    }
    for server in tell.lab.status().await? {
        if !server.quorate || !server.writable || server.members.len() != nodes.len() {
            return failed(format!(
                "{} is not in a quorate cluster of {}: {server:?}",
                server.name,
                nodes.len()
            ));
        }
    }
    tell.nothing_unknown()
}
