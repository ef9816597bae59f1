use quorate_model::Facet;
use quorate_model::observation::disks::{Holder, Smart};
use quorate_model::observation::pools::{Leaf, Vdev, VdevClass, VdevErrors, VdevHealth};

use super::*;

const HOUR: i64 = 3600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_345_772 + seconds)
}

fn disk(path: &str, serial: &str) -> Disk {
    Disk {
        path: path.into(),
        by_id: vec![format!("ata-SAMSUNG_{serial}")],
        wwn: Some(format!("0x5002538e{serial}")),
        serial: Some(serial.into()),
        model: Some("SAMSUNG".into()),
        size: ByteSize(960_000_000_000),
        ..Disk::default()
    }
}

fn held(mut disk: Disk, kind: HolderKind, name: &str) -> Disk {
    disk.holders.push(Holder {
        device: disk.path.clone(),
        kind,
        name: name.into(),
        uuid: None,
    });
    disk
}

fn worn(mut disk: Disk, bad_sectors: u64) -> Disk {
    let smart = Smart {
        passed: Some(true),
        wear_percent: None,
        temperature: None,
        power_on_hours: None,
        bad_sectors: Some(bad_sectors),
    };
    disk.smart = Facet::known(smart, at(0));
    disk
}

fn pool(state: VdevState, leaves: &[&str]) -> Pool {
    let health = |state| VdevHealth {
        state,
        errors: Some(VdevErrors::default()),
        note: None,
    };
    let leaf = |name: &&str| Leaf {
        name: (*name).into(),
        health: health(VdevState::Online),
        group: None,
    };
    Pool {
        name: "tank".into(),
        state,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vec![Vdev {
            class: VdevClass::Data,
            name: "mirror-0".into(),
            health: health(state),
            leaves: leaves.iter().map(leaf).collect(),
        }],
        size: ByteSize(1000),
        allocated: ByteSize(1),
        fragmentation: None,
        ashift: None,
        autotrim: None,
        compression: None,
        scrub_scheduled: Some(true),
        import_enabled: None,
        volumes: Facet::not_asked(),
        created: None,
    }
}

/// A server as it is seen again and again.
#[derive(Default)]
struct Seen(DisksOf);

impl Seen {
    fn sees(&mut self, seconds: i64, disks: &[Disk], pools: &[Pool]) -> Vec<(Code, String)> {
        let disks = Disks { disks: disks.to_vec() };
        self.0.see(&disks, Some(pools), at(seconds));
        self.says(seconds)
    }

    fn says(&self, seconds: i64) -> Vec<(Code, String)> {
        let findings = self.0.findings(&"hk1/prox1".parse().unwrap(), at(seconds));
        findings
            .into_iter()
            .map(|finding| (finding.code, finding.message))
            .collect()
    }

    fn codes(&mut self, seconds: i64, disks: &[Disk], pools: &[Pool]) -> Vec<Code> {
        self.sees(seconds, disks, pools)
            .into_iter()
            .map(|(code, _)| code)
            .collect()
    }
}

#[test]
fn all_that_is_there_at_first_is_known_and_what_comes_later_is_new_for_a_day() {
    let (a, b) = (disk("/dev/sda", "A"), disk("/dev/sdb", "B"));
    let mut seen = Seen::default();
    assert_eq!(seen.sees(0, std::slice::from_ref(&a), &[]), []);
    let message = "ata-SAMSUNG_B (SAMSUNG, 960 GB) of hk1/prox1 is new: it came 0 ms ago".to_owned();
    assert_eq!(seen.sees(60, &[a.clone(), b.clone()], &[]), [(Code::DiskNew, message)]);
    assert_eq!(seen.codes(23 * HOUR, &[a.clone(), b.clone()], &[]), [Code::DiskNew]);
    assert_eq!(seen.codes(25 * HOUR, &[a, b], &[]), []);
}

#[test]
fn a_disk_that_nobody_used_is_missed_for_a_day() {
    let (a, b) = (disk("/dev/sda", "A"), disk("/dev/sdb", "B"));
    let mut seen = Seen::default();
    seen.sees(0, &[a.clone(), b.clone()], &[]);
    assert_eq!(seen.codes(60, std::slice::from_ref(&a), &[]), [Code::DiskPulled]);
    assert_eq!(
        seen.codes(120, std::slice::from_ref(&a), &[]),
        [Code::DiskPulled],
        "once, and it stays"
    );
    assert_eq!(seen.codes(180, &[a.clone(), b.clone()], &[]), [], "it is back");
    assert_eq!(seen.codes(240, std::slice::from_ref(&a), &[]), [Code::DiskPulled]);
    assert_eq!(seen.codes(26 * HOUR, std::slice::from_ref(&a), &[]), []);
    assert_eq!(seen.codes(27 * HOUR, &[a, b], &[]), [Code::DiskNew]);
}

