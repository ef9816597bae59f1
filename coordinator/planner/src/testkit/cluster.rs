//! A cluster as its members see it: made from one description, so that they agree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::facet::Facet;
use quorate_model::ids::NodeName;
use quorate_model::observation::Membership;
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, LocalConfig, Member, MemberNode, Pmxcfs, QdeviceConfig, RunningVersion, VoteRow,
    Votes,
};
use quorate_model::observation::config::NodeFolder;
use quorate_model::view::View;

use super::server::root_key;
use super::{NOW, known};

/// A cluster, all of whose links work.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) nodes: BTreeMap<NodeName, Node>,
    pub(super) interfaces: BTreeMap<u8, Option<u8>>,
    pub(super) qdevice: Option<QdeviceConfig>,
    pub(super) version: u64,
}

/// A node of it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: u32,
    pub(super) online: bool,
    pub(super) published: Option<IpAddr>,
    pub(super) links: BTreeMap<u8, String>,
}

impl Shape {
    /// As the first of these that is a member sees it.
    pub(super) fn seen(view: &View, by: &BTreeSet<NodeName>) -> Self {
        let member = by.iter().find_map(|node| view.cluster_of(node).ok()?.member());
        let Some(member) = member else {
            return Self::default();
        };
        let node = |configured: &ConfiguredNode| {
            let running = member.nodes.iter().find(|n| n.name == configured.name);
            let node = Node {
                id: configured.id,
                online: running.is_some_and(|n| n.online),
                published: running.and_then(|n| n.address),
                links: configured.addresses.clone(),
            };
            Some((NodeName::new(configured.name.as_str()).ok()?, node))
        };
        Self {
            name: member.cluster.clone(),
            nodes: member.configured.iter().filter_map(node).collect(),
            interfaces: member.interfaces.clone(),
            qdevice: member.qdevice.clone(),
            version: member.file_version,
        }
    }

    pub(super) fn next_id(&self) -> u32 {
        (1..)
            .find(|id| self.nodes.values().all(|n| n.id != *id))
            .unwrap_or(u32::MAX)
    }

    /// Makes every online member that is seen see it so.
    pub(super) fn spread(&self, view: &mut View) {
        let online: Vec<&NodeName> = self
            .nodes
            .iter()
            .filter(|(_, n)| n.online)
            .map(|(name, _)| name)
            .collect();
        // Whoever was in the cluster's /etc/pve before has what a joiner gets.
        let shared = online.iter().find_map(|node| {
            let observation = view.nodes.get(*node)?.observation.as_ref().ok()?;
            observation.cluster.get().ok()?.member()?;
            Some((observation.config.clone(), observation.ha.clone()))
        });
        for node in online {
            let Some(Ok(observation)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) else {
                continue;
            };
            let joins = observation.cluster.get().is_ok_and(|c| c.member().is_none());
            if let (true, Some((config, ha))) = (joins, &shared) {
                observation.config = config.clone();
                if let (Facet::Known { value, .. }, Facet::Known { value: theirs, .. }) = (&mut observation.ha, ha) {
                    value.manager = theirs.manager.clone();
                    value.resources = theirs.resources.clone();
                }
                observation.guests = Facet::known(vec![], NOW);
            }
            if let Facet::Known { value, .. } = &mut observation.config {
                for name in self.nodes.keys() {
                    if let Facet::Known { value: folders, .. } = &mut value.node_folders {
                        folders.entry(name.to_string()).or_insert(NodeFolder { guests: vec![] });
                    }
                    if let Facet::Known { value: keys, .. } = &mut value.authorized_keys {
                        let key = root_key(name.as_str());
                        if !keys.contains(&key) {
                            keys.push(key);
                        }
                    }
                }
            }
            observation.cluster = Facet::known(self.by(node), NOW);
        }
    }

    fn by(&self, own: &NodeName) -> Cluster {
        let configured: Vec<ConfiguredNode> = self
            .nodes
            .iter()
            .map(|(name, n)| ConfiguredNode {
                name: name.to_string(),
                id: n.id,
                votes: 1,
                addresses: n.links.clone(),
            })
            .collect();
        let member = Member {
            cluster: self.name.clone(),
            running_version: self.version,
            file_version: self.version,
            quorate: self.votes().quorate,
            nodes: self
                .nodes
                .iter()
                .map(|(name, n)| MemberNode {
                    name: name.to_string(),
                    id: n.id,
                    online: n.online,
                    address: n.published,
                })
                .collect(),
            configured: configured.clone(),
            interfaces: self.interfaces.clone(),
            qdevice: self.qdevice.clone(),
            running_versions: Facet::known(
                self.online()
                    .map(|n| RunningVersion {
                        id: n.id,
                        version: self.version,
                    })
                    .collect(),
                NOW,
            ),
            votes: Facet::known(self.votes(), NOW),
            links: Facet::known(self.links(own), NOW),
            latencies: Facet::not_asked(),
            totem: Facet::not_asked(),
        };
        Cluster {
            pmxcfs: if member.quorate {
                Pmxcfs::Writable
            } else {
                Pmxcfs::ReadOnly
            },
            membership: Membership::Member(Box::new(member)),
            authkey_present: true,
            local_config_present: true,
            local_config: Facet::known(
                Some(LocalConfig {
                    cluster: self.name.clone(),
                    version: self.version,
                    nodes: configured,
                }),
                NOW,
            ),
            config_lock_age: None,
            changes: vec![],
        }
    }

    fn online(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|n| n.online)
    }

    fn votes(&self) -> Votes {
        let count = |n: usize| u32::try_from(n).expect("few");
        let device = self.qdevice.as_ref().map(|d| d.votes.unwrap_or(0));
        let expected = count(self.nodes.len()) + device.unwrap_or(0);
        let total = count(self.online().count()) + device.unwrap_or(0);
        let quorum = expected / 2 + 1;
        Votes {
            expected,
            highest_expected: expected,
            total,
            quorum,
            quorate: total >= quorum,
            flags: vec!["Quorate".to_owned()],
            rows: self
                .online()
                .map(|n| VoteRow {
                    id: n.id,
                    votes: 1,
                    qdevice: device.map(|_| "A,V,NMW".to_owned()),
                })
                .collect(),
            device,
        }
    }

    fn links(&self, own: &NodeName) -> Vec<Link> {
        let local = self.nodes.get(own).map(|n| n.links.clone()).unwrap_or_default();
        let peers = self.nodes.iter().filter(|(name, n)| *name != own && n.online);
        let link = |n: &Node, number: u8, remote: &String| Link {
            peer: n.id,
            number,
            local: local.get(&number).cloned().unwrap_or_default(),
            remote: remote.clone(),
            enabled: true,
            connected: true,
            mtu: Some(1397),
        };
        peers
            .flat_map(|(_, n)| {
                n.links
                    .iter()
                    .map(|(number, remote)| link(n, *number, remote))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Changes the configuration of everybody who is in a cluster, or of a server alone.
pub(super) fn in_shared_config(
    view: &mut View,
    nodes: &BTreeSet<NodeName>,
    mut change: impl FnMut(&mut quorate_model::observation::PveConfig),
) {
    for node in nodes {
        if let Some(Ok(observation)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut())
            && observation.config.is_known()
        {
            change(known(&mut observation.config));
        }
    }
}
