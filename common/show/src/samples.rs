//! A small fleet to look at in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::facet::UnknownKind;
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, LinkLatency, LinkPings, Member, MemberNode, Membership, Pmxcfs, RunningVersion,
    Totem, Votes,
};
use quorate_model::observation::disks::{Controller, Disk, Disks, Edges, Holder, HolderKind, Smart};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::observation::system::{AgentState, ClockState, ClockSync, Cpu, Memory, PveVersion, System};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Step, Undo};
use quorate_model::{ByteSize, Code, Facet, Finding, Observation, Timestamp};

pub(crate) const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, NOW)
}

fn disk(path: &str, model: &str, serial: &str, size: u64) -> Disk {
    Disk {
        path: path.into(),
        by_id: vec![format!("ata-{}_{serial}", model.replace(' ', "_"))],
        wwn: Some(format!("0x5002538e{serial}")),
        serial: Some(serial.into()),
        model: Some(model.into()),
        vendor: Some("ATA".into()),
        size: ByteSize(size),
        transport: Some("sata".into()),
        controller: Some(Controller {
            pci_address: "0000:00:17.0".into(),
            driver: Some("ahci".into()),
            class: None,
        }),
        smart: known(Smart {
            passed: Some(true),
            wear_percent: Some(3),
            temperature: Some(31),
            power_on_hours: None,
            bad_sectors: None,
        }),
        edges: known(Edges::default()),
        ..Disk::default()
    }
}

pub(crate) fn disks() -> Facet<Disks> {
    let mut boot = disk("/dev/nvme0n1", "SAMSUNG MZVL2512", "S64ENX0R1", 512_110_190_592);
    boot.holders = vec![
        Holder {
            device: "/dev/nvme0n1".into(),
            kind: HolderKind::PartitionTable,
            name: "gpt".into(),
            uuid: None,
        },
        Holder {
            device: "/dev/nvme0n1p2".into(),
            kind: HolderKind::Mounted,
            name: "/boot/efi".into(),
            uuid: None,
        },
        Holder {
            device: "/dev/nvme0n1p3".into(),
            kind: HolderKind::Lvm,
            name: "pve".into(),
            uuid: None,
        },
    ];
    let mut volume = disk("/dev/sdc", "PERC H730 Mini", "00aabbcc", 4_000_000_000_000);
    volume.controller = Some(Controller {
        pci_address: "0000:03:00.0".into(),
        driver: Some("megaraid_sas".into()),
        class: None,
    });
    volume.smart = Facet::unknown(UnknownKind::TimedOut, "smartctl did not answer within 10 s");
    let mut small = disk("/dev/sdd", "Tiny Flash", "T1", 1_000_000_000);
    small.smart = known(Smart {
        passed: Some(false),
        wear_percent: None,
        temperature: Some(71),
        power_on_hours: None,
        bad_sectors: Some(8),
    });
    let mut all = vec![
        boot,
        disk("/dev/sda", "SAMSUNG MZ7LH960", "S45NNA0M1", 960_197_124_096),
        volume,
        small,
    ];
    for disk in &mut all {
        disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
    }
    known(Disks { disks: all })
}

pub(crate) fn system() -> Facet<System> {
    known(System {
        pve: known(Some(PveVersion {
            manager: "8.4.21".into(),
            repoid: "x".into(),
            running_kernel: "6.8.12-4-pve".into(),
        })),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.8.12-4-pve".into(),
        boot_id: "b".into(),
        uptime_seconds: 190_000,
        cpu: Cpu {
            model: "AMD EPYC 7313".into(),
            threads: 32,
            load: [0.35, 0.4, 0.5],
        },
        memory: Memory {
            total: ByteSize(134_217_728_000),
            available: ByteSize(104_217_728_000),
            swap_total: ByteSize(0),
            swap_free: ByteSize(0),
        },
        clock: ClockState {
            now: NOW,
            synchronised: known(ClockSync {
                synchronised: true,
                source: "chrony".into(),
                offset_seconds: Some(0.0001),
            }),
        },
        reboot_needed: None,
        agent: AgentState {
            version: "0.1.0".into(),
            memory: ByteSize(0),
            uptime_seconds: 60,
            port: None,
            measure_ports: None,
        },
        tasks: known(vec![]),
    })
}

pub(crate) fn standalone() -> Facet<Cluster> {
    known(Cluster {
        membership: Membership::Standalone,
        pmxcfs: Pmxcfs::Writable,
        authkey_present: false,
        local_config_present: false,
        local_config: known(None),
        config_lock_age: None,
        changes: vec![],
    })
}

