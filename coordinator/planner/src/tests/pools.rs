//! Pools on the disks of each member, and what stands against them.

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::disks::Disks;
use quorate_model::observation::eligibility::{Reason, ReasonKind};
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevClass, VdevHealth, VdevState};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::{ByteSize, Code, Wish};

use super::disks::servers;
use crate::checker::check;
use crate::testkit::{NOW, Servers, disk};

pub(super) const MIRROR: &str = "[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2 }\n";

pub(super) fn file(pools: &str) -> ClusterFile {
    file_of(pools, "")
}

/// `others`: what else is said of prox2 and prox3.
fn file_of(pools: &str, others: &str) -> ClusterFile {
    let mut text = "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n".to_owned();
    for n in 1..=3 {
        let more = if n == 1 { "" } else { others };
        text.push_str(&format!("[nodes.prox{n}]\naddress = \"192.168.1.{}\"\n{more}", 10 + n));
    }
    ClusterFile::parse("test.toml", &(text + pools)).expect("a valid file")
}

/// Members without pools, each with two free disks.
pub(super) fn members() -> Servers {
    let mut servers = servers();
    for n in 1..=3 {
        servers = servers.with(&format!("prox{n}"), |seen| seen.pools = Facet::known(vec![], NOW));
    }
    servers
}

/// Plans, and has the plan checked.
fn plan(pools: &str, servers: &Servers) -> Plan {
    checked(&file(pools), &Wish::default(), servers)
}

/// The same, where prox1 alone has pools.
pub(super) fn plan_with(pools: &str, wish: &Wish, servers: &Servers) -> Plan {
    checked(&file_of(pools, "role = \"witness\"\n"), wish, servers)
}

fn checked(file: &ClusterFile, wish: &Wish, servers: &Servers) -> Plan {
    let mut file = file.clone();
    // Their storages have tests of their own.
    file.pools.values_mut().for_each(|pool| pool.storage = false);
    let plan = crate::plan(&file, wish, &servers.view);
    let complaints = check(&file, wish, &servers.view, &plan);
    assert!(complaints.is_empty(), "{complaints:?}");
    plan
}

pub(super) fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

pub(super) fn refusals(plan: &Plan) -> Vec<(Code, &str)> {
    let refusing = plan.findings.iter().filter(|finding| finding.refuses());
    refusing
        .map(|finding| (finding.code, finding.message.as_str()))
        .collect()
}

#[test]
fn each_member_gets_its_pool_and_the_plan_says_of_which_disks_and_why() {
    let plan = plan(MIRROR, &members());
    assert_eq!(refusals(&plan), []);
    let expected = [
        "zfs.create/prox1/data_zfs",
        "zfs.create/prox2/data_zfs",
        "zfs.create/prox3/data_zfs",
    ];
    assert_eq!(ids(&plan), expected);
    let first = &plan.steps[0];
    let Action::CreatePool { layout } = &first.action else {
        panic!("{first:?}")
    };
    let links: Vec<&str> = layout.disks.iter().map(|disk| disk.link.as_str()).collect();
    assert_eq!(links, ["ata-SAMSUNG_1b", "ata-SAMSUNG_1c"]);
    assert_eq!(
        first.why,
        [
            "data: ata-SAMSUNG_1b (SAMSUNG, 1b, 960 GB; now /dev/sdb) fits",
            "data: ata-SAMSUNG_1c (SAMSUNG, 1c, 960 GB; now /dev/sdc) fits",
            "960 GB usable; survives the loss of one disk",
        ]
    );
}

#[test]
fn on_a_server_that_is_to_join_the_pool_comes_after_that() {
    let mut servers = Servers::bare(3).members("hk1", &["prox1", "prox2"], &["192.168.1.0/24"]);
    for n in 1..=3 {
        servers = servers.with(&format!("prox{n}"), |seen| {
            let disks = vec![disk("/dev/sdb", &format!("{n}b")), disk("/dev/sdc", &format!("{n}c"))];
            seen.disks = Facet::known(Disks { disks }, NOW);
            seen.pools = Facet::known(vec![], NOW);
        });
    }
    let plan = plan(MIRROR, &servers);
    let of_prox3 = plan
        .steps
        .iter()
        .find(|step| step.id.as_str() == "zfs.create/prox3/data_zfs")
        .unwrap();
    let needs: Vec<&str> = of_prox3.needs.iter().map(|step| step.as_str()).collect();
    assert_eq!(needs, ["cluster.join/prox3"]);
}

