//! What is looked at before a plan, as an operator reads it.

use std::collections::BTreeMap;

use quorate_model::facet::UnknownKind;
use quorate_model::observation::cluster::{Membership, QdeviceConfig, RunningVersion};
use quorate_model::observation::config::{
    Firewall, FirewallRule, KeptSpec, NodeFolder, PveConfig, ReplicationJob, RootKey, Storage,
};
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::guests::{Guest, GuestDevice, GuestKind, HostDevice};
use quorate_model::observation::ha::{Disarm, Ha, HaPlace, HaResource, LrmStatus, ManagerStatus};
use quorate_model::observation::network::{NameResolution, Network};
use quorate_model::observation::readiness::{AdmittedKey, PackageState, Readiness, Repository, ServiceState};
use quorate_model::{ByteSize, Facet, Observation, Timestamp};

use crate::samples::{NOW, member};

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, NOW)
}

fn missing<T>(reason: &str) -> Facet<T> {
    Facet::unknown(UnknownKind::Failed, reason)
}

fn unit(load: &str, active: &str, sub: &str, enabled: &str) -> Facet<ServiceState> {
    known(ServiceState {
        load: load.into(),
        active: active.into(),
        sub: sub.into(),
        enabled: enabled.into(),
    })
}

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

fn ha() -> Ha {
    let ago = |seconds: i64| Timestamp(NOW.0 - seconds * 1_000_000);
    let place = |node: &str, state: &str| HaPlace {
        node: node.into(),
        state: state.into(),
        target: None,
        command: None,
        uid: None,
    };
    let resource = |group: Option<&str>| HaResource {
        group: group.map(Into::into),
        ..HaResource::of("started")
    };
    Ha {
        version: known("5.2.0".into()),
        watchdog_armed: true,
        lrm: unit("loaded", "active", "running", "enabled"),
        crm: unit("loaded", "failed", "failed", "enabled"),
        lrm_status: known(Some(LrmStatus {
            state: "active".into(),
            mode: "active".into(),
            at: ago(4),
        })),
        manager: known(Some(ManagerStatus {
            master: "prox2".into(),
            at: ago(75),
            nodes: [("prox1", "online"), ("prox3", "fence")]
                .map(|(node, state)| (node.to_owned(), state.to_owned()))
                .into(),
            services: [("vm:100".to_owned(), place("prox1", "freeze"))].into(),
            disarm: Some(Disarm {
                mode: "freeze".into(),
                state: "disarming".into(),
            }),
            maintenance: [].into(),
        })),
        resources: known(
            [
                ("vm:100".to_owned(), resource(Some("front"))),
                ("ct:101".to_owned(), resource(None)),
            ]
            .into(),
        ),
        placements: known(vec![]),
    }
}

fn config() -> PveConfig {
    let rule = FirewallRule {
        text: String::new(),
        disabled: false,
        direction: "IN".into(),
        action: "DROP".into(),
        source: None,
        dest: None,
        protocol: None,
        ports: None,
        narrowed: false,
    };
    PveConfig {
        storages: known(vec![
            Storage {
                id: "local".into(),
                kind: "dir".into(),
                nodes: vec![],
                digest: String::new(),
            },
            Storage {
                id: "tank".into(),
                kind: "zfspool".into(),
                nodes: texts(["prox1", "prox2"]),
                digest: String::new(),
            },
        ]),
        users: known(vec![]),
        tokens: known(texts(["root@pam!backup"])),
        root_tfa: known(true),
        own_certificate: true,
        ceph_daemons: known(texts(["osd.3"])),
        guest_macs: known(texts(["bc:24:11:00:00:01"])),
        guest_devices: known(vec![
            GuestDevice {
                vmid: 100,
                key: "scsi1".into(),
                node: "prox1".into(),
                device: HostDevice::Path("/dev/sdb".into()),
            },
            GuestDevice {
                vmid: 101,
                key: "hostpci0".into(),
                node: "prox2".into(),
                device: HostDevice::Pci("0000:03:00".into()),
            },
        ]),
        guests: known(vec![ConfiguredGuest {
            guest: Guest {
                vmid: 100,
                node: "prox1".into(),
                kind: GuestKind::Vm,
            },
            config: Facet::unknown(UnknownKind::Unparsable, "memory: lots"),
        }]),
        qdevice_key: true,
        authorized_keys: known(
            texts(["root@prox1", "admin@office"])
                .into_iter()
                .map(|name| RootKey {
                    digest: String::new(),
                    name,
                })
                .collect(),
        ),
        firewall: known(Firewall {
            enabled: true,
            host_enabled: true,
            policy_in: "DROP".into(),
            policy_out: "ACCEPT".into(),
            management: vec![],
            rules: vec![
                FirewallRule {
                    disabled: true,
                    ..rule.clone()
                },
                rule,
            ],
            host_rules: vec![],
        }),
        replication: known(vec![ReplicationJob::of("100-0", 100, "prox2")]),
        ha_placements: known([("group front".to_owned(), texts(["prox1", "prox2"]))].into()),
        ceph_monitors: missing("ceph.conf: a section that is not closed: `[mon`"),
        node_folders: known(
            [
                ("prox1".to_owned(), NodeFolder { guests: vec![100, 101] }),
                ("prox9".to_owned(), NodeFolder { guests: vec![] }),
            ]
            .into(),
        ),
        spec: known(Some(KeptSpec {
            digest: "2d711642b726b04401627ca9fbac32f5".into(),
            applied_at: NOW,
            rollout: "r-1".into(),
            text: String::new(),
        })),
        files: known(vec![]),
        datacenter: known(BTreeMap::new()),
        guest_pools: known(BTreeMap::new()),
    }
}

