//! Whole plans for views that occur.

use std::net::IpAddr;

use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::observation::disks::Disks;
use quorate_model::observation::network::InterfaceKind;
use quorate_model::observation::storages::Storages;
use quorate_model::spec::ClusterFile;
use quorate_model::{Code, Facet, Severity};

use super::{findings, sound, told};
use crate::testkit::{NOW, Servers, disk, file, interface, name, parse, unseen};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

#[test]
fn three_bare_servers() {
    let plan = sound(&file(3, BOTH), &Servers::bare(3));
    assert!(!plan.refused());
    insta::assert_json_snapshot!(plan);
}

#[test]
fn three_bare_servers_with_a_pool_and_two_storages() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", \"192.168.1.0/24\"]\n\
                [nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n\
                [nodes.prox3]\naddress = \"192.168.1.13\"\n\
                [zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\" }\nlog = { count = 1, kind = \"nvme\" }\n\
                [storage.backup]\ntype = \"nfs\"\nserver = \"192.168.1.9\"\nexport = \"/backup\"\ncontent = [\"backup\"]\n";
    let file = ClusterFile::parse("hk1.toml", text).expect("a valid file");
    let mut servers = Servers::bare(3);
    for n in 1..=3 {
        servers = servers.with(&format!("prox{n}"), |seen| {
            let mut log = disk("/dev/nvme0n1", &format!("{n}n"));
            log.transport = Some("nvme".to_owned());
            let disks = vec![
                disk("/dev/sdb", &format!("{n}b")),
                disk("/dev/sdc", &format!("{n}c")),
                log,
            ];
            seen.disks = Facet::known(Disks { disks }, NOW);
            seen.pools = Facet::known(vec![], NOW);
            let storages = Storages {
                defined: vec![],
                status: Facet::known(vec![], NOW),
            };
            seen.storages = Facet::known(storages, NOW);
        });
    }
    let plan = sound(&file, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    insta::assert_json_snapshot!(plan);
}

#[test]
fn one_of_three_is_in_already() {
    let servers = Servers::bare(3).members("hk1", &["prox2"], FAST);
    let plan = sound(&file(3, FAST), &servers);
    assert!(!plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn all_are_in() {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], BOTH);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.is_empty() && plan.findings.is_empty(), "{}", told(&plan));
}

