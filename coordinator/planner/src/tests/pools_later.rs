//! Pools after the first day: disks on which something is left, growth, and disks that are replaced.

use quorate_model::facet::Facet;
use quorate_model::ids::DiskRef;
use quorate_model::observation::Observation;
use quorate_model::observation::disks::{Disks, Holder, HolderKind};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::observation::pools::{VdevClass, VdevState};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::wish::DiskReplacement;
use quorate_model::{Code, Severity, Wish};

use super::pools::{ids, members, plan_with, refusals};
use crate::testkit::{Servers, apply, disk};

pub(super) const ONE: &str = "[zfs.data_zfs]\nraid = \"mirror\"\n[zfs.data_zfs.disks]\nprox1 = { count = 2 }\n";
pub(super) const NAMED: &str = "[zfs.data_zfs]\nraid = \"mirror\"\n[zfs.data_zfs.disks]\nprox1 = [\"1b\", \"1c\"]\n";

pub(super) fn destroying(disks: &[&str]) -> Wish {
    Wish {
        destroy: disks.iter().map(|disk| disk.parse::<DiskRef>().unwrap()).collect(),
        ..Wish::default()
    }
}

pub(super) fn on_prox1(servers: Servers, change: impl FnOnce(&mut Disks)) -> Servers {
    servers.with("prox1", |seen: &mut Observation| {
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!("no disks")
        };
        change(value);
        for disk in &mut value.disks {
            disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
        }
    })
}

/// One of prox1's two disks carries a file system, or is mounted.
pub(super) fn with_leftover(kind: HolderKind, name: &str) -> Servers {
    on_prox1(members(), |disks| {
        let device = format!("{}1", disks.disks[0].path);
        disks.disks[0].holders.push(Holder {
            device,
            kind,
            name: name.to_owned(),
            uuid: None,
        });
    })
}

pub(super) fn codes(plan: &Plan) -> Vec<Code> {
    refusals(plan).into_iter().map(|(code, _)| code).collect()
}

/// What the plan does is done; then nothing is left to do.
pub(super) fn applied(pools: &str, wish: &Wish, servers: Servers) -> Servers {
    let plan = plan_with(pools, wish, &servers);
    assert_eq!(refusals(&plan), []);
    assert!(!plan.is_empty());
    let mut servers = servers;
    for step in &plan.steps {
        apply(&mut servers.view, step);
        let verdict = step.done_when.judge(&servers.view);
        assert!(verdict.holds(), "{}: {verdict:?}", step.id);
    }
    let again = plan_with(pools, wish, &servers);
    assert_eq!(ids(&again), Vec::<&str>::new());
    servers
}

#[test]
fn what_is_left_on_a_named_disk_goes_only_by_a_word_for_just_this_disk() {
    let servers = || with_leftover(HolderKind::FileSystem, "ext4");
    let unasked = plan_with(NAMED, &Wish::default(), &servers());
    assert_eq!(codes(&unasked), [Code::DestroyNotConsented]);
    assert_eq!(
        ids(&unasked),
        ["zfs.wipe/prox1/ata-SAMSUNG_1b", "zfs.create/prox1/data_zfs"]
    );
    let other = plan_with(NAMED, &destroying(&["prox1:ata-SAMSUNG_1c"]), &servers());
    assert_eq!(codes(&other), [Code::DestroyNotConsented, Code::DestroyNotPlanned]);

    let said = destroying(&["prox1:ata-SAMSUNG_1b"]);
    let plan = plan_with(NAMED, &said, &servers());
    assert_eq!(refusals(&plan), []);
    let wipe = &plan.steps[0];
    assert_eq!(
        wipe.title,
        "wipe disk ata-SAMSUNG_1b of prox1: file system (ext4) on partition 1"
    );
    assert_eq!(
        wipe.destroys,
        ["file system (ext4) on partition 1, on ata-SAMSUNG_1b (SAMSUNG, 1b) of prox1"]
    );
    assert!(plan.steps[1].needs.contains(&wipe.id));
    applied(NAMED, &said, servers());
}

/// Seen in the lab: after a boot at which the import failed, its own disks were offered for wiping.
#[test]
fn a_pool_that_was_not_imported_is_not_offered_for_wiping() {
    let asleep = on_prox1(members(), |disks| {
        for disk in &mut disks.disks {
            disk.holders.push(Holder {
                device: format!("{}1", disk.path),
                kind: HolderKind::ZfsLabel,
                name: "data_zfs".into(),
                uuid: None,
            });
        }
    });
    let plan = plan_with(ONE, &Wish::default(), &asleep);
    let told: Vec<_> = plan
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Refusal)
        .collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].code, Code::PoolNameTaken);
    assert!(
        told[0].next.contains("on prox1: zpool import data_zfs"),
        "{}",
        told[0].next
    );
    assert!(!told[0].next.contains("--destroy"), "{}", told[0].next);
}

