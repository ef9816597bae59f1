use super::*;
use crate::observation::disks::Partition;
use crate::observation::pools::{Vdev, VdevHealth};

fn disk(letter: char, serial: &str) -> Disk {
    Disk {
        path: format!("/dev/sd{letter}"),
        by_id: vec![format!("ata-SSD_{serial}"), format!("wwn-0x{serial}")],
        wwn: Some(format!("0x{serial}")),
        serial: Some(serial.to_owned()),
        model: Some("SSD".to_owned()),
        size: ByteSize(960_197_124_096),
        transport: Some("sata".to_owned()),
        ..Disk::default()
    }
}

fn disks() -> Disks {
    let letters = ['a', 'b', 'c', 'd', 'e', 'f'];
    Disks {
        disks: letters
            .iter()
            .map(|letter| disk(*letter, &format!("S{letter}")))
            .collect(),
    }
}

fn layout(raid: Raid, data: &[usize]) -> PoolLayout {
    let disks = disks();
    let of = |index: &usize| DiskIdentity::of(&disks.disks[*index]).unwrap();
    PoolLayout {
        name: "data_zfs".parse().unwrap(),
        raid,
        disks: data.iter().map(of).collect(),
        data_vdevs: 1,
        beside: vec![],
        ashift: 12,
        compression: Compression::On,
        autotrim: true,
        accepted: BTreeSet::new(),
    }
}

fn health() -> VdevHealth {
    VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    }
}

fn vdev(class: VdevClass, name: &str, leaves: &[&str]) -> Vdev {
    let leaf = |name: &&str| Leaf {
        name: format!("/dev/disk/by-id/{name}-part1"),
        health: health(),
        group: None,
    };
    Vdev {
        class,
        name: name.to_owned(),
        health: health(),
        leaves: leaves.iter().map(leaf).collect(),
    }
}

fn pool(vdevs: Vec<Vdev>) -> Pool {
    Pool {
        name: "data_zfs".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs,
        size: ByteSize(953_482_739_712),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: None,
        autotrim: None,
        compression: None,
        scrub_scheduled: Some(true),
        import_enabled: None,
        volumes: crate::Facet::not_asked(),
        created: None,
    }
}

#[test]
fn a_pool_is_known_by_its_disks_whatever_they_are_called_there() {
    let mirror = layout(Raid::Mirror, &[0, 1]);
    let as_made = pool(vec![vdev(VdevClass::Data, "mirror-0", &["ata-SSD_Sa", "ata-SSD_Sb"])]);
    assert_eq!(mirror.is(&as_made, &disks()), Ok(()));
    // Imported anew, it may show other links, in another order.
    let imported = pool(vec![vdev(VdevClass::Data, "mirror-0", &["wwn-0xSb", "wwn-0xSa"])]);
    assert_eq!(mirror.is(&imported, &disks()), Ok(()));
    let other = pool(vec![vdev(VdevClass::Data, "mirror-0", &["ata-SSD_Sa", "ata-SSD_Sc"])]);
    let why = mirror.is(&other, &disks()).unwrap_err();
    assert_eq!(why, "data of ata-SSD_Sa, ata-SSD_Sb is not part of it");
    let mut degraded = as_made;
    degraded.vdevs[0].leaves[1].health.state = VdevState::Removed;
    let why = mirror.is(&degraded, &disks()).unwrap_err();
    assert_eq!(why, "/dev/disk/by-id/ata-SSD_Sb-part1 is REMOVED");
}

#[test]
fn pairs_are_vdevs_of_their_own_and_logs_are_mirrored() {
    let mut raid10 = layout(Raid::Raid10, &[0, 1, 2, 3]);
    let of = |index: usize| DiskIdentity::of(&disks().disks[index]).unwrap();
    raid10.beside.push(DisksBeside {
        class: VdevClass::Log,
        disks: vec![of(4), of(5)],
    });
    let planned: Vec<_> = raid10
        .vdevs()
        .iter()
        .map(|v| (v.class, v.raid, v.disks.len()))
        .collect();
    let mirror = |class| (class, Raid::Mirror, 2);
    assert_eq!(
        planned,
        [mirror(VdevClass::Data), mirror(VdevClass::Data), mirror(VdevClass::Log)]
    );
    let mut vdevs = vec![
        vdev(VdevClass::Data, "mirror-0", &["ata-SSD_Sa", "ata-SSD_Sb"]),
        vdev(VdevClass::Data, "mirror-1", &["ata-SSD_Sc", "ata-SSD_Sd"]),
    ];
    assert!(raid10.is(&pool(vdevs.clone()), &disks()).is_err(), "the log is missing");
    vdevs.push(vdev(VdevClass::Log, "mirror-2", &["ata-SSD_Se", "ata-SSD_Sf"]));
    assert_eq!(raid10.is(&pool(vdevs.clone()), &disks()), Ok(()));
    raid10.beside.clear();
    let why = raid10.is(&pool(vdevs), &disks()).unwrap_err();
    assert_eq!(why, "it has logs of /dev/sde, /dev/sdf besides");
}

