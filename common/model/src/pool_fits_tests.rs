use std::collections::BTreeSet;

use super::*;
use crate::compression::Compression;
use crate::observation::pools::{Leaf, VdevHealth, VdevState};
use crate::pool_layout::DisksBeside;

const GB: u64 = 1_000_000_000;

fn disks(sizes: &[u64]) -> Vec<DiskIdentity> {
    let disk = |(number, size): (usize, &u64)| DiskIdentity {
        link: format!("ata-D{number}"),
        serial: Some(format!("D{number}")),
        wwn: None,
        model: None,
        size: ByteSize(*size),
    };
    sizes.iter().enumerate().map(disk).collect()
}

fn layout(raid: Raid, data: &[u64], special: &[u64]) -> PoolLayout {
    let beside = (!special.is_empty()).then(|| DisksBeside {
        class: VdevClass::Special,
        disks: disks(special),
    });
    PoolLayout {
        name: "data_zfs".parse().unwrap(),
        raid,
        disks: disks(data),
        data_vdevs: 1,
        beside: beside.into_iter().collect(),
        ashift: 12,
        compression: Compression::On,
        autotrim: true,
        accepted: BTreeSet::new(),
    }
}

fn pool(vdevs: &[(&str, usize)]) -> Pool {
    let health = VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    };
    let vdev = |(name, width): &(&str, usize)| Vdev {
        class: VdevClass::Data,
        name: (*name).to_owned(),
        health: health.clone(),
        leaves: (0..*width)
            .map(|number| Leaf {
                name: format!("/dev/disk/by-id/ata-{name}-{number}-part1"),
                health: health.clone(),
                group: None,
            })
            .collect(),
    };
    Pool {
        name: "data_zfs".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vdevs.iter().map(vdev).collect(),
        size: ByteSize(0),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: None,
        autotrim: None,
        compression: None,
        scrub_scheduled: None,
        import_enabled: None,
        volumes: crate::Facet::not_asked(),
        created: None,
    }
}

fn told(layout: &PoolLayout, pool: Option<&Pool>) -> Vec<String> {
    layout.unfit(pool).iter().map(Unfit::to_string).collect()
}

#[test]
fn disks_of_a_vdev_are_alike_in_size_as_zpool_wants_them() {
    let mirror = |other: u64| told(&layout(Raid::Mirror, &[960 * GB, other], &[]), None);
    assert_eq!(mirror(960 * GB + (16 << 20)), [""; 0]);
    assert_eq!(
        mirror(960 * GB + (16 << 20) + 1),
        [
            "zpool does not lay out disks of different sizes as mirror, and ata-D0 (960000000000 bytes), ata-D1 (960016777217 bytes) are"
        ]
    );
    assert_eq!(
        mirror(480 * GB),
        ["zpool does not lay out disks of different sizes as mirror, and ata-D0 (960 GB), ata-D1 (480 GB) are"]
    );
    // Each pair by itself.
    let raid10 = |sizes: [u64; 4]| told(&layout(Raid::Raid10, &sizes.map(|size| size * GB), &[]), None).len();
    assert_eq!(
        (raid10([960, 960, 1000, 1000]), raid10([960, 1000, 1000, 1000])),
        (0, 1)
    );
}

#[test]
fn special_disks_survive_what_the_data_does() {
    let refused = |raid, data: usize, special: usize| {
        let layout = layout(raid, &vec![960 * GB; data], &vec![480 * GB; special]);
        !layout.unfit(None).is_empty()
    };
    for (raid, data, right) in [
        (Raid::Single, 1, 1),
        (Raid::Mirror, 2, 2),
        (Raid::Mirror, 3, 3),
        (Raid::Raid10, 4, 2),
        (Raid::Raidz, 3, 2),
        (Raid::Raidz2, 4, 3),
        (Raid::Raidz3, 5, 4),
        (Raid::Draid2, 6, 3),
    ] {
        for count in 1..=5 {
            assert_eq!(
                refused(raid, data, count),
                count != right,
                "{raid} of {data}, {count} special"
            );
        }
    }
    // What is added to a pool must be as what it has.
    let special = layout(Raid::Raidz2, &[], &[480 * GB; 2]);
    let why = "special disks are to survive what the data does, the loss of 2: that takes 3, and these are 2";
    assert_eq!(told(&special, Some(&pool(&[("raidz2-0", 6)]))), [why]);
    assert_eq!(told(&special, Some(&pool(&[("mirror-0", 2)]))), [""; 0]);
}

#[test]
fn a_pool_grows_only_by_what_it_has() {
    let pair = layout(Raid::Raid10, &[960 * GB; 2], &[]);
    assert_eq!(told(&pair, Some(&pool(&[("mirror-0", 2)]))), [""; 0]);
    assert_eq!(
        told(&pair, Some(&pool(&[("mirror-0", 3)]))),
        ["mirror of 2 disks is not what the pool is made of: mirror-0 (3 disks)"]
    );
    assert_eq!(
        told(&pair, Some(&pool(&[("raidz1-0", 2)]))),
        ["mirror of 2 disks is not what the pool is made of: raidz1-0 (2 disks)"]
    );
}

#[test]
fn each_class_has_its_number_of_disks() {
    let mut three_logs = layout(Raid::Mirror, &[960 * GB; 2], &[]);
    three_logs.beside.push(DisksBeside {
        class: VdevClass::Log,
        // Of a log zpool does not mind the sizes.
        disks: disks(&[GB, 2 * GB, 3 * GB]),
    });
    assert_eq!(told(&three_logs, None), ["a log is one disk, or two, and these are 3"]);
    let three = layout(Raid::Raid10, &[960 * GB; 3], &[]);
    assert!(told(&three, None)[0].contains("takes at least 4 disks, and these are 3"));
}
