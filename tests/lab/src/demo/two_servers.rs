//! The act `two-servers`: two servers can't fail over by themselves, and that is said before anything is broken; a lost one's guest is recovered by
//! hand; with a third vote the drill passes.

use std::time::Duration;

use super::cluster::FILE;
use super::narrate::{Failed, Narrator, failed};
use super::{calls, drill, fleet, guests, storage};
use crate::control::Press;

/// The host outside.
pub(super) const VOTE: &str = "vote";

const TWO: [&str; 2] = ["prox1", "prox2"];

const HA: &str = "\n[ha]\nguests = [100]\n";
const COPIED: &str = "\n[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"5m\"\n";
/// The file as it would be if HA were wanted; it never is applied.
const TOO_MUCH: &str = "too-much.toml";

/// A boot, and some of PVE's and HA's rounds, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn play(tell: &Narrator<'_>) -> Result<(), Failed> {
    there(tell).await?;
    refused(tell).await?;
    recovered(tell).await?;
    voted(tell).await?;
    tell.say("Asked again, the file wants nothing more.");
    guests::nothing_to_do(tell).await
}

/// Two servers with a pool and a guest that has a copy; what the story's first acts show is done in silence.
async fn there(tell: &Narrator<'_>) -> Result<(), Failed> {
    tell.say(
        "Two servers are one cluster with a pool, and guest 100, a small one of ours, runs on prox1. A small host outside of it is enrolled as well.",
    );
    let silent = Narrator::new(tell.lab, &|_| {});
    fleet::begin(&silent).await?;
    let mut text = format!(
        "[cluster]\nname = \"{}\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n",
        fleet::CLUSTER
    );
    for node in TWO {
        let address = tell.lab.node(node)?.public_address;
        text.push_str(&format!("\n[nodes.{node}]\naddress = \"{address}\"\n"));
    }
    text.push_str(storage::POOL);
    fleet::write(&tell.lab.layout().coordinator().join(FILE), &text)?;
    silent.quorate(&["apply", FILE, "--yes"]).await?;
    guests::made(&silent).await?;
    let address = tell.lab.guest_address(guests::ADDRESS);
    storage::want(
        tell,
        "It is copied to the other server, and the loss of prox1 is to be rehearsed:",
        &(COPIED.to_owned() + &drill::wanted(address)),
    )?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    Ok(())
}

/// What two servers can't do is refused, with the ways out.
async fn refused(tell: &Narrator<'_>) -> Result<(), Failed> {
    tell.say("Each has one vote, and one of two is no majority. HA is refused, since the healthy server would reset itself as well:");
    let folder = tell.lab.layout().coordinator();
    let text = std::fs::read_to_string(folder.join(FILE)).map_err(|error| Failed::of(&error))?;
    fleet::write(&folder.join(TOO_MUCH), &(text + HA))?;
    let plan = tell.refused(&["plan", TOO_MUCH]).await?;
    says(&plan.stdout, "QRT-TWO-SERVERS-HA")?;
    tell.say("And so is the drill. Nothing is broken to find out what is known:");
    let preview = tell.refused(&["drill", "preview", "cut-prox1"]).await?;
    says(&preview.stdout, "has two servers and no third vote")
}

