//! The act `storage`: look at all disks, want a pool on every server, plan, apply, find it active everywhere; then replace a disk.

use super::cluster::{self, FILE};
use super::narrate::{Failed, Narrator, failed};
use crate::control::Script;
use crate::description::DiskSpec;
use crate::world::oplog::What;
use crate::zfs::PoolHappens;

pub(super) const POOL: &str =
    "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";

pub(super) async fn play(tell: &Narrator<'_>) -> Result<(), Failed> {
    cluster::there(tell).await?;
    tell.say("Which disks of all servers are free for a pool?");
    tell.quorate(&["disks", "--role", "zfs"]).await?;
    want(tell, "A pool of that kind is wanted on every member:", POOL)?;
    tell.say(
        "The plan names each disk by model and serial number, and says why it was chosen and the others were not.",
    );
    tell.quorate(&["plan", FILE]).await?;
    tell.quorate(&["apply", FILE, "--yes"]).await?;
    tell.quorate(&["zfs", "list"]).await?;
    tell.say("One storage for the whole cluster, active wherever its pool is:");
    tell.quorate(&["storage"]).await?;
    tell.say("Asked again, the same file wants nothing more.");
    let again = tell.quorate(&["plan", FILE]).await?;
    if !again.stdout.contains("Nothing to do.") {
        return failed("the second plan is not empty");
    }
    replaced(tell).await?;
    check(tell).await
}

/// The pools as this act leaves them; made in silence, if nobody played the act.
pub(super) async fn there(tell: &Narrator<'_>) -> Result<(), Failed> {
    cluster::there(tell).await?;
    let path = tell.lab.layout().coordinator().join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| Failed::of(&error))?;
    if text.contains("[zfs.data_zfs]") {
        return Ok(());
    }
    tell.say("Every server has the pool data_zfs: the act `storage` shows how.");
    let silent = Narrator::new(tell.lab, &|_| {});
    want(&silent, "", POOL)?;
    silent.quorate(&["apply", FILE, "--yes"]).await?;
    Ok(())
}

/// Writes more into the cluster file, and shows it.
pub(super) fn want(tell: &Narrator<'_>, why: &str, more: &str) -> Result<(), Failed> {
    let path = tell.lab.layout().coordinator().join(FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| Failed::of(&error))?;
    std::fs::write(&path, text + more).map_err(|error| Failed::of(&error))?;
    tell.say(why);
    let lines = more.trim_start().lines();
    tell.typed("coordinator", &format!("tail -n {} {FILE}", lines.clone().count()));
    lines.for_each(|line| tell.plain(line));
    Ok(())
}

/// A disk is pulled out of prox1's pool, and a new one put in.
async fn replaced(tell: &Narrator<'_>) -> Result<(), Failed> {
    let status = tell
        .lab
        .tool("prox1", &["zpool", "status", "-P", "data_zfs"], None)
        .await?;
    let leaf = status.stdout.lines().find_map(|line| {
        line.split_whitespace()
            .next()
            .filter(|word| word.starts_with("/dev/disk"))
    });
    let Some(leaf) = leaf else {
        return failed(format!("the pool has no disk:\n{}", status.stdout));
    };
    let link = leaf.trim_start_matches("/dev/disk/by-id/").trim_end_matches("-part1");
    let target = std::fs::read_link(tell.lab.node("prox1")?.root.join("dev/disk/by-id").join(link));
    let target = target.map_err(|error| Failed::of(&error))?;
    let kernel = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    tell.say(&format!(
        "Somebody pulls a disk out of prox1 ({link}), and puts a new one in."
    ));
    tell.lab.script("prox1", Script::RemoveDisk(kernel)).await?;
    let happens = PoolHappens::Io { after_ms: None };
    let name = "data_zfs".to_owned();
    tell.lab.script("prox1", Script::Pool { name, happens }).await?;
    let new = DiskSpec {
        name: "sdx".to_owned(),
        model: Some("SAMSUNG MZ7LH960HAJR-00005".to_owned()),
        serial: Some("S45NNA0NNEW001".to_owned()),
        wwn: Some("0x5002538e40aaa001".to_owned()),
        hctl: Some("7:0:0:0".to_owned()),
        ..DiskSpec::default()
    };
    tell.lab.script("prox1", Script::AddDisk(Box::new(new))).await?;
    tell.not_well(&["zfs", "list", "hk1/prox1"]).await?;
    tell.quorate(&["zfs", "replace", "hk1/prox1", "data_zfs", link, "--yes"])
        .await?;
    tell.quorate(&["zfs", "list", "hk1/prox1"]).await?;
    Ok(())
}

/// What the world saw, whatever the commands said.
async fn check(tell: &Narrator<'_>) -> Result<(), Failed> {
    let made = tell
        .lab
        .operations()?
        .iter()
        .filter(|entry| {
            entry.what == What::ToolCalled && entry.argv.starts_with(&["zpool".to_owned(), "create".to_owned()])
        })
        .count();
    let wanted = tell.lab.names().len();
    if made != wanted {
        return failed(format!("zpool create was called {made} times, not {wanted}"));
    }
    for node in tell.lab.names() {
        let active = tell.lab.tool(&node, &["pvesm", "status"], None).await?;
        let is_active = |line: &str| line.starts_with("data_zfs") && line.contains(" active ");
        if !active.stdout.lines().any(is_active) {
            return failed(format!("data_zfs is not active on {node}:\n{}", active.stdout));
        }
    }
    tell.nothing_unknown()
}
