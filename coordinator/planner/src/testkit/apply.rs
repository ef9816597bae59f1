//! Does to a view what a step promises: a plan whose steps were all applied must leave nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::ids::NodeName;
use quorate_model::observation::Ha;
use quorate_model::observation::cluster::{Pmxcfs, QdeviceConfig};
use quorate_model::observation::config::FirewallRule;
use quorate_model::observation::ha::{Disarm, ManagerStatus};
use quorate_model::observation::readiness::{AdmittedKey, Readiness};
use quorate_model::operation::{Action, HaService};
use quorate_model::passage::{Direction, Passage};
use quorate_model::plan::{Condition, Step};
use quorate_model::view::View;

use super::cluster::{Node, Shape, in_shared_config};
use super::server::{service, standalone};
use super::{NOW, addresses, known, moves, pools, protection, storages};

/// What the step would leave behind if it went well: its `done_when` holds afterwards.
pub fn apply(view: &mut View, step: &Step) {
    match &step.done_when {
        Condition::Members {
            cluster,
            nodes,
            offline,
        } => members(view, step, cluster.as_str(), nodes, offline),
        Condition::Standalone { node } => {
            if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) {
                seen.cluster = Facet::known(standalone(), NOW);
            }
        }
        Condition::Quorate { node, .. } => {
            let all = everybody(view);
            change_cluster(view, &all, node);
        }
        Condition::LinkUp { link, addresses, .. } => {
            let mut shape = Shape::seen(view, &addresses.keys().cloned().collect());
            for (name, node) in &mut shape.nodes {
                if let Some(address) = addresses.get(name) {
                    node.links.insert(*link, address.to_string());
                }
            }
            let priority = match &step.action {
                Action::AddLink { priority, .. } => *priority,
                _ => None,
            };
            shape.interfaces.insert(*link, priority);
            shape.version += 1;
            shape.spread(view);
        }
        Condition::Off { node, seen_by, .. } => {
            let mut shape = Shape::seen(view, seen_by);
            if let Some(off) = shape.nodes.get_mut(node) {
                off.online = false;
            }
            if let Some(seen) = view.nodes.get_mut(node) {
                seen.observation = Err(Unknown::new(UnknownKind::Unreachable, "no route to host"));
            }
            shape.spread(view);
        }
        Condition::CleanedUp {
            removed,
            on,
            keep_folder,
            ..
        } => {
            let members = Shape::seen(view, &BTreeSet::from([on.clone()]))
                .nodes
                .into_keys()
                .collect();
            in_shared_config(view, &members, |config| {
                if !keep_folder {
                    known(&mut config.node_folders).remove(removed.as_str());
                }
                known(&mut config.authorized_keys).retain(|key| key.name != format!("root@{removed}"));
            });
        }
        Condition::Qdevice { nodes, host, .. } => {
            let mut shape = Shape::seen(view, nodes);
            shape.qdevice = host.map(|host| QdeviceConfig {
                host: host.to_string(),
                algorithm: "ffsplit".to_owned(),
                votes: Some(1),
            });
            shape.version += 1;
            shape.spread(view);
        }
        Condition::QdeviceBack { via, nodes, host, .. } => {
            let mut shape = Shape::seen(view, &nodes.iter().chain([via]).cloned().collect());
            if shape.nodes.len().is_multiple_of(2) {
                shape.qdevice = Some(QdeviceConfig {
                    host: host.to_string(),
                    algorithm: "ffsplit".to_owned(),
                    votes: Some(1),
                });
                shape.version += 1;
                shape.spread(view);
            }
        }
        Condition::Installed { node, packages } => readiness(view, node, |readiness| {
            for package in packages {
                let state = known(&mut readiness.packages).get_mut(package.as_str());
                state.expect("asked about").installed = Some("3.0.3-1".to_owned());
                let unit = package.as_str().to_owned();
                readiness.services.insert(unit, Facet::known(service(true), NOW));
            }
        }),
        Condition::KeysAdmitted { node, cluster, keys } => readiness(view, node, |readiness| {
            let admitted = known(&mut readiness.admitted);
            admitted.retain(|a| a.cluster != *cluster);
            admitted.extend(keys.iter().map(|key| AdmittedKey {
                cluster: cluster.clone(),
                key: key.clone(),
                until: quorate_model::Timestamp(NOW.0 + 900_000_000),
            }));
        }),
        Condition::HaDisarmed { nodes, .. } => ha(view, nodes, |ha| {
            ha.watchdog_armed = false;
            let manager = known(&mut ha.manager).get_or_insert_with(nobody);
            manager.disarm = Some(Disarm {
                mode: "freeze".to_owned(),
                state: "disarmed".to_owned(),
            });
        }),
        Condition::HaArmed { .. } => {
            let all = everybody(view);
            ha(view, &all, |ha| {
                if let Facet::Known {
                    value: Some(manager), ..
                } = &mut ha.manager
                {
                    manager.disarm = None;
                }
            });
        }
        Condition::HaServiceOrOut { .. } => {}
        Condition::HaService {
            node,
            service: unit,
            running,
        } => ha(view, &BTreeSet::from([node.clone()]), |ha| {
            let state = match unit {
                HaService::Lrm => &mut ha.lrm,
                HaService::Crm => &mut ha.crm,
            };
            *state = Facet::known(service(*running), NOW);
            ha.watchdog_armed = false;
        }),
        Condition::AgentsAllowed { node, passages, from } => {
            let members = Shape::seen(view, &BTreeSet::from([node.clone()]))
                .nodes
                .into_keys()
                .collect();
            in_shared_config(view, &members, |config| {
                let rules = passages
                    .iter()
                    .flat_map(|passage| from.iter().map(|address| rule(*passage, *address)));
                known(&mut config.firewall).rules.splice(0..0, rules);
            });
        }
        Condition::PoolMade { node, layout } => pools::made(view, node, layout),
        Condition::PoolHas { node, layout } => pools::grown(view, node, layout),
        Condition::DiskEmpty { node, disk } => pools::wiped(view, node, disk),
        Condition::DiskReplaced { node, pool, old, with } => pools::replaced(view, node, (pool, old), with),
        Condition::StorageReady { storage, nodes } => storages::ready(view, storage, nodes),
        Condition::AgentRuns { node, version, .. } => {
            if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) {
                known(&mut seen.system).agent.version = version.to_string();
            }
        }
        Condition::CopyMade { .. }
        | Condition::VolumesKept { .. }
        | Condition::VolumeGone { .. }
        | Condition::ReplicationSet { .. }
        | Condition::CopyGone { .. }
        | Condition::MigrationSet { .. }
        | Condition::HaResourceSet { .. }
        | Condition::HaBound { .. } => protection::done(view, step),
        Condition::GuestAt { .. }
        | Condition::Maintenance { .. }
        | Condition::Rebooted { .. }
        | Condition::Canary { .. } => moves::applied(view, &step.done_when),
        Condition::Drained { .. }
        | Condition::Spare { .. }
        | Condition::NothingWorse { .. }
        | Condition::LinksUp { .. }
        | Condition::QdeviceDue { .. }
        | Condition::NotTwoVotes { .. }
        | Condition::DisksFree { .. }
        | Condition::DiskCarries { .. }
        | Condition::PoolCanGrow { .. }
        | Condition::DiskCanReplace { .. } => {}
    }
}