/// For who stays with two: by hand, from the last copy, on the console of the server that is left.
async fn recovered(tell: &Narrator<'_>) -> Result<(), Failed> {
    tell.say("Whoever stays with two servers recovers by hand. The plug of prox1 is pulled:");
    tell.lab.power("prox1", Press::Pull).await?;
    let alone = async || status(tell, "prox2").await == Some(false);
    tell.lab.wait_for("prox2 without quorum", PATIENCE, alone).await?;
    tell.say("Is prox1 really down, what is left of the votes, what would be done, and how old is the copy?");
    let asked = ["recover", "--lost", "prox1", "--guest", "100", "--expected-votes", "1"];
    let with = |more: &[&'static str]| -> Vec<&'static str> { asked.iter().chain(more).copied().collect() };
    tell.quorate(&with(&["--dry-run"])).await?;
    tell.say("The console of prox2 says the same, and would do it, without any coordinator:");
    let shown = tell.agent("prox2", &asked, "").await?;
    says(&shown.stdout, "Nothing was changed.")?;
    tell.quorate(&with(&["--confirm", "hk1/prox1"])).await?;
    let address = tell.lab.guest_address(guests::ADDRESS);
    let answers = async || calls::answers(address);
    tell.lab.wait_for("the guest's answer", PATIENCE, answers).await?;
    tell.say("It answers again. When prox1 is back, nothing of it is started a second time, and what it wrote last is not overwritten unasked:");
    tell.lab.power("prox1", Press::On).await?;
    let jobs = tell.lab.node("prox2")?.root.join("etc/pve/replication.cfg");
    let turned = || {
        std::fs::read_to_string(&jobs)
            .unwrap_or_default()
            .contains("target prox1")
    };
    let back = async || status(tell, "prox1").await == Some(true) && turned();
    tell.lab.wait_for("prox1's return", PATIENCE, back).await?;
    let held = async || {
        let shown = tell.lab.quorate(&["replication"]).await;
        shown.is_ok_and(|output| output.stdout.contains("HELD"))
    };
    tell.lab.wait_for("a copy that is held", PATIENCE, held).await?;
    tell.seen(&["replication"]).await?;
    tell.say("Nothing of that is needed: it is copied there again.");
    let all = async || {
        let plan = tell.lab.quorate(&["plan", FILE]).await;
        plan.is_ok_and(|output| output.success())
    };
    tell.lab.wait_for("all agents", PATIENCE, all).await?;
    tell.quorate(&["replication", "resolve", "100", "--discard", "--yes"])
        .await?;
    let well = async || {
        let copies = tell.lab.quorate(&["replication"]).await;
        let plan = tell.lab.quorate(&["plan", FILE]).await;
        copies.is_ok_and(|output| output.success()) && plan.is_ok_and(|output| output.stdout.contains("Nothing to do."))
    };
    tell.lab.wait_for("a fresh copy", PATIENCE, well).await?;
    once(tell, "prox2").await
}

/// The third vote: now HA may look after the guest, and the drill passes.
async fn voted(tell: &Narrator<'_>) -> Result<(), Failed> {
    let address = tell.lab.node(VOTE)?.public_address;
    let third = format!(
        "\n[cluster.third_vote]\nqdevice = \"{VOTE}\"\n\n[nodes.{VOTE}]\naddress = \"{address}\"\nrole = \"qnetd\"\n"
    );
    storage::want(
        tell,
        "The other way: the host outside gives a third vote. It needs no PVE, and stands where neither server's failure reaches it.",
        &third,
    )?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    let votes = tell.tool("prox1", "pvecm status").await?;
    says(&votes.stdout, "Total votes:      3")?;
    storage::want(tell, "Now HA is no danger any more:", HA)?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    let settled = async || {
        let shown = tell.lab.quorate(&["ha"]).await;
        shown.is_ok_and(|output| output.stdout.contains("started  started"))
    };
    tell.lab.wait_for("HA at work", PATIENCE, settled).await?;
    tell.say("The disc that cloud-init reads lies on prox1 as well, since its loss. PVE would give it another name when the guest comes back, and take it for an ordinary disc from then on; so it goes first:");
    tell.quorate(&["guest", "clear-canary", "100", "--yes"]).await?;
    drill::at_home(tell).await?;
    drill::run(tell, &TWO.map(str::to_owned), false).await
}

/// Is a server quorate? `None`: it is off, or the world is gone.
async fn status(tell: &Narrator<'_>, name: &str) -> Option<bool> {
    let servers = tell.lab.status().await.ok()?;
    let server = servers.into_iter().find(|server| server.name == name)?;
    (!server.off).then_some(server.quorate && server.writable)
}

/// The guest runs here, and nowhere else.
async fn once(tell: &Narrator<'_>, owner: &str) -> Result<(), Failed> {
    for node in TWO {
        let guest = tell.lab.guest(node, guests::GUEST).await?;
        if guest.is_some_and(|guest| guest.running) != (node == owner) {
            return failed(format!("the guest does not run on {owner} alone"));
        }
    }
    Ok(())
}

fn says(text: &str, words: &str) -> Result<(), Failed> {
    if text.contains(words) {
        return Ok(());
    }
    failed(format!("`{words}` is not said"))
}
