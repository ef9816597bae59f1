//! What becomes of each guest of a server that is to be empty: it moves live, restarts elsewhere, stays since it does not run, must be shut
//! down, or stands in the way. All of it is told before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ByteSize;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::moves::MoveKind;
use quorate_model::observation::guest_config::{Backing, GuestConfig};
use quorate_model::observation::storages::{DefinedStorage, StorageState};
use quorate_model::observation::{ConfiguredGuest, GuestKind, GuestRun};

use super::scene::{Scene, sid};

/// A container is shut down and started again: most are through within this.
pub(super) const RESTART_SECONDS: u64 = 20;
/// What a migration takes besides what it copies.
const LIVE_SECONDS: u64 = 10;
/// What a gigabit carries: memory, and disks that are copied, go over the network.
const BYTES_A_SECOND: u64 = 100 << 20;
/// Types of storages that are the same everywhere, without saying so.
const SHARED: [&str; 9] = [
    "nfs",
    "cifs",
    "glusterfs",
    "cephfs",
    "rbd",
    "iscsi",
    "iscsidirect",
    "pbs",
    "esxi",
];

/// What becomes of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes elsewhere.
    Moves(Way),
    /// It does not run, and stays.
    Stays(&'static str),
    /// It can't be moved, and may be shut down if the operator says so.
    Bound(String),
    /// It stands in the way, whatever the operator says; with what is to be done.
    Blocked(Code, String, String),
}

/// How it goes elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) how: MoveKind,
    /// HA moves it, and chooses where.
    pub(super) managed: bool,
    /// Disks of this size are on its server alone, and are copied in full.
    pub(super) copied: ByteSize,
    pub(super) memory: ByteSize,
}

impl Way {
    /// About how long it takes, in seconds.
    pub(super) fn seconds(&self) -> u64 {
        let memory = if self.how == MoveKind::Live { self.memory.0 } else { 0 };
        let base = match self.how {
            MoveKind::Live => LIVE_SECONDS,
            MoveKind::Restart => RESTART_SECONDS,
            MoveKind::Offline => 3,
        };
        base + (memory.saturating_add(self.copied.0)) / BYTES_A_SECOND
    }
}

/// What becomes of a guest when its server is to be empty, wherever it may go.
pub(super) fn of(scene: &Scene<'_>, guest: &ConfiguredGuest) -> Fate {
    let id = guest.guest.vmid;
    let config = match guest.config.get() {
        Ok(config) => config,
        Err(unknown) => return unseen(id, &format!("its configuration can't be read: {}", unknown.reason)),
    };
    if config.template {
        return Fate::Stays("it is a template");
    }
    let status = match scene.status(guest) {
        Ok(status) => status,
        Err(unknown) => return unseen(id, &unknown.reason),
    };
    if let Some(lock) = status.lock.as_ref().or(config.lock.as_ref()) {
        let next = format!("wait until that is done; see: pvenode task list --vmid {id}");
        return Fate::Blocked(Code::GuestLocked, format!("it is locked ({lock})"), next);
    }
    match &status.run {
        GuestRun::Running => {}
        GuestRun::Stopped => return Fate::Stays("it is stopped"),
        GuestRun::Held(word) => {
            let why = format!("it is {word}, neither running nor stopped");
            return Fate::Blocked(Code::GuestCantMove, why, "let it go on, or stop it".to_owned());
        }
    }
    let managed = scene.is_managed(guest);
    let fate = running(scene, guest, config, managed);
    match (fate, managed) {
        // What HA looks after is started again by HA wherever it was shut down.
        (Fate::Bound(why), true) => {
            let next = format!("take it out of HA first: ha-manager remove {}", sid(guest));
            Fate::Blocked(
                Code::GuestCantMove,
                format!("{why}, and HA would try to move it for ever"),
                next,
            )
        }
        (fate, _) => fate,
    }
}

fn unseen(id: u32, why: &str) -> Fate {
    Fate::Blocked(Code::FacetUnknown, why.to_owned(), format!("quorate guests {id}"))
}