/// As `own` sees it: of three members, prox3 is away.
pub(crate) fn member(own: &str) -> Facet<Cluster> {
    let names = ["prox1", "prox2", "prox3"];
    let id = |name: &str| {
        names
            .iter()
            .position(|n| *n == name)
            .map_or(0, |p| u32::try_from(p).unwrap() + 1)
    };
    known(Cluster {
        membership: Membership::Member(Box::new(Member {
            cluster: "hk1".into(),
            running_version: 3,
            file_version: 3,
            quorate: true,
            nodes: names
                .map(|n| MemberNode {
                    name: n.into(),
                    id: id(n),
                    online: n != "prox3",
                    address: None,
                })
                .into(),
            configured: names
                .map(|n| ConfiguredNode {
                    name: n.into(),
                    id: id(n),
                    votes: 1,
                    addresses: BTreeMap::from([(0, format!("10.10.10.{}", id(n)))]),
                })
                .into(),
            interfaces: [(0, None)].into(),
            qdevice: None,
            running_versions: known(vec![
                RunningVersion { id: 1, version: 3 },
                RunningVersion { id: 2, version: 3 },
            ]),
            votes: known(Votes {
                expected: 3,
                highest_expected: 3,
                total: 2,
                quorum: 2,
                quorate: true,
                flags: vec!["Quorate".into()],
                rows: vec![],
                device: None,
            }),
            links: known(
                names[..2]
                    .iter()
                    .filter(|n| **n != own)
                    .map(|n| Link {
                        peer: id(n),
                        number: 0,
                        local: format!("10.10.10.{}", id(own)),
                        remote: format!("10.10.10.{}", id(n)),
                        enabled: true,
                        connected: true,
                        mtu: Some(1397),
                    })
                    .collect(),
            ),
            latencies: known(
                names[..2]
                    .iter()
                    .filter(|n| **n != own)
                    .map(|n| LinkLatency {
                        peer: id(n),
                        number: 0,
                        average: 163,
                        longest: 1208,
                        shortest: 97,
                        samples: 210_000,
                    })
                    .collect(),
            ),
            totem: known(Totem {
                token: 3650,
                consensus: 4380,
                pings: vec![LinkPings {
                    link: 0,
                    interval: 912,
                    timeout: 1825,
                }],
            }),
        })),
        pmxcfs: Pmxcfs::Writable,
        authkey_present: true,
        local_config_present: true,
        local_config: Facet::not_asked(),
        config_lock_age: None,
        changes: vec![],
    })
}

pub(crate) fn observation(name: &str, cluster: Facet<Cluster>) -> Observation {
    let mut seen = Observation::empty(name, NOW);
    seen.system = system();
    seen.cluster = cluster;
    seen
}

pub(crate) fn plan() -> Plan {
    let name = |n: &str| n.parse().unwrap();
    let step = |id: &str, node: &str, title: &str, needs: &[&str], members: &[&str]| Step {
        restores: None,
        id: id.parse().unwrap(),
        node: node.parse().unwrap(),
        action: Action::CreateCluster {
            priorities: BTreeMap::new(),
            cluster: "hk1".parse().unwrap(),
            links: BTreeMap::from([(0, "10.10.10.1".parse().unwrap())]),
        },
        title: title.into(),
        why: vec!["no node of hk1 is in a cluster yet".into()],
        needs: needs.iter().map(|n| n.parse().unwrap()).collect(),
        gate: vec![Condition::Standalone {
            node: node.parse().unwrap(),
        }],
        done_when: Condition::Members {
            offline: BTreeSet::new(),
            cluster: "hk1".parse().unwrap(),
            nodes: members.iter().map(|n| name(n)).collect::<BTreeSet<_>>(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: Duration::from_secs(8),
        undo: Undo::Operator {
            how: "separate the node from its cluster, as PVE's manual says".into(),
        },
    };
    Plan {
        cluster: "hk1".parse().unwrap(),
        spec_digest: "d".into(),
        steps: vec![
            step(
                "cluster.create",
                "prox1",
                "create cluster hk1 on prox1",
                &[],
                &["prox1"],
            ),
            step(
                "cluster.join/prox2",
                "prox2",
                "join prox2 to cluster hk1 through prox1",
                &["cluster.create"],
                &["prox1", "prox2"],
            ),
        ],
        findings: vec![Finding::new(
            Code::EvenVotes,
            "hk1",
            "two votes: the loss of one server stops the other",
            "add a third vote",
        )],
    }
}