#[test]
fn a_disk_that_was_swapped_is_not_the_disk() {
    let mirror = layout(Raid::Mirror, &[0, 1]);
    let find = |change: &dyn Fn(&mut Disk)| {
        let mut disks = disks();
        change(&mut disks.disks[0]);
        mirror.disks[0].find(&disks).map(|disk| disk.path.clone())
    };
    assert_eq!(find(&|_| {}), Ok("/dev/sda".to_owned()));
    // The kernel may give it another name at any boot.
    assert_eq!(
        find(&|disk| disk.path = "/dev/sdz".to_owned()),
        Ok("/dev/sdz".to_owned())
    );
    let refused = |change: &dyn Fn(&mut Disk)| find(change).unwrap_err();
    assert_eq!(refused(&|disk| disk.by_id.clear()), "is not there any more");
    let serial = refused(&|disk| disk.serial = Some("S9".to_owned()));
    assert_eq!(serial, "is another disk now: its serial number is S9, and was Sa");
    assert!(refused(&|disk| disk.wwn = None).contains("its WWN is none, and was 0xSa"));
    assert!(refused(&|disk| disk.size = ByteSize(1)).contains("size"));
    let mut twice = disks();
    twice.disks[3].by_id = vec!["ata-SSD_Sa".to_owned()];
    assert_eq!(
        mirror.disks[0].find(&twice).unwrap_err(),
        "is a name that two disks have"
    );
}

fn partition(path: &str, link: &str) -> Partition {
    Partition {
        path: path.to_owned(),
        size: ByteSize(1 << 30),
        parttype: None,
        fstype: None,
        mountpoints: vec![],
        by_id: vec![link.to_owned()],
    }
}

#[test]
fn a_link_whose_partitions_lead_elsewhere_is_nobody_s_name() {
    let identity = layout(Raid::Single, &[0]).disks.remove(0);
    let mut own = disks();
    own.disks[0].partitions.push(partition("/dev/sda1", "ata-SSD_Sa-part1"));
    assert!(identity.find(&own).is_ok());
    let mut stray = disks();
    stray.disks[1]
        .partitions
        .push(partition("/dev/sdb1", "ata-SSD_Sa-part1"));
    let why = identity.find(&stray).unwrap_err();
    assert_eq!(why, "is a name that two disks have: ata-SSD_Sa-part1 leads to /dev/sdb");
    // A leaf lies where its own link leads to.
    let leaf = vdev(VdevClass::Data, "mirror-0", &["ata-SSD_Sa"]).leaves.remove(0);
    assert_eq!(disk_of(&leaf, &own).unwrap().path, "/dev/sda");
    assert_eq!(disk_of(&leaf, &stray).unwrap().path, "/dev/sdb");
    assert_eq!(disk_of(&leaf, &disks()).unwrap().path, "/dev/sda");
}

#[test]
fn two_disks_that_nothing_tells_apart_are_neither() {
    let find = |change: &dyn Fn(&mut Disk)| {
        let mut disks = disks();
        // Another namespace of one drive, or another path to one disk.
        disks.disks[1].serial = Some("Sa".to_owned());
        change(&mut disks.disks[1]);
        let identity = layout(Raid::Single, &[0]).disks.remove(0);
        identity.find(&disks).map(|disk| disk.path.clone())
    };
    assert_eq!(find(&|_| {}), Ok("/dev/sda".to_owned()), "the WWN tells them apart");
    let why = find(&|other| other.wwn = Some("0xSa".to_owned())).unwrap_err();
    assert_eq!(why, "can't be told from /dev/sdb: both have WWN 0xSa");
    let why = find(&|other| other.wwn = None).unwrap_err();
    assert_eq!(why, "can't be told from /dev/sdb: both have serial number Sa");
    let other_model = |other: &mut Disk| (other.wwn, other.model) = (None, Some("HDD".to_owned()));
    assert_eq!(find(&other_model), Ok("/dev/sda".to_owned()));
    let mut swapped = disks();
    swapped.disks[0].model = Some("HDD".to_owned());
    let why = layout(Raid::Single, &[0]).disks[0].find(&swapped).unwrap_err();
    assert_eq!(why, "is another disk now: its model is HDD, and was SSD");
}

#[test]
fn a_namespace_is_named_by_the_link_that_is_its_own() {
    let mut first = disk('a', "S1");
    first.by_id = ["nvme-Ctrl_S1", "nvme-Ctrl_S1_1", "nvme-eui.0025385b91b0d1f3"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(first.stable_name(), Some("nvme-Ctrl_S1_1"));
    first.by_id.remove(1);
    assert_eq!(first.stable_name(), Some("nvme-Ctrl_S1"));
}

#[test]
fn a_pool_that_was_made_otherwise_or_is_not_imported_at_boot_is_not_made() {
    let mirror = layout(Raid::Mirror, &[0, 1]);
    let made = pool(vec![vdev(VdevClass::Data, "mirror-0", &["ata-SSD_Sa", "ata-SSD_Sb"])]);
    let not = |change: &dyn Fn(&mut Pool)| {
        let mut pool = made.clone();
        change(&mut pool);
        mirror.is_made(&pool, &disks()).unwrap_err()
    };
    assert_eq!(mirror.is_made(&made, &disks()), Ok(()));
    assert_eq!(not(&|pool| pool.ashift = Some(9)), "its ashift is 9, not 12");
    assert!(not(&|pool| pool.size = ByteSize(1 << 30)).contains("its disks make"));
    let raidz = |pool: &mut Pool| pool.vdevs[0].name = "raidz1-0".to_owned();
    assert_eq!(not(&raidz), "its raidz1-0 of data is not laid out as mirror");
    let asleep = |pool: &mut Pool| pool.import_enabled = Some(false);
    assert_eq!(not(&asleep), "nothing imports it at boot");
    let mut lacks = made.clone();
    asleep(&mut lacks);
    assert!(mirror.lacks_only_its_import(&lacks, &disks()) && !mirror.lacks_only_its_import(&made, &disks()));
}
