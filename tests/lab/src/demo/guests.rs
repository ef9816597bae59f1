//! The act `guests`: a guest on the pool is copied to the other servers, put under HA, moved with a measured pause, kept answering while its
//! server is drained and all servers restart, and survives the loss of its server.

use std::time::Duration;

use super::calls::{self, Caller};
use super::cluster::FILE;
use super::narrate::{Failed, Narrator, failed};
use super::storage;
use crate::control::{Press, Script};
use crate::plants::Plant;
use crate::world::oplog::What;

const PROTECTED: &str = "\n[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\nevery = \"5m\"\n\n[ha]\nguests = [100]\n";

/// The story's guest: a canary, so that it may fail in a drill.
pub(super) const GUEST: u32 = 100;
/// Which of the lab's addresses it has.
pub(super) const ADDRESS: u8 = 0;
/// An image of Debian with a guest agent, as it would be put there before.
const IMAGE: &str = "/srv/debian-12.qcow2";

/// Scenarios in the form of PVE's own simulator of its HA manager.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ha/scenarios");

/// HA takes two to three minutes, and a busy machine its time.
const PATIENCE: Duration = Duration::from_secs(180);
/// Some of HA's rounds, and a move.
const RETURNS: Duration = Duration::from_secs(20);

pub(super) async fn play(tell: &Narrator<'_>) -> Result<(), Failed> {
    storage::there(tell).await?;
    tell.say("A small machine of ours on prox1's pool. It writes numbers, each on its disk before it is told, so that what is lost can be counted:");
    made(tell).await?;
    let address = tell.lab.guest_address(ADDRESS);
    storage::want(
        tell,
        "It is to have copies on all servers, and to be under HA:",
        PROTECTED,
    )?;
    tell.say(
        "Copies first; then HA, which is bound to the servers that have one: PVE itself does not look where a copy is.",
    );
    tell.quorate(&["plan", FILE]).await?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    tell.quorate(&["replication"]).await?;
    tell.say("Asked again, the same file wants nothing more.");
    nothing_to_do(tell).await?;
    tell.say("What if prox1 were lost?");
    tell.quorate(&["ha", "--if-lost", "prox1"]).await?;
    tell.say("It is moved while it runs, and called from outside all the while; PVE turns its copies round, and the file still wants nothing.");
    let probe = format!("tcp:{address}:{}", calls::port(address));
    tell.quorate(&["migrate", "100", "hk1/prox2", "--measure", "--probe", &probe, "--yes"])
        .await?;
    nothing_to_do(tell).await?;
    tell.say("Its server is emptied for work on it, and used again. The guest answers all the while.");
    let caller = Caller::begin(address);
    tell.quorate(&["node", "drain", "hk1/prox2", "--yes"]).await?;
    tell.quorate(&["node", "undrain", "hk1/prox2", "--yes"]).await?;
    at_rest(tell).await?;
    tell.say(&caller.end()?);
    tell.say("All servers restart, one after another. The guest answers all the while.");
    let caller = Caller::begin(address);
    tell.quorate(&["reboot", "--rolling", "--cluster", "hk1", "--yes"])
        .await?;
    tell.say(&caller.end()?);
    runs_on(tell)?;
    lost(tell).await?;
    agreement(tell)?;
    tell.nothing_unknown()
}

/// The guest on prox1, answering.
pub(super) async fn made(tell: &Narrator<'_>) -> Result<(), Failed> {
    let image = Plant::File {
        path: IMAGE.to_owned(),
        text: Some(String::new()),
    };
    tell.lab.script("prox1", Script::Plant(image)).await?;
    let (guest, ip) = (GUEST.to_string(), format!("{}/24", tell.lab.guest_address(ADDRESS)));
    let create = [
        "guest",
        "create-canary",
        "--id",
        &guest,
        "--node",
        "hk1/prox1",
        "--image",
        IMAGE,
        "--storage",
        "data_zfs",
        "--bridge",
        "vmbr0",
        "--ip",
        &ip,
        "--yes",
    ];
    let made = tell.quorate(&create).await?;
    if made.stdout.contains(&format!("Canary {GUEST} answers from here")) {
        return Ok(());
    }
    failed("the guest does not answer")
}

/// The guest as this act leaves it; made in silence, if nobody played the act.
pub(super) async fn there(tell: &Narrator<'_>) -> Result<(), Failed> {
    storage::there(tell).await?;
    let path = tell.lab.layout().coordinator().join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| Failed::of(&error))?;
    if text.contains("[ha]") {
        return Ok(());
    }
    tell.say("Guest 100, a small one of ours, has copies on all servers and is under HA: the act `guests` shows how.");
    let silent = Narrator::new(tell.lab, &|_| {});
    made(&silent).await?;
    storage::want(&silent, "", PROTECTED)?;
    silent.quorate(&["apply", FILE, "--yes"]).await?;
    Ok(())
}