fn running(scene: &Scene<'_>, guest: &ConfiguredGuest, config: &GuestConfig, managed: bool) -> Fate {
    if let Some(why) = bound(config) {
        return Fate::Bound(why);
    }
    if managed && let Some(why) = ha_does_not_move(scene, guest) {
        let next = "ha-manager status".to_owned();
        return Fate::Blocked(Code::GuestCantMove, why, next);
    }
    let how = MoveKind::of(guest.guest.kind, true);
    Fate::Moves(Way {
        how,
        managed,
        copied: ByteSize(0),
        memory: config.memory,
    })
}

/// What binds it to its server.
pub(super) fn bound(config: &GuestConfig) -> Option<String> {
    if !config.bound_by.is_empty() {
        return Some(format!("it is bound to its server by {}", config.bound_by.join(", ")));
    }
    let mut used = config.disks.iter().filter(|disk| !disk.is_unused());
    used.find_map(|disk| match &disk.backing {
        Backing::Volume { .. } => None,
        Backing::Device(path) => Some(format!("{} is the device {path} of its server", disk.key)),
        Backing::Folder(path) => Some(format!("{} is the folder {path} of its server", disk.key)),
    })
}

/// Why HA would not carry a command out for it now.
pub(super) fn ha_does_not_move(scene: &Scene<'_>, guest: &ConfiguredGuest) -> Option<String> {
    let Some(manager) = scene.manager else {
        return Some("it is under HA, and there has never been an HA master".to_owned());
    };
    if let Some(disarm) = &manager.disarm {
        return Some(format!("it is under HA, which is {}", disarm.state));
    }
    let sid = sid(guest);
    match manager.services.get(&sid) {
        None => Some(format!("{sid} is under HA, whose master does not know it yet")),
        Some(place) if place.target.is_some() || place.command.is_some() => Some(format!(
            "HA moves {sid} already, or is about to {}",
            place.command.as_deref().unwrap_or("do so")
        )),
        Some(place) if !matches!(place.state.as_str(), "started" | "stopped") => {
            Some(format!("HA has {sid} in state {}", place.state))
        }
        Some(_) => None,
    }
}

/// What a server has for a guest, or lacks: what of its disks would be copied in full. `room`: memory that is spoken for there already.
pub(super) fn takes(
    scene: &Scene<'_>,
    guest: &ConfiguredGuest,
    config: &GuestConfig,
    (target, how): (&NodeName, MoveKind),
    room: &BTreeMap<NodeName, u64>,
) -> Result<ByteSize, String> {
    let id = guest.guest.vmid;
    if scene.in_maintenance(target) {
        return Err(format!("{target} is in maintenance"));
    }
    let own: Vec<_> = scene.jobs.iter().filter(|job| job.guest == id).collect();
    // PVE copies to the target of a migration whether the job is on or off.
    let mut held = own.iter().filter_map(|job| job.held());
    if held.any(|held| held.node == target.as_str()) {
        return Err(format!(
            "what {target} wrote before it was lost is held, and moving the guest there would overwrite it: quorate replication resolve {id}"
        ));
    }
    let has_copy = own
        .iter()
        .any(|job| job.target == target.as_str() && job.removal.is_none());
    if how == MoveKind::Live && !own.is_empty() && !has_copy {
        return Err(format!(
            "{target} has no copy of it, and a running machine that is replicated only goes where one is"
        ));
    }
    let copied = disks(scene, config, target, has_copy)?;
    let network = scene.view.facet(target, |o| &o.network);
    let network = network.map_err(|unknown| format!("the network of {target} can't be seen: {}", unknown.reason))?;
    let bridges: BTreeSet<&str> = config.nics.iter().filter_map(|nic| nic.bridge.as_deref()).collect();
    if let Some(missing) = bridges
        .iter()
        .find(|name| !network.interfaces.iter().any(|i| i.name == **name))
    {
        return Err(format!("{target} has no bridge {missing}"));
    }
    if how.runs() {
        let system = scene.view.facet(target, |o| &o.system);
        let system = system.map_err(|unknown| format!("the memory of {target} can't be seen: {}", unknown.reason))?;
        let left = system
            .memory
            .available
            .0
            .saturating_sub(room.get(target).copied().unwrap_or(0));
        if left < config.memory.0 {
            return Err(format!(
                "{target} has {} of memory left, and it may use {}",
                ByteSize(left),
                config.memory
            ));
        }
    }
    Ok(copied)
}

