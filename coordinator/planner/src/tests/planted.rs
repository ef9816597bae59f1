//! One problem at a time is planted into a sound world, and must be found: with its code, about the right server, as grave as what
//! hangs on it, with the value that was seen, and with what to type next.

use quorate_model::facet::Facet;
use quorate_model::observation::cluster::{Pmxcfs, RunningVersion};
use quorate_model::observation::config::{FirewallRule, NodeFolder, ReplicationJob, Storage};
use quorate_model::observation::network::{InterfaceKind, NameResolution};
use quorate_model::observation::{Guest, GuestKind};
use quorate_model::spec::ClusterFile;
use quorate_model::{ByteSize, Code, Severity, Wish};

use super::told;
use crate::checker::check;
use crate::testkit::{NOW, Servers, VOTE, file, file_with_vote, interface, known, name, parse, service};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

/// prox1 and prox2 are members, prox3 is to join.
fn joining() -> Servers {
    Servers::bare(3).members("hk1", &["prox1", "prox2"], BOTH)
}

/// All three are members; nothing is to be done.
fn settled() -> Servers {
    Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], BOTH)
}

/// prox4 is to be taken out.
fn leaving() -> Servers {
    Servers::bare(4).members("hk1", &["prox1", "prox2", "prox3", "prox4"], BOTH)
}

/// A third vote is to be set up.
fn voting() -> Servers {
    Servers::bare(2).members("hk1", &["prox1", "prox2"], BOTH).outside("vote", VOTE)
}

fn resolved(node: &str, addresses: &[&str]) -> Facet<NameResolution> {
    Facet::known(
        NameResolution {
            name: node.to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        },
        NOW,
    )
}

fn rule(text: &str) -> FirewallRule {
    FirewallRule {
        text: text.to_owned(),
        disabled: false,
        direction: "IN".to_owned(),
        action: "ACCEPT".to_owned(),
        source: None,
        protocol: Some("tcp".to_owned()),
        ports: Some("22".to_owned()),
        narrowed: false,
    }
}

struct Planted {
    file: ClusterFile,
    wish: Wish,
    servers: Servers,
}

fn with(file: ClusterFile, servers: Servers) -> Planted {
    Planted {
        file,
        wish: Wish::default(),
        servers,
    }
}

/// In the way of prox3's join.
fn join(servers: Servers) -> Planted {
    with(file(3, BOTH), servers)
}

/// In the way of taking prox4 out.
fn removal(servers: Servers) -> Planted {
    let wish = Wish {
        remove: [name("prox4")].into(),
        ..Wish::default()
    };
    Planted {
        file: file(3, BOTH),
        wish,
        servers,
    }
}

fn vote(servers: Servers) -> Planted {
    with(file_with_vote(2, BOTH), servers)
}

use Severity::{Note, Refusal, Warning};

/// Code, about whom, how grave, part of what is said, and the world.
type Row = (Code, &'static str, Severity, &'static str, Planted);

fn seeing() -> Vec<Row> {
    vec![
        (Code::NodeUnreachable, "prox3", Refusal, "connection refused", join(joining().unreachable("prox3"))),
        (Code::FacetUnknown, "prox1", Refusal, "ha of prox1", join(joining().with("prox1", |o| o.ha = Facet::not_asked()))),
        (Code::FacetUnknown, "prox3", Refusal, "config of prox3", join(joining().with("prox3", |o| o.config = Facet::not_asked()))),
        (
            Code::NameResolvesElsewhere,
            "prox1",
            Warning,
            "prox2 to 10.0.0.9 (the file has 192.168.1.12) and prox3 to nothing",
            join(joining().with_network("prox1", |n| {
                n.names.insert("prox2".into(), resolved("prox2", &["10.0.0.9"]));
                n.names.insert("prox3".into(), resolved("prox3", &[]));
            })),
        ),
        (
            Code::NameDoesNotResolve,
            "prox3",
            Refusal,
            "127.0.1.1 only",
            join(joining().with_network("prox3", |n| n.own_name = resolved("prox3", &["127.0.1.1"]))),
        ),
        (
            Code::HostNameDiffers,
            "prox3",
            Refusal,
            "localhost",
            join(joining().with("prox3", |o| o.hostname = "localhost".into())),
        ),
        (
            Code::AddressTaken,
            "hk1",
            Refusal,
            "prox2 and prox3 all have 10.10.10.13",
            join(joining().with_network("prox2", |n| {
                n.interfaces.push(interface("ens9", InterfaceKind::Physical, None, None, &["10.10.10.13".parse().unwrap()]));
            })),
        ),
        (
            Code::AddressNotOnNode,
            "prox3",
            Refusal,
            "192.168.1.13",
            join(joining().with_network("prox3", |n| n.interfaces.retain(|i| i.name != "vmbr0"))),
        ),
        (
            Code::NoAddressInNetwork,
            "prox3",
            Refusal,
            "10.10.10.0/24 (link 0)",
            join(joining().with_network("prox3", |n| n.interfaces.retain(|i| i.name != "ens1"))),
        ),
        (
            Code::LinkHalfDuplex,
            "prox2",
            Warning,
            "link 1 of prox2 runs over eno1",
            join(joining().with_network("prox2", |n| n.interfaces[0].duplex = Some("half".into()))),
        ),
        (
            Code::LinkSlow,
            "prox2",
            Warning,
            "at 1 Gbit/s",
            join(joining().with_network("prox2", |n| n.interfaces[1].speed_mbps = Some(1000))),
        ),
        (
            Code::MtuDiffers,
            "hk1",
            Warning,
            "1500 on prox1 (ens1) and prox2 (ens1); 9000 on prox3 (ens1)",
            join(joining().with_network("prox3", |n| n.interfaces[1].mtu = 9000)),
        ),
    ]
}

