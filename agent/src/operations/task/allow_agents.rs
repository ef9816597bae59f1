//! Rules of ours at the top of the cluster firewall's rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_identity::write_secret_file;
use quorate_model::Passage;
use quorate_tools::pve_firewall;

use super::{CHANGING, Stopped, Task, say};

const FILE: &str = "/etc/pve/firewall/cluster.fw";

pub(super) fn run(task: &Task<'_>, passages: &BTreeSet<Passage>, from: &BTreeSet<IpAddr>) -> Result<(), Stopped> {
    let root = task.host.root();
    let old = root.read_text(FILE)?;
    let new = pve_firewall::with_agents(&old, passages, from);
    if new == old {
        return Ok(());
    }
    write_secret_file(&task.folder.path("cluster.fw.before"), &old)?;
    say(CHANGING);
    root.replace(FILE, &new, 0o640)?;
    say("pve-firewall takes it over within ten seconds");
    Ok(())
}
