//! Pools are made as they were planned, on disks that are still free, and are there after a restart.

use quorate_model::Wish;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::{FacetName, Observation};
use quorate_model::operation::Action;
use quorate_model::pool_layout::PoolLayout;
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::note;

use crate::fleet::{Fleet, NODE};
use crate::observe::path;
use crate::planning::{of_it, only_step, plan, plan_with, wanted};

const WWN: u64 = 0x5000_c500_2000_0000;
pub(crate) const STORAGE: [FacetName; 2] = [FacetName::Disks, FacetName::Pools];

fn disks() -> Vec<Disk> {
    let ssd = |n: u64| Disk::ssd(&format!("ssd{n}"), 1024, &format!("S45NNA0N10417{n}"), WWN + n);
    let hdd = |n: u64| Disk::hdd(&format!("hdd{n}"), 2048, &format!("Z1Z00HD{n}"), WWN + 16 + n);
    vec![
        ssd(1),
        hdd(1),
        ssd(2),
        hdd(2),
        hdd(3),
        Disk::nvme("nvme", 1024, "PHLJ0001"),
    ]
}

fn against(seen: &Observation, serial: &str) -> Vec<(ReasonKind, String)> {
    let disks = &seen.disks.get().unwrap().disks;
    let disk = disks
        .iter()
        .find(|disk| disk.serial.as_deref() == Some(serial))
        .unwrap();
    let reasons = disk.verdicts[0].against.iter();
    reasons.map(|reason| (reason.kind, reason.text.clone())).collect()
}

/// What the machine's own zpool says of a pool: each device of it, its properties and its root dataset's.
async fn is_real(guest: &Guest, layout: &PoolLayout, raid: &str) {
    let name = layout.name.as_str();
    let status = guest.ok(&["zpool", "status", "-P", name]).await;
    assert!(status.contains(raid) && status.contains("state: ONLINE"), "{status}");
    for disk in &layout.disks {
        assert!(
            status.contains(&format!("/dev/disk/by-id/{}-part1", disk.link)),
            "{} in {status}",
            disk.link
        );
    }
    let properties = guest
        .ok(&["zpool", "get", "-Hp", "-o", "value", "ashift,autotrim,health", name])
        .await;
    assert_eq!(properties, "12\non\nONLINE\n");
    let properties = guest
        .ok(&["zfs", "get", "-Hp", "-o", "value", "compression,mounted", name])
        .await;
    assert_eq!(properties, "zstd\nyes\n");
    let unit = format!("zfs-import@{name}.service");
    assert_eq!(guest.ok(&["systemctl", "is-enabled", &unit]).await, "enabled\n");
}