#[test]
fn a_pools_disk_is_missed_until_the_pool_is_whole_without_it() {
    let used = |path, serial| held(disk(path, serial), HolderKind::Zfs, "tank");
    let (a, b) = (used("/dev/sda", "A"), used("/dev/sdb", "B"));
    let part = |serial: &str| format!("/dev/disk/by-id/ata-SAMSUNG_{serial}-part1");
    let (first, second, third) = (part("A"), part("B"), part("C"));
    let mut seen = Seen::default();
    let both = pool(VdevState::Online, &[&first, &second]);
    seen.sees(0, &[a.clone(), b], std::slice::from_ref(&both));
    // Until it is read or written, the pool knows of nothing.
    let said = seen.sees(60, std::slice::from_ref(&a), std::slice::from_ref(&both));
    let message = "ata-SAMSUNG_B (SAMSUNG, 960 GB) of hk1/prox1 has been gone for 0 ms: pool tank had it".to_owned();
    assert_eq!(said, [(Code::DiskGone, message)]);
    let degraded = pool(VdevState::Degraded, &[&first, &second]);
    assert_eq!(
        seen.codes(60 * 24 * HOUR, std::slice::from_ref(&a), &[degraded]),
        [Code::DiskGone]
    );
    let whole = pool(VdevState::Online, &[&first, &third]);
    let c = used("/dev/sdb", "C");
    assert_eq!(seen.codes(61 * 24 * HOUR, &[a, c], &[whole]), [Code::DiskNew]);
}

#[test]
fn a_disk_that_went_with_its_whole_pool_is_missed_for_a_week() {
    let (a, b) = (
        disk("/dev/sda", "A"),
        held(disk("/dev/sdb", "B"), HolderKind::Zfs, "tank"),
    );
    let mut seen = Seen::default();
    seen.sees(0, &[a.clone(), b], &[]);
    assert_eq!(seen.codes(1, std::slice::from_ref(&a), &[]), [Code::DiskGone]);
    assert_eq!(
        seen.codes(6 * 24 * HOUR, std::slice::from_ref(&a), &[]),
        [Code::DiskGone]
    );
    // What pools there are is not known: the pool may be there, and miss it.
    let disks = Disks { disks: vec![a.clone()] };
    seen.0.see(&disks, None, at(8 * 24 * HOUR));
    assert_eq!(seen.says(8 * 24 * HOUR).len(), 1);
    assert_eq!(seen.codes(9 * 24 * HOUR, &[a], &[]), []);
}

#[test]
fn what_else_used_a_disk_is_named_for_a_week() {
    let (a, b) = (
        disk("/dev/sda", "A"),
        held(disk("/dev/sdb", "B"), HolderKind::Mounted, "/srv"),
    );
    let mut seen = Seen::default();
    seen.sees(0, &[a.clone(), b], &[]);
    let said = seen.sees(1, std::slice::from_ref(&a), &[]);
    assert!(said[0].1.ends_with("it was in use, mounted at /srv"), "{said:?}");
    assert_eq!(
        seen.codes(6 * 24 * HOUR, std::slice::from_ref(&a), &[]),
        [Code::DiskGone]
    );
    assert_eq!(seen.codes(8 * 24 * HOUR, &[a], &[]), []);
}

#[test]
fn another_kernel_name_or_a_link_that_comes_later_is_the_same_disk() {
    let mut early = disk("/dev/sdb", "B");
    early.by_id.clear();
    early.wwn = None;
    let mut seen = Seen::default();
    seen.sees(0, &[disk("/dev/sda", "A"), early], &[]);
    let moved = [disk("/dev/sdb", "A"), disk("/dev/sda", "B")];
    assert_eq!(seen.codes(60, &moved, &[]), []);
    // Two disks of one serial number are two, as long as their world-wide names differ.
    let mut twin = disk("/dev/sdc", "B");
    twin.wwn = Some("0x1".into());
    twin.by_id = vec!["ata-OTHER".into()];
    assert_eq!(
        seen.codes(120, &[moved[0].clone(), moved[1].clone(), twin], &[]),
        [Code::DiskNew]
    );
}

#[test]
fn bad_sectors_are_told_when_they_become_more() {
    let mut seen = Seen::default();
    assert_eq!(seen.codes(0, &[worn(disk("/dev/sda", "A"), 8)], &[]), []);
    let said = seen.sees(60, &[worn(disk("/dev/sda", "A"), 16)], &[]);
    let message = "ata-SAMSUNG_A (SAMSUNG, 960 GB) of hk1/prox1 has 16 bad sectors, and had 8: the last came 0 ms ago";
    assert_eq!(said, [(Code::DiskDecays, message.to_owned())]);
    assert_eq!(
        seen.codes(6 * 24 * HOUR, &[worn(disk("/dev/sda", "A"), 16)], &[]),
        [Code::DiskDecays]
    );
    assert_eq!(seen.codes(8 * 24 * HOUR, &[worn(disk("/dev/sda", "A"), 16)], &[]), []);
    assert_eq!(
        seen.codes(8 * 24 * HOUR + 1, &[worn(disk("/dev/sda", "A"), 17)], &[]),
        [Code::DiskDecays]
    );
}

#[test]
fn what_is_known_survives_the_daemon() {
    let mut seen = Seen::default();
    seen.sees(
        0,
        &[
            disk("/dev/sda", "A"),
            held(disk("/dev/sdb", "B"), HolderKind::Zfs, "tank"),
        ],
        &[],
    );
    let kept = serde_json::to_string(&seen.0).unwrap();
    let mut again = Seen(serde_json::from_str(&kept).unwrap());
    assert_eq!(again.codes(60, &[disk("/dev/sda", "A")], &[]), [Code::DiskGone]);
}