/// HA brings back what it moved away for the maintenance, in its own rounds: nothing else is begun before.
async fn at_rest(tell: &Narrator<'_>) -> Result<(), Failed> {
    let back = async || {
        let there = tell.lab.guest("prox2", 100).await;
        there.is_ok_and(|guest| guest.is_some_and(|guest| guest.running))
    };
    // Where it is left where it is, that is as good.
    tell.lab.wait_for("the guest's return", RETURNS, back).await.ok();
    let settled = async || {
        let shown = tell.lab.quorate(&["ha"]).await;
        shown.is_ok_and(|output| output.stdout.contains("started  started"))
    };
    Ok(tell.lab.wait_for("HA at rest", PATIENCE, settled).await?)
}

/// How far the lab's model of the HA manager goes as PVE's does, in scenarios of our own.
fn agreement(tell: &Narrator<'_>) -> Result<(), Failed> {
    tell.say(
        "What the HA manager did here, a model of it did. It is held to scenarios in the form of PVE's own simulator:",
    );
    tell.typed("coordinator", "cargo lab ha-scenario --check tests/lab/ha/scenarios/*");
    let folders = std::fs::read_dir(SCENARIOS).map_err(|error| Failed::of(&error))?;
    let mut dirs: Vec<_> = folders
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    dirs.sort();
    let mut agree = 0;
    for dir in &dirs {
        match quorate_lab_ha::check(dir) {
            Ok(agreement) if agreement.is_full() => agree += 1,
            Ok(agreement) => tell.plain(&format!("{}: {agreement}", dir.display())),
            Err(reason) => tell.plain(&format!("{}: {reason}", dir.display())),
        }
    }
    tell.plain(&format!(
        "{agree} of {} scenarios agree in every change of a node or service",
        dirs.len()
    ));
    if agree == dirs.len() {
        return Ok(());
    }
    failed("not all scenarios agree")
}

pub(super) async fn nothing_to_do(tell: &Narrator<'_>) -> Result<(), Failed> {
    let again = tell.quorate(&["plan", FILE]).await?;
    if again.stdout.contains("Nothing to do.") {
        return Ok(());
    }
    failed("the plan is not empty")
}

/// It was never stopped.
fn runs_on(tell: &Narrator<'_>) -> Result<(), Failed> {
    let operations = tell.lab.operations()?;
    match operations.iter().find(|entry| entry.what == What::GuestStopped) {
        Some(entry) => failed(format!("the guest was stopped: {}", entry.detail)),
        None => Ok(()),
    }
}

/// The server that it runs on loses its power.
async fn lost(tell: &Narrator<'_>) -> Result<(), Failed> {
    let happened = |what: What| {
        let operations = tell.lab.operations();
        operations.map_or(0, |all| all.iter().filter(|entry| entry.what == what).count())
    };
    let all = tell.lab.operations()?;
    let moved = all
        .iter()
        .rev()
        .find(|entry| matches!(entry.what, What::GuestMoved | What::GuestStarted));
    let Some(owner) = moved.and_then(|entry| entry.node.clone()) else {
        return failed("the guest never started");
    };
    let started = happened(What::GuestStarted);
    tell.say(&format!(
        "The plug of {owner} is pulled. Its guest is started again where a copy of it is:"
    ));
    tell.lab.power(&owner, Press::Pull).await?;
    let back = async || happened(What::GuestRecovered) > 0 && happened(What::GuestStarted) > started;
    tell.lab.wait_for("the guest's recovery", PATIENCE, back).await?;
    tell.seen(&["guests"]).await?;
    tell.say(&format!(
        "{owner} is switched on again. What the guest wrote there last, and PVE would overwrite, was held by the new owner's agent:"
    ));
    tell.lab.power(&owner, Press::On).await?;
    let back = async || {
        let status = tell.lab.status().await.unwrap_or_default();
        let quorate = status.iter().any(|server| server.name == owner && server.quorate);
        let held = tell.lab.quorate(&["replication"]).await;
        quorate && held.is_ok_and(|output| output.stdout.contains("HELD"))
    };
    tell.lab.wait_for("a copy that is held", PATIENCE, back).await?;
    tell.seen(&["replication"]).await?;
    tell.say("It is kept aside there, and copied anew; the file wants nothing.");
    let keep = ["replication", "resolve", "100", "--keep", "--yes"];
    let answers = async || {
        let plan = tell.lab.quorate(&["plan", FILE]).await;
        plan.is_ok_and(|output| output.success())
    };
    tell.lab.wait_for("all agents", PATIENCE, answers).await?;
    tell.quorate(&keep).await?;
    let well = async || {
        let copies = tell.lab.quorate(&["replication"]).await;
        let plan = tell.lab.quorate(&["plan", FILE]).await;
        copies.is_ok_and(|output| output.success()) && plan.is_ok_and(|output| output.stdout.contains("Nothing to do."))
    };
    tell.lab.wait_for("fresh copies", PATIENCE, well).await?;
    tell.quorate(&["replication"]).await?;
    nothing_to_do(tell).await
}
