//! Storages: added once, extended, and otherwise left alone and told of.

use std::collections::BTreeMap;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::Storages;
use quorate_model::observation::storages::{DefinedStorage, StorageState, StorageStatus};
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{ByteSize, Code, Wish};

use super::pools::{MIRROR, file, ids, members, refusals};
use crate::checker::check;
use crate::testkit::{NOW, Servers, apply, disk};

const NAS: &str =
    "[storage.nas]\ntype = \"nfs\"\nserver = \"192.168.1.5\"\nexport = \"/export/vm\"\ncontent = [\"images\"]\n";

fn plan(stores: &str, servers: &Servers) -> Plan {
    let (file, wish) = (file(stores), Wish::default());
    let plan = crate::plan(&file, &wish, &servers.view);
    let complaints = check(&file, &wish, &servers.view, &plan);
    assert!(complaints.is_empty(), "{complaints:?}");
    plan
}

fn defined(kind: &str, id: &str, properties: &[(&str, &str)]) -> DefinedStorage {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    DefinedStorage {
        id: id.to_owned(),
        kind: kind.to_owned(),
        properties: properties.iter().map(owned).collect::<BTreeMap<_, _>>(),
    }
}

/// Every member knows these storages, and has them active.
fn with(mut servers: Servers, storages: &[DefinedStorage]) -> Servers {
    for n in 1..=3 {
        let status = storages.iter().map(|storage| StorageStatus {
            id: storage.id.clone(),
            kind: storage.kind.clone(),
            state: StorageState::Active,
            total: Some(ByteSize(1000)),
            used: Some(ByteSize(1)),
            complaint: None,
        });
        let storages = Storages {
            defined: storages.to_vec(),
            status: Facet::known(status.collect(), NOW),
        };
        servers = servers.with(&format!("prox{n}"), |seen| seen.storages = Facet::known(storages, NOW));
    }
    servers
}

fn told(plan: &Plan, code: Code) -> Vec<&str> {
    let of_code = plan.findings.iter().filter(|finding| finding.code == code);
    of_code.map(|finding| finding.message.as_str()).collect()
}

/// After all its steps the same file plans nothing more.
fn done(stores: &str, mut servers: Servers, plan: &Plan) {
    for step in &plan.steps {
        apply(&mut servers.view, step);
        let seen = step.done_when.judge(&servers.view);
        assert!(seen.holds(), "{}: {seen:?}", step.id);
    }
    let again = self::plan(stores, &servers);
    assert_eq!(ids(&again), Vec::<&str>::new());
}

#[test]
fn a_pool_s_storage_is_added_once_after_all_its_pools() {
    let servers = with(members(), &[]);
    let plan = plan(MIRROR, &servers);
    assert_eq!(refusals(&plan), []);
    assert_eq!(ids(&plan)[3], "storage.add/data_zfs");
    let step = &plan.steps[3];
    let needs: Vec<&str> = step.needs.iter().map(|need| need.as_str()).collect();
    assert_eq!(needs, [1, 2, 3].map(|n| format!("zfs.create/prox{n}/data_zfs")));
    assert_eq!(step.title, "add storage data_zfs (zfspool) on prox1, prox2 and prox3");
    assert_eq!(
        step.done_when.to_string(),
        "storage data_zfs is defined so, and active on prox1, prox2, prox3"
    );
    let Action::AddStorage { storage, .. } = &step.action else {
        panic!("{step:?}")
    };
    let json = serde_json::to_value(storage).unwrap();
    assert_eq!(json["properties"], serde_json::json!({"pool": "data_zfs", "thin": "1"}));
    assert_eq!(json["content"], serde_json::json!(["images", "rootdir"]));
    done(MIRROR, servers, &plan);
    let without = self::plan(&format!("{MIRROR}storage = false\n"), &with(members(), &[]));
    assert_eq!(ids(&without).len(), 3);
}

#[test]
fn a_server_that_joins_later_extends_the_storage() {
    let mut servers = Servers::bare(3).members("hk1", &["prox1", "prox2"], &["192.168.1.0/24"]);
    for n in 1..=3 {
        servers = servers.with(&format!("prox{n}"), |seen| {
            let disks = vec![disk("/dev/sdb", &format!("{n}b")), disk("/dev/sdc", &format!("{n}c"))];
            seen.disks = Facet::known(quorate_model::observation::disks::Disks { disks }, NOW);
            seen.pools = Facet::known(vec![], NOW);
        });
    }
    let own = [
        ("pool", "data_zfs"),
        ("content", "images,rootdir"),
        ("nodes", "prox1,prox2"),
        ("sparse", "1"),
    ];
    let servers = with(servers, &[defined("zfspool", "data_zfs", &own)]);
    let plan = plan(MIRROR, &servers);
    let step = plan.steps.last().unwrap();
    assert_eq!(step.id.as_str(), "storage.set/data_zfs");
    assert_eq!(step.why, ["its nodes is prox1,prox2, not prox1,prox2,prox3"]);
    let needs: Vec<&str> = step.needs.iter().map(|need| need.as_str()).collect();
    assert!(
        needs.contains(&"cluster.join/prox3") && needs.contains(&"zfs.create/prox3/data_zfs"),
        "{needs:?}"
    );
    assert!(
        !format!("{:?}", step.action).contains("Thin"),
        "nothing but what is added"
    );
}