#[test]
fn a_pool_of_the_same_name_that_is_not_imported_refuses() {
    let other = || {
        on_prox1(members(), |disks| {
            let mut old = disk("/dev/sdd", "1d");
            old.holders.push(Holder {
                device: "/dev/sdd1".into(),
                kind: HolderKind::ZfsLabel,
                name: "data_zfs".into(),
                uuid: None,
            });
            disks.disks.push(old);
        })
    };
    let plan = plan_with(ONE, &Wish::default(), &other());
    let (code, message) = refusals(&plan)[0];
    assert_eq!(code, Code::PoolNameTaken);
    assert_eq!(
        message,
        "ata-SAMSUNG_1d of prox1 carry a pool data_zfs that is not imported"
    );
    assert!(ids(&plan).is_empty());
    // On the very disk that is wiped it is no obstacle.
    let named = NAMED.replace("\"1b\", \"1c\"", "\"1b\", \"1d\"");
    let plan = plan_with(&named, &destroying(&["prox1:ata-SAMSUNG_1d"]), &other());
    assert_eq!(
        ids(&plan),
        ["zfs.wipe/prox1/ata-SAMSUNG_1d", "zfs.create/prox1/data_zfs"]
    );
}

#[test]
fn a_selector_takes_such_a_disk_only_where_there_are_too_few_without_it() {
    let servers = with_leftover(HolderKind::FileSystem, "ext4");
    let few = plan_with(ONE, &Wish::default(), &servers);
    assert_eq!(codes(&few), [Code::DisksTooFew]);
    let next = &few.findings.iter().find(|f| f.code == Code::DisksTooFew).unwrap().next;
    assert!(next.contains("--destroy prox1:ata-SAMSUNG_1b"), "{next}");
    let said = destroying(&["prox1:ata-SAMSUNG_1b"]);
    let plan = plan_with(ONE, &said, &servers);
    assert_eq!(
        ids(&plan),
        ["zfs.wipe/prox1/ata-SAMSUNG_1b", "zfs.create/prox1/data_zfs"]
    );
    let enough = plan_with(
        &ONE.replace("mirror", "single").replace("count = 2", "count = 1"),
        &said,
        &servers,
    );
    assert_eq!(codes(&enough), [Code::DestroyNotPlanned]);
}

#[test]
fn what_is_in_use_is_not_wiped_by_any_word() {
    let servers = with_leftover(HolderKind::Mounted, "/srv");
    let plan = plan_with(NAMED, &destroying(&["prox1:ata-SAMSUNG_1b"]), &servers);
    assert_eq!(codes(&plan), [Code::DestroyNotPlanned, Code::DiskNotFree]);
    assert!(ids(&plan).is_empty());
}

/// prox1 has four disks, of which the first two are a mirror.
pub(super) fn with_mirror() -> Servers {
    let four = on_prox1(members(), |disks| {
        disks.disks.push(disk("/dev/sdd", "1d"));
        disks.disks.push(disk("/dev/sde", "1e"));
    });
    applied(ONE, &Wish::default(), four)
}

#[test]
fn a_mirror_grows_by_another_pair_and_a_log() {
    let raid10 = ONE.replace("mirror", "raid10").replace("count = 2", "count = 4");
    let plan = plan_with(&raid10, &Wish::default(), &with_mirror());
    assert_eq!(ids(&plan), ["zfs.grow/prox1/data_zfs"]);
    let Action::GrowPool { layout } = &plan.steps[0].action else {
        panic!("{:?}", plan.steps[0])
    };
    let links: Vec<&str> = layout.disks.iter().map(|disk| disk.link.as_str()).collect();
    assert_eq!(links, ["ata-SAMSUNG_1d", "ata-SAMSUNG_1e"]);
    assert!(
        plan.steps[0]
            .why
            .iter()
            .any(|why| why.contains("can't be taken out again"))
    );
    applied(&raid10, &Wish::default(), with_mirror());

    let with_log = format!("{ONE}[zfs.data_zfs.log]\nprox1 = [\"1d\"]\n");
    let plan = plan_with(&with_log, &Wish::default(), &with_mirror());
    let Action::GrowPool { layout } = &plan.steps[0].action else {
        panic!("{:?}", plan.steps[0])
    };
    assert!(layout.disks.is_empty() && layout.beside[0].class == VdevClass::Log);
    applied(&with_log, &Wish::default(), with_mirror());
}

