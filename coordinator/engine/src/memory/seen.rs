//! What the agents of the world see: the facets that are asked for, made from the world's state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::facet::UnknownKind;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, Member, MemberNode, Membership, Pmxcfs, QdeviceConfig, RunningVersion, VoteRow,
    Votes,
};
use quorate_model::observation::config::{Firewall, FirewallRule, NodeFolder, RootKey};
use quorate_model::observation::ha::{Disarm, HaResource, ManagerStatus};
use quorate_model::observation::readiness::{AdmittedKey, PackageState, ServiceState};
use quorate_model::observation::system::{AgentState, ClockState, Cpu, Memory};
use quorate_model::observation::{FacetName, Ha, PveConfig, Readiness, System};
use quorate_model::operation::Package;
use quorate_model::passage::Direction;
use quorate_model::plan::Needs;
use quorate_model::view::{ClockOffset, NodeView};
use quorate_model::{ByteSize, Facet, Observation, Timestamp, Unknown, View};

use super::world::{ClusterState, Inner, Server, World};
use super::{NOW, locked};

/// All clocks of this world show the same.
const LEVEL: ClockOffset = ClockOffset {
    micros: 0,
    error_micros: 0,
};

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, NOW)
}

impl World {
    pub(crate) fn seen(&self, needs: &Needs) -> View {
        let mut inner = locked(&self.inner);
        inner.looks.push(needs.clone());
        let observe = |node: &NodeName, facets: &BTreeSet<FacetName>| match inner.servers.get(node) {
            Some(server) if !server.cut && !server.off => Ok(inner.observation(node, server, facets)),
            _ => Err(Unknown::new(UnknownKind::Unreachable, "no route to host")),
        };
        let node_view = |(node, facets): (&NodeName, &BTreeSet<FacetName>)| {
            let view = NodeView {
                observation: observe(node, facets),
                clock_offset: Some(LEVEL),
            };
            (node.clone(), view)
        };
        View {
            nodes: needs.iter().map(node_view).collect(),
            findings: known(vec![]),
            clocks: inner.servers.keys().map(|node| (node.clone(), LEVEL)).collect(),
            ..View::default()
        }
    }
}

/// A server of which only the boot counts.
fn system(server: &Server) -> System {
    System {
        pve: Facet::not_asked(),
        os: "Debian".to_owned(),
        kernel: "6.8".to_owned(),
        boot_id: format!("boot-{}", server.boots),
        uptime_seconds: 60,
        cpu: Cpu {
            model: "a processor".to_owned(),
            threads: 4,
            load: [0.0; 3],
        },
        memory: Memory {
            total: ByteSize(8 << 30),
            available: ByteSize(4 << 30),
            swap_total: ByteSize(0),
            swap_free: ByteSize(0),
        },
        clock: ClockState {
            now: NOW,
            synchronised: Facet::not_asked(),
        },
        reboot_needed: None,
        agent: AgentState {
            version: "0.1.0".to_owned(),
            memory: ByteSize(0),
            uptime_seconds: 60,
            port: None,
            measure_ports: None,
        },
        tasks: Facet::not_asked(),
    }
}

impl Inner {
    fn observation(&self, node: &NodeName, server: &Server, facets: &BTreeSet<FacetName>) -> Observation {
        let mut seen = Observation::empty(node.as_str(), NOW);
        for facet in facets {
            match facet {
                FacetName::Cluster => seen.cluster = known(self.cluster(node, server)),
                FacetName::Ha => seen.ha = known(self.ha(server)),
                FacetName::Config => seen.config = known(self.config(server)),
                FacetName::Readiness => seen.readiness = known(readiness(server)),
                FacetName::System => seen.system = known(system(server)),
                FacetName::Disks
                | FacetName::Network
                | FacetName::Guests
                | FacetName::Pools
                | FacetName::Storages
                | FacetName::Running
                | FacetName::Replication
                | FacetName::Strays
                | FacetName::Backups => {}
            }
        }
        seen
    }

