//! The only disk of a pool is pulled: whoever asks the kernel for that pool then hangs, and can't be killed.

use std::time::Instant;

use quorate_model::observation::{FacetName, Observation};
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};

use crate::create::STORAGE;
use crate::fleet::Fleet;

const WWN: u64 = 0x5000_c500_4000_0000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_pool_that_hangs_is_unknown_with_a_reason_and_all_else_is_still_told() {
    let lone = Disk::ssd("lone", 512, "S45NNA0N0LONE", WWN + 1);
    let by_id = format!("/dev/disk/by-id/wwn-0x{:016x}", WWN + 1);
    let mut fleet = Fleet::enrolled(
        vec![lone, Disk::ssd("free", 512, "S45NNA0N0FREE", WWN + 2)],
        async |guest: &Guest| {
            guest
                .ok(&["zpool", "create", "-o", "cachefile=none", "lone", &by_id])
                .await;
        },
    )
    .await;
    let driving = fleet.driving();
    assert_eq!(driving.known(&STORAGE).await.pools.get().unwrap().len(), 1);
    fleet.machine.pull("lone").await;
    let guest = fleet.guest();
    // Both wait for the disk, in the kernel.
    let written = guest
        .begin(
            &[
                "dd",
                "if=/dev/urandom",
                "of=/lone/file",
                "bs=1M",
                "count=8",
                "conv=fsync",
            ],
            "",
        )
        .await;
    let made = guest.begin(&["zfs", "create", "lone/more"], "").await;
    until("somebody hangs", async || {
        let states = guest.does("ps -e -o stat=,comm=").await;
        states
            .lines()
            .any(|line| line.starts_with('D') && (line.ends_with(" zfs") || line.ends_with(" dd")))
    })
    .await;
    note("commands hang in the kernel");
    for round in 1..=3 {
        let begun = Instant::now();
        let seen = driving
            .look(&[FacetName::System, FacetName::Disks, FacetName::Pools])
            .await;
        let took = begun.elapsed();
        assert!(seen.system.is_known(), "{:#?}", seen.system);
        note(&format!("round {round}, after {took:?}: {}", sight(&seen)));
        tell_the_truth(&seen);
    }
    assert!(
        guest.ended(written).await.is_none() || guest.ended(made).await.is_none(),
        "nothing hangs any more"
    );
    fleet.machine.cut();
}

fn sight(seen: &Observation) -> String {
    format!(
        "disks {:?}\npools {:?}",
        seen.disks.get().map(|disks| disks.disks.len()),
        seen.pools
    )
}

/// Nothing is called well that is not, and nothing is unknown without a reason.
fn tell_the_truth(seen: &Observation) {
    match seen.pools.get() {
        Err(unknown) => assert!(!unknown.reason.is_empty()),
        Ok(pools) => {
            let pool = pools
                .iter()
                .find(|pool| pool.name == "lone")
                .expect("the pool is there");
            let errors = pool
                .leaves()
                .filter_map(|leaf| leaf.health.errors)
                .any(|e| e.read + e.write + e.checksum > 0);
            assert!(pool.complaint.is_some() || errors, "{pool:#?}");
        }
    }
    if let Err(unknown) = seen.disks.get() {
        assert!(!unknown.reason.is_empty());
    }
}