fn readiness() -> Vec<Row> {
    vec![
        (
            Code::ServiceDown,
            "prox1",
            Refusal,
            "pveproxy does not run on prox1: it is inactive (dead)",
            join(joining().with_readiness("prox1", |r| {
                r.services.insert("pveproxy".into(), Facet::known(service(false), NOW));
            })),
        ),
        (
            Code::ServiceDown,
            "prox3",
            Refusal,
            "sshd does not run",
            join(joining().with_readiness("prox3", |r| {
                r.services.insert("ssh".into(), Facet::known(service(false), NOW));
            })),
        ),
        (
            Code::LittleSpace,
            "prox3",
            Refusal,
            "twice the 128 MiB",
            join(joining().with_readiness("prox3", |r| {
                r.free.insert("/var/lib/pve-cluster".into(), Facet::known(ByteSize(200 << 20), NOW));
            })),
        ),
        (
            Code::RepositoriesNote,
            "prox3",
            Note,
            "enterprise repository only",
            join(joining().with_readiness("prox3", |r| known(&mut r.repositories)[0].components = vec!["pve-enterprise".into()])),
        ),
        (
            Code::UpdatesPending,
            "prox3",
            Note,
            "17 packages",
            join(joining().with_readiness("prox3", |r| r.updates = Facet::known(17, NOW))),
        ),
        (
            Code::PackageNotAvailable,
            "prox2",
            Refusal,
            "corosync-qdevice is not installed on prox2",
            vote(voting().with_readiness("prox2", |r| {
                known(&mut r.packages).get_mut("corosync-qdevice").unwrap().candidate = None;
            })),
        ),
        (Code::RootKeyMissing, "prox1", Refusal, "no ssh key", vote(voting().with_readiness("prox1", |r| r.root_key = Facet::known(None, NOW)))),
    ]
}