fn disks(scene: &Scene<'_>, config: &GuestConfig, target: &NodeName, has_copy: bool) -> Result<ByteSize, String> {
    let storages = scene.view.facet(target, |o| &o.storages);
    let storages = storages.map_err(|unknown| format!("the storages of {target} can't be seen: {}", unknown.reason))?;
    let mut copied = 0_u64;
    for disk in config.disks.iter().filter(|disk| !disk.is_unused()) {
        let Some(name) = disk.storage() else { continue };
        // PVE's built-in `local` need not be written down.
        let Some(defined) = storages.defined(name) else {
            return Err(format!("{target} knows no storage {name}"));
        };
        if !defined.is_for(target) {
            return Err(format!("storage {name} is not for {target}"));
        }
        let status = storages
            .status
            .get()
            .map_err(|why| format!("the storages of {target} can't be seen: {}", why.reason))?;
        if status.iter().any(|s| s.id == name && s.state != StorageState::Active) {
            return Err(format!("storage {name} is not active on {target}"));
        }
        let replicated = has_copy && disk.replicate && defined.kind == "zfspool";
        if !is_shared(defined) && !replicated {
            copied = copied.saturating_add(disk.size.map_or(0, |size| size.0));
        }
    }
    Ok(ByteSize(copied))
}

fn is_shared(storage: &DefinedStorage) -> bool {
    let said = storage.properties.get("shared").is_some_and(|value| value != "0");
    said || SHARED.contains(&storage.kind.as_str())
}

/// What is to be said of a guest that moves: nobody shall be surprised by a container that is away for a while.
pub(super) fn told(scene: &Scene<'_>, guest: &ConfiguredGuest, way: &Way, target: Option<&NodeName>) -> Vec<Finding> {
    let subject = format!("guest {}", guest.guest.vmid);
    let mut told = Vec::new();
    if way.how == MoveKind::Restart {
        let message = format!(
            "container {} is shut down, moved and started again: about {} s down",
            guest.guest.vmid,
            way.seconds()
        );
        told.push(Finding::new(Code::GuestRestarts, &subject, message, ""));
    }
    if way.copied.0 > 0 {
        let message = format!(
            "{} of its disks are on {} alone, and are copied in full",
            way.copied, guest.guest.node
        );
        told.push(Finding::new(Code::GuestDisksCopied, &subject, message, ""));
    }
    let Ok(config) = guest.config.get() else { return told };
    let host =
        guest.guest.kind == GuestKind::Vm && config.cpu_type.as_deref().is_some_and(|cpu| cpu.starts_with("host"));
    if host && way.how == MoveKind::Live {
        let model = |node: &NodeName| {
            scene
                .view
                .facet(node, |o| &o.system)
                .ok()
                .map(|system| system.cpu.model.clone())
        };
        let here = NodeName::new(guest.guest.node.as_str())
            .ok()
            .and_then(|node| model(&node));
        let other = target.filter(|target| model(target) != here);
        if target.is_none() || other.is_some() {
            let where_to = target.map_or_else(|| "another server".to_owned(), ToString::to_string);
            let message =
                format!("it sees the processor of its server (cpu: host), and {where_to} may have another one");
            let next =
                "if that is so: shut it down, move it, start it; or give it a common type, such as x86-64-v2-AES";
            told.push(Finding::new(Code::GuestCpuHost, &subject, message, next));
        }
    }
    told
}