#[test]
fn a_pool_that_is_not_whole_does_not_grow_and_another_kind_of_vdev_is_never_added() {
    let raid10 = ONE.replace("mirror", "raid10").replace("count = 2", "count = 4");
    let degraded = with_mirror().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.pools else {
            panic!("no pools")
        };
        value[0].state = VdevState::Degraded;
    });
    let plan = plan_with(&raid10, &Wish::default(), &degraded);
    assert!(plan.is_empty());
    assert!(
        plan.findings
            .iter()
            .any(|f| f.code == Code::PoolDiffers && f.message.contains("DEGRADED"))
    );
    let raidz = ONE.replace("mirror", "raidz").replace("count = 2", "count = 4");
    let plan = plan_with(&raidz, &Wish::default(), &with_mirror());
    assert!(plan.is_empty());
    assert!(
        plan.findings
            .iter()
            .any(|f| f.message.contains("not laid out as raidz"))
    );
}

pub(super) fn replacing(old: &str, with: Option<&str>) -> Wish {
    Wish {
        replace_disk: Some(DiskReplacement {
            node: "prox1".parse().unwrap(),
            pool: "data_zfs".parse().unwrap(),
            old: old.to_owned(),
            with: with.map(|with| with.parse().unwrap()),
        }),
        ..Wish::default()
    }
}

#[test]
fn a_disk_is_replaced_by_a_free_one_that_is_large_enough_and_only_once() {
    for old in [
        "1b",
        "ata-SAMSUNG_1b",
        "/dev/disk/by-id/ata-SAMSUNG_1b-part1",
        "/dev/sdb",
    ] {
        let plan = plan_with(ONE, &replacing(old, None), &with_mirror());
        assert_eq!(
            (refusals(&plan), ids(&plan)),
            (vec![], vec!["zfs.replace/prox1/data_zfs"]),
            "{old}"
        );
        assert!(
            plan.steps[0].title.ends_with("by ata-SAMSUNG_1d"),
            "{}",
            plan.steps[0].title
        );
    }
    let by_e = replacing("1b", Some("ata-SAMSUNG_1e"));
    applied(ONE, &by_e, with_mirror());
    let small = on_prox1(with_mirror(), |disks| {
        let last = disks.disks.len() - 1;
        disks.disks[last].size = quorate_model::ByteSize(1 << 30);
    });
    assert_eq!(codes(&plan_with(ONE, &by_e, &small)), [Code::DiskNotFree]);
}

#[test]
fn what_cant_be_replaced_is_told_with_what_there_is() {
    let unknown = plan_with(ONE, &replacing("1z", None), &with_mirror());
    let (code, message) = refusals(&unknown)[0];
    assert_eq!(code, Code::DiskNotThere);
    assert!(message.contains("/dev/disk/by-id/ata-SAMSUNG_1b-part1"), "{message}");
    let in_use = plan_with(ONE, &replacing("1b", Some("ata-SAMSUNG_1c")), &with_mirror());
    assert_eq!(codes(&in_use), [Code::DiskNotFree]);
    let boot = with_mirror().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.pools else {
            panic!("no pools")
        };
        value[0].vdevs[0].leaves[0].name = "/dev/disk/by-id/ata-SAMSUNG_1b-part3".to_owned();
    });
    let (code, message) = {
        let plan = plan_with(ONE, &replacing("/dev/disk/by-id/ata-SAMSUNG_1b-part3", None), &boot);
        let (code, message) = refusals(&plan)[0];
        (code, message.to_owned())
    };
    assert_eq!(code, Code::DiskNotFree);
    assert!(message.contains("is a partition among others"), "{message}");
}

#[test]
fn a_pool_that_only_the_cache_file_brings_back_is_told() {
    let told = |import_enabled| {
        let servers = members().with("prox1", |seen| {
            let mut there = super::pools::pool(&["/dev/sdb", "/dev/sdc"], 960_000_000_000);
            there.import_enabled = import_enabled;
            seen.pools = Facet::known(vec![there], crate::testkit::NOW);
        });
        let plan = plan_with(ONE, &Wish::default(), &servers);
        let found: Vec<_> = plan
            .findings
            .into_iter()
            .filter(|f| f.code == Code::PoolNotAtBoot)
            .collect();
        found
            .iter()
            .map(|f| format!("{}: {}", f.subject, f.next))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(Some(true)), [""; 0]);
    assert_eq!(told(None), [""; 0], "this ZFS has no such unit");
    assert_eq!(
        told(Some(false)),
        ["prox1/data_zfs: on prox1: systemctl enable 'zfs-import@data_zfs.service'"]
    );
}
