//! The cluster files that the guide shows can be planned, and once done leave nothing to do.

use std::net::IpAddr;

use quorate_model::Wish;
use quorate_model::operation::Action;

use super::{afterwards, sound, told};
use crate::testkit::{Servers, known, parse, unseen};

#[test]
fn three_full_nodes() {
    let file = parse(include_str!("../../../../docs/examples/three-full-nodes.toml"));
    let plan = sound(&file, &Servers::bare(3));
    assert!(!plan.refused() && !plan.is_empty(), "{}", told(&plan));
}

#[test]
fn pools_and_storages() {
    let file = parse(include_str!("../../../../docs/examples/pools-and-storages.toml"));
    let mut servers = Servers::bare(3);
    for n in 1..=3 {
        let serials = [format!("{n}b"), format!("{n}c")];
        servers = servers.with_disks(&format!("prox{n}"), &serials.each_ref().map(String::as_str));
    }
    let plan = sound(&file, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "cluster.create",
            "cluster.join/prox2",
            "cluster.join/prox3",
            "zfs.create/prox1/data_zfs",
            "zfs.create/prox2/data_zfs",
            "zfs.create/prox3/data_zfs",
            "storage.add/data_zfs",
            "storage.add/images"
        ],
        "{}",
        told(&plan)
    );
    let after = afterwards(&file, &Wish::default(), &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
}

#[test]
fn copies_and_ha() {
    let file = parse(include_str!("../../../../docs/examples/copies-and-ha.toml"));
    let mut servers = Servers::bare(3);
    for n in 1..=3 {
        let serials = [format!("{n}b"), format!("{n}c")];
        servers = servers.with_disks(&format!("prox{n}"), &serials.each_ref().map(String::as_str));
    }
    let plan = sound(&file, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids.last(),
        Some(&"options.migration/hk1"),
        "there are no guests yet: {}",
        told(&plan)
    );
    let after = afterwards(&file, &Wish::default(), &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
}

#[test]
fn drills() {
    let file = parse(include_str!("../../../../docs/examples/drills.toml"));
    let plan = sound(&file, &Servers::bare(3));
    assert!(
        !plan.refused(),
        "a drill is run by a word of its own, and never by a plan: {}",
        told(&plan)
    );
    assert_eq!(file.drills.len(), 2);
}

/// `proxN` with other addresses.
fn at(servers: Servers, node: &str, own: &str, fast: (&str, u8)) -> Servers {
    let (own, cable): (IpAddr, IpAddr) = (own.parse().unwrap(), fast.0.parse().unwrap());
    servers.with_network(node, |network| {
        for interface in &mut network.interfaces {
            for address in &mut interface.addresses {
                if interface.name == "vmbr0" {
                    address.address = own;
                } else {
                    (address.address, address.prefix) = (cable, fast.1);
                }
            }
        }
        known(&mut network.own_name).addresses = vec![own];
    })
}

#[test]
fn two_nodes_and_a_qdevice() {
    let file = parse(include_str!("../../../../docs/examples/two-nodes-and-a-qdevice.toml"));
    let mut servers = Servers::bare(2).outside("box1", "192.168.2.20");
    for n in 1..=2 {
        let (own, cable) = (format!("192.168.2.1{n}"), format!("10.20.20.{n}"));
        servers = at(servers, &format!("prox{n}"), &own, (&cable, 30));
    }
    let plan = sound(&file, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "packages.install/prox1",
            "packages.install/prox2",
            "packages.install/box1",
            "cluster.create",
            "cluster.join/prox2",
            "qdevice.admit/box1",
            "qdevice.set-up",
            "qdevice.withdraw/box1"
        ],
        "{}",
        told(&plan)
    );
    let create = plan.steps.iter().find(|s| s.id.as_str() == "cluster.create").unwrap();
    let Action::CreateCluster { links, priorities, .. } = &create.action else {
        panic!("{create:?}");
    };
    assert_eq!(links[&0], "10.20.20.1".parse::<IpAddr>().unwrap());
    assert_eq!(links[&1], "192.168.2.11".parse::<IpAddr>().unwrap());
    assert_eq!(*priorities, [(0, 20)].into());
    let after = afterwards(&file, &Wish::default(), &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
    // A host of which too little is known gets no third vote.
    let nobody = servers.with("box1", |o| o.network = unseen());
    assert!(sound(&file, &nobody).refused());
}
