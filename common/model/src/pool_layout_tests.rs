use super::*;
use crate::facet::Facet;
use crate::observation::pools::{Vdev, VdevHealth};

fn disk(letter: char, serial: &str) -> Disk {
    Disk {
        path: format!("/dev/sd{letter}"),
        by_id: vec![format!("ata-SSD_{serial}"), format!("wwn-0x{serial}")],
        wwn: Some(format!("0x{serial}")),
        serial: Some(serial.to_owned()),
        model: Some("SSD".to_owned()),
        vendor: None,
        size: ByteSize(960_197_124_096),
        rotational: false,
        transport: Some("sata".to_owned()),
        hctl: None,
        read_only: false,
        removable: false,
        partition_table: None,
        fstype: None,
        controller: None,
        raid_level: None,
        partitions: vec![],
        holders: vec![],
        smart: Facet::not_asked(),
        edges: Facet::not_asked(),
        verdicts: vec![],
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
        size: ByteSize(0),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: None,
        autotrim: None,
        compression: None,
        scrub_scheduled: Some(true),
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