fn overwritten() -> Vec<Row> {
    let storage = |id: &str| Storage {
        id: id.to_owned(),
        kind: "zfspool".to_owned(),
        nodes: vec![],
    };
    let rich = joining().with_config("prox3", move |c| {
        c.storages = Facet::known(vec![storage("fast")], NOW);
        c.users = Facet::known(vec!["ann@pve".into()], NOW);
        c.tokens = Facet::known(vec!["root@pam!backup".into()], NOW);
        c.own_certificate = true;
        known(&mut c.authorized_keys).push("ann@laptop".into());
        known(&mut c.firewall).rules.push(rule("IN ACCEPT -p tcp -dport 22"));
        c.replication = Facet::known(
            vec![ReplicationJob {
                id: "100-0".into(),
                guest: 100,
                target: "prox9".into(),
            }],
            NOW,
        );
    });
    vec![
        (
            Code::JoinOverwrites,
            "prox3",
            Warning,
            "the storage definitions fast; the users ann@pve; the API tokens root@pam!backup; its own certificate for the web interface \
             (pveproxy-ssl.pem); the keys in root's authorized_keys ann@laptop; the firewall rules `IN ACCEPT -p tcp -dport 22`; the \
             replication jobs 100-0",
            join(rich.clone()),
        ),
        (Code::JoinDropsStorage, "prox3", Warning, "the storage fast (zfspool)", join(rich)),
        (Code::RootTfa, "prox1", Warning, "second factor", join(joining().with_config("prox1", |c| c.root_tfa = Facet::known(true, NOW)))),
        (
            Code::FirewallKeepsOut,
            "hk1",
            Refusal,
            "policy DROP",
            join(joining().with_config("prox1", |c| known(&mut c.firewall).enabled = true)),
        ),
        (Code::NodeHasGuests, "prox3", Refusal, "100", join(joining().guests("prox3", &[100]))),
        (
            Code::NodeHasLeftovers,
            "prox3",
            Refusal,
            "/etc/corosync/authkey",
            join(joining().with_cluster("prox3", |c| c.authkey_present = true)),
        ),
        (Code::NodeInOtherCluster, "prox3", Refusal, "lab7", join(joining().members("lab7", &["prox3"], BOTH))),
    ]
}

fn health() -> Vec<Row> {
    vec![
        (Code::ClusterLocked, "prox1", Refusal, "since 40 s", join(joining().with_cluster("prox1", |c| c.config_lock_age = Some(40)))),
        (Code::ClusterLocked, "prox1", Warning, "300 s", join(joining().with_cluster("prox1", |c| c.config_lock_age = Some(300)))),
        (Code::ClusterLocked, "prox1", Warning, "since 40 s", join(settled().with_cluster("prox1", |c| c.config_lock_age = Some(40)))),
        (
            Code::ConfigNotRunning,
            "prox1",
            Refusal,
            "corosync on prox2 runs with version 1",
            join(joining().with_member("prox1", |m| {
                m.running_versions = Facet::known(vec![RunningVersion { id: 1, version: 2 }, RunningVersion { id: 2, version: 1 }], NOW);
            })),
        ),
        (Code::MemberOffline, "prox2", Refusal, "says prox1", join(Servers::bare(4).members("hk1", &["prox1", "prox2", "prox4"], BOTH).offline("prox2"))),
        (Code::PmxcfsNotReady, "prox3", Refusal, "is not mounted", join(joining().with_cluster("prox3", |c| c.pmxcfs = Pmxcfs::NotMounted))),
        (Code::OneLink, "hk1", Warning, "a single corosync link", with(file(3, FAST), Servers::bare(3))),
        (Code::EvenVotes, "hk1", Warning, "2 votes", with(file(2, BOTH), Servers::bare(2))),
        (
            Code::TwoServersHa,
            "hk1",
            Warning,
            "vm:100 is under HA",
            with(file(2, BOTH), Servers::bare(2).members("hk1", &["prox1", "prox2"], BOTH).under_ha("vm:100", "prox1", "5.1.3")),
        ),
        (
            Code::TwoServersHa,
            "hk1",
            Refusal,
            "resets itself as well",
            with(file(2, BOTH), Servers::bare(2).members("hk1", &["prox1", "prox2"], FAST).under_ha("vm:100", "prox1", "5.1.3")),
        ),
        (Code::HaPaused, "prox1", Warning, "vm:100 under HA", join(joining().under_ha("vm:100", "prox1", "5.1.3"))),
        (
            Code::HaBusy,
            "prox1",
            Refusal,
            "vm:100 (migrate on prox1)",
            join(joining().under_ha("vm:100", "prox1", "5.1.3").with_ha("prox1", |ha| {
                let manager = known(&mut ha.manager).as_mut().unwrap();
                manager.services.get_mut("vm:100").unwrap().state = "migrate".into();
            })),
        ),
        (
            Code::HaCannotDisarm,
            "prox3",
            Refusal,
            "an armed watchdog",
            join(joining().with_ha("prox3", |ha| ha.watchdog_armed = true)),
        ),
        (
            Code::NodeFolderLeft,
            "prox9",
            Warning,
            "/etc/pve/nodes/prox9",
            join(settled().with_config("prox1", |c| {
                known(&mut c.node_folders).insert("prox9".into(), NodeFolder { guests: vec![] });
            })),
        ),
        (Code::CoordinatorOnNode, "prox2", Warning, "handled last", {
            let mut servers = settled();
            servers.view.coordinator_on = Some(name("prox2"));
            join(servers)
        }),
    ]
}

