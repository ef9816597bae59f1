//! Which disks a selector means: whatever else, never one that anything speaks against, and always the same.

use proptest::prelude::*;
use quorate_model::ByteSize;
use quorate_model::facet::Facet;
use quorate_model::observation::disks::{Controller, Disk, Disks, Edges, Holder, HolderKind, Smart};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role, judge};
use quorate_model::spec::{ClusterFile, Pick};

use crate::disks::{Allowed, NotEnough, Taken, choose};
use crate::testkit::NOW;

const GB: u64 = 1_000_000_000;

fn disk(serial: &str, size: u64) -> Disk {
    let mut disk = Disk {
        path: format!("/dev/sd{}", serial.to_lowercase()),
        by_id: vec![format!("ata-SAMSUNG_{serial}")],
        wwn: Some(format!("0x5002538e{serial}")),
        serial: Some(serial.into()),
        model: Some("SAMSUNG".into()),
        vendor: Some("ATA".into()),
        size: ByteSize(size),
        transport: Some("sata".into()),
        smart: Facet::known(
            Smart {
                passed: Some(true),
                wear_percent: None,
                temperature: None,
                power_on_hours: None,
                bad_sectors: None,
            },
            NOW,
        ),
        edges: Facet::known(Edges::default(), NOW),
        ..Disk::default()
    };
    judged(&mut disk);
    disk
}

fn judged(disk: &mut Disk) {
    disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
}

/// `disks` of a pool as the cluster file has it.
fn pick(disks: &str) -> Pick {
    let text = format!(
        "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[zfs.tank]\nraid = \"mirror\"\n{disks}\n"
    );
    let file = ClusterFile::parse("test.toml", &text).expect("a valid file");
    let pool = file.pools.values().next().expect("a pool");
    pool.disks
        .of(&"prox1".parse().unwrap())
        .expect("disks of prox1")
        .clone()
}

fn names(pick: &Pick, disks: &[Disk]) -> Result<Vec<String>, Vec<NotEnough>> {
    let disks = Disks { disks: disks.to_vec() };
    let choice = choose(pick, Role::Zfs, &disks, &Taken::new(), &Allowed::nothing())?;
    Ok(choice.chosen.iter().map(|chosen| chosen.name.to_owned()).collect())
}

#[test]
fn of_more_than_enough_the_most_alike_are_chosen_and_of_those_the_smallest() {
    let two = pick("disks = { count = 2, min_size = \"400GB\" }");
    let disks = [
        disk("A", 300 * GB),
        disk("B", 480 * GB),
        disk("C", 960 * GB),
        disk("D", 960 * GB),
        disk("E", 960 * GB),
    ];
    assert_eq!(names(&two, &disks).unwrap(), ["ata-SAMSUNG_C", "ata-SAMSUNG_D"]);
    let all = Disks { disks: disks.to_vec() };
    let choice = choose(&two, Role::Zfs, &all, &Taken::new(), &Allowed::nothing()).unwrap();
    let why: Vec<_> = choice
        .passed_over
        .iter()
        .map(|passed| (passed.disk, passed.why.as_str()))
        .collect();
    assert_eq!(
        why,
        [
            ("/dev/sda", "has 300 GB, less than 400 GB"),
            ("/dev/sdb", "fits, and is not needed: 2 are enough"),
            ("/dev/sde", "fits, and is not needed: 2 are enough"),
        ]
    );
}

#[test]
fn too_few_are_told_with_how_many_there_are() {
    let three = pick("disks = { count = 3 }");
    assert_eq!(
        names(&three, &[disk("A", GB), disk("B", GB)]),
        Err(vec![NotEnough::TooFew { found: 2, wanted: 3 }])
    );
}

