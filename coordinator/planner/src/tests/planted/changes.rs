//! What stands against taking a server out, and against a third vote.

use super::*;

pub(super) fn removals() -> Vec<Row> {
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
    let job = ReplicationJob::of("100-0", 100, "prox4");
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
        (
            Code::RemoveHasHa,
            "prox4",
            Refusal,
            "HA has vm:104 on prox4",
            removal(leaving().under_ha("vm:104", "prox4", "5.1.3")),
        ),
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
            "mon.prox4",
            removal(leaving().with_config("prox1", |c| {
                c.ceph_monitors = Facet::known(Some(vec!["prox4".into()]), NOW)
            })),
        ),
        (
            Code::RemoveHasCeph,
            "prox4",
            Refusal,
            "mgr.prox4 and osd.3",
            removal(leaving().with_config("prox4", |c| {
                c.ceph_daemons = Facet::known(vec!["osd.3".into(), "mgr.prox4".into()], NOW);
            })),
        ),
        // What a dead server had in Ceph stays behind: its monitor is known of, the rest can't be seen.
        (
            Code::RemoveHasCeph,
            "prox4",
            Refusal,
            "stays behind there: mon.prox4; whether prox4 has OSDs, managers or metadata servers can't be seen",
            dead(leaving().with_config("prox1", |c| {
                c.ceph_monitors = Facet::known(Some(vec!["prox4".into()]), NOW)
            })),
        ),
        (
            Code::RemoveHasCeph,
            "prox4",
            Warning,
            "there is Ceph here, and whether prox4 has OSDs",
            dead(leaving().with_config("prox1", |c| {
                c.ceph_monitors = Facet::known(Some(vec!["prox1".into()]), NOW)
            })),
        ),
        // So is what it had before it was installed anew.
        (
            Code::RemoveHasCeph,
            "prox4",
            Warning,
            "whether prox4 has OSDs",
            removal(
                Servers::bare(4)
                    .members("hk1", &["prox1", "prox2", "prox3"], BOTH)
                    .counted("prox4", BOTH)
                    .with_config("prox1", |c| {
                        c.ceph_monitors = Facet::known(Some(vec!["prox1".into()]), NOW)
                    }),
            ),
        ),
        (
            Code::RemoveHasStorage,
            "prox4",
            Warning,
            "the storage tank",
            removal(leaving().with_config("prox1", |c| {
                let tank = Storage {
                    id: "tank".into(),
                    kind: "zfspool".into(),
                    nodes: vec!["prox3".into(), "prox4".into()],
                    digest: String::new(),
                };
                known(&mut c.storages).push(tank);
            })),
        ),
        (
            Code::RemoveIdTwice,
            "prox4",
            Refusal,
            "prox2 runs with the id 4",
            removal(leaving().with_member("prox1", |m| m.nodes[1].id = 4)),
        ),
        (
            Code::RemoveIdTwice,
            "prox4",
            Refusal,
            "the id 4 to prox3 and prox4",
            removal(leaving().with_member("prox1", |m| m.configured[2].id = 4)),
        ),
        (
            Code::RemoveNotOff,
            "prox4",
            Refusal,
            "does not answer",
            removal(leaving().offline("prox4").unreachable("prox4")),
        ),
        (
            Code::RemoveNotOff,
            "prox4",
            Refusal,
            "see prox4 in the membership",
            removal(leaving().unreachable("prox4")),
        ),
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
            join(
                Servers::bare(3)
                    .members("hk1", &["prox1", "prox2"], BOTH)
                    .counted("prox3", BOTH),
            ),
        ),
        (
            Code::RemoveNotMember,
            "prox4",
            Note,
            "no member of hk1",
            removal(settled()),
        ),
        (
            Code::NodeUnmanaged,
            "prox4",
            Warning,
            "left alone",
            with(file(3, BOTH), leaving()),
        ),
        (Code::RemoveOneAtATime, "hk1", Refusal, "prox4 and prox5", {
            let all = ["prox1", "prox2", "prox3", "prox4", "prox5"];
            let servers = Servers::bare(5)
                .members("hk1", &all, BOTH)
                .under_ha("vm:100", "prox1", "4.0.7");
            let mut planted = removal(servers);
            planted.wish.remove.insert(name("prox5"));
            planted
        }),
        (Code::ReplaceNotNamed, "prox9", Refusal, "take the place of prox4", {
            let mut planted = removal(leaving());
            planted.wish.replace.insert(name("prox4"), name("prox9"));
            planted
        }),
    ]
}

