//! The act `drill`: prox1, on which guest 100 runs, is cut off from every network on purpose; what becomes of the guest is measured from its clients'
//! side and on every server, and all returns by itself.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::cluster::FILE;
use super::narrate::{Failed, Narrator, failed};
use super::{guests, storage};
use crate::world::oplog::{Entry, What};

/// The server that fails.
pub(super) const VICTIM: &str = "prox1";
/// What the record is written into, for the wall.
const PAGE: &str = "cut-prox1.html";

/// HA has its rounds, copies their schedule, and a busy machine its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is said once the fault is there, or can't be told not to be: a server that is cut off says nothing more.
const BROKEN: [&str; 2] = [": the fault is made", ": the server has said nothing more"];

pub(super) async fn play(tell: &Narrator<'_>, kill_coordinator: bool) -> Result<(), Failed> {
    guests::there(tell).await?;
    at_home(tell).await?;
    let address = tell.lab.guest_address(guests::ADDRESS);
    storage::want(
        tell,
        "What would the loss of prox1 cost? A drill says so: what is broken, whom it concerns, who is called meanwhile, and what is expected.",
        &wanted(address),
    )?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    run(tell, &tell.lab.names(), kill_coordinator).await?;
    tell.say("Asked again, the file wants nothing more.");
    guests::nothing_to_do(tell).await
}

/// As it stands in the cluster file.
pub(super) fn wanted(address: Ipv4Addr) -> String {
    format!(
        "\n[drills.cut-prox1]\nfault = \"network\"\nnode = \"{VICTIM}\"\nguest = {}\nprobe = \"tally:{address}\"\nexpect = {{ rto = \"6m\", rpo = \"10m\" }}\n",
        guests::GUEST
    )
}

/// The guest is on the server that is to fail.
pub(super) async fn at_home(tell: &Narrator<'_>) -> Result<(), Failed> {
    let there = tell.lab.guest(VICTIM, guests::GUEST).await?;
    if there.is_some_and(|guest| guest.running) {
        return Ok(());
    }
    tell.say("The guest goes to prox1, which is to fail.");
    let (guest, to) = (guests::GUEST.to_string(), format!("hk1/{VICTIM}"));
    tell.quorate(&["migrate", &guest, &to, "--yes"]).await?;
    Ok(())
}

/// The drill of the cluster file on these members, from the preview to the end, and what the world saw of it.
pub(super) async fn run(tell: &Narrator<'_>, members: &[String], kill_coordinator: bool) -> Result<(), Failed> {
    let preview = ["drill", "preview", "cut-prox1"];
    // Copies that are being made and HA's rounds pass by themselves.
    let green = async || tell.lab.quorate(&preview).await.is_ok_and(|output| output.success());
    let waited = tell
        .lab
        .wait_for("a preview that nothing speaks against", PATIENCE, green)
        .await;
    tell.say("Nothing is broken before it is shown what becomes of every guest on prox1, and what is to be expected:");
    tell.quorate(&preview).await?;
    waited?;
    let before = tell.lab.operations()?.len();
    tell.say(&format!(
        "Every network port of prox1 is cut. Each server and the probe tell what they see; the lab is {} times as fast as servers are, and so is all that is measured.",
        tell.lab.speed()
    ));
    let mut killed = !kill_coordinator;
    let confirm = format!("hk1/{VICTIM}");
    let args = [
        "drill",
        "run",
        "cut-prox1",
        "--confirm",
        confirm.as_str(),
        "--html",
        PAGE,
    ];
    let said = tell
        .followed(&args, async |line| {
            if killed || !BROKEN.iter().any(|words| line.contains(words)) {
                return Ok(());
            }
            killed = true;
            dies(tell, before).await
        })
        .await?;
    if !killed {
        return failed("the coordinator was not killed: nothing was said of the fault");
    }
    if !said.contains(": passed\n") {
        return failed("the drill has not passed");
    }
    page(tell)?;
    let operations = tell.lab.operations()?;
    seen(operations.get(before..).unwrap_or_default())?;
    tell.say("The history of all drills, each chained to the one before:");
    tell.quorate(&["drill", "list"]).await?;
    tell.seen(&["guests"]).await?;
    returned(tell, members).await?;
    tell.nothing_unknown()
}

