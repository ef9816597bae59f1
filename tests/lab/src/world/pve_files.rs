//! Files of `/etc/pve` that ordinary programs write: what of them has a meaning for the model, and what is only kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::SimTime;
use super::corosync::conf::Conf;
use super::guests::{Guest, next_version};
use super::identity::fingerprint_of;
use super::pmxcfs::{PveFile, Replica};
use crate::description::GuestKind;
use crate::roots::ssh::root_key;

/// How long pmxcfs keeps a lock whose holder vanished.
pub(crate) const LOCK_LIFE: Duration = Duration::from_secs(120);

const KEYS: &str = "priv/authorized_keys";

impl Replica {
    /// Adds what was written and takes away what was removed.
    pub(super) fn lay_over(&self, tree: &mut BTreeMap<String, PveFile>) {
        tree.retain(|path, _| !self.gone.iter().any(|gone| is_in(path, gone)));
        for lock in self.locks.keys() {
            put(tree, &format!("priv/lock/{lock}/"), String::new());
        }
        for (path, text) in &self.files {
            put(tree, path, text.clone());
        }
    }

    /// The fingerprint of the administrator's own certificate for a node's API, if there is one: pveproxy shows that, and the join
    /// information names it.
    pub(crate) fn own_certificate(&self, node: &str) -> Option<String> {
        let pem = self.files.get(&format!("nodes/{node}/pveproxy-ssl.pem"))?;
        fingerprint_of(pem)
    }

    /// A file was written, or moved here.
    pub(crate) fn write_file(&mut self, path: &str, text: &str) {
        if path == "corosync.conf" {
            self.conf = Some(Conf::parse(text));
            return;
        }
        if let Some((node, kind, vmid)) = guest_of(path) {
            let guest = Guest {
                node,
                kind,
                version: next_version(&self.guests),
                conf: text.to_owned(),
            };
            self.guests.insert(vmid, guest);
            self.revive(path);
            return;
        }
        self.revive(path);
        self.files.insert(path.to_owned(), text.to_owned());
    }

    /// A folder was made; below `priv/lock` it is a lock.
    pub(crate) fn make_folder(&mut self, path: &str, now: SimTime) {
        if let Some(lock) = lock_of(path) {
            self.locks.insert(lock.to_owned(), now + LOCK_LIFE);
            return;
        }
        self.revive(path);
        self.files.insert(path.to_owned(), String::new());
    }

    /// A file or a whole folder (its path ends in `/`) was removed.
    pub(crate) fn remove(&mut self, path: &str) {
        if path == "corosync.conf" {
            self.conf = None;
            return;
        }
        if let Some(lock) = lock_of(path) {
            self.locks.remove(lock);
            return;
        }
        self.files.retain(|written, _| !is_in(written, path));
        self.gone.retain(|gone| !is_in(gone, path));
        if let Some((node, _, vmid)) = guest_of(path) {
            if self.guests.get(&vmid).is_some_and(|guest| guest.node == node) {
                self.guests.remove(&vmid);
            }
            return;
        }
        if let Some(node) = path.strip_suffix("lrm_status").and_then(node_of) {
            // Its LRM, if there is one, writes it again.
            self.ha.lrm.remove(node);
            return;
        }
        if let Some(node) = node_of(path) {
            self.certificates.remove(node);
            self.nodes.retain(|name| name != node);
            self.guests.retain(|_, guest| guest.node != node);
            // A file without its folder could not be put anywhere.
            self.ha.lrm.remove(node);
            return;
        }
        self.gone.insert(path.to_owned());
    }

    /// Whatever was removed at or above this path counts no more.
    pub(crate) fn revive(&mut self, path: &str) {
        self.gone.retain(|gone| !is_in(path, gone) && !is_in(gone, path));
    }

    /// Lets a node's root log in everywhere; once is enough.
    pub(crate) fn merge_ssh_key(&mut self, node: &str) {
        let line = root_key(node);
        let keys = self.files.entry(KEYS.to_owned()).or_default();
        if !keys.lines().any(|present| present == line) {
            keys.push_str(&line);
            keys.push('\n');
        }
    }
}

/// With the folders above it.
fn put(tree: &mut BTreeMap<String, PveFile>, path: &str, text: String) {
    for (end, _) in path.match_indices('/') {
        let folder = path.get(..=end).unwrap_or_default();
        if !tree.contains_key(folder) {
            tree.insert(folder.to_owned(), PveFile::new(folder, String::new()));
        }
    }
    tree.insert(path.to_owned(), PveFile::new(path, text));
}

fn is_in(path: &str, place: &str) -> bool {
    path == place || (place.ends_with('/') && path.starts_with(place))
}

/// `priv/lock/NAME/`.
fn lock_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("priv/lock/")?.strip_suffix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// `nodes/NAME/`.
fn node_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("nodes/")?.strip_suffix('/')?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// `nodes/NAME/qemu-server/VMID.conf`, and `lxc`.
pub(super) fn guest_of(path: &str) -> Option<(String, GuestKind, u32)> {
    let mut parts = path.strip_prefix("nodes/")?.split('/');
    let node = parts.next()?.to_owned();
    let kind = match parts.next()? {
        "qemu-server" => GuestKind::Qemu,
        "lxc" => GuestKind::Lxc,
        _ => return None,
    };
    let vmid = parts.next()?.strip_suffix(".conf")?.parse().ok()?;
    parts.next().is_none().then_some((node, kind, vmid))
}
