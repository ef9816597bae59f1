//! Plays what a script or a description wants of ZFS.

use std::time::Duration;

use jiff::SignedDuration;

use super::scan::{Scan, ScanKind, ScanState};
use super::{Class, Dormant, Errors, Kind, Leaf, LeafState, Left, Pool, Vdev, disks};
use crate::world::clock::SimTime;
use crate::world::server::Server;
use crate::zfs::{PoolDiskIs, PoolHappens, PoolLeft, PoolPlant, VdevPlant};

/// Any time does.
const A_SCRUB_TOOK: Duration = Duration::from_secs(754);

impl Server {
    /// Makes a pool as if it had been there before.
    pub(crate) fn plant_pool(&mut self, plant: &PoolPlant) -> Result<(), String> {
        let vdevs: Result<Vec<Vdev>, String> = plant.vdevs.iter().map(|vdev| self.planted_vdev(vdev)).collect();
        let mut pool = Pool::new(&plant.name, vdevs?);
        pool.ashift = 12;
        let leaves: Vec<Leaf> = pool.leaves().cloned().collect();
        for leaf in &leaves {
            disks::change(self, &leaf.disk, |disk| disks::label(disk, &pool, leaf));
        }
        match plant.left {
            None if self.pools.iter().any(|other| other.name == pool.name) => {
                return Err(format!("there is a pool {} already", pool.name));
            }
            None => {
                self.pools.push(pool);
                self.pools.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Some(left) => self.dormant.push(Dormant {
                pool,
                left: match left {
                    PoolLeft::Exported => Left::Exported,
                    PoolLeft::Destroyed => Left::Destroyed,
                    PoolLeft::InUse => Left::InUse,
                },
            }),
        }
        Ok(())
    }

    fn planted_vdev(&self, plant: &VdevPlant) -> Result<Vdev, String> {
        let kind = match &plant.raid {
            None => Kind::Disk,
            Some(word) => Kind::of(word).ok_or_else(|| format!("zpool knows no {word}"))?,
        };
        let class = match plant.class.as_deref() {
            None => Class::Data,
            Some("log") => Class::Log,
            Some("cache") => Class::Cache,
            Some("spare") => Class::Spare,
            Some("special") => Class::Special,
            Some("dedup") => Class::Dedup,
            Some(other) => return Err(format!("zpool knows no {other}")),
        };
        let leaf = |name: &String| {
            let disk = self.disks.iter().find(|disk| disk.name == *name);
            let disk = disk.ok_or_else(|| format!("there is no disk {name}"))?;
            Ok(Leaf::new(disks::path_of(disk, 1), name.clone(), disks::usable(disk)))
        };
        let leaves: Result<Vec<Leaf>, String> = plant.disks.iter().map(leaf).collect();
        Ok(Vdev {
            class,
            kind,
            leaves: leaves?,
        })
    }

    /// Lets something happen to a pool.
    pub(crate) fn happens(&mut self, name: &str, happens: &PoolHappens, now: SimTime) -> Result<(), String> {
        let at = self.now();
        let place = self.pools.iter().position(|pool| pool.name == name);
        let index = place.ok_or_else(|| format!("no pool {name} is imported there"))?;
        let Some(pool) = self.pools.get_mut(index) else {
            return Ok(());
        };
        match happens {
            PoolHappens::Io { after_ms: None } => self.pool_io(index),
            PoolHappens::Io { after_ms: Some(ms) } => pool.io_at = Some(now + Duration::from_millis(*ms)),
            PoolHappens::Errors {
                disk,
                read,
                write,
                checksum,
            } => {
                let errors = Errors {
                    read: *read,
                    write: *write,
                    checksum: *checksum,
                };
                on_disk(pool, disk, |leaf| leaf.errors = errors)?;
            }
            PoolHappens::Disk { disk, is } => {
                let state = match is {
                    PoolDiskIs::Online => LeafState::Online,
                    PoolDiskIs::Degraded => LeafState::Degraded,
                    PoolDiskIs::Faulted => LeafState::Faulted,
                    PoolDiskIs::Offline => LeafState::Offline,
                    PoolDiskIs::Removed => LeafState::Removed,
                    PoolDiskIs::Missing => LeafState::Missing,
                    PoolDiskIs::Corrupt => LeafState::Corrupt,
                };
                on_disk(pool, disk, |leaf| leaf.state = state)?;
            }
            PoolHappens::DataErrors { files } => pool.data_errors.clone_from(files),
            PoolHappens::Suspend => pool.suspended = true,
            PoolHappens::Scrubbed {
                days_ago,
                errors,
                repaired,
            } => {
                let ago = SignedDuration::from_hours(24 * i64::from(*days_ago));
                pool.scan = Some(Scan {
                    kind: ScanKind::Scrub,
                    state: ScanState::Finished { took: A_SCRUB_TOOK },
                    at: at.checked_sub(ago).unwrap_or(at),
                    repaired: *repaired,
                    errors: *errors,
                });
            }
            PoolHappens::NeverScrubbed => pool.scan = None,
            PoolHappens::Filled { percent } => {
                // Rounded up, so that the percentage shown is this one.
                pool.allocated = (pool.size() / 100 + 1).saturating_mul(u64::from(*percent));
            }
            PoolHappens::Fragmented { percent } => pool.fragmentation = *percent,
            PoolHappens::ScansTake { scrub_ms, resilver_ms } => {
                let millis = |ms: &Option<u64>| ms.map(Duration::from_millis);
                if let Some(takes) = millis(scrub_ms) {
                    pool.durations.scrub = takes;
                }
                if let Some(takes) = millis(resilver_ms) {
                    pool.durations.resilver = takes;
                }
                let durations = pool.durations;
                if let Some(scan) = &mut pool.scan
                    && let ScanState::Running { takes, .. } = &mut scan.state
                {
                    *takes = match scan.kind {
                        ScanKind::Scrub => durations.scrub,
                        ScanKind::Resilver => durations.resilver,
                    };
                }
            }
            PoolHappens::NotImported => {
                let pool = self.pools.remove(index);
                self.dormant.push(Dormant {
                    pool,
                    left: Left::InUse,
                });
            }
        }
        Ok(())
    }
}

fn on_disk(pool: &mut Pool, named: &str, change: impl Fn(&mut Leaf)) -> Result<(), String> {
    let guid = pool.leaf(named).map(|leaf| leaf.guid);
    let guid = guid.ok_or_else(|| format!("no disk {named} is in {}", pool.name))?;
    pool.each_leaf(|leaf| {
        if leaf.guid == guid {
            change(leaf);
        }
    });
    Ok(())
}
