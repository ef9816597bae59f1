//! `quorate-agent take-config`: moves one guest's configuration from a server that is lost to this one, in a process of its own: pmxcfs may
//! block whoever writes. Source: pve-docs, "Recover" of the cluster manager; HA does the same.

use quorate_tools::pmxcfs::members;

use crate::errors::chain;
use crate::host::HostRoot;

/// Folders that PVE keeps configurations in.
const FOLDERS: [&str; 2] = ["qemu-server", "lxc"];

/// Moves it, if the other server is still away.
///
/// # Errors
/// Why it was not moved.
pub fn take(root: &HostRoot, own: &str, lost: &str, folder: &str, vmid: u32) -> Result<(), String> {
    if !FOLDERS.contains(&folder) {
        return Err(format!("PVE keeps no guests in {folder}"));
    }
    let text = root.read_text("/etc/pve/.members").map_err(|error| chain(&error))?;
    let members = members::read(&text).map_err(|error| chain(&error))?;
    let node = members.nodes.iter().find(|node| node.name == lost);
    let node = node.ok_or_else(|| format!("{lost} is no member"))?;
    if node.online {
        return Err(format!("{lost} is online"));
    }
    if !members.cluster.is_some_and(|cluster| cluster.quorate) {
        return Err("there is no quorum".to_owned());
    }
    let at = |node: &str| format!("/etc/pve/nodes/{node}/{folder}/{vmid}.conf");
    let (old, new) = (at(lost), at(own));
    let there = |path: &str| root.exists(path).map_err(|error| chain(&error));
    if there(&new)? {
        return Err(format!("{new} is there already"));
    }
    if !there(&old)? {
        return Err(format!("{old} does not exist"));
    }
    root.rename(&old, &new).map_err(|error| chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::{Fake, fixture};

    /// prox1 of three; prox3 is away.
    fn fake() -> (Fake, HostRoot) {
        let fake = Fake::new();
        fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-majority.json"));
        fake.put("/etc/pve/nodes/prox3/qemu-server/100.conf", "memory: 512\n");
        fake.put("/etc/pve/nodes/prox2/qemu-server/102.conf", "memory: 512\n");
        fake.put("/etc/pve/nodes/prox1/qemu-server/101.conf", "memory: 512\n");
        fake.link("nodes/prox1", "/etc/pve/local");
        let root = fake.bare().root().clone();
        (fake, root)
    }

    #[test]
    fn a_configuration_is_moved_from_a_server_that_is_away() {
        let (fake, root) = fake();
        take(&root, "prox1", "prox3", "qemu-server", 100).unwrap();
        assert!(fake.place("/etc/pve/nodes/prox1/qemu-server/100.conf").exists());
        assert!(!fake.place("/etc/pve/nodes/prox3/qemu-server/100.conf").exists());
        let again = take(&root, "prox1", "prox3", "qemu-server", 100).unwrap_err();
        assert!(again.contains("is there already"), "{again}");
    }

    #[test]
    fn nothing_is_moved_from_a_server_that_is_there_or_without_quorum() {
        let (fake, root) = fake();
        let why = |lost: &str, folder: &str, vmid| take(&root, "prox1", lost, folder, vmid).unwrap_err();
        assert_eq!(why("prox2", "qemu-server", 102), "prox2 is online");
        assert_eq!(why("prox9", "qemu-server", 100), "prox9 is no member");
        assert!(why("prox3", "qemu-server", 103).contains("does not exist"));
        assert!(why("prox3", "priv", 100).contains("keeps no guests"));
        fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-not-quorate.json"));
        assert_eq!(why("prox2", "qemu-server", 102), "there is no quorum");
        fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-majority.json"));
        std::fs::remove_file(fake.place("/etc/pve/local")).unwrap();
        assert!(why("prox3", "qemu-server", 100).contains("/etc/pve is not mounted"));
        assert!(fake.place("/etc/pve/nodes/prox3/qemu-server/100.conf").exists());
    }
}