fn links() -> Vec<Row> {
    let prioritised = "[cluster]\nname = \"hk1\"\nlinks = [{ network = \"10.10.10.0/24\", priority = 20 }, \"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \
                       \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\n";
    vec![
        (Code::LinkNotInFile, "hk1", Refusal, "hk1 has link 1", with(file(3, FAST), settled())),
        (
            Code::LinkMoved,
            "prox1",
            Refusal,
            "link 0 of prox1 runs over 10.10.10.11, not over 192.168.1.0/24",
            with(file(3, &["192.168.1.0/24", "10.10.10.0/24"]), settled()),
        ),
        (Code::LinkPriorityDiffers, "hk1", Refusal, "link 0 has priority 1", with(parse(prioritised), settled())),
        (
            Code::LinkDown,
            "prox1",
            Refusal,
            "link 0 from prox1 to prox2",
            with(
                file(2, BOTH),
                Servers::bare(2).members("hk1", &["prox1", "prox2"], FAST).with_member("prox1", |m| known(&mut m.links)[0].connected = false),
            ),
        ),
    ]
}

fn removals() -> Vec<Row> {
    let guest = Guest {
        vmid: 104,
        node: "prox4".to_owned(),
        kind: GuestKind::Vm,
    };
    let left = Guest {
        vmid: 100,
        node: "prox3".to_owned(),
        kind: GuestKind::Container,
    };
    let job = ReplicationJob {
        id: "100-0".to_owned(),
        guest: 100,
        target: "prox4".to_owned(),
    };
    vec![
        (
            Code::RemoveHasGuests,
            "prox4",
            Refusal,
            "prox4 still has 104",
            removal(leaving().with("prox1", |o| o.guests = Facet::known(vec![guest], NOW))),
        ),
        (
            Code::RemoveHasReplication,
            "prox4",
            Refusal,
            "100-0",
            removal(leaving().with_config("prox1", |c| c.replication = Facet::known(vec![job], NOW))),
        ),
        (Code::RemoveHasHa, "prox4", Refusal, "HA has vm:104 on prox4", removal(leaving().under_ha("vm:104", "prox4", "5.1.3"))),
        (
            Code::RemoveHasHa,
            "prox4",
            Refusal,
            "the HA group right names prox4",
            removal(leaving().with_config("prox1", |c| {
                known(&mut c.ha_placements).insert("group right".into(), vec!["prox3".into(), "prox4".into()]);
            })),
        ),
        (
            Code::RemoveHasCeph,
            "prox4",
            Refusal,
            "a Ceph monitor",
            removal(leaving().with_config("prox1", |c| c.ceph_monitors = Facet::known(Some(vec!["prox4".into()]), NOW))),
        ),
        (
            Code::RemoveIdTwice,
            "prox4",
            Refusal,
            "the id 4 to prox3 and prox4",
            removal(leaving().with_member("prox1", |m| m.configured[2].id = 4)),
        ),
        (Code::RemoveNotOff, "prox4", Refusal, "does not answer", removal(leaving().offline("prox4").unreachable("prox4"))),
        (Code::RemoveNotOff, "prox4", Refusal, "see prox4 in the membership", removal(leaving().unreachable("prox4"))),
        (Code::RemoveCoordinator, "prox4", Refusal, "runs on prox4", {
            let mut servers = leaving();
            servers.view.coordinator_on = Some(name("prox4"));
            removal(servers)
        }),
        (Code::RemoveStillNamed, "prox4", Refusal, "the cluster file names it", {
            Planted {
                file: file(4, BOTH),
                ..removal(leaving())
            }
        }),
        (
            Code::RemoveHasGuests,
            "prox3",
            Refusal,
            "prox3 still has 100",
            join(
                Servers::bare(3)
                    .members("hk1", &["prox1", "prox2"], BOTH)
                    .counted("prox3", BOTH)
                    .with("prox1", |o| o.guests = Facet::known(vec![left], NOW)),
            ),
        ),
        (
            Code::JoinUnfinished,
            "prox3",
            Warning,
            "its entry is taken out",
            join(Servers::bare(3).members("hk1", &["prox1", "prox2"], BOTH).counted("prox3", BOTH)),
        ),
        (Code::RemoveNotMember, "prox4", Note, "no member of hk1", removal(settled())),
        (Code::NodeUnmanaged, "prox4", Warning, "left alone", with(file(3, BOTH), leaving())),
        (
            Code::RemoveOneAtATime,
            "hk1",
            Refusal,
            "prox4 and prox5",
            {
                let all = ["prox1", "prox2", "prox3", "prox4", "prox5"];
                let servers = Servers::bare(5).members("hk1", &all, BOTH).under_ha("vm:100", "prox1", "4.0.7");
                let mut planted = removal(servers);
                planted.wish.remove.insert(name("prox5"));
                planted
            },
        ),
        (Code::ReplaceNotNamed, "prox9", Refusal, "take the place of prox4", {
            let mut planted = removal(leaving());
            planted.wish.replace.insert(name("prox4"), name("prox9"));
            planted
        }),
    ]
}