pub(super) fn third_votes() -> Vec<Row> {
    let pve = Servers::bare(3)
        .view
        .nodes
        .remove(&name("prox3"))
        .unwrap()
        .observation
        .unwrap()
        .system;
    vec![
        (
            Code::QnetdOnMember,
            "vote",
            Refusal,
            "8.4.21",
            vote(voting().with("vote", |o| o.system = pve)),
        ),
        (
            Code::QnetdInGuest,
            "vote",
            Refusal,
            "prox2 knows one with its MAC address",
            vote(voting().with_config("prox2", |c| {
                c.guest_macs = Facet::known(vec!["52:54:00:99:99:99".into()], NOW);
            })),
        ),
        (
            Code::FacetUnknown,
            "prox2",
            Refusal,
            "MAC addresses of guests",
            vote(voting().with_config("prox2", |c| c.guest_macs = unseen())),
        ),
        // Nothing depends on it: told, and not taken for none.
        (
            Code::FacetUnknown,
            "vote",
            Warning,
            "the list of keys let in of vote could not be seen",
            vote(voting().qdevice(VOTE).with_readiness("vote", |r| r.admitted = unseen())),
        ),
        (
            Code::ServiceDown,
            "vote",
            Refusal,
            "corosync-qnetd does not run on vote",
            vote(voting().with_readiness("vote", |r| {
                known(&mut r.packages).get_mut("corosync-qnetd").unwrap().installed = Some("3.0.3-1".into());
                r.services
                    .insert("corosync-qnetd".into(), Facet::known(service(false), NOW));
            })),
        ),
        (
            Code::SshTooOld,
            "vote",
            Refusal,
            "1:8.4p1-5+deb11u3",
            vote(voting().with_readiness("vote", |r| {
                let old = PackageState {
                    installed: Some("1:8.4p1-5+deb11u3".into()),
                    candidate: None,
                };
                known(&mut r.packages).insert("openssh-server".into(), old);
            })),
        ),
        (
            Code::QdeviceKeyLeft,
            "prox1",
            Warning,
            "qdevice-net-node.p12",
            with(file(3, BOTH), settled().with_config("prox1", |c| c.qdevice_key = true)),
        ),
        (
            Code::TwoServersHa,
            "hk1",
            Refusal,
            "vm:100 is under HA",
            Planted {
                wish: Wish {
                    remove: [name("vote")].into(),
                    ..Wish::default()
                },
                ..with(
                    file(2, BOTH),
                    voting().qdevice(VOTE).under_ha("vm:100", "prox1", "5.1.3"),
                )
            },
        ),
        (Code::QnetdWithCa, "vote", Refusal, "the fleet's CA", {
            let mut servers = voting();
            servers.view.coordinator_addresses.insert(VOTE.parse().unwrap());
            vote(servers)
        }),
        (
            Code::QdeviceOddVotes,
            "hk1",
            Refusal,
            "3 servers that vote",
            with(file_with_vote(3, BOTH), settled().outside("vote", VOTE)),
        ),
        (
            Code::QdeviceNotVoting,
            "prox1",
            Warning,
            "say prox1",
            vote(with_device().with_member("prox1", |m| known(&mut m.votes).device = Some(0))),
        ),
        (
            Code::QdeviceNotVoting,
            "prox2",
            Warning,
            "corosync-qdevice is not installed on prox2",
            vote(with_device().with_readiness("prox2", |r| {
                known(&mut r.packages).get_mut("corosync-qdevice").unwrap().installed = None;
            })),
        ),
        (
            Code::QdeviceUnmanaged,
            "hk1",
            Warning,
            VOTE,
            with(file(2, BOTH), voting().qdevice(VOTE)),
        ),
        (
            Code::QdeviceInTheWay,
            "hk1",
            Refusal,
            VOTE,
            join(joining().qdevice(VOTE)),
        ),
        (
            Code::QdeviceMoves,
            "hk1",
            Warning,
            "10.0.0.7",
            vote(voting().qdevice("10.0.0.7")),
        ),
        (
            Code::NodeNotEnrolled,
            "vote",
            Refusal,
            "not enrolled",
            with(
                file_with_vote(2, BOTH),
                Servers::bare(2).members("hk1", &["prox1", "prox2"], BOTH),
            ),
        ),
    ]
}
