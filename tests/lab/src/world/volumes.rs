//! Guests' volumes on pools: what is in one is a number, that of the last write of its guest.

use std::collections::BTreeMap;

use super::guests::{Drive, Guest};
use super::server::Server;
use super::zfs::Pool;
use crate::description::GuestKind;
use crate::tools::pvesm::{self, Section};

/// What a guest has written into each of its disks with one numbered write.
pub(crate) const WRITE: u64 = 64 << 10;

/// A volume with its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Volume {
    /// Bytes that the guest sees.
    pub(crate) size: u64,
    /// The last numbered write in it. While the guest runs here its process counts on, and this is brought up when it ends.
    pub(crate) number: u64,
    /// Oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// A snapshot of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    /// The same wherever it was sent.
    pub(crate) guid: u64,
    /// The last numbered write in it.
    pub(crate) number: u64,
    /// Seconds since 1970, by the clock of the server that made it.
    pub(crate) at: i64,
}

impl Volume {
    pub(crate) fn snapshot(&self, name: &str) -> Option<&Snapshot> {
        self.snapshots.iter().find(|snapshot| snapshot.name == name)
    }

    pub(crate) fn has(&self, guid: u64) -> bool {
        self.snapshots.iter().any(|snapshot| snapshot.guid == guid)
    }
}

/// The guest that a volume belongs to, by its name as PVE gives it. Source: pve-storage ZFSPoolPlugin.pm (`parse_volname`).
pub(crate) fn owner(dataset: &str) -> Option<u32> {
    let name = dataset.rsplit('/').next()?;
    let kinds = ["vm-", "subvol-", "base-", "basevol-"];
    let rest = kinds.iter().find_map(|kind| name.strip_prefix(kind))?;
    rest.split('-').next()?.parse().ok()
}

/// Where the disks of a guest lie, as far as it decides what becomes of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In a pool of its server.
    Pool,
    /// On its server, and in no pool.
    Local,
    /// Reached from every server; so is a guest that has no disk.
    Shared,
}

/// Is it reached from every server? Source: pve-storage PVE/Storage/Plugin.pm (`@SHARED_STORAGE`).
pub(crate) fn is_shared(section: &Section) -> bool {
    matches!(
        section.kind.as_str(),
        "nfs" | "cifs" | "rbd" | "cephfs" | "iscsi" | "iscsidirect" | "zfs" | "drbd" | "pbs" | "glusterfs"
    ) || section.get("shared") == Some("1")
}

/// How a migration ends when one of the guest's volumes keeps it. Source: qemu-server QemuMigrate.pm (`scan_local_volumes`).
pub(crate) const CHECK_LOG: &str = "Problem found while scanning volumes - can't migrate VM - check log";

impl Server {
    /// What of a machine's discs and snapshots keeps it from being moved, as the task's log has it, in a line that is not marked as an error.
    /// Containers have no discs, and the lab's lie where snapshots can be copied. Source: qemu-server QemuMigrate.pm (`scan_local_volumes`).
    pub(crate) fn keeps_from_moving(&self, guest: &Guest, runs: bool, replicated: bool) -> Option<String> {
        if guest.kind != GuestKind::Qemu {
            return None;
        }
        if guest.has_drive_of_the_host() {
            return Some("can't migrate local cdrom drive".to_owned());
        }
        let section_of = |drive: &Drive| drive.storage.as_deref().and_then(|id| self.storage(id));
        let is_local = |drive: &&Drive| section_of(drive).is_some_and(|section| !is_shared(&section));
        let (now, kept) = (guest.drives(), guest.drives_of_snapshots());
        let mut discs = now
            .iter()
            .chain(&kept)
            .filter(|drive| drive.cdrom && !drive.name.ends_with("-cloudinit"));
        if let Some(disc) = discs.find(is_local) {
            let volid = disc.volid();
            return Some(format!("can't migrate local disk '{volid}': local cdrom image"));
        }
        let stays = |drive: &&Drive| {
            let is_zfs = section_of(drive).is_some_and(|section| section.kind == "zfspool");
            let copied = replicated && drive.replicate && is_zfs;
            let carried = is_zfs || drive.name.ends_with(".qcow2");
            if runs { !copied } else { !carried }
        };
        let disk = kept.iter().filter(|drive| !drive.cdrom).filter(is_local).find(stays)?;
        let why = if runs {
            "online storage migration not possible if non-replicated snapshot exists"
        } else {
            "non-migratable snapshot exists"
        };
        Some(format!("can't migrate local disk '{}': {why}", disk.volid()))
    }

    /// The definition of a storage.
    pub(crate) fn storage(&self, id: &str) -> Option<Section> {
        pvesm::sections(self).get(id).cloned()
    }