#[test]
fn two_pools_never_share_a_disk() {
    let both = format!(
        "{}{}",
        "[zfs.a1]\nraid = \"single\"\ndisks = { count = 1 }\n", "[zfs.b1]\nraid = \"single\"\ndisks = { count = 1 }\n"
    );
    let plan = plan(&both, &members());
    assert_eq!(refusals(&plan), []);
    let links: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.node.as_str() == "prox1")
        .map(|step| match &step.action {
            Action::CreatePool { layout } => layout.disks[0].link.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(links, ["ata-SAMSUNG_1b", "ata-SAMSUNG_1c"]);
}

#[test]
fn too_few_free_disks_refuse_and_so_does_one_that_is_named_and_in_use() {
    let three = MIRROR.replace("count = 2", "count = 3");
    let few = "2 disks of prox1 fit and are free for data of pool data_zfs, and 3 are asked for";
    assert!(refusals(&plan(&three, &members())).contains(&(Code::DisksTooFew, few)));
    let named = "[zfs.data_zfs]\nraid = \"single\"\n[zfs.data_zfs.disks]\nprox1 = [\"1b\"]\nprox2 = [\"2b\"]\nprox3 = [\"S9\"]\n";
    let used = members().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.disks else {
            panic!()
        };
        value.disks[0].verdicts.iter_mut().for_each(|verdict| {
            verdict.against.push(Reason {
                kind: ReasonKind::InUse,
                text: "/dev/sdb1 is mounted at /srv".to_owned(),
            });
        });
    });
    let plan = plan(named, &used);
    let expected = [
        (
            Code::DiskNotFree,
            "1b of prox1 is not free: /dev/sdb1 is mounted at /srv",
        ),
        (Code::DiskNotThere, "prox3 has no disk S9"),
    ];
    assert_eq!(refusals(&plan), expected);
}

#[test]
fn what_cant_be_told_of_a_named_disk_may_be_accepted_and_a_selector_never_takes_it() {
    let doubtful = || {
        members().with("prox1", |seen| {
            let Facet::Known { value, .. } = &mut seen.disks else {
                panic!()
            };
            value.disks[0].verdicts.iter_mut().for_each(|verdict| {
                verdict.against.push(Reason {
                    kind: ReasonKind::MaybeRaid,
                    text: "may be a volume of megaraid_sas".to_owned(),
                });
            });
        })
    };
    assert_eq!(refusals(&plan(MIRROR, &doubtful()))[0].0, Code::DisksTooFew);
    let named = "[zfs.data_zfs]\nraid = \"single\"\n[zfs.data_zfs.disks]\nprox1 = [\"1b\"]\nprox2 = [\"2b\"]\nprox3 = [\"3b\"]\n";
    let plan = plan(named, &doubtful());
    let message = "ata-SAMSUNG_1b of prox1, for data of pool data_zfs, may be a volume of megaraid_sas";
    assert_eq!(refusals(&plan), [(Code::DiskMaybeRaid, message)]);
    assert!(Code::DiskMaybeRaid.entry().overridable);
    assert_eq!(ids(&plan).len(), 3);
}

#[test]
fn what_cant_be_seen_plans_nothing() {
    let unseen = members().with("prox2", |seen| {
        seen.pools = Facet::unknown(UnknownKind::TimedOut, "zpool hangs")
    });
    let plan = plan(MIRROR, &unseen);
    assert_eq!(refusals(&plan)[0].0, Code::FacetUnknown);
    assert!(!ids(&plan).contains(&"zfs.create/prox2/data_zfs"));
    let unseen = members().with("prox2", |seen| {
        seen.disks = Facet::unknown(UnknownKind::TimedOut, "lsblk hangs")
    });
    assert_eq!(refusals(&self::plan(MIRROR, &unseen))[0].0, Code::FacetUnknown);
}

pub(super) fn pool(leaves: &[&str], size: u64) -> Pool {
    let health = VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    };
    let leaf = |name: &&str| Leaf {
        name: (*name).to_owned(),
        health: health.clone(),
        group: None,
    };
    Pool {
        name: "data_zfs".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vec![Vdev {
            class: VdevClass::Data,
            name: "mirror-0".to_owned(),
            health: health.clone(),
            leaves: leaves.iter().map(leaf).collect(),
        }],
        size: ByteSize(size),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: Some(12),
        autotrim: None,
        compression: None,
        scrub_scheduled: Some(true),
        import_enabled: None,
        volumes: Facet::not_asked(),
        created: None,
    }
}

#[test]
fn a_pool_that_is_there_is_never_touched_only_compared() {
    let there = |leaves: &'static [&'static str], smaller| {
        let mut servers = members();
        for n in 1..=3 {
            servers = servers.with(&format!("prox{n}"), |seen| {
                seen.pools = Facet::known(vec![pool(leaves, 960_000_000_000)], NOW);
                let Facet::Known { value, .. } = &mut seen.disks else {
                    panic!("no disks")
                };
                if n == 3 && smaller {
                    value
                        .disks
                        .iter_mut()
                        .for_each(|disk| disk.size = ByteSize(480_000_000_000));
                }
            });
        }
        servers
    };
    let same = plan(MIRROR, &there(&["/dev/sdb", "/dev/sdc"], false));
    let of = |plan: &Plan| {
        let codes = plan.findings.iter().map(|finding| finding.code);
        codes
            .filter(|code| matches!(code, Code::PoolDiffers | Code::PoolsUnequal))
            .collect::<Vec<_>>()
    };
    assert_eq!((of(&same), ids(&same)), (vec![], vec![]));
    let smaller = plan(MIRROR, &there(&["/dev/sdb", "/dev/sdc"], true));
    assert_eq!((of(&smaller), ids(&smaller)), (vec![Code::PoolsUnequal], vec![]));
    let other = plan(MIRROR, &there(&["/dev/a", "/dev/b", "/dev/c", "/dev/d"], false));
    assert_eq!((of(&other), ids(&other)), (vec![Code::PoolDiffers; 3], vec![]));
    assert!(refusals(&other).is_empty());
}
