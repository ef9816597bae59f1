//! Pools that are there, as others made them or as a replacement leaves them for hours, against the file.

use quorate_model::facet::Facet;
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevClass, VdevState};
use quorate_model::plan::Plan;
use quorate_model::{ByteSize, Code, Wish};

use super::pools::{ids, members, plan_with, pool, refusals};
use super::pools_later::{NAMED, ONE, with_mirror};
use crate::testkit::{Servers, disk};

/// What is said of how the pool differs.
fn differs(plan: &Plan) -> Option<&str> {
    let told = plan.findings.iter().find(|finding| finding.code == Code::PoolDiffers)?;
    told.message
        .strip_prefix("pool data_zfs of prox1 differs from the cluster file: ")
}

fn with_pool(servers: Servers, change: impl FnOnce(&mut Pool)) -> Servers {
    servers.with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.pools else {
            panic!("no pools")
        };
        change(&mut value[0]);
    })
}

fn leaf(name: &str, state: VdevState, group: Option<&str>) -> Leaf {
    let mut leaf = pool(&[name], 0).vdevs.remove(0).leaves.remove(0);
    (leaf.health.state, leaf.group) = (state, group.map(str::to_owned));
    leaf
}

fn beside(class: VdevClass, name: &str, state: VdevState) -> Vdev {
    Vdev {
        class,
        name: name.to_owned(),
        health: leaf(name, state, None).health,
        leaves: vec![leaf(name, state, None)],
    }
}

#[test]
fn a_disk_and_its_successor_are_one_place() {
    let replacing = with_pool(with_mirror(), |pool| {
        let leaves = &mut pool.vdevs[0].leaves;
        leaves[1] = leaf("12345678901234567890", VdevState::Unavail, Some("replacing-1"));
        leaves.push(leaf(
            "/dev/disk/by-id/ata-SAMSUNG_1d-part1",
            VdevState::Online,
            Some("replacing-1"),
        ));
        pool.state = VdevState::Degraded;
    });
    for file in [ONE, NAMED] {
        let plan = plan_with(file, &Wish::default(), &replacing);
        assert_eq!((differs(&plan), ids(&plan)), (None, vec![]), "{file}");
    }
    let gone = with_pool(with_mirror(), |pool| {
        pool.vdevs[0].leaves[1] = leaf("12345678901234567890", VdevState::Unavail, None);
    });
    assert_eq!(differs(&plan_with(NAMED, &Wish::default(), &gone)), None);
    // One that can be told, and that the file does not name, is told.
    let other = NAMED.replace("1c", "1d");
    let plan = plan_with(&other, &Wish::default(), &with_mirror());
    assert_eq!(
        differs(&plan),
        Some("/dev/disk/by-id/ata-SAMSUNG_1c-part1 is in it, and the file does not name it")
    );
}

#[test]
fn properties_count_only_if_they_are_written_and_keep_no_pool_from_growing() {
    let made_by_pve = || {
        with_pool(with_mirror(), |pool| {
            pool.autotrim = Some(false);
            pool.compression = Some("lz4".to_owned());
            pool.ashift = Some(9);
        })
    };
    assert_eq!(differs(&plan_with(ONE, &Wish::default(), &made_by_pve())), None);
    let raid10 = ONE.replace("mirror", "raid10").replace("count = 2", "count = 4");
    let grows = plan_with(&raid10, &Wish::default(), &made_by_pve());
    assert_eq!(
        (refusals(&grows), ids(&grows)),
        (vec![], vec!["zfs.grow/prox1/data_zfs"])
    );
    let written = raid10.replace(
        "raid10\"\n",
        "raid10\"\nautotrim = true\nashift = 12\ncompression = \"zstd\"\n",
    );
    let grows = plan_with(&written, &Wish::default(), &made_by_pve());
    assert_eq!(ids(&grows), ["zfs.grow/prox1/data_zfs"]);
    assert_eq!(
        differs(&grows),
        Some("its ashift is 9, not 12; its autotrim is off, not on; its compression is lz4, not zstd")
    );
}

