//! Pools that lie on disks, and how they are imported: by hand and at boot.

use std::collections::BTreeSet;

use super::{Class, Dormant, Kind, Leaf, LeafState, Left, Pool, Vdev, disks};
use crate::world::server::Server;
use crate::world::zfs::health::Health;

/// What happens to pools at boot.
#[derive(Debug, Default)]
pub(crate) struct AtBoot {
    /// `/etc/zfs/zpool.cache` is lost: only what a unit of its own imports is there after a boot.
    pub(crate) cache_lost: bool,
    /// Pools whose import fails.
    pub(crate) failing: BTreeSet<String>,
    /// Pools whose unit failed at the last boot, or did its work.
    pub(crate) failed: BTreeSet<String>,
    pub(crate) done: BTreeSet<String>,
}

/// The pool that an instance of ZFS's own unit imports. Source: systemd-escape(1), for what PVE escapes.
pub(crate) fn pool_of_unit(unit: &str) -> Option<String> {
    let name = unit.strip_prefix("zfs-import@")?;
    Some(name.trim_end_matches(".service").replace("\\x2d", "-"))
}

impl Server {
    /// Is any of a pool's disks there?
    pub(crate) fn has_some(&self, pool: &Pool) -> bool {
        pool.leaves()
            .any(|leaf| disks::holding(&self.disks, pool.guid, leaf).is_some())
    }

    /// A pool as its labels tell now.
    pub(crate) fn as_found(&self, pool: &Pool) -> Pool {
        let mut found = pool.clone();
        let guid = pool.guid;
        found.suspended = false;
        found.each_leaf(|leaf| match disks::holding(&self.disks, guid, leaf) {
            Some((disk, _)) => {
                leaf.disk.clone_from(&disk.name);
                if leaf.temporary || !matches!(leaf.state, LeafState::Offline | LeafState::ForceFaulted) {
                    leaf.state = LeafState::Online;
                }
            }
            // Captured: one that was pulled in time is known to have been.
            None if leaf.state == LeafState::Removed => {}
            None => leaf.state = LeafState::Missing,
        });
        found
    }

    /// Imports a pool, if enough of it is there.
    pub(crate) fn wake(&mut self, guid: u64, name: Option<&str>, cached: bool) -> bool {
        let Some(place) = self.dormant.iter().position(|dormant| dormant.pool.guid == guid) else {
            return false;
        };
        let Some(mut pool) = self.dormant.get(place).map(|dormant| self.as_found(&dormant.pool)) else {
            return false;
        };
        if pool.health() == Health::Unavailable {
            return false;
        }
        self.dormant.remove(place);
        pool.cached = cached;
        // Counters live in memory.
        pool.each_leaf(|leaf| leaf.errors = super::Errors::default());
        if let Some(name) = name {
            name.clone_into(&mut pool.name);
            let leaves: Vec<Leaf> = pool.leaves().cloned().collect();
            for leaf in leaves {
                if disks::holding(&self.disks, guid, &leaf).is_some() {
                    let disk = leaf.disk.clone();
                    disks::change(self, &disk, |disk| disks::rename(disk, guid, name));
                }
            }
        }
        self.pools.push(pool);
        self.pools.sort_by(|a, b| a.name.cmp(&b.name));
        true
    }

    /// Labels that lie on disks from the start, and of which nothing else is known: one pool of single disks each.
    pub(crate) fn adopt_strays(&mut self) {
        let mut found: Vec<Pool> = Vec::new();
        let known = |server: &Self, guid: u64| {
            server.pools.iter().any(|pool| pool.guid == guid)
                || server.dormant.iter().any(|dormant| dormant.pool.guid == guid)
        };
        let mut labelled = Vec::new();
        for disk in &self.disks {
            for part in &disk.partitions {
                let guid = part.uuid.as_deref().and_then(|uuid| uuid.parse::<u64>().ok());
                let (Some(disks::MEMBER), Some(guid), None) = (part.fstype.as_deref(), guid, &part.uuid_sub) else {
                    continue;
                };
                if known(self, guid) {
                    continue;
                }
                let path = disks::path_of(disk, part.number);
                let leaf = Leaf::new(path, disk.name.clone(), part.size);
                labelled.push((disk.name.clone(), part.number, leaf.guid));
                let vdev = Vdev {
                    class: Class::Data,
                    kind: Kind::Disk,
                    leaves: vec![leaf],
                };
                match found.iter_mut().find(|pool| pool.guid == guid) {
                    Some(pool) => pool.vdevs.push(vdev),
                    None => {
                        let mut pool = Pool::new(part.label.as_deref().unwrap_or_default(), vec![vdev]);
                        pool.guid = guid;
                        found.push(pool);
                    }
                }
            }
        }
        for (disk, number, guid) in labelled {
            disks::change(self, &disk, |disk| {
                let parts = disk.partitions.iter_mut().filter(|part| part.number == number);
                parts.for_each(|part| part.uuid_sub = Some(guid.to_string()));
            });
        }
        self.dormant.extend(found.into_iter().map(|pool| Dormant {
            pool,
            left: Left::Exported,
        }));
    }

    /// The server went down: all pools that were imported lie on disks now.
    pub(crate) fn forget_pools(&mut self) {
        let pools = std::mem::take(&mut self.pools).into_iter();
        self.dormant.extend(pools.map(|pool| Dormant {
            pool,
            left: Left::InUse,
        }));
    }

    /// What was in use is imported again: what has a unit of its own, and what stands in the cache file. One that has not all of its
    /// disks that it needs, or whose name is taken, stays where it is.
    pub(crate) fn import_at_boot(&mut self) {
        self.zfs_boot.failed.clear();
        self.zfs_boot.done.clear();
        let enabled = self.hardware.enabled.iter().filter(|(_, on)| **on);
        let units: BTreeSet<String> = enabled.filter_map(|(unit, _)| pool_of_unit(unit)).collect();
        let waiting = self.dormant.iter().filter(|dormant| dormant.left == Left::InUse);
        let waiting: Vec<(u64, String, bool)> = waiting
            .map(|dormant| (dormant.pool.guid, dormant.pool.name.clone(), dormant.pool.cached))
            .collect();
        for (guid, name, cached) in waiting {
            let unit = units.contains(&name);
            if !unit && (!cached || self.zfs_boot.cache_lost) {
                continue;
            }
            let taken = self.pools.iter().any(|pool| pool.name == name);
            let imported = !taken && !self.zfs_boot.failing.contains(&name) && self.wake(guid, None, cached);
            if unit && imported {
                self.zfs_boot.done.insert(name);
            }
        }
        let there = |server: &Self, name: &String| server.pools.iter().any(|pool| pool.name == *name);
        let failed: BTreeSet<String> = units.into_iter().filter(|name| !there(self, name)).collect();
        self.zfs_boot.failed = failed;
    }
}