fn third_votes() -> Vec<Row> {
    let pve = Servers::bare(3).view.nodes.remove(&name("prox3")).unwrap().observation.unwrap().system;
    vec![
        (Code::QnetdOnMember, "vote", Refusal, "8.4.21", vote(voting().with("vote", |o| o.system = pve))),
        (
            Code::QnetdInGuest,
            "vote",
            Refusal,
            "a guest on prox2",
            vote(voting().with_network("prox2", |n| {
                let mut tap = interface("tap105i0", InterfaceKind::Other, None, Some("vmbr0"), &[]);
                tap.mac = "fe:54:00:99:99:99".into();
                n.interfaces.push(tap);
            })),
        ),
        (Code::QnetdWithCa, "vote", Refusal, "the fleet's CA", {
            let mut servers = voting();
            servers.view.coordinator_addresses.insert(VOTE.parse().unwrap());
            vote(servers)
        }),
        (Code::QdeviceOddVotes, "hk1", Refusal, "3 servers that vote", with(file_with_vote(3, BOTH), settled().outside("vote", VOTE))),
        (
            Code::QdeviceNotVoting,
            "prox1",
            Warning,
            "say prox1",
            vote(voting().qdevice(VOTE).with_member("prox1", |m| known(&mut m.votes).device = Some(0))),
        ),
        (Code::QdeviceUnmanaged, "hk1", Warning, VOTE, with(file(2, BOTH), voting().qdevice(VOTE))),
        (Code::QdeviceInTheWay, "hk1", Refusal, VOTE, join(joining().qdevice(VOTE))),
        (Code::QdeviceMoves, "hk1", Warning, "10.0.0.7", vote(voting().qdevice("10.0.0.7"))),
        (Code::NodeNotEnrolled, "vote", Refusal, "not enrolled", with(file_with_vote(2, BOTH), Servers::bare(2).members("hk1", &["prox1", "prox2"], BOTH))),
    ]
}

#[test]
fn each_planted_problem_is_found() {
    let tables = [seeing(), readiness(), overwritten(), health(), links(), removals(), third_votes()];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    for (code, subject, severity, part, planted) in rows {
        let plan = crate::plan(&planted.file, &planted.wish, &planted.servers.view);
        let complaints = check(&planted.file, &planted.wish, &planted.servers.view, &plan);
        assert_eq!(complaints, [], "{code:?}: {}", told(&plan));
        let found = plan.findings.iter().find(|f| f.code == code && f.subject == subject && f.message.contains(part));
        let Some(found) = found else {
            panic!("{code:?} about {subject} with `{part}` is not in\n{}", told(&plan));
        };
        assert_eq!(found.severity, severity, "{found}");
        let says_what_to_do = !found.next.is_empty() || severity == Note || part == "300 s";
        assert!(says_what_to_do, "{found}");
        // A warning or a note holds nothing up, a refusal does.
        let refused = plan.findings.iter().any(|f| f.refuses());
        assert_eq!(refused, severity == Refusal, "{}", told(&plan));
    }
}

#[test]
fn what_an_empty_plan_does_not_need_refuses_nothing() {
    let servers = settled()
        .with("prox1", |o| {
            o.ha = Facet::not_asked();
            o.config = Facet::not_asked();
            o.readiness = Facet::not_asked();
            o.guests = Facet::not_asked();
        })
        .with_readiness("prox2", |r| {
            r.services.insert("pveproxy".into(), Facet::known(service(false), NOW));
        })
        .with_cluster("prox3", |c| c.config_lock_age = Some(5));
    let plan = super::sound(&file(3, BOTH), &servers);
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
}
