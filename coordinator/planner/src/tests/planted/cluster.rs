//! What is wrong with a cluster, or weak in it.

use std::collections::BTreeSet;

use super::*;

pub(super) fn health() -> Vec<Row> {
    vec![
        (
            Code::ClusterLocked,
            "prox1",
            Refusal,
            "since 40 s",
            join(joining().with_cluster("prox1", |c| c.config_lock_age = Some(40))),
        ),
        (
            Code::ClusterLocked,
            "prox1",
            Warning,
            "300 s",
            join(joining().with_cluster("prox1", |c| c.config_lock_age = Some(300))),
        ),
        (
            Code::ClusterLocked,
            "prox1",
            Warning,
            "since 40 s",
            join(settled().with_cluster("prox1", |c| c.config_lock_age = Some(40))),
        ),
        (
            Code::ClusterLocked,
            "prox1",
            Refusal,
            "since 40 s",
            join(
                joining()
                    .with_cluster("prox1", |c| c.config_lock_age = Some(41))
                    .with_cluster("prox2", |c| c.config_lock_age = Some(40)),
            ),
        ),
        (
            Code::ConfigNotRunning,
            "prox1",
            Refusal,
            "corosync on prox2 runs with version 1",
            join(joining().with_member("prox1", |m| {
                m.running_versions = Facet::known(
                    vec![
                        RunningVersion { id: 1, version: 2 },
                        RunningVersion { id: 2, version: 1 },
                    ],
                    NOW,
                );
            })),
        ),
        (
            Code::MemberOffline,
            "prox2",
            Refusal,
            "says prox1",
            join(
                Servers::bare(4)
                    .members("hk1", &["prox1", "prox2", "prox4"], BOTH)
                    .offline("prox2"),
            ),
        ),
        (
            Code::PmxcfsNotReady,
            "prox3",
            Refusal,
            "is not mounted",
            join(joining().with_cluster("prox3", |c| c.pmxcfs = Pmxcfs::NotMounted)),
        ),
        (
            Code::OneLink,
            "hk1",
            Warning,
            "a single corosync link",
            with(file(3, FAST), Servers::bare(3)),
        ),
        (
            Code::EvenVotes,
            "hk1",
            Warning,
            "2 votes",
            with(file(2, BOTH), Servers::bare(2)),
        ),
        (
            Code::TwoServersHa,
            "hk1",
            Warning,
            "vm:100 is under HA",
            with(
                file(2, BOTH),
                Servers::bare(2)
                    .members("hk1", &["prox1", "prox2"], BOTH)
                    .under_ha("vm:100", "prox1", "5.1.3"),
            ),
        ),
        (
            Code::TwoServersHa,
            "hk1",
            Refusal,
            "resets itself as well",
            with(
                file(2, BOTH),
                Servers::bare(2)
                    .members("hk1", &["prox1", "prox2"], FAST)
                    .under_ha("vm:100", "prox1", "5.1.3"),
            ),
        ),
        (
            Code::HaPaused,
            "prox1",
            Warning,
            "vm:100 under HA",
            join(joining().under_ha("vm:100", "prox1", "5.1.3")),
        ),
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
        (
            Code::CoordinatorInGuest,
            "",
            Warning,
            "prox2 knows one with its MAC address",
            {
                let mut servers = joining().with_config("prox2", |c| {
                    c.guest_macs = Facet::known(vec!["bc:24:11:0a:0b:0c".into()], NOW);
                });
                servers.view.coordinator_macs = BTreeSet::from(["bc:24:11:0a:0b:0c".into()]);
                join(servers)
            },
        ),
        (Code::CoordinatorOnNode, "prox2", Warning, "handled last", {
            let mut servers = settled();
            servers.view.coordinator_on = Some(name("prox2"));
            join(servers)
        }),
    ]
}

pub(super) fn links() -> Vec<Row> {
    let prioritised = "[cluster]\nname = \"hk1\"\nlinks = [{ network = \"10.10.10.0/24\", priority = 20 }, \"192.168.1.0/24\"]\n[nodes.prox1]\naddress = \
                       \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\n";
    vec![
        (
            Code::LinkNotInFile,
            "hk1",
            Refusal,
            "hk1 has link 1",
            with(file(3, FAST), settled()),
        ),
        (
            Code::LinkMoved,
            "prox1",
            Refusal,
            "link 0 of prox1 runs over 10.10.10.11, not over 192.168.1.0/24",
            with(file(3, &["192.168.1.0/24", "10.10.10.0/24"]), settled()),
        ),
        (
            Code::LinkPriorityDiffers,
            "hk1",
            Refusal,
            "link 0 has priority 1",
            with(parse(prioritised), settled()),
        ),
        (
            Code::LinkDown,
            "prox1",
            Refusal,
            "link 0 from prox1 to prox2",
            with(
                file(2, BOTH),
                Servers::bare(2)
                    .members("hk1", &["prox1", "prox2"], FAST)
                    .with_member("prox1", |m| known(&mut m.links)[0].connected = false),
            ),
        ),
    ]
}
