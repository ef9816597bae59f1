//! One server as its agent sees it, in the best of health.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::facet::Facet;
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, Pmxcfs};
use quorate_model::observation::config::{Firewall, NodeFolder, PveConfig, RootKey};
use quorate_model::observation::network::{AddressState, Interface, InterfaceAddress, InterfaceKind, NameResolution};
use quorate_model::observation::readiness::{PackageState, Readiness, Repository, ServiceState};
use quorate_model::observation::system::{AgentState, ClockState, ClockSync, Cpu, Memory, PortRange, PveVersion};
use quorate_model::observation::{Ha, Membership, Network, System};
use quorate_model::operation::Package;
use quorate_model::passage::{AGENT_PORT, MEASURE_PORTS};
use quorate_model::{ByteSize, Observation, SshPublicKey};

use super::{NOW, addresses};

/// A unit that runs, or does not.
#[must_use]
pub fn service(running: bool) -> ServiceState {
    let (active, sub) = if running {
        ("active", "running")
    } else {
        ("inactive", "dead")
    };
    ServiceState {
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: sub.to_owned(),
        enabled: "enabled".to_owned(),
    }
}

/// An ssh key that differs by its owner.
#[must_use]
pub fn ssh_key(owner: &str) -> SshPublicKey {
    let blob: String = owner.chars().filter(char::is_ascii_alphanumeric).collect();
    SshPublicKey::new(format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{blob:A<48}")).expect("a valid key")
}

/// The key that root on a server has, as others have it.
#[must_use]
pub fn root_key(owner: &str) -> RootKey {
    RootKey {
        name: format!("root@{owner}"),
        digest: RootKey::digest_of(&ssh_key(owner)),
    }
}

/// A bare PVE server.
pub(super) fn bare(node: &NodeName, n: usize) -> Observation {
    let (own, fast) = addresses(node);
    let mut observation = Observation::empty(node.as_str(), NOW);
    observation.system = Facet::known(system(n), NOW);
    observation.network = Facet::known(
        Network {
            interfaces: vec![
                interface("eno1", InterfaceKind::Physical, Some(1000), Some("vmbr0"), &[]),
                interface("ens1", InterfaceKind::Physical, Some(10_000), None, &[fast]),
                interface("vmbr0", InterfaceKind::Bridge, None, None, &[own]),
            ],
            own_name: Facet::known(
                NameResolution {
                    name: node.to_string(),
                    addresses: vec![own],
                    back: Facet::not_asked(),
                },
                NOW,
            ),
            names: BTreeMap::new(),
        },
        NOW,
    );
    observation.cluster = Facet::known(standalone(), NOW);
    observation.guests = Facet::known(vec![], NOW);
    observation.ha = Facet::known(ha(), NOW);
    observation.config = Facet::known(config(node), NOW);
    observation.readiness = Facet::known(readiness(node), NOW);
    observation
}

/// A host that is no PVE server: what a QDevice needs.
pub(super) fn outside(node: &NodeName, address: IpAddr) -> Observation {
    let mut observation = bare(node, 99);
    let mut system = system(99);
    system.pve = Facet::known(None, NOW);
    system.os = "Debian GNU/Linux 13 (trixie)".to_owned();
    observation.system = Facet::known(system, NOW);
    observation.network = Facet::known(
        Network {
            interfaces: vec![Interface {
                mac: "52:54:00:99:99:99".to_owned(),
                ..interface("eth0", InterfaceKind::Physical, Some(1000), None, &[address])
            }],
            own_name: Facet::not_asked(),
            names: BTreeMap::new(),
        },
        NOW,
    );
    observation
}

pub(super) fn standalone() -> Cluster {
    Cluster {
        membership: Membership::Standalone,
        pmxcfs: Pmxcfs::Writable,
        authkey_present: false,
        local_config_present: false,
        local_config: Facet::known(None, NOW),
        config_lock_age: None,
        changes: vec![],
    }
}

fn system(n: usize) -> System {
    System {
        pve: Facet::known(
            Some(PveVersion {
                manager: "8.4.21".into(),
                repoid: "2606ac85".into(),
                running_kernel: "6.8.12-4-pve".into(),
            }),
            NOW,
        ),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.8.12-4-pve".into(),
        boot_id: format!("boot-{n}"),
        uptime_seconds: 4000,
        cpu: Cpu {
            model: "EPYC".into(),
            threads: 32,
            load: [0.1, 0.1, 0.1],
        },
        memory: Memory {
            total: ByteSize(64 << 30),
            available: ByteSize(60 << 30),
            swap_total: ByteSize(0),
            swap_free: ByteSize(0),
        },
        clock: ClockState {
            now: NOW,
            synchronised: Facet::known(
                ClockSync {
                    synchronised: true,
                    source: "chrony".into(),
                    offset_seconds: None,
                },
                NOW,
            ),
        },
        reboot_needed: None,
        agent: AgentState {
            version: "0.1.0".into(),
            memory: ByteSize(8 << 20),
            uptime_seconds: 4000,
            port: Some(AGENT_PORT),
            measure_ports: Some(PortRange {
                first: *MEASURE_PORTS.start(),
                last: *MEASURE_PORTS.end(),
            }),
        },
        tasks: Facet::not_asked(),
    }
}

fn ha() -> Ha {
    Ha {
        version: Facet::known("5.1.3".to_owned(), NOW),
        watchdog_armed: false,
        lrm: Facet::known(service(true), NOW),
        crm: Facet::known(service(true), NOW),
        lrm_status: Facet::known(None, NOW),
        manager: Facet::known(None, NOW),
        resources: Facet::known(BTreeMap::new(), NOW),
        placements: Facet::known(vec![], NOW),
    }
}

fn config(node: &NodeName) -> PveConfig {
    PveConfig {
        storages: Facet::known(vec![], NOW),
        users: Facet::known(vec![], NOW),
        tokens: Facet::known(vec![], NOW),
        root_tfa: Facet::known(false, NOW),
        own_certificate: false,
        authorized_keys: Facet::known(vec![root_key(node.as_str())], NOW),
        firewall: Facet::known(
            Firewall {
                enabled: false,
                host_enabled: true,
                policy_in: "DROP".to_owned(),
                policy_out: "ACCEPT".to_owned(),
                management: vec![],
                rules: vec![],
                host_rules: vec![],
            },
            NOW,
        ),
        replication: Facet::known(vec![], NOW),
        ha_placements: Facet::known(BTreeMap::new(), NOW),
        ceph_monitors: Facet::known(None, NOW),
        node_folders: Facet::known(BTreeMap::from([(node.to_string(), NodeFolder { guests: vec![] })]), NOW),
        spec: Facet::known(None, NOW),
        files: Facet::known(vec![], NOW),
        ceph_daemons: Facet::known(vec![], NOW),
        guest_macs: Facet::known(vec![], NOW),
        guest_devices: Facet::known(vec![], NOW),
        guests: Facet::known(vec![], NOW),
        qdevice_key: false,
        datacenter: Facet::known(BTreeMap::new(), NOW),
        guest_pools: Facet::known(BTreeMap::new(), NOW),
    }
}

fn readiness(node: &NodeName) -> Readiness {
    let units = ["pve-cluster", "pvedaemon", "pveproxy", "ssh"];
    let package = |package: Package| {
        let state = PackageState {
            installed: None,
            candidate: Some("3.0.3-1".to_owned()),
        };
        (package.as_str().to_owned(), state)
    };
    Readiness {
        services: units
            .iter()
            .map(|unit| ((*unit).to_owned(), Facet::known(service(true), NOW)))
            .collect(),
        packages: Facet::known(Package::ALL.map(package).into(), NOW),
        updates: Facet::known(0, NOW),
        repositories: Facet::known(
            vec![Repository {
                file: "/etc/apt/sources.list.d/pve.list".to_owned(),
                uri: "http://download.proxmox.com/debian/pve".to_owned(),
                suite: "bookworm".to_owned(),
                components: vec!["pve-no-subscription".to_owned()],
            }],
            NOW,
        ),
        free: BTreeMap::from([("/var/lib/pve-cluster".to_owned(), Facet::known(ByteSize(20 << 30), NOW))]),
        root_key: Facet::known(Some(ssh_key(node.as_str())), NOW),
        host_keys: Facet::known(BTreeSet::from([ssh_key(&format!("host{node}"))]), NOW),
        admitted: Facet::known(vec![], NOW),
        fetch: Facet::known(vec![], NOW),
    }
}

/// An interface that is up, with these addresses (each with the prefix of its kind).
#[must_use]
pub fn interface(
    name: &str,
    kind: InterfaceKind,
    speed_mbps: Option<u32>,
    master: Option<&str>,
    addresses: &[IpAddr],
) -> Interface {
    let prefix = |a: &IpAddr| if a.is_ipv4() { 24 } else { 64 };
    Interface {
        name: name.to_owned(),
        kind,
        mac: "52:54:00:00:00:01".to_owned(),
        mtu: 1500,
        up: true,
        carrier: Some(true),
        speed_mbps,
        duplex: speed_mbps.map(|_| "full".to_owned()),
        master: master.map(str::to_owned),
        parent: None,
        addresses: addresses
            .iter()
            .map(|a| InterfaceAddress {
                address: *a,
                prefix: prefix(a),
                state: AddressState::Usable,
            })
            .collect(),
    }
}
