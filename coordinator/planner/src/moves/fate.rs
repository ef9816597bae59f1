//! What becomes of each guest of a server that is to be empty: it moves live, restarts elsewhere, stays since it does not run, must be shut
//! down, or stands in the way. All of it is told before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ByteSize;
use quorate_model::canary_discs::{mend_renamed, renamed_disc};
use quorate_model::clocks::NotNow;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::moves::MoveKind;
use quorate_model::observation::guest_config::{Backing, GuestConfig, GuestDisk};
use quorate_model::observation::storages::{DefinedStorage, StorageState, Storages};
use quorate_model::observation::{ConfiguredGuest, GuestKind, GuestRun};

use super::scene::{Scene, sid};

/// A container is shut down and started again: most are through within this.
pub(super) const RESTART_SECONDS: u64 = 20;
/// What a migration takes besides what it copies.
const LIVE_SECONDS: u64 = 10;
/// What a gigabit carries: memory, and disks that are copied, go over the network.
const BYTES_A_SECOND: u64 = 100 << 20;

/// What becomes of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes elsewhere.
    Moves(Way),
    /// It does not run, and stays.
    Stays(&'static str),
    /// It can't be moved, and may be shut down if the operator says so.
    Bound(Tie),
    /// It stands in the way, whatever the operator says; with what is to be done.
    Blocked(Code, String, String),
}

