//! Whole plans for pools on whatever disks: by name and by what they are like, with consent and without.

use std::collections::BTreeSet;

use proptest::prelude::*;
use quorate_model::Wish;
use quorate_model::facet::Facet;
use quorate_model::ids::DiskRef;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;

use super::choice::any_disk;
use super::pools::members;
use crate::checker::check;
use crate::testkit::NOW;

/// How disks of a class are asked for: by name, or by what they are like.
fn any_pick() -> impl Strategy<Value = String> {
    let count = prop::option::of(1..4_u8);
    let selector = count.prop_map(|count| match count {
        Some(count) => format!("{{ count = {count} }}"),
        None => "{ min_size = \"1GB\" }".to_owned(),
    });
    // By serial number and by link: two names may mean one disk.
    let name = (0..12_u32, any::<bool>()).prop_map(|(number, link)| match link {
        true => format!("\"ata-SAMSUNG_N{number}\""),
        false => format!("\"N{number}\""),
    });
    let named = prop::collection::btree_set(name, 1..4)
        .prop_map(|names| format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", ")));
    prop_oneof![selector, named]
}

/// A file, if it is one.
fn read(raid: &str, data: &str, log: Option<&str>) -> Option<ClusterFile> {
    let none = "prox2 = []\nprox3 = []\n";
    let mut pools = format!("[zfs.data_zfs]\nraid = \"{raid}\"\n[zfs.data_zfs.disks]\nprox1 = {data}\n{none}");
    if let Some(log) = log {
        pools.push_str(&format!("[zfs.data_zfs.log]\nprox1 = {log}\n{none}"));
    }
    let text = format!(
        "[cluster]\nname = \"hk1\"\nlinks = [\"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n\
         [nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\n{pools}"
    );
    let mut file = ClusterFile::parse("test.toml", &text).ok()?;
    file.pools.values_mut().for_each(|pool| pool.storage = false);
    Some(file)
}

fn used(plan: &Plan) -> Vec<String> {
    let mut used = Vec::new();
    for step in &plan.steps {
        if let Action::CreatePool { layout } = &step.action {
            used.extend(layout.all_disks().map(|disk| disk.link.clone()));
        }
    }
    used
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn a_disk_is_used_once_and_the_order_of_the_list_makes_no_difference(
        (disks, shuffled) in prop::collection::vec(any_disk(), 0..8).prop_map(|disks| {
            let path = |index| format!("/dev/sd{}", char::from(b'a' + u8::try_from(index).unwrap()));
            let named = disks.into_iter().enumerate().map(|(index, disk)| Disk { path: path(index), ..disk });
            named.collect::<Vec<Disk>>()
        }).prop_flat_map(|disks| (Just(disks.clone()), Just(disks).prop_shuffle())),
        raid in prop_oneof![Just("single"), Just("mirror"), Just("raid10"), Just("raidz")],
        data in any_pick(),
        log in prop::option::of(any_pick()),
        destroy in prop::collection::btree_set(0..12_u32, 0..4),
    ) {
        let Some(file) = read(raid, &data, log.as_deref()) else { return Ok(()) };
        let destroy: BTreeSet<DiskRef> =
            destroy.into_iter().map(|number| format!("prox1:ata-SAMSUNG_N{number}").parse().unwrap()).collect();
        let wish = Wish { destroy: destroy.clone(), ..Wish::default() };
        let plan = |disks: &[Disk]| {
            let servers = members().with("prox1", |seen| {
                seen.disks = Facet::known(Disks { disks: disks.to_vec() }, NOW);
            });
            let plan = crate::plan(&file, &wish, &servers.view);
            (check(&file, &wish, &servers.view, &plan), plan)
        };
        let (complaints, first) = plan(&disks);
        prop_assert_eq!(complaints, []);
        prop_assert_eq!(&plan(&disks).1, &first);
        let (complaints, other) = plan(&shuffled);
        prop_assert_eq!(complaints, []);
        prop_assert!(other.same_steps(&first), "{other:#?}\n{first:#?}");
        let all = used(&first);
        let once: BTreeSet<&String> = all.iter().collect();
        prop_assert_eq!(once.len(), all.len(), "{:?}", all);
        if !first.refused() {
            for step in &first.steps {
                prop_assert!(step.disks.is_subset(&destroy), "{:?}", step);
            }
        }
    }
}