#[test]
fn what_differs_is_told_thing_by_thing_and_never_changed() {
    let nas = |properties: &[(&str, &str)]| {
        let all = [&[("server", "192.168.1.5"), ("export", "/export/vm")], properties].concat();
        with(members(), &[defined("nfs", "nas", &all)])
    };
    let same = plan(NAS, &nas(&[("content", "images")]));
    assert!(
        ids(&same).is_empty() && same.findings.iter().all(|f| f.subject != "nas"),
        "{same:?}"
    );
    let wider = plan(NAS, &nas(&[("content", "iso,images"), ("disable", "")]));
    assert!(ids(&wider).is_empty() && refusals(&wider).is_empty());
    assert_eq!(
        told(&wider, Code::StorageDiffers),
        ["storage nas differs from the cluster file: content is images,iso, not images; disable is 1, not 0"]
    );
    let iso = NAS.replace("[\"images\"]", "[\"images\", \"iso\"]");
    let more = plan(&iso, &nas(&[("content", "images")]));
    assert_eq!(ids(&more), ["storage.set/nas"]);
    done(&iso, nas(&[("content", "images")]), &more);
}

#[test]
fn nothing_is_added_to_a_storage_that_is_switched_off() {
    let own = [
        ("server", "192.168.1.5"),
        ("export", "/export/vm"),
        ("content", "images"),
        ("disable", "1"),
    ];
    let iso = NAS.replace("[\"images\"]", "[\"images\", \"iso\"]");
    let off = plan(&iso, &with(members(), &[defined("nfs", "nas", &own)]));
    assert!(ids(&off).is_empty() && refusals(&off).is_empty());
    let finding = off.findings.iter().find(|f| f.code == Code::StorageDiffers).unwrap();
    let message = "storage nas differs from the cluster file: content is images, not images,iso; disable is 1, not 0";
    assert_eq!(finding.message, message);
    assert!(finding.next.ends_with("pvesm set nas --disable 0"), "{}", finding.next);
}

/// Everybody has the pool of the file, as it would be made.
fn with_pools(mut servers: Servers) -> Servers {
    let made = self::plan(MIRROR, &servers);
    for step in &made.steps {
        apply(&mut servers.view, step);
    }
    servers
}

#[test]
fn nodes_outside_of_the_file_keep_a_storage_of_which_the_file_names_no_nodes() {
    let on = |nodes: &str| {
        let own = [
            ("pool", "data_zfs"),
            ("content", "images,rootdir"),
            ("nodes", nodes),
            ("sparse", "1"),
        ];
        with(
            with_pools(with(members(), &[])),
            &[defined("zfspool", "data_zfs", &own)],
        )
    };
    let wider = on("prox1,prox2,prox3,prox9");
    let same = plan(MIRROR, &wider);
    assert!(ids(&same).is_empty(), "{same:?}");
    assert_eq!(told(&same, Code::StorageDiffers), Vec::<&str>::new());
    assert_eq!(drift(MIRROR, &wider), Vec::<String>::new());

    let servers = on("prox1,prox9");
    let more = plan(MIRROR, &servers);
    assert_eq!(ids(&more), ["storage.set/data_zfs"]);
    assert_eq!(
        more.steps[0].why,
        ["its nodes is prox1,prox9, not prox1,prox2,prox3,prox9"]
    );
    assert_eq!(
        drift(MIRROR, &servers),
        ["nodes is prox1,prox9, not prox1,prox2,prox3,prox9"]
    );
    done(MIRROR, servers, &more);
}

#[test]
fn a_server_that_has_no_pool_and_is_named_by_pve_alone_stops_nobody_elses_storage() {
    let own = [("pool", "tank"), ("content", "images"), ("nodes", "prox1,prox3")];
    let mut servers = with(members(), &[defined("zfspool", "vm", &own)]);
    let layout = with_pools(with(members(), &[]));
    for n in 1..=2 {
        let node = format!("prox{n}");
        let mut pools = layout.view.facet(&node.parse().unwrap(), |o| &o.pools).unwrap().clone();
        pools[0].name = "tank".to_owned();
        servers = servers.with(&node, |seen| seen.pools = Facet::known(pools, NOW));
    }
    let own = "[storage.vm]\ntype = \"zfspool\"\npool = \"tank\"\n";
    let more = plan(own, &servers);
    assert_eq!(ids(&more), ["storage.set/vm"]);
    assert_eq!(more.steps[0].title, "extend storage vm (zfspool) on prox1 and prox2");
}

/// How the pool's storage differs.
fn drift(stores: &str, servers: &Servers) -> Vec<String> {
    crate::storages::drift(&file(stores), &servers.view)
        .remove("data_zfs")
        .unwrap()
}