#[test]
fn the_server_with_guests_creates() {
    let plan = sound(&file(3, BOTH), &Servers::bare(3).guests("prox2", &[100, 101]));
    assert!(!plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn two_servers_with_guests() {
    let servers = Servers::bare(3).guests("prox2", &[100]).guests("prox3", &[200, 201]);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn a_joiner_with_guests() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .guests("prox3", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn unknown_facets_name_what_and_why() {
    let servers = Servers::bare(3)
        .with("prox1", |o| o.guests = unseen())
        .with("prox2", |o| o.network = unseen())
        .with("prox3", |o| o.cluster = unseen())
        .with_system("prox1", |s| s.pve = unseen())
        .with_network("prox1", |n| n.own_name = unseen());
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn unknown_facets_of_members_that_nothing_depends_on_are_warnings() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .with("prox1", |o| o.guests = unseen())
        .with("prox1", |o| o.network = unseen())
        .with("prox2", |o| o.system = unseen())
        .with_member("prox2", |m| m.links = unseen());
    let plan = sound(&file(2, BOTH), &servers);
    assert!(!plan.refused() && plan.is_empty());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn unreachable_and_not_enrolled() {
    let mut servers = Servers::bare(2).unreachable("prox2");
    servers.view.nodes.remove(&name("prox1"));
    let plan = sound(&file(2, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn skewed_clocks() {
    let servers = Servers::bare(3)
        .clock("prox3", -10_800_000_000, 900)
        .with_system("prox3", |s| {
            if let Facet::Known { value, .. } = &mut s.clock.synchronised {
                value.synchronised = false;
            }
        });
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn a_clock_is_refused_when_the_limit_lies_within_its_error() {
    let codes = |micros, error| {
        let plan = sound(&file(2, BOTH), &Servers::bare(2).clock("prox2", micros, error));
        plan.findings
            .iter()
            .filter(|f| f.code == Code::ClockSkew)
            .map(|f| f.severity)
            .max()
    };
    assert_eq!(codes(900_000, 0), None);
    assert_eq!(codes(1_500_000, 900_000), None, "it may be within a second");
    assert_eq!(codes(2_000_000, 1000), Some(Severity::Warning));
    assert_eq!(codes(59_900_000, 1000), Some(Severity::Warning));
    assert_eq!(
        codes(59_900_000, 200_000),
        Some(Severity::Refusal),
        "it may be beyond a minute"
    );
    assert_eq!(codes(-61_000_000, 0), Some(Severity::Refusal));
    assert_eq!(codes(0, 61_000_000), Some(Severity::Refusal), "nothing is known of it");
}

#[test]
fn two_clocks_a_bit_off_to_either_side_are_refused_together() {
    let servers = Servers::bare(3)
        .clock("prox1", -40_000_000, 0)
        .clock("prox3", 40_000_000, 0);
    let plan = sound(&file(3, BOTH), &servers);
    let skewed: Vec<_> = plan
        .findings
        .iter()
        .filter(|f| f.code == Code::ClockSkew && f.refuses())
        .map(|f| f.subject.as_str())
        .collect();
    assert_eq!(skewed, ["prox1", "prox3"]);
}

#[test]
fn a_clock_that_nobody_compared_is_refused() {
    let mut servers = Servers::bare(2);
    servers.view.nodes.get_mut(&name("prox2")).unwrap().clock_offset = None;
    let plan = sound(&file(2, BOTH), &servers);
    assert!(plan.refused() && plan.is_empty());
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn leftovers_and_other_clusters() {
    let servers = Servers::bare(4)
        .with_cluster("prox1", |c| c.authkey_present = true)
        .with_cluster("prox2", |c| c.pmxcfs = Pmxcfs::NotMounted)
        .members("lab7", &["prox3", "prox4"], FAST);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn a_server_that_is_seen_in_and_says_that_it_is_not() {
    let alone = Servers::bare(2)
        .view
        .nodes
        .remove(&name("prox2"))
        .unwrap()
        .observation
        .unwrap();
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .with("prox2", |o| o.cluster = alone.cluster);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused() && plan.is_empty());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn two_clusters_of_one_name() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .members("hk1", &["prox3"], BOTH);
    let plan = sound(&file(3, BOTH), &servers);
    assert!(plan.refused() && plan.is_empty());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn a_cluster_in_bad_health_is_not_joined() {
    let servers = Servers::bare(4)
        .members("hk1", &["prox1", "prox2", "prox3"], BOTH)
        .with_member("prox1", |m| {
            m.nodes[2].online = false;
            m.file_version = 9;
        })
        .with_member("prox2", |m| {
            m.nodes[2].online = false;
            if let Facet::Known { value, .. } = &mut m.links {
                value[0].connected = false;
            }
        })
        .with_member("prox3", |m| {
            m.quorate = false;
            m.nodes[0].online = false;
            m.nodes[1].online = false;
        })
        .with_cluster("prox3", |c| c.pmxcfs = Pmxcfs::ReadOnly);
    let plan = sound(&file(4, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(findings(&plan));

    let nobody_joins = sound(&file(3, BOTH), &servers);
    assert!(!nobody_joins.refused(), "{}", findings(&nobody_joins));
}

#[test]
fn members_outside_of_the_file_stay_and_count() {
    let servers = Servers::bare(4).members("hk1", &["prox1", "prox4"], BOTH);
    let plan = sound(&file(2, BOTH), &servers);
    assert!(!plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn a_member_that_is_not_enrolled_can_t_be_asked() {
    let mut servers = Servers::bare(3).members("hk1", &["prox1", "prox3"], BOTH);
    servers.view.nodes.remove(&name("prox3"));
    let plan = sound(&file(2, BOTH), &servers);
    assert!(plan.refused() && plan.is_empty());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn an_unseen_server_may_be_the_cluster_that_would_be_created_again() {
    let plan = sound(&file(2, BOTH), &Servers::bare(3).unreachable("prox3"));
    assert!(plan.refused() && plan.is_empty());

    let founded = Servers::bare(3).members("hk1", &["prox1"], BOTH).unreachable("prox3");
    let plan = sound(&file(2, BOTH), &founded);
    assert!(!plan.refused() && plan.steps.len() == 1, "{}", told(&plan));
}

#[test]
fn names_that_resolve_wrongly() {
    let resolve = |servers: Servers, node: &str, addresses: Vec<IpAddr>| {
        servers.with_network(node, |n| {
            if let Facet::Known { value, .. } = &mut n.own_name {
                value.addresses = addresses;
            }
        })
    };
    let servers = resolve(Servers::bare(4), "prox1", vec![]);
    let servers = resolve(servers, "prox2", vec!["127.0.1.1".parse().unwrap()]);
    let servers = resolve(servers, "prox3", vec!["10.10.10.13".parse().unwrap()]);
    let servers = servers.with("prox4", |o| o.hostname = "pve4".into());
    let plan = sound(&file(4, BOTH), &servers);
    assert!(plan.refused());
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn addresses_that_are_not_there_or_not_clear() {
    let servers = Servers::bare(4)
        .with_network("prox1", |n| n.interfaces[1].addresses.clear())
        .with_network("prox2", |n| {
            n.interfaces.push(interface(
                "ens2",
                InterfaceKind::Physical,
                None,
                None,
                &["10.10.10.99".parse().unwrap()],
            ))
        })
        .with_network("prox3", |n| n.interfaces[1].carrier = Some(false))
        .with_network("prox4", |n| n.interfaces[2].addresses.clear());
    let plan = sound(&file(4, FAST), &servers);
    assert!(plan.refused() && plan.is_empty());
    insta::assert_snapshot!(findings(&plan));
}

#[test]
fn the_servers_own_address_is_meant_among_several_in_its_network() {
    let vip = "192.168.1.200".parse().unwrap();
    let servers = Servers::bare(1).with_network("prox1", |n| {
        n.interfaces
            .push(interface("vmbr1", InterfaceKind::Bridge, None, None, &[vip]))
    });
    let plan = sound(&file(1, &["192.168.1.0/24"]), &servers);
    assert!(!plan.refused() && plan.steps.len() == 1, "{}", told(&plan));
}

#[test]
fn one_address_on_two_servers() {
    let twin: IpAddr = "10.10.10.11".parse().unwrap();
    let servers = Servers::bare(2).with_network("prox2", |n| n.interfaces[1].addresses[0].address = twin);
    let plan = sound(&file(2, FAST), &servers);
    assert!(plan.refused() && plan.is_empty());
    assert!(
        findings(&plan).contains("prox1 and prox2 all have 10.10.10.11"),
        "{}",
        findings(&plan)
    );
}

#[test]
fn a_joiner_must_come_with_the_links_of_the_cluster() {
    let servers = Servers::bare(2).members("hk1", &["prox1"], BOTH);
    insta::assert_snapshot!(findings(&sound(&file(2, FAST), &servers)), @r#"
    refused: [QRT-LINK-NOT-IN-FILE] hk1.toml:3:10: hk1 has link 1, and the cluster file names 1 link in all
        -> name the network of each link that the cluster has, in order; or take link 1 out by hand: on a member: cp /etc/pve/corosync.conf /etc/pve/corosync.conf.new; edit the copy and raise config_version by one; mv /etc/pve/corosync.conf.new /etc/pve/corosync.conf
    warning: [QRT-EVEN-VOTES] hk1: hk1 will have 2 votes: when one server fails, the other has no quorum either
        -> add a server (role = "witness" if it is only to vote), or a third vote outside of the cluster: [cluster.third_vote]
    "#);
    let by_address = Servers::bare(2).members("hk1", &["prox1"], FAST);
    let plan = sound(&file(2, &[]), &by_address);
    assert!(plan.refused() && plan.is_empty());
    assert!(
        findings(&plan).contains("link 0 of prox1 runs over 10.10.10.11, not over its own address 192.168.1.11"),
        "{}",
        findings(&plan)
    );
}

#[test]
fn versions() {
    let version = |servers: Servers, node: &str, to: &str| {
        servers.with_system(node, |s| {
            if let Facet::Known { value: Some(pve), .. } = &mut s.pve {
                pve.manager = to.to_owned();
            }
        })
    };
    let servers = version(Servers::bare(4), "prox2", "9.1.4");
    let servers = version(servers, "prox3", "7.4-17").with_system("prox4", |s| s.pve = Facet::known(None, NOW));
    let plan = sound(&file(4, BOTH), &servers);
    insta::assert_snapshot!(findings(&plan));

    let mut plan = sound(&file(3, BOTH), &servers);
    assert_eq!(plan.steps.len(), 3, "an operator who accepts needs the steps");
    assert_eq!(
        quorate_model::finding::accept(&mut plan.findings, &[Code::VersionUntested, Code::VersionsDiffer]),
        []
    );
    assert!(!plan.refused());
}

#[test]
fn link_speed_is_that_of_the_port_below() {
    let servers = Servers::bare(2).with_network("prox2", |n| {
        n.interfaces = vec![
            interface("eno1", InterfaceKind::Physical, Some(25_000), Some("bond0"), &[]),
            interface("eno2", InterfaceKind::Physical, Some(2500), Some("bond0"), &[]),
            interface("bond0", InterfaceKind::Bond, Some(27_500), Some("vmbr0"), &[]),
            interface(
                "vmbr0",
                InterfaceKind::Bridge,
                None,
                None,
                &["192.168.1.12".parse().unwrap()],
            ),
            interface(
                "vmbr0.10",
                InterfaceKind::Vlan,
                None,
                None,
                &["10.10.10.12".parse().unwrap()],
            ),
            interface("tap100i0", InterfaceKind::Other, Some(10), Some("vmbr0"), &[]),
        ];
    });
    let slow: Vec<_> = sound(&file(2, BOTH), &servers)
        .findings
        .into_iter()
        .filter(|f| f.code == Code::LinkSlow)
        .map(|f| f.message)
        .collect();
    assert_eq!(slow, ["link 0 of prox2 runs over eno2 (below vmbr0.10) at 2.5 Gbit/s"]);
}

#[test]
fn two_servers_by_their_own_addresses() {
    let plan = sound(&file(2, &[]), &Servers::bare(2));
    assert!(!plan.refused());
    insta::assert_snapshot!(told(&plan));
}

#[test]
fn ipv6() {
    let text = "[cluster]\nname = \"hk6\"\nlinks = [\"2001:db8:10::/64\"]\n[nodes.prox1]\naddress = \"2001:db8::11\"\n[nodes.prox2]\naddress = \"2001:db8::12\"\n";
    let mut servers = Servers::bare(2);
    for n in 1..=2 {
        servers = servers.with_network(&format!("prox{n}"), |network| {
            let own: IpAddr = format!("2001:db8::1{n}").parse().unwrap();
            let link: IpAddr = format!("2001:db8:10::1{n}").parse().unwrap();
            let local: IpAddr = format!("fe80::1{n}").parse().unwrap();
            network.interfaces = vec![
                interface("eno1", InterfaceKind::Physical, Some(10_000), None, &[own, local]),
                interface("ens1", InterfaceKind::Physical, Some(10_000), None, &[link, local]),
            ];
            if let Facet::Known { value, .. } = &mut network.own_name {
                value.addresses = vec!["::1".parse().unwrap(), own];
            }
        });
    }
    let plan = sound(&parse(text), &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    insta::assert_json_snapshot!(plan.steps.iter().map(|s| &s.action).collect::<Vec<_>>());
}

#[test]
fn thirty_two_servers_join_one_after_another() {
    let plan = sound(&file(32, BOTH), &Servers::bare(32));
    assert!(!plan.refused());
    assert_eq!(plan.steps.len(), 32);
    for pair in plan.steps.windows(2) {
        assert_eq!(pair[1].needs, [pair[0].id.clone()]);
    }
}
