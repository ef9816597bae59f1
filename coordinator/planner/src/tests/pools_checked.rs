//! Plans for pools that are altered after they were made: the checker must find each.

use std::collections::BTreeSet;

use quorate_model::facet::Facet;
use quorate_model::observation::disks::HolderKind;
use quorate_model::observation::pools::VdevState;
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::DiskIdentity;
use quorate_model::spec::{ClusterFile, NodeRole};
use quorate_model::{ByteSize, Wish};

use super::pools::file;
use super::pools_later::{destroying, on_prox1, replacing, with_leftover, with_mirror};
use crate::checker::check;
use crate::testkit::{Servers, disk};

const NAMED: &str =
    "[zfs.data_zfs]\nraid = \"mirror\"\n[zfs.data_zfs.disks]\nprox1 = [\"1b\", \"1c\"]\nprox2 = []\nprox3 = []\n";
const FOUR: &str =
    "[zfs.data_zfs]\nraid = \"raid10\"\n[zfs.data_zfs.disks]\nprox1 = { count = 4 }\nprox2 = []\nprox3 = []\n";

fn of(pools: &str) -> ClusterFile {
    let mut file = file(pools);
    file.pools.values_mut().for_each(|pool| pool.storage = false);
    file
}

/// What the checker says of the plan of this file once its last step is changed; before that it says nothing.
fn told(file: &ClusterFile, wish: &Wish, servers: &Servers, change: impl FnOnce(&mut Step)) -> BTreeSet<String> {
    let mut plan = crate::plan(file, wish, &servers.view);
    assert_eq!(check(file, wish, &servers.view, &plan), []);
    let refused: Vec<_> = plan.findings.iter().filter(|finding| finding.refuses()).collect();
    assert!(refused.is_empty(), "{refused:?}");
    change(plan.steps.last_mut().expect("a step"));
    let said = check(file, wish, &servers.view, &plan);
    said.into_iter().map(|complaint| complaint.rule).collect()
}

fn identity(servers: &Servers, link: &str) -> DiskIdentity {
    let seen = servers.view.nodes[&"prox1".parse().unwrap()]
        .observation
        .as_ref()
        .unwrap();
    let disks = seen.disks.get().unwrap();
    let disk = disks.disks.iter().find(|disk| disk.by_id.iter().any(|own| own == link));
    DiskIdentity::of(disk.unwrap()).unwrap()
}

#[test]
fn a_pool_has_the_disks_that_the_file_means_and_is_on_members() {
    let servers = on_prox1(super::pools::members(), |disks| {
        disks.disks.push(disk("/dev/sdd", "1d"))
    });
    let other = identity(&servers, "ata-SAMSUNG_1d");
    let rules = told(&of(NAMED), &Wish::default(), &servers, |step| {
        let Action::CreatePool { layout } = &mut step.action else {
            panic!("{step:?}")
        };
        layout.disks[1] = other;
    });
    assert!(
        rules.contains("one of its disks is none that the file means"),
        "{rules:?}"
    );
    let plan = crate::plan(&of(NAMED), &Wish::default(), &servers.view);
    let mut witness = of(NAMED);
    witness.nodes.get_mut(&"prox1".parse().unwrap()).unwrap().role = NodeRole::Witness;
    let said = check(&witness, &Wish::default(), &servers.view, &plan);
    assert!(
        said.iter()
            .any(|complaint| complaint.rule == "pools are for members of the file"),
        "{said:?}"
    );
}

#[test]
fn a_pool_grows_by_what_it_is_made_of_and_only_while_it_is_whole() {
    let wish = Wish::default();
    let rules = told(&of(FOUR), &wish, &with_mirror(), |step| {
        let Action::GrowPool { layout } = &mut step.action else {
            panic!("{step:?}")
        };
        layout.raid = quorate_model::raid::Raid::Raidz;
    });
    assert!(rules.contains("it adds what the pool is not made of"), "{rules:?}");
    let plan = crate::plan(&of(FOUR), &wish, &with_mirror().view);
    let degraded = with_mirror().with("prox1", |seen| {
        let Facet::Known { value, .. } = &mut seen.pools else {
            panic!("no pools")
        };
        value[0].state = VdevState::Degraded;
    });
    let said = check(&of(FOUR), &wish, &degraded.view, &plan);
    assert!(
        said.iter()
            .any(|complaint| complaint.rule == "it lets a pool grow that is not whole"),
        "{said:?}"
    );
}

#[test]
fn a_replacement_is_the_one_that_was_asked_for() {
    let small = on_prox1(with_mirror(), |disks| {
        let mut small = disk("/dev/sdf", "1f");
        small.size = ByteSize(1 << 30);
        disks.disks.push(small);
    });
    let wish = replacing("1b", Some("ata-SAMSUNG_1e"));
    let with = |link: &str| {
        let other = identity(&small, link);
        told(&of(NAMED), &wish, &small, |step| {
            let Action::ReplaceDisk { with, .. } = &mut step.action else {
                panic!("{step:?}")
            };
            *with = other;
        })
    };
    let another = "it takes another disk than the one that was asked for".to_owned();
    assert!(with("ata-SAMSUNG_1d").contains(&another));
    let rules = with("ata-SAMSUNG_1f");
    assert!(rules.contains("the new disk is smaller than the old one"), "{rules:?}");
    let rules = told(&of(NAMED), &wish, &small, |step| {
        let Action::ReplaceDisk { old, .. } = &mut step.action else {
            panic!("{step:?}")
        };
        *old = "/dev/disk/by-id/ata-SAMSUNG_1c-part1".to_owned();
    });
    assert!(
        rules.contains("it replaces another disk than the one that was asked for"),
        "{rules:?}"
    );
}

#[test]
fn a_wipe_says_what_is_seen_on_the_disk() {
    let servers = with_leftover(HolderKind::FileSystem, "ext4");
    let wish = destroying(&["prox1:ata-SAMSUNG_1b"]);
    let mut plan = crate::plan(&of(NAMED), &wish, &servers.view);
    let Action::WipeDisk { carries, .. } = &mut plan.steps[0].action else {
        panic!("{plan:?}")
    };
    carries.clear();
    let said = check(&of(NAMED), &wish, &servers.view, &plan);
    let rule = "what it says is on the disk is not what is seen there";
    assert!(said.iter().any(|complaint| complaint.rule == rule), "{said:?}");
}