/// The coordinator is killed while the fault holds, and started again.
async fn dies(tell: &Narrator<'_>, before: usize) -> Result<(), Failed> {
    let happened = |what: What| {
        let operations = tell.lab.operations().unwrap_or_default();
        let mut since = operations.iter().skip(before);
        since.any(|entry| entry.what == what && entry.node.as_deref() == Some(VICTIM))
    };
    let cut = async || happened(What::Cut);
    tell.lab.wait_for("the cut of prox1", PATIENCE, cut).await?;
    tell.say(
        "The coordinator dies as well, while the fault holds. What ends the fault is on prox1, and HA needs neither.",
    );
    tell.typed("coordinator", "kill -9 $(pidof quorate)");
    tell.lab.kill_coordinator();
    if happened(What::Healed) {
        return failed("the fault was over before the coordinator was killed");
    }
    tell.typed("coordinator", "quorate serve &");
    tell.lab.start_coordinator(&[])?;
    tell.coordinator_is_up().await?;
    tell.say("It goes on as if nothing had happened:");
    Ok(())
}

/// The page has its chart.
fn page(tell: &Narrator<'_>) -> Result<(), Failed> {
    let path = tell.lab.layout().coordinator().join(PAGE);
    let page = std::fs::read_to_string(&path).map_err(|error| Failed::of(&error))?;
    if !page.contains("<svg") || !page.trim_end().ends_with("</html>") {
        return failed(format!("{PAGE} is no page with a chart"));
    }
    tell.say(&format!(
        "The same with its chart, for the wall, is in {PAGE}: {} KiB.",
        page.len().div_ceil(1024)
    ));
    Ok(())
}

/// What the world saw while it lasted: one server was cut and reset, and one other started the guest, once.
fn seen(operations: &[Entry]) -> Result<(), Failed> {
    let of = |what: What| operations.iter().filter(move |entry| entry.what == what);
    let elsewhere = |entry: &Entry| entry.node.as_deref() != Some(VICTIM);
    if of(What::Cut).next().is_none() || of(What::Cut).any(elsewhere) {
        return failed("not prox1, or not prox1 alone, was cut");
    }
    let resets: Vec<_> = of(What::WatchdogReset)
        .filter_map(|entry| entry.node.as_deref())
        .collect();
    if resets != [VICTIM] {
        return failed(format!("the watchdog has reset {resets:?}"));
    }
    let guest = format!("vm:{} ", guests::GUEST);
    let started: Vec<_> = of(What::GuestStarted)
        .filter(|entry| entry.detail.starts_with(&guest))
        .map(|entry| entry.node.as_deref().unwrap_or_default())
        .collect();
    match started.as_slice() {
        [owner] if *owner != VICTIM => Ok(()),
        started => failed(format!("the guest was started on {started:?}")),
    }
}

/// All is as it was, and the guest runs once.
async fn returned(tell: &Narrator<'_>, members: &[String]) -> Result<(), Failed> {
    let servers = tell.lab.status().await?;
    let mut runs = Vec::new();
    for server in servers.iter().filter(|server| members.contains(&server.name)) {
        let whole = server.quorate && server.writable && !server.off && server.members.len() == members.len();
        if !whole || !server.cut.is_empty() {
            return failed(format!("{} is not as it was: {server:?}", server.name));
        }
        let guest = server.guests.iter().find(|guest| guest.vmid == guests::GUEST);
        if let Some(guest) = guest.filter(|guest| guest.running) {
            runs.push((server.name.as_str(), guest.owned));
        }
    }
    if !matches!(runs.as_slice(), [(_, true)]) {
        return failed(format!("the guest runs on {runs:?}"));
    }
    let tables = tell
        .lab
        .tool(VICTIM, &["nft", "-j", "list", "tables"], None)
        .await?
        .stdout;
    if tables.contains("quorate_fault") {
        return failed(format!("something of the fault is left on {VICTIM}: {tables}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: What, node: &str, detail: &str) -> Entry {
        Entry {
            at: String::new(),
            ms: 0,
            node: Some(node.to_owned()),
            what,
            detail: detail.to_owned(),
            argv: vec![],
            code: None,
        }
    }

    #[test]
    fn the_guest_is_started_once_and_not_where_it_was() {
        let cut = entry(What::Cut, "prox1", "eno1");
        let reset = entry(What::WatchdogReset, "prox1", "");
        let started = |node| entry(What::GuestStarted, node, "vm:100 at 7");
        let story = [cut.clone(), reset.clone(), started("prox3")];
        assert!(seen(&story).is_ok());
        let twice = [cut.clone(), reset.clone(), started("prox3"), started("prox1")];
        assert!(seen(&twice).is_err());
        let at_home = [cut.clone(), reset.clone(), started("prox1")];
        assert!(seen(&at_home).is_err());
        let another = [
            cut.clone(),
            reset.clone(),
            entry(What::WatchdogReset, "prox2", ""),
            started("prox3"),
        ];
        assert!(seen(&another).is_err());
        assert!(seen(&[reset, started("prox3")]).is_err(), "nothing was cut");
        let both = [cut, entry(What::Cut, "prox2", "eno1")];
        assert!(seen(&both).is_err());
    }
}