fn holds(seen: &Observation, layout: &PoolLayout) {
    let pools = seen.pools.get().unwrap();
    let pool = pools
        .iter()
        .find(|pool| pool.name == layout.name.as_str())
        .expect("the pool is seen");
    layout.is(pool, seen.disks.get().unwrap()).unwrap();
    assert_eq!(
        (pool.state, pool.data_errors),
        (VdevState::Online, Some(0)),
        "{pool:#?}"
    );
    assert!(pool.size.0 > 0 && pool.ashift == Some(12), "{pool:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn pools_are_made_as_planned_and_are_there_after_a_restart() {
    let mut fleet = Fleet::enrolled(disks(), async |_: &Guest| {}).await;
    let driving = fleet.driving();
    let zstd = "compression = \"zstd\"\n";
    let mirror = wanted("data_zfs", "mirror", "{ count = 2, kind = \"ssd\" }") + zstd;
    let (create, data) = only_step(&plan(&driving.known(&STORAGE).await, &mirror));
    driving.done("op-mirror", &create).await;
    is_real(fleet.guest(), &data, "mirror-0").await;
    note("the mirror is made");
    let raidz = wanted("bulk", "raidz", "{ count = 3, kind = \"hdd\" }") + zstd;
    let (create, bulk) = only_step(&plan(&driving.known(&STORAGE).await, &raidz));
    driving.done("op-raidz", &create).await;
    is_real(fleet.guest(), &bulk, "raidz1-0").await;
    note("the raidz is made");
    let seen = driving.known(&STORAGE).await;
    for layout in [&data, &bulk] {
        holds(&seen, layout);
    }
    // Once more under another id: it finds that all is done, and zpool is not asked again.
    driving.done("op-again", &create).await;
    let history = fleet.guest().ok(&["zpool", "history", "bulk"]).await;
    assert_eq!(history.matches("zpool create").count(), 1, "{history}");

    // Only the units import them then: the cache file, which names all pools of the machine, is gone.
    fleet.guest().does("rm /etc/zfs/zpool.cache").await;
    fleet.restart().await;
    let seen = fleet.driving().known(&STORAGE).await;
    for layout in [&data, &bulk] {
        holds(&seen, layout);
    }
    let units = fleet
        .guest()
        .does("systemctl is-active zfs-import@data_zfs.service zfs-import@bulk.service")
        .await;
    assert_eq!(units, "active\nactive\n");
    for mount in ["/data_zfs", "/bulk"] {
        fleet.guest().ok(&["mountpoint", mount]).await;
    }
    note("the pools are there after a restart");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_disk_that_was_put_to_use_since_the_plan_is_refused_and_keeps_what_it_has() {
    let fleet = Fleet::enrolled(disks(), async |_: &Guest| {}).await;
    let (driving, guest) = (fleet.driving(), fleet.guest());
    let mirror = wanted("data_zfs", "mirror", "{ count = 2, kind = \"ssd\" }");
    let (create, _) = only_step(&plan(&driving.known(&STORAGE).await, &mirror));
    let second = path(guest, "S45NNA0N104172").await;
    guest.ok(&["mkfs.ext4", "-q", "-L", "precious", &second]).await;
    let refused = driving.refused("op-taken", &create).await;
    assert!(
        refused.contains("is not free (any more)") && refused.contains("ext4"),
        "{refused}"
    );
    let blkid = guest.ok(&["blkid", "-p", "-o", "value", "-s", "LABEL", &second]).await;
    assert_eq!(blkid, "precious\n");
    let first = path(guest, "S45NNA0N104171").await;
    assert_eq!(
        guest.run(&["blkid", "-p", &first]).await.code,
        Some(2),
        "the other disk was touched"
    );
    note(&format!("refused: {refused}"));

    // A create that fails half-way leaves a partition table, and the disk is no longer blank.
    let third = path(guest, "Z1Z00HD3").await;
    let failed = guest
        .run(&["zpool", "create", "-O", "compression=fast", "broken", &third])
        .await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    guest.does("udevadm settle --timeout=60").await;
    let seen = driving.known(&STORAGE).await;
    assert_eq!(seen.pools.get().unwrap().len(), 0);
    let against = against(&seen, "Z1Z00HD3");
    assert!(
        !against.is_empty() && against.iter().all(|(kind, _)| *kind == ReasonKind::Leftover),
        "{against:#?}"
    );
    note(&format!("what a failed create left: {against:?}"));
    wiped_by_a_word(&fleet, &seen).await;
}

/// By the operator's word for just that disk the machine's own wipefs and dd make it empty, and it becomes a pool.
async fn wiped_by_a_word(fleet: &Fleet, seen: &Observation) {
    let (driving, guest) = (fleet.driving(), fleet.guest());
    let disks = &seen.disks.get().unwrap().disks;
    let disk = disks.iter().find(|disk| disk.serial.as_deref() == Some("Z1Z00HD3"));
    let name = disk.unwrap().stable_name().unwrap();
    let pools = "[zfs.single]\nraid = \"single\"\nstorage = false\n[zfs.single.disks]\n\
                 prox1 = [\"Z1Z00HD3\"]\nprox2 = []\nprox3 = []\n";
    let word = Wish {
        destroy: [format!("{NODE}:{name}").parse().unwrap()].into(),
        ..Wish::default()
    };
    let actions = of_it(&plan_with(seen, pools, &word));
    let [wipe @ Action::WipeDisk { .. }, create @ Action::CreatePool { layout }] = actions.as_slice() else {
        panic!("{actions:#?}")
    };
    driving.done("op-wipe", wipe).await;
    assert_eq!(against(&driving.known(&STORAGE).await, "Z1Z00HD3"), []);
    driving.done("op-single", create).await;
    holds(&driving.known(&STORAGE).await, layout);
    // Once more: what it was to wipe is not there any more, and what is there now is not touched.
    let again = driving.refused("op-wipe-again", wipe).await;
    assert!(again.contains("single"), "{again}");
    let status = guest.ok(&["zpool", "status", "-P", "single"]).await;
    assert!(status.contains(name) && status.contains("state: ONLINE"), "{status}");
    note("wiped by a word, and a pool of it");
}
