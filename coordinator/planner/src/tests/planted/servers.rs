//! What is wrong with a server before it joins.

use super::*;

pub(super) fn seeing() -> Vec<Row> {
    vec![
        (
            Code::NodeUnreachable,
            "prox3",
            Refusal,
            "connection refused",
            join(joining().unreachable("prox3")),
        ),
        (
            Code::FacetUnknown,
            "prox1",
            Refusal,
            "ha of prox1",
            join(joining().with("prox1", |o| o.ha = Facet::not_asked())),
        ),
        (
            Code::FacetUnknown,
            "prox3",
            Refusal,
            "config of prox3",
            join(joining().with("prox3", |o| o.config = Facet::not_asked())),
        ),
        (
            Code::NameResolvesElsewhere,
            "prox1",
            Warning,
            "prox1 resolves prox2 to 10.0.0.9 (the file has 192.168.1.12)",
            join(joining().with_network("prox1", |n| {
                n.names.insert("prox2".into(), resolved("prox2", &["10.0.0.9"]));
                n.names.insert("prox3".into(), resolved("prox3", &[]));
            })),
        ),
        (
            Code::NameResolvesElsewhere,
            "prox1",
            Warning,
            "on prox1, 192.168.1.12 leads back to nas.example.com, and not to prox2",
            join(joining().with_network("prox1", |n| {
                let mut back = resolved("prox2", &["192.168.1.12"]);
                known(&mut back).back = Facet::known(vec!["nas.example.com".into()], NOW);
                n.names.insert("prox2".into(), back);
            })),
        ),
        (
            Code::NameNotKnown,
            "hk1",
            Note,
            "prox1 do not resolve the names of all others",
            join(joining().with_network("prox1", |n| {
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
                n.interfaces.push(interface(
                    "ens9",
                    InterfaceKind::Physical,
                    None,
                    None,
                    &["10.10.10.13".parse().unwrap()],
                ));
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
            Code::LinkSlow,
            "prox2",
            Warning,
            "runs over eno9 (below storage) at 1 Gbit/s",
            join(joining().with_network("prox2", |n| {
                let fast = n.interfaces[1].addresses.clone();
                n.interfaces[1] = interface("eno9", InterfaceKind::Physical, Some(1000), None, &[]);
                let mut vlan = interface("storage", InterfaceKind::Vlan, None, None, &[]);
                vlan.addresses = fast;
                vlan.parent = Some("eno9".into());
                n.interfaces.push(vlan);
            })),
        ),
        (
            Code::AddressNotOnNode,
            "prox3",
            Refusal,
            "another host on that network has it too",
            join(joining().with_network("prox3", |n| {
                n.interfaces[2].addresses[0].state = AddressState::Duplicate
            })),
        ),
        (
            Code::NoAddressInNetwork,
            "prox3",
            Refusal,
            "10.10.10.0/24 (link 0)",
            join(joining().with_network("prox3", |n| {
                n.interfaces[1].addresses[0].state = AddressState::Tentative
            })),
        ),
        (
            Code::VersionsDiffer,
            "hk1",
            Warning,
            "different minor versions of PVE: prox3 (8.2.4); prox1 (8.4.21), prox2 (8.4.21)",
            join(joining().with_system("prox3", |s| {
                known(&mut s.pve).as_mut().unwrap().manager = "8.2.4".into();
            })),
        ),
        (
            Code::VersionsDiffer,
            "hk1",
            Warning,
            "different versions of corosync: 3.1.7 on prox1; 3.1.9 on prox3",
            join(
                joining()
                    .with_readiness("prox1", |r| corosync(r, "3.1.7-pve3"))
                    .with_readiness("prox3", |r| corosync(r, "3.1.9-pve1")),
            ),
        ),
        (
            Code::VersionUntested,
            "prox3",
            Refusal,
            "9.9.1",
            join(
                Servers::bare(3)
                    .members("hk1", &["prox1", "prox2"], BOTH)
                    .with_system("prox1", |s| {
                        known(&mut s.pve).as_mut().unwrap().manager = "9.1.4".into()
                    })
                    .with_system("prox2", |s| {
                        known(&mut s.pve).as_mut().unwrap().manager = "9.1.4".into()
                    })
                    .with_system("prox3", |s| {
                        known(&mut s.pve).as_mut().unwrap().manager = "9.9.1".into()
                    }),
            ),
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

fn corosync(readiness: &mut Readiness, version: &str) {
    let state = PackageState {
        installed: Some(version.to_owned()),
        candidate: None,
    };
    known(&mut readiness.packages).insert("corosync".to_owned(), state);
}

pub(super) fn readiness() -> Vec<Row> {
    vec![
        (
            Code::FacetUnknown,
            "prox3",
            Refusal,
            "state of sshd of prox3 could not be seen: systemctl did not end",
            join(joining().with_readiness("prox3", |r| {
                r.services.insert(
                    "ssh".into(),
                    Facet::unknown(UnknownKind::TimedOut, "systemctl did not end"),
                );
            })),
        ),
        (
            Code::FacetUnknown,
            "prox3",
            Warning,
            "apt's repositories of prox3",
            join(joining().with_readiness("prox3", |r| r.repositories = Facet::unknown(UnknownKind::Failed, "x"))),
        ),
        (
            Code::FacetUnknown,
            "prox3",
            Warning,
            "pending updates of prox3",
            join(joining().with_readiness("prox3", |r| r.updates = Facet::unknown(UnknownKind::Failed, "x"))),
        ),
        (
            Code::FacetUnknown,
            "prox1",
            Warning,
            "folders of nodes of prox1",
            join(joining().with_config("prox1", |c| c.node_folders = Facet::unknown(UnknownKind::Failed, "x"))),
        ),
        (
            Code::NodeHasLeftovers,
            "prox3",
            Refusal,
            "corosync runs there",
            join(joining().with_readiness("prox3", |r| {
                r.services.insert("corosync".into(), Facet::known(service(true), NOW));
            })),
        ),
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
                r.free
                    .insert("/var/lib/pve-cluster".into(), Facet::known(ByteSize(200 << 20), NOW));
            })),
        ),
        (
            Code::RepositoriesNote,
            "prox3",
            Note,
            "enterprise repository only",
            join(joining().with_readiness("prox3", |r| {
                known(&mut r.repositories)[0].components = vec!["pve-enterprise".into()]
            })),
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
        (
            Code::RootKeyMissing,
            "prox1",
            Refusal,
            "no ssh key",
            vote(voting().with_readiness("prox1", |r| r.root_key = Facet::known(None, NOW))),
        ),
    ]
}

fn file_of(path: &str, digest: Option<&str>) -> PveFile {
    PveFile {
        path: path.to_owned(),
        digest: digest.map(str::to_owned),
    }
}

fn nas(digest: &str) -> Storage {
    Storage {
        id: "nas".to_owned(),
        kind: "nfs".to_owned(),
        nodes: vec![],
        digest: digest.to_owned(),
    }
}

pub(super) fn overwritten() -> Vec<Row> {
    let storage = |id: &str| Storage {
        id: id.to_owned(),
        kind: "zfspool".to_owned(),
        nodes: vec![],
        digest: "one".to_owned(),
    };
    let cluster = joining().with_config("prox1", |c| {
        known(&mut c.files).extend([
            file_of("datacenter.cfg", Some("one")),
            file_of("jobs.cfg", Some("same")),
            file_of("priv/storage/pbs.enc", None),
        ]);
    });
    let rich = cluster.with_config("prox3", move |c| {
        c.storages = Facet::known(vec![storage("fast")], NOW);
        c.users = Facet::known(vec!["ann@pve".into()], NOW);
        c.tokens = Facet::known(vec!["root@pam!backup".into()], NOW);
        c.own_certificate = true;
        known(&mut c.files).extend([
            file_of("datacenter.cfg", Some("other")),
            file_of("jobs.cfg", Some("same")),
            file_of("priv/storage/pbs.enc", None),
        ]);
        known(&mut c.authorized_keys).push(RootKey {
            name: "ann@laptop".into(),
            digest: "of ann".into(),
        });
        known(&mut c.firewall).rules.push(rule("IN ACCEPT -p tcp -dport 22"));
        c.replication = Facet::known(vec![ReplicationJob::of("100-0", 100, "prox9")], NOW);
    });
    vec![
        (
            Code::JoinOverwrites,
            "prox3",
            Warning,
            "the storage definitions fast; the users ann@pve; the API tokens root@pam!backup; its own certificate for the web interface \
             (pveproxy-ssl.pem); the keys in root's authorized_keys ann@laptop; the firewall rules `IN ACCEPT -p tcp -dport 22`; the \
             replication jobs 100-0; the files of /etc/pve datacenter.cfg and priv/storage/pbs.enc",
            join(rich.clone()),
        ),
        (
            Code::JoinOverwrites,
            "prox3",
            Warning,
            "the storage definitions nas",
            join(
                joining()
                    .with_config("prox1", |c| c.storages = Facet::known(vec![nas("one")], NOW))
                    .with_config("prox3", |c| c.storages = Facet::known(vec![nas("another")], NOW)),
            ),
        ),
        (
            Code::JoinOverwrites,
            "prox3",
            Warning,
            "authorized_keys root@prox1",
            join(joining().with_config("prox3", |c| {
                known(&mut c.authorized_keys).push(RootKey {
                    name: "root@prox1".into(),
                    digest: "of another key of that name".into(),
                });
            })),
        ),
        // The key that it had before it was set up anew, say: what comes back with the join is the one that it has.
        (
            Code::JoinOverwrites,
            "prox3",
            Warning,
            "authorized_keys root@prox3",
            join(joining().with_config("prox3", |c| {
                known(&mut c.authorized_keys).push(RootKey {
                    name: "root@prox3".into(),
                    digest: "of another key with its name".into(),
                });
            })),
        ),
        (
            Code::FirewallKeepsOut,
            "hk1",
            Refusal,
            "may keep out corosync itself: 5405/udp (10.10.10.11, 10.10.10.12 and 10.10.10.13)",
            join(joining().with_config("prox1", |c| {
                let firewall = known(&mut c.firewall);
                (firewall.enabled, firewall.policy_in) = (true, "ACCEPT".into());
                firewall.rules.push(FirewallRule {
                    action: "DROP".into(),
                    source: Some("10.10.10.0/24".into()),
                    protocol: Some("udp".into()),
                    ports: Some("5405".into()),
                    ..rule("IN DROP -source 10.10.10.0/24 -p udp -dport 5405")
                });
            })),
        ),
        (
            Code::FirewallKeepsOut,
            "prox1",
            Refusal,
            "what a join needs there: 8006/tcp (192.168.1.13)",
            join(joining().with_config("prox1", |c| {
                let firewall = known(&mut c.firewall);
                (firewall.enabled, firewall.policy_in) = (true, "ACCEPT".into());
                firewall.host_rules.push(FirewallRule {
                    action: "DROP".into(),
                    ports: Some("8000:9000".into()),
                    ..rule("IN DROP -p tcp -dport 8000:9000")
                });
            })),
        ),
        (
            Code::JoinDropsStorage,
            "prox3",
            Warning,
            "the storage fast (zfspool)",
            join(rich),
        ),
        (
            Code::RootTfa,
            "prox1",
            Warning,
            "second factor",
            join(joining().with_config("prox1", |c| c.root_tfa = Facet::known(true, NOW))),
        ),
        (
            Code::FirewallKeepsOut,
            "hk1",
            Refusal,
            "policy DROP",
            join(joining().with_config("prox1", |c| known(&mut c.firewall).enabled = true)),
        ),
        (
            Code::NodeHasGuests,
            "prox3",
            Refusal,
            "100",
            join(joining().guests("prox3", &[100])),
        ),
        (
            Code::NodeHasLeftovers,
            "prox3",
            Refusal,
            "/etc/corosync/authkey",
            join(joining().with_cluster("prox3", |c| c.authkey_present = true)),
        ),
        (
            Code::NodeInOtherCluster,
            "prox3",
            Refusal,
            "lab7",
            join(joining().members("lab7", &["prox3"], BOTH)),
        ),
    ]
}