#[test]
fn disks_beside_the_data_are_held_against_the_file() {
    let with_spare = || {
        with_pool(with_mirror(), |pool| {
            let name = "/dev/disk/by-id/ata-SAMSUNG_1d-part1";
            pool.vdevs.push(beside(VdevClass::Spare, name, VdevState::Available));
        })
    };
    let told = |spares: &str, servers: &Servers| {
        let file = format!("{ONE}{spares}");
        let plan = plan_with(&file, &Wish::default(), servers);
        assert_eq!(ids(&plan), [""; 0]);
        differs(&plan).map(str::to_owned)
    };
    let of = |spares: &str| format!("[zfs.data_zfs.spares]\nprox1 = {spares}\n");
    let it_has = "it has spares (/dev/disk/by-id/ata-SAMSUNG_1d-part1), and the file has none";
    assert_eq!(told("", &with_spare()).as_deref(), Some(it_has));
    assert_eq!(told(&of("[\"1d\"]"), &with_spare()), None);
    assert_eq!(told(&of("{ count = 1 }"), &with_spare()), None);
    assert_eq!(
        told(&of("{ count = 2 }"), &with_spare()).as_deref(),
        Some("it has 1 disks as spares, not 2")
    );
    let other = "/dev/disk/by-id/ata-SAMSUNG_1d-part1 is among its spares, and the file does not name it; \
                 1e, which the file names for its spares, is not among them";
    assert_eq!(told(&of("[\"1e\"]"), &with_spare()).as_deref(), Some(other));
    // Once its place is its own, it is no spare any more; that ends no plan.
    let moved = with_pool(with_mirror(), |pool| {
        pool.vdevs[0].leaves[1] = leaf("/dev/disk/by-id/ata-SAMSUNG_1d-part1", VdevState::Online, None);
    });
    let plan = plan_with(&format!("{ONE}{}", of("[\"1d\"]")), &Wish::default(), &moved);
    assert_eq!(refusals(&plan), []);
    assert_eq!(
        differs(&plan),
        Some("1d, which the file names for its spares, is part of its data")
    );
}

#[test]
fn what_can_be_used_is_compared_and_not_the_room_with_its_parity() {
    // Three members with a raidz of three disks; one of the pools is there already, and zpool counts its parity as room.
    let raidz = "[zfs.data_zfs]\nraid = \"raidz\"\ndisks = { count = 3 }\n";
    let mut servers = members();
    for n in 1..=3 {
        servers = servers.with(&format!("prox{n}"), |seen| {
            let Facet::Known { value, .. } = &mut seen.disks else {
                panic!("no disks")
            };
            value.disks.push(disk("/dev/sdd", &format!("{n}d")));
        });
    }
    let servers = servers.with("prox2", |seen| {
        let mut there = pool(&["/dev/sdb", "/dev/sdc", "/dev/sdd"], 2_880_000_000_000);
        there.vdevs[0].name = "raidz1-0".to_owned();
        seen.pools = Facet::known(vec![there], crate::testkit::NOW);
    });
    let plan = crate::plan(&super::pools::file(raidz), &Wish::default(), &servers.view);
    let codes: Vec<Code> = plan.findings.iter().map(|finding| finding.code).collect();
    assert!(!codes.contains(&Code::PoolsUnequal), "{codes:?}");
    let halved = servers.with("prox2", |seen| {
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!("no disks")
        };
        value
            .disks
            .iter_mut()
            .for_each(|disk| disk.size = ByteSize(480_000_000_000));
    });
    let plan = crate::plan(&super::pools::file(raidz), &Wish::default(), &halved.view);
    let told = plan
        .findings
        .iter()
        .find(|finding| finding.code == Code::PoolsUnequal)
        .unwrap();
    assert!(
        told.message
            .starts_with("pool data_zfs has 960 GB on prox2, and up to 1.92 TB"),
        "{}",
        told.message
    );
}