    fn cluster(&self, node: &NodeName, server: &Server) -> Cluster {
        let state = |name| self.clusters.get(name).map(|state| (name, state));
        let Some((name, state)) = server.cluster.as_ref().and_then(state) else {
            return Cluster {
                membership: Membership::Standalone,
                pmxcfs: Pmxcfs::Writable,
                authkey_present: server.half_in,
                local_config_present: server.half_in,
                local_config: Facet::not_asked(),
                config_lock_age: None,
                changes: vec![],
            };
        };
        let member = self.member(node, name, state);
        Cluster {
            pmxcfs: if member.quorate {
                Pmxcfs::Writable
            } else {
                Pmxcfs::ReadOnly
            },
            membership: Membership::Member(Box::new(member)),
            authkey_present: true,
            local_config_present: true,
            local_config: Facet::not_asked(),
            config_lock_age: state.lock_age(),
            changes: vec![],
        }
    }

    fn member(&self, node: &NodeName, name: &ClusterName, state: &ClusterState) -> Member {
        let online: BTreeSet<&NodeName> = self.online(name).collect();
        let quorate = self.quorate(name);
        let nodes = state.roster.iter().map(|(name, id)| MemberNode {
            name: name.to_string(),
            id: *id,
            online: online.contains(name),
            address: None,
        });
        let configured = state.roster.iter().map(|(name, id)| {
            let address =
                |(number, all): (&u8, &BTreeMap<NodeName, IpAddr>)| Some((*number, all.get(name)?.to_string()));
            ConfiguredNode {
                name: name.to_string(),
                id: *id,
                votes: 1,
                addresses: state.links.iter().filter_map(address).collect(),
            }
        });
        let here = |name: &NodeName| state.roster.get(name).copied().unwrap_or(0);
        let links = state.links.keys().flat_map(|number| {
            let peers = state.roster.iter().filter(|(peer, _)| *peer != node);
            peers.map(|(peer, id)| Link {
                peer: *id,
                number: *number,
                local: String::new(),
                remote: String::new(),
                enabled: true,
                connected: online.contains(peer),
                mtu: None,
            })
        });
        let total = u32::try_from(online.len()).unwrap_or(u32::MAX);
        Member {
            cluster: name.to_string(),
            running_version: state.version,
            file_version: state.version,
            quorate,
            nodes: nodes.collect(),
            configured: configured.collect(),
            interfaces: BTreeMap::new(),
            qdevice: state.qdevice.map(|host| QdeviceConfig {
                host: host.to_string(),
                algorithm: "ffsplit".to_owned(),
                votes: Some(1),
            }),
            running_versions: known(
                online
                    .iter()
                    .map(|name| RunningVersion {
                        id: here(name),
                        version: state.version,
                    })
                    .collect(),
            ),
            votes: known(Votes {
                expected: total,
                highest_expected: total,
                total,
                quorum: total,
                quorate,
                flags: vec![],
                rows: online
                    .iter()
                    .map(|name| VoteRow {
                        id: here(name),
                        votes: 1,
                        qdevice: state.qdevice.map(|_| "A,V,NMW".to_owned()),
                    })
                    .collect(),
                device: state.qdevice.map(|_| 1),
            }),
            links: known(links.collect()),
            latencies: Facet::not_asked(),
            totem: Facet::not_asked(),
        }
    }

    fn ha(&self, server: &Server) -> Ha {
        let cluster = server.cluster.as_ref();
        let state = cluster.and_then(|name| self.clusters.get(name));
        let guarded = state.is_some_and(|c| c.guarded);
        let [lrm, crm] = server.daemons.map(|running| {
            let (active, sub) = if running {
                ("active", "running")
            } else {
                ("inactive", "dead")
            };
            known(ServiceState {
                load: "loaded".to_owned(),
                active: active.to_owned(),
                sub: sub.to_owned(),
                enabled: "enabled".to_owned(),
            })
        });
        let manager = guarded.then(|| ManagerStatus {
            master: "prox1".to_owned(),
            at: NOW,
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            disarm: state.filter(|c| c.disarmed).map(|_| Disarm {
                mode: "freeze".to_owned(),
                state: "disarmed".to_owned(),
            }),
            maintenance: BTreeSet::new(),
        });
        let resource = HaResource::of("started");
        let resources = guarded.then(|| ("vm:100".to_owned(), resource));
        Ha {
            version: known("5.1.3".to_owned()),
            watchdog_armed: cluster.is_some_and(|name| self.watchdog_armed(name, server)),
            lrm,
            crm,
            lrm_status: Facet::not_asked(),
            manager: known(manager),
            resources: known(resources.into_iter().collect()),
            placements: Facet::not_asked(),
        }
    }

