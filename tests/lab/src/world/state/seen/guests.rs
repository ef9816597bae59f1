//! Guests' numbered writes, and what becomes of them when guests stop, move, or are recovered.

use super::{Seen, cluster};
use crate::world::oplog::What;
use crate::world::server::Network::Cluster;
use crate::zfs::{PoolPlant, VdevPlant};

const DISK: &str = "data_zfs/vm-100-disk-0";

/// Three members with a pool each, and guest 100 on the first, with a disk in it.
pub(super) fn with_guest() -> Seen {
    let mut seen = cluster(3, &[Cluster], false);
    for index in 0..3 {
        pool(&mut seen, index);
    }
    let planted = seen.state.write(0, |replica| {
        replica.write_file(
            "storage.cfg",
            "zfspool: data_zfs\n\tpool data_zfs\n\tcontent images,rootdir\n",
        );
        replica.write_file(
            "nodes/prox1/qemu-server/100.conf",
            "agent: 1\nmemory: 2048\nname: web1\nscsi0: data_zfs:vm-100-disk-0,size=4G\n",
        );
    });
    planted.expect("writable");
    seen.pass(1000);
    seen
}

fn pool(seen: &mut Seen, index: usize) {
    let plant = PoolPlant {
        name: "data_zfs".to_owned(),
        vdevs: vec![VdevPlant {
            raid: Some("mirror".to_owned()),
            class: None,
            disks: vec!["sda".to_owned(), "sdb".to_owned()],
        }],
        left: None,
    };
    seen.state.servers[index].plant_pool(&plant).expect("a pool");
}

impl Seen {
    /// The last write that a server's copy of the disk holds.
    pub(super) fn held(&self, index: usize) -> Option<u64> {
        self.state.servers[index].volume(DISK).map(|volume| volume.number)
    }

    pub(super) fn snapshots(&self, index: usize) -> Vec<String> {
        let volume = self.state.servers[index].volume(DISK).expect("it is there");
        volume.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect()
    }

    /// A guest starts, unless it is refused.
    pub(super) fn start(&mut self, index: usize, vmid: u32) -> Option<String> {
        let refusal = self.state.start_guest_refusal(index, vmid);
        if refusal.is_none() {
            self.state.start_guest_now(index, vmid);
        }
        refusal
    }

    pub(super) fn details(&self, what: What) -> Vec<String> {
        let found = self.events.iter().filter(|entry| entry.what == what);
        found.map(|entry| entry.detail.clone()).collect()
    }
}

#[test]
fn a_planted_guest_has_its_disk_and_what_it_writes_stays_there() {
    let mut seen = with_guest();
    assert_eq!((seen.held(0), seen.held(1)), (Some(0), None));
    assert_eq!(seen.start(0, 100), None);
    seen.pass(10_000);
    assert_eq!(seen.state.number_of(0, 100), 100);
    // The process has it; the disk is brought up when that ends.
    seen.state.stop_guest_now(0, 100);
    assert_eq!(seen.held(0), Some(100));
    assert_eq!(seen.start(0, 100), None);
    seen.pass(1_000);
    seen.state.cut_power(0, true);
    assert_eq!(seen.state.servers[0].pools.len(), 0);
    seen.pass(130_000);
    assert_eq!(seen.held(0), Some(110));
    assert!(!seen.state.guest_runs(0, 100));
    assert_eq!(seen.details(What::GuestStopped), ["vm:100 at 100", "vm:100 at 110"]);
}

#[test]
fn a_guest_without_its_disk_does_not_start() {
    let mut seen = with_guest();
    seen.state.steal_guest(1, 100, "prox1", "prox2").expect("moved");
    seen.pass(1000);
    assert_eq!(
        seen.start(1, 100).as_deref(),
        Some("timeout: no zvol device link for 'vm-100-disk-0' found after 300 sec.")
    );
    assert_eq!(
        seen.start(0, 100).as_deref(),
        Some("Configuration file 'nodes/prox1/qemu-server/100.conf' does not exist")
    );
    // No plant makes one where there was none.
    seen.pass(5_000);
    assert_eq!(seen.held(1), None);
    seen.state.servers[1].pools.clear();
    assert_eq!(
        seen.start(1, 100).as_deref(),
        Some("could not activate storage 'data_zfs', zfs error: cannot import 'data_zfs': no such pool available")
    );
    let locked = seen.state.write(1, |replica| {
        if let Some(guest) = replica.guests.get_mut(&100) {
            guest.set("lock", Some("backup"));
        }
    });
    locked.expect("writable");
    assert_eq!(seen.start(1, 100).as_deref(), Some("VM is locked (backup)"));
}

#[test]
fn a_move_takes_the_disk_along_and_loses_no_write() {
    let mut seen = with_guest();
    seen.start(0, 100);
    seen.pass(2_000);
    assert_eq!(
        seen.state.move_guest(100, 0, 2, false),
        Err("can't migrate running VM without --online".to_owned())
    );
    seen.state.move_guest(100, 0, 2, true).expect("moved");
    assert!(seen.state.guest_runs(2, 100) && !seen.state.guest_runs(0, 100));
    assert_eq!((seen.held(0), seen.held(2)), (None, Some(20)));
    seen.pass(1_000);
    seen.state.stop_guest_now(2, 100);
    assert_eq!(seen.held(2), Some(30));
    seen.state.move_guest(100, 2, 0, false).expect("moved back");
    assert_eq!((seen.held(0), seen.held(2)), (Some(30), None));
    seen.pass(100);
    assert_eq!(
        seen.details(What::GuestMoved),
        ["vm:100 from prox1 at 20", "vm:100 from prox3 at 30"]
    );
}

#[test]
fn what_pulled_power_leaves_is_written_in_the_log() {
    let mut seen = with_guest();
    seen.start(0, 100);
    seen.pass(3_000);
    let mark = seen.mark();
    seen.state.cut_power(0, false);
    seen.pass(100);
    assert_eq!(seen.after(&mark, 0, What::GuestStopped, "vm:100 at 30"), Some(0));
}