fn readiness() -> Readiness {
    let package = |installed: Option<&str>, candidate: Option<&str>| PackageState {
        installed: installed.map(Into::into),
        candidate: candidate.map(Into::into),
    };
    let key = format!("ssh-rsa {}", "A".repeat(64));
    Readiness {
        services: BTreeMap::from([
            ("corosync".into(), unit("loaded", "active", "running", "enabled")),
            ("corosync-qnetd".into(), unit("not-found", "inactive", "dead", "")),
            ("pvestatd".into(), unit("masked", "inactive", "dead", "masked")),
            ("pveproxy".into(), missing("systemctl failed (exit code 1)")),
        ]),
        packages: known(
            [
                ("corosync".to_owned(), package(Some("3.1.7-1"), Some("3.1.7-1"))),
                ("corosync-qdevice".to_owned(), package(None, Some("3.0.3-1"))),
                ("pve-manager".to_owned(), package(Some("8.4.1"), Some("8.4.21"))),
            ]
            .into(),
        ),
        updates: known(12),
        repositories: known(vec![Repository {
            file: "/etc/apt/sources.list".into(),
            uri: "http://deb.debian.org/debian".into(),
            suite: "bookworm".into(),
            components: texts(["main", "contrib"]),
        }]),
        free: [
            ("/".to_owned(), known(ByteSize(5 << 30))),
            (
                "/var/lib/pve-cluster".to_owned(),
                missing("/var/lib/pve-cluster does not exist"),
            ),
        ]
        .into(),
        root_key: known(None),
        host_keys: known([key.parse().unwrap()].into()),
        admitted: known(vec![AdmittedKey {
            cluster: "hk1".parse().unwrap(),
            key: key.parse().unwrap(),
            until: NOW,
        }]),
        fetch: Facet::not_asked(),
    }
}

#[test]
fn what_planning_looks_at() {
    let mut seen = Observation::empty("prox1", NOW);
    seen.ha = known(ha());
    seen.config = known(config());
    seen.readiness = known(readiness());
    insta::assert_snapshot!(super::observation(&seen));
}

#[test]
fn a_cluster_in_the_middle_of_a_change() {
    let mut seen = Observation::empty("prox1", NOW);
    let mut cluster = member("prox1").get().unwrap().clone();
    cluster.config_lock_age = Some(130);
    let Membership::Member(own) = &mut cluster.membership else {
        panic!("the sample is a member")
    };
    own.file_version = 4;
    own.running_versions = known(vec![
        RunningVersion { id: 1, version: 4 },
        RunningVersion { id: 2, version: 3 },
    ]);
    own.qdevice = Some(QdeviceConfig {
        host: "10.10.10.100".into(),
        algorithm: "ffsplit".into(),
        votes: Some(1),
    });
    let mut votes = own.votes.get().unwrap().clone();
    votes.device = Some(0);
    own.votes = known(votes);
    seen.cluster = known(cluster);
    let name = |addresses: &[&str]| {
        known(NameResolution {
            name: "prox2".into(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            back: Facet::not_asked(),
        })
    };
    seen.network = known(Network {
        interfaces: vec![],
        own_name: missing("getent did not end in time"),
        names: [
            ("prox2".to_owned(), name(&["10.10.10.2"])),
            ("prox3".to_owned(), missing("getent was not found")),
        ]
        .into(),
    });
    insta::assert_snapshot!(super::observation(&seen));
}

#[test]
fn without_systemd_that_is_said_once() {
    let mut seen = Observation::empty("prox1", NOW);
    let mut readiness = readiness();
    for state in readiness.services.values_mut() {
        *state = missing("systemctl failed (exit code 1)");
    }
    seen.readiness = known(readiness);
    let text = super::observation(&seen);
    assert_eq!(text.matches("systemctl failed").count(), 1, "{text}");
    assert!(text.contains("services unknown: systemctl failed"));
}
