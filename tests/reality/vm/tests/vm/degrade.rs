//! A disk of a mirror is pulled, and another one takes its place.

use quorate_model::observation::Pool;
use quorate_model::observation::pools::{ScanKind, VdevState};
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};

use crate::create::STORAGE;
use crate::driving::Driving;
use crate::fleet::Fleet;
use crate::planning::{only_step, plan, wanted};
use crate::replace;

const WWN: u64 = 0x5000_c500_3000_0000;

fn ssd(n: u64) -> Disk {
    Disk::ssd(&format!("ssd{n}"), 512, &format!("S45NNA0N10417{n}"), WWN + n)
}

async fn pool(driving: &Driving) -> Pool {
    let seen = driving.known(&STORAGE).await;
    seen.pools
        .get()
        .unwrap()
        .iter()
        .find(|pool| pool.name == "data_zfs")
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_pulled_disk_is_told_and_so_is_that_another_one_took_its_place() {
    let mut fleet = Fleet::enrolled(vec![ssd(1), ssd(2)], async |_: &Guest| {}).await;
    let driving = fleet.driving();
    let mirror = wanted("data_zfs", "mirror", "{ count = 2, kind = \"ssd\" }");
    let (create, layout) = only_step(&plan(&driving.known(&STORAGE).await, &mirror));
    driving.done("op-mirror", &create).await;
    fleet
        .guest()
        .does("dd if=/dev/urandom of=/data_zfs/file bs=1M count=16 conv=fsync status=none")
        .await;

    // PVE's zfs-zed takes a pulled disk out of its pool at once; without it ZFS does not notice before it writes.
    fleet.guest().does("systemctl stop zfs-zed.service").await;
    // What was written a moment ago is written out by a later transaction group, which would meet the gap.
    fleet.guest().does("zpool sync data_zfs").await;
    fleet.machine.pull("ssd2").await;
    let before = pool(&driving).await;
    assert_eq!(before.state, VdevState::Online, "{before:#?}");
    note("without I/O the pool is ONLINE still");
    fleet
        .guest()
        .does("dd if=/dev/urandom of=/data_zfs/file bs=1M count=16 conv=fsync status=none")
        .await;
    let mut seen = before;
    until("the pool is degraded", async || {
        seen = pool(&driving).await;
        seen.state == VdevState::Degraded
    })
    .await;
    let pulled = format!("/dev/disk/by-id/{}-part1", layout.disks[1].link);
    let states: Vec<(&str, VdevState)> = seen
        .leaves()
        .map(|leaf| (leaf.name.as_str(), leaf.health.state))
        .collect();
    assert_eq!(states.len(), 2, "{seen:#?}");
    assert_eq!(states[0].1, VdevState::Online);
    assert!(
        matches!(
            states[1].1,
            VdevState::Removed | VdevState::Unavail | VdevState::Faulted
        ),
        "{states:?}"
    );
    assert!(
        layout
            .is(&seen, driving.known(&STORAGE).await.disks.get().unwrap())
            .is_err()
    );
    note(&format!("pulled: {states:?}; {:?}", seen.complaint));
    // Pools are looked at once a minute; who does not want to wait for that asks for a fresh look.
    until("the status tells of it", async || {
        let status = fleet.json(&["status"]).await.to_string();
        status.contains("QRT-POOL-NOT-ONLINE") && status.contains("data_zfs")
    })
    .await;

    fleet.machine.plug(ssd(3)).await;
    let disks = driving.known(&STORAGE).await;
    let new = disks
        .disks
        .get()
        .unwrap()
        .disks
        .iter()
        .find(|disk| disk.serial.as_deref() == Some("S45NNA0N104173"));
    let new = new.expect("the new disk is seen");
    assert!(new.verdicts[0].eligible(), "{new:#?}");
    let replace = replace::planned(&disks, &mirror, &pulled, new.stable_name().unwrap());
    driving.done("op-replace", &replace).await;
    note("the new disk is in the pool");
    until("the pool is whole again", async || {
        seen = pool(&driving).await;
        note(&format!("{} {:?}", seen.state.as_str(), seen.scan));
        seen.state == VdevState::Online
    })
    .await;
    let scan = seen.scan.as_ref().expect("a resilver");
    assert_eq!(scan.kind, ScanKind::Resilver, "{seen:#?}");
    assert!(
        seen.leaves().all(|leaf| leaf.health.state == VdevState::Online),
        "{seen:#?}"
    );
    assert_eq!(seen.leaves().count(), 2, "{seen:#?}");
    assert!(
        seen.leaves()
            .any(|leaf| leaf.name.contains("S45NNA0N104173") || leaf.name.contains(new.stable_name().unwrap())),
        "{seen:#?}"
    );
    assert_eq!(seen.data_errors, Some(0));
}