fn everybody(view: &View) -> BTreeSet<NodeName> {
    view.nodes.keys().cloned().collect()
}

/// Gives a member quorum by fiat.
fn change_cluster(view: &mut View, among: &BTreeSet<NodeName>, node: &NodeName) {
    for other in among {
        let Some(Ok(seen)) = view.nodes.get_mut(other).map(|v| v.observation.as_mut()) else {
            continue;
        };
        let Facet::Known { value, .. } = &mut seen.cluster else {
            continue;
        };
        if let quorate_model::observation::Membership::Member(member) = &mut value.membership
            && member.online().any(|online| online == node.as_str())
        {
            member.quorate = true;
            value.pmxcfs = Pmxcfs::Writable;
        }
    }
}

fn nobody() -> ManagerStatus {
    ManagerStatus {
        master: String::new(),
        at: NOW,
        nodes: BTreeMap::new(),
        services: BTreeMap::new(),
        disarm: None,
        maintenance: BTreeSet::new(),
    }
}

fn rule(passage: Passage, from: IpAddr) -> FirewallRule {
    let inward = passage.direction == Direction::In;
    FirewallRule {
        text: format!("{passage} for {from}"),
        disabled: false,
        direction: if inward { "IN" } else { "OUT" }.to_owned(),
        action: "ACCEPT".to_owned(),
        source: inward.then(|| from.to_string()),
        dest: (!inward).then(|| from.to_string()),
        protocol: Some(passage.protocol.to_string()),
        ports: Some(format!("{}:{}", passage.first, passage.last)),
        narrowed: false,
    }
}

fn ha(view: &mut View, nodes: &BTreeSet<NodeName>, mut change: impl FnMut(&mut Ha)) {
    for node in nodes {
        if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut())
            && seen.ha.is_known()
        {
            change(known(&mut seen.ha));
        }
    }
}

fn readiness(view: &mut View, node: &NodeName, change: impl FnOnce(&mut Readiness)) {
    if let Some(Ok(seen)) = view.nodes.get_mut(node).map(|v| v.observation.as_mut()) {
        change(known(&mut seen.readiness));
    }
}

/// The membership changes: who is gone goes, who is new comes with the links of the step.
fn members(view: &mut View, step: &Step, cluster: &str, nodes: &BTreeSet<NodeName>, offline: &BTreeSet<NodeName>) {
    let before: BTreeSet<NodeName> = nodes
        .iter()
        .filter(|n| **n != step.node || !joins(&step.action))
        .cloned()
        .collect();
    let mut shape = Shape::seen(view, &before);
    shape.name = cluster.to_owned();
    shape.version += 1;
    shape
        .nodes
        .retain(|name, _| nodes.contains(name) || offline.contains(name));
    let empty = BTreeMap::new();
    let links = match &step.action {
        Action::CreateCluster { links, priorities, .. } => {
            shape.interfaces = links
                .keys()
                .map(|number| (*number, priorities.get(number).copied()))
                .collect();
            links
        }
        Action::JoinCluster { links, .. } => links,
        _ => &empty,
    };
    for node in nodes {
        let id = shape.next_id();
        let entry = shape.nodes.entry(node.clone()).or_insert_with(|| Node {
            id,
            online: true,
            published: Some(addresses(node).0),
            links: links.iter().map(|(number, a)| (*number, a.to_string())).collect(),
        });
        entry.online = true;
        entry.published.get_or_insert(addresses(node).0);
    }
    shape.spread(view);
}

fn joins(action: &Action) -> bool {
    matches!(
        action,
        Action::CreateCluster { .. } | Action::JoinCluster { .. } | Action::FinishJoin { .. }
    )
}
