//! What can be done for a guest as it is: whether it needs copies, whether PVE can make them, and which table means it.

use std::collections::BTreeSet;

use quorate_model::observation::ConfiguredGuest;
use quorate_model::observation::guest_config::{Backing, GuestConfig, GuestDisk};
use quorate_model::observation::storages::Storages;
use quorate_model::spec::{Chosen, Closeness, ClusterFile, GuestChoice, ReplicationSpec};
use quorate_model::storage::StorageKind;

use super::World;

/// Whether a guest can be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copying<'a> {
    /// It need not be: it is a template, or nothing of it is on its server alone.
    Needless,
    /// It can.
    Can {
        /// These disks of it are copied.
        disks: Vec<&'a GuestDisk>,
        /// On these storages.
        storages: BTreeSet<&'a str>,
    },
    /// It can't, for these reasons.
    Cannot(Vec<String>),
    /// That can't be told.
    Untold(String),
}

/// Which table means a guest.
pub(super) enum Meant<'f> {
    /// None does.
    No,
    /// This one.
    By(&'f ReplicationSpec),
    /// These two, equally closely, and they want other things.
    Twice(&'f ReplicationSpec, &'f ReplicationSpec),
    /// That can't be told.
    Untold(String),
}

impl World<'_> {
    /// How a choice names a guest.
    pub(super) fn names(&self, choice: &GuestChoice, guest: &ConfiguredGuest) -> Result<Option<Closeness>, String> {
        let looks_closer = choice.guests.iter().chain(&choice.except).any(|pick| {
            !matches!(
                pick.value,
                quorate_model::spec::GuestPick::Id(_) | quorate_model::spec::GuestPick::All
            )
        });
        let tags = match guest.config.get() {
            Ok(config) => config.tags.as_slice(),
            Err(_) if !looks_closer => &[],
            Err(unknown) => return Err(unknown.reason.clone()),
        };
        let pools: BTreeSet<&str> = match self.config.guest_pools.get() {
            Ok(pools) => {
                let within = pools.iter().filter(|(_, guests)| guests.contains(&guest.guest.vmid));
                within.map(|(name, _)| name.as_str()).collect()
            }
            Err(_) if !choice.looks_at_pools() => BTreeSet::new(),
            Err(unknown) => return Err(format!("PVE's pools could not be seen: {}", unknown.reason)),
        };
        Ok(choice.names(Chosen {
            vmid: guest.guest.vmid,
            tags,
            pools: &pools,
        }))
    }

    /// The table of this file that means a guest.
    pub(super) fn meant<'f>(&self, file: &'f ClusterFile, guest: &ConfiguredGuest) -> Meant<'f> {
        let mut best: Option<(Closeness, &ReplicationSpec)> = None;
        let mut rival: Option<&ReplicationSpec> = None;
        for table in &file.replication {
            let close = match self.names(&table.guests, guest) {
                Ok(Some(close)) => close,
                Ok(None) => continue,
                Err(why) => return Meant::Untold(why),
            };
            match best {
                Some((before, _)) if before > close => {}
                Some((before, first)) if before == close => {
                    if !wants_the_same(first, table) {
                        rival.get_or_insert(table);
                    }
                }
                _ => {
                    best = Some((close, table));
                    rival = None;
                }
            }
        }
        match (best, rival) {
            (None, _) => Meant::No,
            (Some((_, table)), None) => Meant::By(table),
            (Some((_, table)), Some(rival)) => Meant::Twice(table, rival),
        }
    }
}

fn wants_the_same(one: &ReplicationSpec, other: &ReplicationSpec) -> bool {
    let rate = |table: &ReplicationSpec| table.rate.as_ref().map(|rate| rate.value);
    one.copies_on.value == other.copies_on.value
        && one.schedule() == other.schedule()
        && rate(one) == rate(other)
        && one.returning_node == other.returning_node
}

/// Judges a guest by its disks and what is defined of storages.
#[must_use]
pub fn copying<'a>(guest: &'a ConfiguredGuest, storages: &Storages) -> Copying<'a> {
    let config = match guest.config.get() {
        Ok(config) => config,
        Err(unknown) => return Copying::Untold(unknown.reason.clone()),
    };
    if config.template {
        return Copying::Needless;
    }
    let mut disks = Vec::new();
    let mut on = BTreeSet::new();
    let mut reasons = Vec::new();
    for disk in &config.disks {
        match of_disk(disk, storages) {
            Ok(Some(storage)) => {
                disks.push(disk);
                on.insert(storage);
            }
            Ok(None) => {}
            Err(why) => reasons.push(format!("{} {why}", disk.key)),
        }
    }
    // Replication fails at whatever is no volume, unless it is told to leave it out; that every server has it is no matter to it.
    let told_to_copy = config
        .disks
        .iter()
        .filter(|disk| disk.shared && disk.replicate && disk.storage().is_none());
    if !disks.is_empty() {
        reasons.extend(told_to_copy.map(|disk| format!("{} is no volume: write replicate=0 behind it", disk.key)));
    }
    if !reasons.is_empty() {
        Copying::Cannot(reasons)
    } else if disks.is_empty() {
        Copying::Needless
    } else {
        Copying::Can { disks, storages: on }
    }
}

/// The storage that a disk is copied on; `None`: it need not be.
fn of_disk<'d>(disk: &'d GuestDisk, storages: &Storages) -> Result<Option<&'d str>, String> {
    let storage = match &disk.backing {
        Backing::Device(_) | Backing::Folder(_) if disk.shared => return Ok(None),
        Backing::Device(path) => return Err(format!("is {path} of its server")),
        Backing::Folder(path) => return Err(format!("is the folder {path} of its server")),
        Backing::Volume { storage, .. } => storage,
    };
    let defined = storages
        .defined(storage)
        .ok_or_else(|| format!("lies on the storage {storage}, which is not defined"))?;
    if defined.is_shared() {
        return Ok(None);
    }
    if defined.kind != StorageKind::Zfspool.as_str() {
        return Err(format!(
            "lies on {storage}, a storage of the type {}, which PVE does not copy",
            defined.kind
        ));
    }
    if !disk.replicate {
        return Err("is left out of replication (replicate=0)".to_owned());
    }
    Ok(Some(storage))
}

/// What a guest is called by people, if it has a name.
pub(super) fn called(guest: &ConfiguredGuest) -> String {
    let name = guest
        .config
        .get()
        .ok()
        .and_then(|config: &GuestConfig| config.name.as_deref());
    match name {
        Some(name) => format!("{} ({name})", guest.guest.vmid),
        None => guest.guest.vmid.to_string(),
    }
}
