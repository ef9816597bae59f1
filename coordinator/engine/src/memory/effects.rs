//! What operations do in the world, in two halves, and what they must never meet.

use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::operation::{Action, HaService, rules};

use super::world::Inner;

impl Inner {
    /// Whatever must not be so when an action begins.
    pub(super) fn check(&mut self, node: &NodeName, action: &Action) {
        let kind = action.kind();
        let mut wrong = Vec::new();
        if rules(kind).disruptive && self.running.values().filter(|k| rules(**k).disruptive).count() > 1 {
            wrong.push("beside another disruptive step".to_owned());
        }
        let touches_corosync = matches!(
            action,
            Action::JoinCluster { .. }
                | Action::FinishJoin { .. }
                | Action::AddLink { .. }
                | Action::ExpectVotes { .. }
                | Action::RemoveMember { .. }
                | Action::SetUpQdevice { .. }
                | Action::RemoveQdevice { .. }
        );
        if let (true, Some(cluster)) = (touches_corosync, cluster_of(action)) {
            let armed = self.servers.values().any(|s| self.watchdog_armed(cluster, s));
            if armed {
                wrong.push(format!("while a watchdog of {cluster} is armed"));
            }
            let asks_once = !matches!(
                action,
                Action::ExpectVotes { .. } | Action::AddLink { .. } | Action::FinishJoin { .. }
            );
            if asks_once && self.clusters.get(cluster).is_some_and(|c| c.lock_age().is_some()) {
                wrong.push(format!("while the lock on the configuration of {cluster} is held"));
            }
            let needs_quorum = !matches!(action, Action::ExpectVotes { .. });
            if needs_quorum && !self.quorate(cluster) {
                wrong.push(format!("while {cluster} has no quorum"));
            }
        }
        let me = self.servers.get(node);
        let state = cluster_of(action).and_then(|name| self.clusters.get(name));
        let repeated = match action {
            Action::CreateCluster { .. } => state.is_some() || me.is_some_and(|s| s.cluster.is_some()),
            Action::JoinCluster { .. } => {
                me.is_some_and(|s| s.cluster.is_some() || s.half_in)
                    || state.is_none_or(|c| c.roster.contains_key(node))
            }
            Action::FinishJoin { .. } => me.is_none_or(|s| !s.half_in),
            Action::AbandonJoin { .. } => me.is_none_or(|s| s.cluster.is_some()),
            Action::AddLink { link, .. } => state.is_none_or(|c| c.links.contains_key(link)),
            Action::RemoveMember { removed, id, cluster } => {
                let runs = |s: &super::world::Server| s.cluster.as_ref() == Some(cluster) && !s.off;
                state.is_none_or(|c| c.roster.get(removed) != Some(id)) || self.servers.get(removed).is_some_and(runs)
            }
            Action::CleanUpAfter { removed, .. } => state.is_none_or(|c| c.roster.contains_key(removed)),
            Action::SetUpQdevice { host, cluster, .. } => {
                let ready = |s: &super::world::Server| s.packages.len() == 2 && s.admitted.contains_key(cluster);
                state.is_none_or(|c| c.qdevice.is_some()) || !self.servers.get(host).is_some_and(ready)
            }
            _ => false,
        };
        if repeated {
            wrong.push("where it can't be done (any more)".to_owned());
        }
        for why in wrong {
            self.violation(format!("{} on {node} {why}", kind.as_str()));
        }
    }

    /// The point of no return, where there is one: a cluster counts a node that is not in yet.
    pub(super) fn half_way(&mut self, node: &NodeName, action: &Action) {
        if let Action::JoinCluster { cluster, .. } = action {
            self.clusters.entry(cluster.clone()).or_default().enter(node);
            self.server(node).half_in = true;
        }
    }

    pub(super) fn all_the_way(&mut self, node: &NodeName, action: &Action) {
        if let Some(name) = cluster_of(action) {
            let state = self.clusters.entry(name.clone()).or_default();
            match action {
                Action::CreateCluster { .. } | Action::JoinCluster { .. } => state.enter(node),
                Action::AddLink { link, addresses, .. } => {
                    state.links.insert(*link, addresses.clone());
                    state.changed();
                }
                Action::ExpectVotes { votes, .. } => state.expected = Some(*votes),
                Action::RemoveMember { removed, .. } => {
                    state.roster.remove(removed);
                    for addresses in state.links.values_mut() {
                        addresses.remove(removed);
                    }
                    state.leftovers.insert(removed.clone());
                    state.changed();
                }
                Action::CleanUpAfter { removed, .. } => drop(state.leftovers.remove(removed)),
                Action::SetUpQdevice { address, .. } => {
                    state.qdevice = Some(*address);
                    state.changed();
                }
                Action::RemoveQdevice { .. } => {
                    state.qdevice = None;
                    state.changed();
                }
                Action::DisarmHa { .. } => state.disarmed = true,
                Action::ArmHa { .. } => state.disarmed = false,
                Action::AllowAgents { passages, from, .. } => {
                    let each = passages.iter().flat_map(|p| from.iter().map(|a| (*p, *a)));
                    state.allowed.extend(each);
                }
                _ => {}
            }
        }
        let server = self.server(node);
        match action {
            Action::CreateCluster { cluster, .. }
            | Action::JoinCluster { cluster, .. }
            | Action::FinishJoin { cluster, .. } => {
                server.cluster = Some(cluster.clone());
                server.half_in = false;
            }
            Action::AbandonJoin { .. } => server.half_in = false,
            Action::PowerOff { .. } => server.off = true,
            Action::RebootNode { .. } => server.boots += 1,
            Action::InstallPackages { packages } => server.packages.extend(packages),
            Action::AdmitKeys { cluster, keys, .. } => drop(server.admitted.insert(cluster.clone(), keys.clone())),
            Action::WithdrawKeys { cluster } => drop(server.admitted.remove(cluster)),
            Action::StopHa { service, .. } | Action::StartHa { service, .. } => {
                let starts = matches!(action, Action::StartHa { .. });
                let [lrm, crm] = &mut server.daemons;
                match service {
                    HaService::Lrm => *lrm = starts,
                    HaService::Crm => *crm = starts,
                }
            }
            _ => {}
        }
    }
}

/// The cluster that an action is about, unless it is only whose keys they are.
fn cluster_of(action: &Action) -> Option<&ClusterName> {
    match action {
        Action::AdmitKeys { .. } | Action::WithdrawKeys { .. } => None,
        action => action.cluster(),
    }
}