#[test]
fn a_named_disk_is_that_one_or_none() {
    let named = pick("disks.prox1 = [\"ata-SAMSUNG_B\", \"wwn-0x5002538eA\"]");
    let (a, b) = (disk("A", GB), disk("B", GB));
    assert_eq!(
        names(&named, &[a.clone(), b.clone()]).unwrap(),
        ["ata-SAMSUNG_B", "ata-SAMSUNG_A"]
    );
    let gone = names(&named, std::slice::from_ref(&b)).unwrap_err();
    assert_eq!(
        gone,
        [NotEnough::NotThere {
            name: "wwn-0x5002538eA".into(),
            found: 0
        }]
    );
    let mut used = a.clone();
    used.holders.push(Holder {
        device: "/dev/sda1".into(),
        kind: HolderKind::Mounted,
        name: "/srv".into(),
        uuid: None,
    });
    judged(&mut used);
    assert!(matches!(
        &names(&named, &[used, b.clone()]).unwrap_err()[..],
        [NotEnough::NotFree { .. }]
    ));
    let double = Disk {
        path: "/dev/sdz".into(),
        ..a.clone()
    };
    assert!(matches!(
        &names(&named, &[a, double, b]).unwrap_err()[..],
        [NotEnough::NotThere { found: 2, .. }]
    ));
}

pub(super) fn any_disk() -> impl Strategy<Value = Disk> {
    let held = prop_oneof![
        3 => Just(vec![]),
        1 => Just(vec![Holder { device: "/dev/x".into(), kind: HolderKind::Mounted, name: "/".into(), uuid: None }]),
        1 => Just(vec![Holder { device: "/dev/x".into(), kind: HolderKind::Zfs, name: "tank".into(), uuid: None }]),
        1 => Just(vec![Holder { device: "/dev/x".into(), kind: HolderKind::PartitionTable, name: "gpt".into(), uuid: None }]),
    ];
    let driver = prop_oneof![Just(None), Just(Some("ahci")), Just(Some("megaraid_sas"))];
    let size = prop_oneof![Just(480 * GB), Just(960 * GB), Just(960 * GB + 1), Just(1000)];
    let odd = (
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    (held, driver, size, 0..12_u32, odd).prop_map(|(holders, driver, size, number, odd)| {
        let (rotational, read_only, removable, nameless) = odd;
        let mut one = disk(&format!("N{number}"), size);
        one.holders = holders;
        one.controller = driver.map(|driver| Controller {
            pci_address: "0000:03:00.0".into(),
            driver: Some(driver.into()),
            class: None,
        });
        (one.rotational, one.read_only, one.removable) = (rotational, read_only, removable);
        if nameless {
            one.by_id.clear();
            (one.wwn, one.serial) = (None, None);
        }
        judged(&mut one);
        // What only the whole cluster can tell.
        if number == 11 {
            for verdict in &mut one.verdicts {
                verdict.against.push(Reason {
                    kind: ReasonKind::GivenToGuest,
                    text: "guest 100 is given it".into(),
                });
            }
        }
        one
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn never_a_disk_that_is_in_use_and_always_the_same(
        disks in prop::collection::vec(any_disk(), 0..10),
        count in prop::option::of(2..5_u8),
        kind in prop::option::of(prop_oneof![Just("ssd"), Just("hdd")]),
        seed: u64,
    ) {
        let mut words = Vec::new();
        words.extend(count.map(|count| format!("count = {count}")));
        words.extend(kind.map(|kind| format!("kind = \"{kind}\"")));
        let pick = pick(&format!("disks = {{ {} }}", words.join(", ")));
        let disks: Vec<Disk> = disks
            .into_iter()
            .enumerate()
            .map(|(index, disk)| Disk { path: format!("/dev/sd{}", char::from(b'a' + u8::try_from(index).unwrap())), ..disk })
            .collect();
        let first = names(&pick, &disks);
        if let Ok(chosen) = &first {
            for name in chosen {
                let meant: Vec<&Disk> = disks.iter().filter(|disk| disk.stable_name() == Some(name)).collect();
                prop_assert_eq!(meant.len(), 1, "{} means one disk", name);
                prop_assert!(meant.iter().all(|disk| judge(disk, Role::Zfs).eligible()), "{name}");
                prop_assert!(meant.iter().all(|disk| disk.serial.as_deref() != Some("N11")));
            }
        }
        // In whatever order the server lists them.
        let mut shuffled = disks.clone();
        let length = shuffled.len().max(1);
        let by = usize::try_from(seed % 97).unwrap() % length;
        shuffled.rotate_left(by);
        prop_assert_eq!(names(&pick, &shuffled).is_ok(), first.is_ok());
        prop_assert_eq!(names(&pick, &shuffled), first);
    }
}
