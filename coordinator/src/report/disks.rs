//! What becomes of a server's disks: which are gone, which are new, which decay. Pure: what was known, and what is seen.
//!
//! A disk that was in use and is gone is told until it is back, or until what used it does without: its pool is whole and has no part
//! on it any more. Of what shows no such sign, as where the pool is gone with it, after a week somebody has seen to it. A disk that nobody used, and one that is new, are
//! told for a day. All disks that are there at the first look are known.

use std::time::Duration;

use quorate_model::observation::disks::{Disk, Disks, HolderKind};
use quorate_model::observation::pools::{Pool, VdevState};
use quorate_model::time::spoken;
use quorate_model::{ByteSize, Code, Finding, NodeRef, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(86_400);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// The disks of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DisksOf {
    /// Was the server ever looked at?
    looked: bool,
    disks: Vec<Known>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    name: String,
    path: String,
    by_id: Vec<String>,
    wwn: Option<String>,
    serial: Option<String>,
    model: Option<String>,
    size: ByteSize,
    /// Since when it is there; `None`: since before the first look.
    since: Option<Timestamp>,
    gone: Option<Timestamp>,
    /// What used it when it was seen last.
    used_by: Option<User>,
    /// The fewest bad sectors that count: those that it had before it decayed.
    sectors: Option<u64>,
    decays: Option<Decay>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum User {
    Pool(String),
    Other(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Decay {
    from: u64,
    to: u64,
    at: Timestamp,
}

/// Something that just happened to a disk, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Gone(String),
    Back(String),
    New(String),
    Decays(String),
}

impl DisksOf {
    /// Takes in what is there now.
    pub(crate) fn see(&mut self, disks: &Disks, pools: Option<&[Pool]>, now: Timestamp) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut there = vec![false; self.disks.len()];
        for disk in disks.disks.iter().filter(|disk| !disk.is_made_by_software()) {
            // What can't be named can't be missed.
            let Some(name) = disk.stable_name() else { continue };
            match self.disks.iter().position(|known| known.is(disk)) {
                Some(place) => {
                    if let Some(known) = self.disks.get_mut(place) {
                        turns.extend(known.see(disk, now));
                    }
                    if let Some(there) = there.get_mut(place) {
                        *there = true;
                    }
                }
                None => {
                    let since = self.looked.then_some(now);
                    if since.is_some() {
                        turns.push(Turn::New(name.to_owned()));
                    }
                    self.disks.push(Known::new(disk, name, since));
                    there.push(true);
                }
            }
        }
        for (known, _) in self.disks.iter_mut().zip(&there).filter(|(_, there)| !**there) {
            if known.gone.is_none() {
                known.gone = Some(now);
                turns.push(Turn::Gone(known.name.clone()));
            }
        }
        self.looked = true;
        self.disks.retain(|known| !known.is_forgotten(pools, now));
        turns
    }

    /// What there is to say.
    pub(crate) fn findings(&self, node: &NodeRef, now: Timestamp) -> Vec<Finding> {
        self.disks.iter().flat_map(|known| known.findings(node, now)).collect()
    }
}

impl Known {
    fn new(disk: &Disk, name: &str, since: Option<Timestamp>) -> Self {
        let mut known = Self {
            name: name.to_owned(),
            path: String::new(),
            by_id: vec![],
            wwn: None,
            serial: None,
            model: None,
            size: disk.size,
            since,
            gone: None,
            used_by: None,
            sectors: disk.smart.get().ok().and_then(|smart| smart.bad_sectors),
            decays: None,
        };
        known.take(disk);
        known
    }

    /// udev gives links and names a moment after the kernel has the disk: it is known by any of them.
    fn is(&self, disk: &Disk) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        match (&self.wwn, &disk.wwn) {
            (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
            _ => {
                disk.by_id.iter().any(|link| self.by_id.contains(link))
                    || (same(&self.serial, &disk.serial) && self.model == disk.model && self.size == disk.size)
            }
        }
    }

    fn take(&mut self, disk: &Disk) {
        let keep = |old: &mut Option<String>, new: &Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        self.path.clone_from(&disk.path);
        keep(&mut self.wwn, &disk.wwn);
        keep(&mut self.serial, &disk.serial);
        keep(&mut self.model, &disk.model);
        if !disk.by_id.is_empty() {
            self.by_id.clone_from(&disk.by_id);
        }
        if let Some(name) = disk.stable_name() {
            name.clone_into(&mut self.name);
        }
        self.size = disk.size;
        self.used_by = user(disk);
    }

    fn see(&mut self, disk: &Disk, now: Timestamp) -> Vec<Turn> {
        let mut turns = Vec::new();
        self.take(disk);
        if self.gone.take().is_some() {
            turns.push(Turn::Back(self.name.clone()));
        }
        if let Some(count) = disk.smart.get().ok().and_then(|smart| smart.bad_sectors) {
            let before = *self.sectors.get_or_insert(count);
            let told = self.decays.map_or(before, |decay| decay.to);
            if count > told {
                let from = self.decays.map_or(before, |decay| decay.from);
                self.decays = Some(Decay {
                    from,
                    to: count,
                    at: now,
                });
                turns.push(Turn::Decays(self.name.clone()));
            } else if self.decays.is_some_and(|decay| decay.at.age(now) > WEEK) {
                self.decays = None;
                self.sectors = Some(count);
            }
        }
        turns
    }

    fn is_forgotten(&self, pools: Option<&[Pool]>, now: Timestamp) -> bool {
        let Some(gone) = self.gone else { return false };
        match &self.used_by {
            None => gone.age(now) > DAY,
            Some(User::Other(_)) => gone.age(now) > WEEK,
            Some(User::Pool(name)) => {
                let Some(pools) = pools else { return false };
                match pools.iter().find(|pool| pool.name == *name) {
                    // A pool may be called ONLINE although a disk of it was pulled, until it is read or written next.
                    Some(pool) => pool.state == VdevState::Online && !pool.leaves().any(|leaf| self.is_at(&leaf.name)),
                    // It was exported or destroyed, or all of it is gone: nothing will show any more that somebody has seen to it.
                    None => gone.age(now) > WEEK,
                }
            }
        }
    }

    /// Does the path of a pool's part lead to this disk?
    fn is_at(&self, leaf: &str) -> bool {
        let is_part = |whole: &str| {
            leaf.strip_prefix(whole)
                .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || "-part".contains(c)))
        };
        let links = self.by_id.iter().map(|link| format!("/dev/disk/by-id/{link}"));
        is_part(&self.path) || links.into_iter().any(|link| is_part(&link))
    }

    fn findings(&self, node: &NodeRef, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut say = |code, message: String, next: String| {
            findings.push(Finding::new(code, format!("{node}/{}", self.name), message, next));
        };
        let model = self.model.as_deref().unwrap_or("no model");
        let what = format!("{} ({model}, {}) of {node}", self.name, self.size);
        let cable = format!("on {}: dmesg; look at cable, backplane and the disk itself", node.node);
        match (self.gone, &self.used_by) {
            (Some(gone), Some(User::Pool(name))) => say(
                Code::DiskGone,
                format!("{what} has been gone for {}: pool {name} had it", spoken(gone.age(now))),
                format!("{cable}; zpool status {name}; put it back or replace it"),
            ),
            (Some(gone), Some(User::Other(name))) => say(
                Code::DiskGone,
                format!(
                    "{what} has been gone for {}: it was in use, {name}",
                    spoken(gone.age(now))
                ),
                format!("{cable}; this is told for a week"),
            ),
            (Some(gone), None) => say(
                Code::DiskPulled,
                format!("{what}, which nobody used, has been gone for {}", spoken(gone.age(now))),
                "nothing, if somebody has taken it out; this is told for a day".to_owned(),
            ),
            (None, _) => {}
        }
        if let Some(since) = self.since.filter(|since| self.gone.is_none() && since.age(now) <= DAY) {
            say(
                Code::DiskNew,
                format!("{what} is new: it came {} ago", spoken(since.age(now))),
                format!(
                    "quorate disks {} says what it may be used for; this is told for a day",
                    node.node
                ),
            );
        }
        if let Some(decay) = self.decays.filter(|_| self.gone.is_none()) {
            let ago = spoken(decay.at.age(now));
            say(
                Code::DiskDecays,
                format!(
                    "{what} has {} bad sectors, and had {}: the last came {ago} ago",
                    decay.to, decay.from
                ),
                format!("on {}: smartctl -a {}; have another disk at hand", node.node, self.path),
            );
        }
        findings
    }
}

/// What uses a disk, if anything does: what merely lies on it is no use.
fn user(disk: &Disk) -> Option<User> {
    let pool = disk
        .holders
        .iter()
        .find(|holder| holder.kind == HolderKind::Zfs && !holder.name.is_empty());
    if let Some(pool) = pool {
        return Some(User::Pool(pool.name.clone()));
    }
    let used = disk.holders.iter().find(|holder| match holder.kind {
        HolderKind::Mounted | HolderKind::CephOsd => true,
        HolderKind::Lvm
        | HolderKind::Md
        | HolderKind::Luks
        | HolderKind::Multipath
        | HolderKind::Bcache
        | HolderKind::Drbd
        | HolderKind::Swap
        | HolderKind::DeviceMapper => !holder.name.is_empty(),
        _ => false,
    })?;
    Some(User::Other(match used.kind {
        HolderKind::Mounted => format!("mounted at {}", used.name),
        kind => format!("held by {} {}", kind.as_str(), used.name).trim_end().to_owned(),
    }))
}

#[cfg(test)]
#[path = "disks_tests.rs"]
mod tests;