    fn config(&self, server: &Server) -> PveConfig {
        let state = server.cluster.as_ref().and_then(|name| self.clusters.get(name));
        let left = || state.into_iter().flat_map(|c| &c.leftovers);
        let rules = state
            .into_iter()
            .flat_map(|c| &c.allowed)
            .map(|(passage, from)| FirewallRule {
                text: String::new(),
                disabled: false,
                direction: if passage.direction == Direction::In {
                    "IN"
                } else {
                    "OUT"
                }
                .to_owned(),
                action: "ACCEPT".to_owned(),
                source: (passage.direction == Direction::In).then(|| from.to_string()),
                dest: (passage.direction == Direction::Out).then(|| from.to_string()),
                protocol: Some(passage.protocol.to_string()),
                ports: Some(format!("{}:{}", passage.first, passage.last)),
                narrowed: false,
            });
        PveConfig {
            storages: Facet::not_asked(),
            users: Facet::not_asked(),
            tokens: Facet::not_asked(),
            root_tfa: Facet::not_asked(),
            own_certificate: false,
            authorized_keys: known(
                left()
                    .map(|name| RootKey {
                        name: format!("root@{name}"),
                        digest: name.to_string(),
                    })
                    .collect(),
            ),
            firewall: known(Firewall {
                enabled: true,
                host_enabled: true,
                policy_in: "DROP".to_owned(),
                policy_out: "ACCEPT".to_owned(),
                management: vec![],
                rules: rules.collect(),
                host_rules: vec![],
            }),
            replication: Facet::not_asked(),
            ha_placements: Facet::not_asked(),
            ceph_monitors: Facet::not_asked(),
            node_folders: known(left().map(|n| (n.to_string(), NodeFolder { guests: vec![] })).collect()),
            spec: Facet::not_asked(),
            files: Facet::not_asked(),
            ceph_daemons: Facet::not_asked(),
            guest_macs: Facet::not_asked(),
            guest_devices: Facet::not_asked(),
            guests: Facet::not_asked(),
            qdevice_key: false,
            datacenter: Facet::not_asked(),
            guest_pools: Facet::not_asked(),
        }
    }
}

fn readiness(server: &Server) -> Readiness {
    let package = |package: Package| {
        let state = PackageState {
            installed: server.packages.contains(&package).then(|| "3.0.3".to_owned()),
            candidate: Some("3.0.3".to_owned()),
        };
        (package.as_str().to_owned(), state)
    };
    let qnetd = server.packages.contains(&Package::CorosyncQnetd);
    let admitted = server.admitted.iter().flat_map(|(cluster, keys)| {
        keys.iter().map(|key| AdmittedKey {
            cluster: cluster.clone(),
            key: key.clone(),
            until: Timestamp(i64::MAX),
        })
    });
    Readiness {
        services: qnetd
            .then(|| {
                let running = ServiceState {
                    load: "loaded".to_owned(),
                    active: "active".to_owned(),
                    sub: "running".to_owned(),
                    enabled: "enabled".to_owned(),
                };
                ("corosync-qnetd".to_owned(), known(running))
            })
            .into_iter()
            .collect(),
        packages: known(Package::ALL.into_iter().map(package).collect()),
        updates: Facet::not_asked(),
        repositories: Facet::not_asked(),
        free: BTreeMap::new(),
        root_key: Facet::not_asked(),
        host_keys: Facet::not_asked(),
        admitted: known(admitted.collect()),
        fetch: Facet::not_asked(),
    }
}