#[test]
fn a_server_that_can_t_be_seen_makes_no_drift() {
    let own = [
        ("pool", "data_zfs"),
        ("content", "images,rootdir"),
        ("nodes", "prox1,prox2"),
        ("sparse", "1"),
    ];
    let seen = with(
        with_pools(with(members(), &[])),
        &[defined("zfspool", "data_zfs", &own)],
    );
    assert_eq!(drift(MIRROR, &seen), ["nodes is prox1,prox2, not prox1,prox2,prox3"]);
    for hidden in ["prox2", "prox3"] {
        let blind = seen.clone().with(hidden, |seen| {
            seen.pools = Facet::unknown(UnknownKind::TimedOut, "zpool hangs");
        });
        assert_eq!(drift(MIRROR, &blind), Vec::<String>::new(), "{hidden}");
    }
}

#[test]
fn an_id_that_is_another_storage_refuses() {
    let other = defined(
        "nfs",
        "nas",
        &[
            ("server", "192.168.1.9"),
            ("export", "/export/vm"),
            ("content", "images"),
        ],
    );
    let plan = plan(NAS, &with(members(), &[other]));
    let message = "storage nas is another one than is meant: server is 192.168.1.9, not 192.168.1.5";
    assert_eq!(refusals(&plan), [(Code::StorageTaken, message)]);
    let dir = defined("dir", "nas", &[("path", "/srv")]);
    let plan = self::plan(NAS, &with(members(), &[dir]));
    let message = "storage nas is another one than is meant: type is dir, not nfs";
    assert_eq!(refusals(&plan), [(Code::StorageTaken, message)]);
}

#[test]
fn a_pool_under_a_second_id_needs_a_word_and_one_that_nobody_has_refuses() {
    let before = defined("zfspool", "tank", &[("pool", "data_zfs")]);
    let twice = plan(MIRROR, &with(members(), &[before]));
    let message =
        "the pool data_zfs is registered already, as storage tank; data_zfs would be a second one over the same disks";
    assert_eq!(refusals(&twice), [(Code::StoragePoolTwice, message)]);
    let nobody = "[storage.vm]\ntype = \"zfspool\"\npool = \"rpool/data\"\n";
    let message = "storage vm is to lie on the pool rpool, which no server has";
    assert_eq!(
        refusals(&plan(nobody, &with(members(), &[]))),
        [(Code::StorageNoPool, message)]
    );
}

#[test]
fn a_backup_server_needs_a_password_and_its_plan_has_only_the_file_s_name() {
    let pbs = "[storage.backup]\ntype = \"pbs\"\nserver = \"192.168.1.5\"\ndatastore = \"store1\"\n";
    let servers = with(members(), &[]);
    assert_eq!(refusals(&plan(pbs, &servers))[0].0, Code::StorageNoSecret);
    let wish = Wish {
        passwords: ["backup".parse().unwrap()].into(),
        ..Wish::default()
    };
    let given = crate::plan(&file(pbs), &wish, &servers.view);
    assert_eq!(refusals(&given), []);
    let Action::AddStorage { password_file, .. } = &given.steps[0].action else {
        panic!("{given:?}")
    };
    assert_eq!(password_file.as_deref(), Some("-"));
    let with_file = format!("{pbs}password_file = \"/etc/quorate/secrets/pbs.password\"\nnodes = [\"prox2\"]\n");
    let plan = plan(&with_file, &servers);
    assert_eq!(refusals(&plan), []);
    assert_eq!(
        (ids(&plan), plan.steps[0].node.as_str()),
        (vec!["storage.add/backup"], "prox2")
    );
    done(&with_file, servers, &plan);
}

#[test]
fn what_cant_be_seen_plans_nothing_and_what_is_inactive_is_told() {
    let hidden = members().with("prox1", |seen| {
        seen.storages = Facet::unknown(UnknownKind::TimedOut, "pmxcfs hangs");
    });
    let blind = plan(NAS, &hidden);
    assert!(ids(&blind).is_empty());
    assert_eq!(refusals(&blind)[0].0, Code::FacetUnknown);
    let there = defined(
        "nfs",
        "nas",
        &[
            ("server", "192.168.1.5"),
            ("export", "/export/vm"),
            ("content", "images"),
        ],
    );
    let inactive = with(members(), &[there]).with("prox2", |seen| {
        let Facet::Known { value, .. } = &mut seen.storages else {
            panic!()
        };
        let Facet::Known { value: status, .. } = &mut value.status else {
            panic!()
        };
        status[0].state = StorageState::Inactive;
        status[0].complaint = Some("storage 'nas' is not online".to_owned());
    });
    let plan = plan(NAS, &inactive);
    assert!(ids(&plan).is_empty() && refusals(&plan).is_empty());
    assert_eq!(
        told(&plan, Code::StorageInactive),
        ["storage nas is not active on prox2: storage 'nas' is not online"]
    );
}
