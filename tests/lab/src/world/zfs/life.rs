//! What happens to pools as time goes on: disks that are gone are noticed when something is read or written, scans come to their
//! end.

use std::time::Duration;

use super::scan::{Scan, ScanKind, ScanState};
use super::{Beside, Kind, Leaf, LeafState, Pool, disks};
use crate::world::clock::SimTime;
use crate::world::server::Server;

/// Source: captured, of a pool whose only disk was pulled: `32.3K`.
const FAILED_WRITES: u64 = 33_076;

impl Server {
    /// Does whatever writes to the pool wait, and can't be killed? Captured of one whose only disk was pulled, which is shown ONLINE
    /// all the time.
    pub(crate) fn is_stuck(&self, pool: &Pool) -> bool {
        let lost = |vdev: &super::Vdev| {
            let there = |leaf: &Leaf| {
                leaf.both().any(|leaf| {
                    leaf.state <= LeafState::Degraded && disks::holding(&self.disks, pool.guid, leaf).is_some()
                })
            };
            let there = vdev.leaves.iter().filter(|leaf| there(leaf)).count();
            let needed = match vdev.kind {
                Kind::Disk | Kind::Mirror => 1,
                Kind::Raidz(parity) | Kind::Draid(parity) => vdev.leaves.len().saturating_sub(usize::from(parity)),
            };
            matches!(
                vdev.class,
                super::Class::Data | super::Class::Special | super::Class::Dedup
            ) && there < needed
        };
        pool.suspended || pool.vdevs.iter().any(lost)
    }

    /// Something is read and written in a pool: what has gone is noticed.
    pub(crate) fn pool_io(&mut self, index: usize) {
        let Some(mut pool) = self.pools.get(index).cloned() else {
            return;
        };
        let gone: Vec<Leaf> = pool
            .leaves()
            .filter(|leaf| leaf.state <= LeafState::Degraded)
            .filter(|leaf| disks::holding(&self.disks, pool.guid, leaf).is_none())
            .cloned()
            .collect();
        for lost in gone {
            let named = lost.guid.to_string();
            let can_lose = pool.vdev_of(&named).is_some_and(|vdev| {
                matches!(
                    vdev.class,
                    super::Class::Cache | super::Class::Spare | super::Class::Log
                ) || vdev.can_lose(&named)
            });
            pool.each_leaf(|leaf| match (leaf.guid == lost.guid, can_lose) {
                (true, true) => leaf.state = LeafState::Removed,
                (true, false) => leaf.errors.write += FAILED_WRITES,
                (false, _) => {}
            });
            if !can_lose && pool.data_errors.is_empty() {
                let files = ["<metadata>:<0x0>", "<metadata>:<0x1>", "<metadata>:<0x3d>"];
                pool.data_errors = files.map(str::to_owned).to_vec();
            }
        }
        if let Some(place) = self.pools.get_mut(index) {
            *place = pool;
        }
    }

    /// Data is copied to the disks that are new or were away.
    pub(crate) fn begin_resilver(&mut self, index: usize, now: SimTime) {
        let at = self.now();
        if let Some(pool) = self.pools.get_mut(index) {
            let takes = pool.durations.resilver;
            pool.scan = Some(Scan {
                repaired: pool.allocated,
                ..Scan::begun(ScanKind::Resilver, at, now, takes)
            });
        }
    }

    /// Ends what is due.
    pub(crate) fn follow_zfs(&mut self, now: SimTime) {
        for index in 0..self.pools.len() {
            let due = self.pools.get(index).and_then(|pool| match pool.scan.as_ref()?.state {
                ScanState::Running { since, takes } => (now >= since + takes).then_some(takes),
                _ => None,
            });
            if let Some(took) = due {
                self.end_scan(index, took);
            }
            let io = self
                .pools
                .get_mut(index)
                .and_then(|pool| pool.io_at.take_if(|at| *at <= now));
            if io.is_some() {
                self.pool_io(index);
            }
        }
    }

    fn end_scan(&mut self, index: usize, took: Duration) {
        let at = self.now();
        let Some(pool) = self.pools.get_mut(index) else { return };
        let Some(scan) = &mut pool.scan else { return };
        scan.state = ScanState::Finished { took };
        scan.at = at;
        if scan.kind == ScanKind::Scrub {
            return;
        }
        let guid = pool.guid;
        let mut detached = Vec::new();
        for vdev in &mut pool.vdevs {
            for leaf in &mut vdev.leaves {
                leaf.resilvers = false;
                match leaf.beside.take() {
                    Some((Beside::Replacing, new)) if new.state == LeafState::Online => {
                        detached.push(std::mem::replace(leaf, *new));
                        leaf.resilvers = false;
                    }
                    other => {
                        leaf.beside = other;
                        if let Some((_, beside)) = &mut leaf.beside {
                            beside.resilvers = false;
                        }
                    }
                }
            }
        }
        for leaf in detached {
            disks::unlabel(self, guid, &leaf);
        }
    }
}