/// Why it can't be moved, and what would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tie {
    pub(super) why: String,
    pub(super) mend: String,
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
        (Fate::Bound(Tie { why, mend }), true) => {
            let next = format!("{mend}; or take it out of HA first: ha-manager remove {}", sid(guest));
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
    let at = NodeName::new(guest.guest.node.as_str()).ok();
    let storages = at.and_then(|at| scene.view.facet(&at, |o| &o.storages).ok());
    if let Some(tie) = bound(guest, config, storages) {
        return Fate::Bound(tie);
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

/// What binds it to its server. `storages`: as its server has them; `None`: not known, which is told of where it goes.
pub(super) fn bound(guest: &ConfiguredGuest, config: &GuestConfig, storages: Option<&Storages>) -> Option<Tie> {
    let tie = |why: String, mend: &str| {
        Some(Tie {
            why,
            mend: mend.to_owned(),
        })
    };
    if !config.bound_by.is_empty() {
        let why = format!("it is bound to its server by {}", config.bound_by.join(", "));
        return tie(why, "take that away from it");
    }
    let mut used = config.disks.iter().filter(|disk| !disk.is_unused() && !disk.shared);
    let what = used.find_map(|disk| match &disk.backing {
        Backing::Volume { .. } => None,
        Backing::Device(path) => Some(format!("{} is the device {path} of its server", disk.key)),
        Backing::Folder(path) => Some(format!("{} is the folder {path} of its server", disk.key)),
    });
    if let Some(why) = what {
        return tie(why, "take that away from it");
    }
    // PVE finds out only when the guest is locked (`local cdrom image`, `can't migrate local cdrom drive`); so it does of a snapshot's.
    let local = |disc: &GuestDisk| match disc.storage() {
        None => !disc.shared,
        // `local` need not be defined.
        Some(name) => storages.is_some_and(|all| !all.defined(name).is_some_and(DefinedStorage::is_shared)),
    };
    let (disc, of) = config.all_discs().find(|(disc, _)| local(disc))?;
    let (id, key, what) = (guest.guest.vmid, &disc.key, disc.written());
    match of {
        None if renamed_disc(guest).as_deref() == Some(what.as_str()) => tie(
            format!("{key} has {what} of its server in it, which was its disc for cloud-init"),
            &mend_renamed(guest, &what),
        ),
        None => tie(
            format!("{key} has {what} of its server in it"),
            &format!("take the disc out: qm set {id} --{key} none,media=cdrom"),
        ),
        Some(snapshot) => tie(
            format!("in its snapshot {snapshot} {key} has {what} of its server in it"),
            &format!("remove that snapshot: qm delsnapshot {id} {snapshot}"),
        ),
    }
}

/// A disk that snapshots hold on to, and that PVE would not take along: of a running machine any that is on its server alone and not replicated
/// to where it goes; else those of which it can't copy snapshots. Source: qemu-server QemuMigrate.pm (`scan_local_volumes`), pve-container
/// LXC/Migrate.pm (`phase1`).
fn snapshots(
    guest: &ConfiguredGuest,
    config: &GuestConfig,
    how: MoveKind,
    storages: &Storages,
    has_copy: bool,
) -> Result<(), String> {
    for snapshot in &config.snapshots {
        for disk in &snapshot.disks {
            let Backing::Volume { storage, volume } = &disk.backing else {
                continue;
            };
            let Some(defined) = storages.defined(storage) else {
                continue;
            };
            if defined.is_shared() {
                continue;
            }
            let kind = defined.kind.as_str();
            let fine = match how {
                MoveKind::Live => has_copy && disk.replicate && kind == "zfspool",
                MoveKind::Restart | MoveKind::Offline => {
                    let in_file = guest.guest.kind == GuestKind::Vm && volume.ends_with(".qcow2");
                    matches!(kind, "zfspool" | "btrfs") || in_file
                }
            };
            if !fine {
                let (id, name) = (guest.guest.vmid, &snapshot.name);
                let (tool, while_it) = match guest.guest.kind {
                    GuestKind::Vm if how == MoveKind::Live => ("qm", " while it runs, unless it is replicated there"),
                    GuestKind::Vm => ("qm", ""),
                    GuestKind::Container => ("pct", ""),
                };
                return Err(format!(
                    "its snapshot {name} holds {} on {storage}, and PVE moves no snapshots of that{while_it} ({tool} delsnapshot {id} {name} \
                     removes it)",
                    disk.key
                ));
            }
        }
    }
    Ok(())
}

/// Why HA would not carry a command out for it now.
pub(super) fn ha_does_not_move(scene: &Scene<'_>, guest: &ConfiguredGuest) -> Option<String> {
    let Some(manager) = scene.manager else {
        return Some("it is under HA, and there has never been an HA master".to_owned());
    };
    if let Some(disarm) = &manager.disarm {
        return Some(format!("it is under HA, which is {}", disarm.state));
    }
    match &scene.silent {
        Some(NotNow::Silent(silent)) => return Some(format!("it is under HA, which does nothing now: {silent}")),
        Some(NotNow::Untold(unknown)) => return Some(format!("it is under HA, and {}", unknown.reason)),
        None => {}
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

/// The guest of which a server holds what it wrote before it was lost: this one, or one that HA moves along with it. PVE copies to the target of a
/// migration whether the job is on or off.
fn held_on(scene: &Scene<'_>, guest: &ConfiguredGuest, node: &NodeName) -> Result<Option<u32>, String> {
    let along = scene.moved_with(guest);
    let along = along.map_err(|unknown| format!("what HA moves along with it can't be seen: {}", unknown.reason))?;
    let held = |id: &u32| scene.jobs.iter().any(|job| job.keeps_on(*id, node.as_str()));
    Ok(along.into_iter().find(held))
}

/// In a maintenance HA chooses by itself where a guest goes, and does not ask what is held there: one server that it may choose is enough to lose
/// that. `from`: the server that it leaves.
pub(super) fn held_from_ha(scene: &Scene<'_>, guest: &ConfiguredGuest, from: &NodeName) -> Option<Finding> {
    let subject = format!("guest {}", guest.guest.vmid);
    let may = |node: &&NodeName| {
        *node != from && !scene.in_maintenance(node) && scene.sent_back(guest, node, Some(from)).is_none()
    };
    scene.online.iter().filter(may).find_map(|node| match held_on(scene, guest, node) {
        Ok(None) => None,
        Ok(Some(held)) => {
            let message = format!(
                "HA chooses where it goes, which may be {node}: what {node} wrote to guest {held} before it was lost is held there, and would be \
                 overwritten"
            );
            let next = format!("quorate replication resolve {held}; then again");
            Some(Finding::new(Code::CopyHeld, &subject, message, next))
        }
        Err(why) => Some(Finding::new(Code::FacetUnknown, &subject, why, "ha-manager rules config")),
    })
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
    if let Some(held) = held_on(scene, guest, target)? {
        return Err(if held == id {
            format!(
                "what {target} wrote before it was lost is held, and moving the guest there would overwrite it: quorate replication resolve {id}"
            )
        } else {
            format!(
                "HA moves guest {held} along, and what {target} wrote to that before it was lost is held and would be overwritten: \
                 quorate replication resolve {held}"
            )
        });
    }
    let has_copy = own
        .iter()
        .any(|job| job.target == target.as_str() && job.removal.is_none());
    if how == MoveKind::Live && !own.is_empty() && !has_copy {
        return Err(format!(
            "{target} has no copy of it, and a running machine that is replicated only goes where one is"
        ));
    }
    let storages = scene.view.facet(target, |o| &o.storages);
    let storages = storages.map_err(|unknown| format!("the storages of {target} can't be seen: {}", unknown.reason))?;
    let copied = disks(storages, config, target, has_copy)?;
    snapshots(guest, config, how, storages, has_copy)?;
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

/// PVE takes along what the guest does not use, as well, and what lies in its CD drives must be there; that of its server alone binds it, see
/// [`bound`].
fn disks(storages: &Storages, config: &GuestConfig, target: &NodeName, has_copy: bool) -> Result<ByteSize, String> {
    let mut copied = 0_u64;
    let is_defined = |disc: &&GuestDisk| disc.storage().is_some_and(|name| storages.defined(name).is_some());
    for disk in config.disks.iter().chain(config.discs.iter().filter(is_defined)) {
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
        if !defined.is_shared() && !replicated {
            copied = copied.saturating_add(disk.size.map_or(0, |size| size.0));
        }
    }
    Ok(ByteSize(copied))
}

/// What is to be said of a guest that moves: nobody shall be surprised by a container that is away for a while. `returns`: and that is brought back
/// in the same way.
pub(super) fn told(
    scene: &Scene<'_>,
    guest: &ConfiguredGuest,
    way: &Way,
    (target, returns): (Option<&NodeName>, bool),
) -> Vec<Finding> {
    let subject = format!("guest {}", guest.guest.vmid);
    let mut told = Vec::new();
    if way.how == MoveKind::Restart {
        let again = if returns { ", and again when it comes back" } else { "" };
        let message = format!(
            "container {} is shut down, moved and started again: about {} s down{again}",
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