    /// The dataset of a drive that lies in a pool, by what storage.cfg says; whether it is there is another question.
    pub(crate) fn dataset_of(&self, drive: &Drive) -> Option<String> {
        let section = self.storage(drive.storage.as_deref()?)?;
        let pool = section.get("pool").filter(|_| section.kind == "zfspool")?;
        Some(format!("{pool}/{}", drive.name))
    }

    /// Decided by its first disk.
    pub(crate) fn home_of(&self, guest: &Guest) -> Home {
        let drives = guest.drives();
        let Some(drive) = drives.iter().find(|drive| !drive.cdrom) else {
            return Home::Shared;
        };
        let section = drive.storage.as_deref().and_then(|id| self.storage(id));
        match section {
            Some(section) if section.kind == "zfspool" => Home::Pool,
            Some(section) if is_shared(&section) => Home::Shared,
            _ => Home::Local,
        }
    }

    pub(crate) fn volume(&self, dataset: &str) -> Option<&Volume> {
        self.pools.iter().find_map(|pool| pool.volumes.get(dataset))
    }

    pub(crate) fn volume_mut(&mut self, dataset: &str) -> Option<&mut Volume> {
        self.pools.iter_mut().find_map(|pool| pool.volumes.get_mut(dataset))
    }

    /// Every volume of a guest in imported pools, by its dataset.
    pub(crate) fn volumes_of(&self, vmid: u32) -> Vec<(String, Volume)> {
        let all = self.pools.iter().flat_map(|pool| &pool.volumes);
        all.filter(|(name, _)| owner(name) == Some(vmid))
            .map(|(name, volume)| (name.clone(), volume.clone()))
            .collect()
    }

    /// What somebody called otherwise of a guest's volumes, and PVE takes for none of them any more: the old name stands in the new one.
    pub(crate) fn renamed_volumes_of(&self, vmid: u32) -> Vec<(String, Volume)> {
        let names = [format!("-vm-{vmid}-"), format!("-subvol-{vmid}-")];
        let renamed = |name: &str| {
            let last = name.rsplit('/').next().unwrap_or(name);
            owner(name).is_none() && names.iter().any(|part| last.contains(part.as_str()))
        };
        let all = self.pools.iter().flat_map(|pool| &pool.volumes);
        all.filter(|(name, _)| renamed(name))
            .map(|(name, volume)| (name.clone(), volume.clone()))
            .collect()
    }

    /// Does a volume lie here, in a pool that is imported or not?
    pub(crate) fn holds(&self, dataset: &str) -> bool {
        let dormant = self.dormant.iter().map(|dormant| &dormant.pool);
        self.pools
            .iter()
            .chain(dormant)
            .any(|pool| pool.volumes.contains_key(dataset))
    }

    /// Puts a volume into its pool, in place of the one of its name. Is the pool there?
    pub(crate) fn put_volume(&mut self, dataset: &str, volume: Volume) -> bool {
        let name = dataset.split('/').next().unwrap_or(dataset);
        let Some(pool) = self.pools.iter_mut().find(|pool| pool.name == name) else {
            return false;
        };
        pool.datasets
            .entry(dataset.to_owned())
            .or_insert_with(|| properties(dataset, volume.size));
        pool.volumes.insert(dataset.to_owned(), volume);
        true
    }

    /// Destroys a volume with its snapshots. Was it there?
    pub(crate) fn drop_volume(&mut self, dataset: &str) -> bool {
        self.pools.iter_mut().any(|pool| pool.drop_volume(dataset))
    }
}

impl Pool {
    /// Destroys a volume with its snapshots. Was it there?
    pub(crate) fn drop_volume(&mut self, dataset: &str) -> bool {
        self.datasets.remove(dataset);
        self.volumes.remove(dataset).is_some()
    }
}

/// As PVE makes them. Source: pve-storage ZFSPoolPlugin.pm (`zfs_create_zvol`, `zfs_create_subvol`).
fn properties(dataset: &str, size: u64) -> BTreeMap<String, String> {
    let name = dataset.rsplit('/').next().unwrap_or(dataset);
    let pairs: Vec<(&str, String)> = if name.starts_with("subvol-") || name.starts_with("basevol-") {
        vec![
            ("acltype", "posix".to_owned()),
            ("xattr", "sa".to_owned()),
            ("refquota", size.to_string()),
        ]
    } else {
        vec![("volsize", size.to_string())]
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn whose_a_volume_is_stands_in_its_name() {
        assert_eq!(owner("data_zfs/vm-100-disk-0"), Some(100));
        assert_eq!(owner("data_zfs/guests/subvol-101-disk-1"), Some(101));
        assert_eq!(owner("data_zfs/base-9000-disk-0"), Some(9000));
        assert_eq!(owner("data_zfs/vm-web"), None);
        assert_eq!(owner("data_zfs"), None);
    }
}
