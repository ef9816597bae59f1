//! A look at the cluster for a drill: all of it fresh, and what the coordinator knows beside it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use quorate_model::drill::figures::Figure;
use quorate_model::drill::{Phase, Range, Timing};
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::{ClusterName, NodeRef, Timestamp, View};
use quorate_planner::drill::{Around, NEEDS};

use super::speed;
use super::state::{Folder, KeptError};
use crate::clusters::Clusters;
use crate::fleet::Fleet;
use crate::host::Host;
use crate::overview::Overview;
use crate::rollouts::Rollouts;
use crate::trust;

/// What looks.
#[derive(Debug, Clone)]
pub(crate) struct Looker {
    pub(super) fleet: Arc<Fleet>,
    pub(super) overview: Arc<Overview>,
    pub(super) rollouts: Arc<Rollouts>,
    pub(super) clusters: Clusters,
    pub(super) host: Host,
    /// Where drills are kept.
    pub(super) dir: PathBuf,
}

impl Looker {
    pub(crate) fn new(
        (fleet, overview): (Arc<Fleet>, Arc<Overview>),
        (rollouts, clusters): (Arc<Rollouts>, Clusters),
        host: Host,
        dir: PathBuf,
    ) -> Self {
        Self {
            fleet,
            overview,
            rollouts,
            clusters,
            host,
            dir,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        trust::now(&self.fleet.clock)
    }

    /// The enrolled nodes of a cluster.
    pub(super) fn nodes(&self, cluster: &ClusterName) -> BTreeSet<NodeRef> {
        let enrolled = self.fleet.registry.enrolled().into_iter();
        enrolled.filter(|node| node.cluster == *cluster).collect()
    }

    /// All that a drill is decided by, and whether a guest runs where it should not.
    pub(super) async fn view(&self, cluster: &ClusterName) -> View {
        let names = self.nodes(cluster);
        let mut facets: Vec<FacetName> = NEEDS.to_vec();
        facets.push(FacetName::Strays);
        let seen = self.fleet.look(&names, &facets).await;
        let by_address = || {
            let found = self.host.node_at(&self.fleet.registry);
            found.filter(|name| name.cluster == *cluster)
        };
        let coordinator_on = self.host.node_of(&seen).or_else(by_address).map(|name| name.node);
        let registry = &self.fleet.registry;
        let address = |name: &NodeRef| Some((name.node.clone(), registry.node(name)?.address.ip()));
        let findings = self.overview.of_cluster(cluster, seen.clone());
        View {
            findings: Facet::known(findings, self.now()),
            nodes: seen
                .into_iter()
                .map(|sighting| (sighting.node.node, sighting.view))
                .collect(),
            addresses: names.iter().filter_map(address).collect(),
            coordinator_on,
            coordinator_macs: self.host.macs(),
            at_rest: self.rollouts.at_rest(cluster).await,
            ..View::default()
        }
    }

    /// What the coordinator knows beside the view. `own`: a drill looks once more in its own course, and is none that runs beside itself.
    pub(super) async fn around(
        &self,
        file: &ClusterFile,
        view: &View,
        guest: u32,
        own: bool,
    ) -> Result<Around, Failure> {
        let cluster = &file.cluster.name.value;
        let folder = Folder::of(&self.dir, cluster);
        let decided = self.clusters.decided(cluster).map_err(|error| {
            Failure::new(ExitCode::Failed, "what holds the cluster up can't be read").because(&error)
        })?;
        let running = if own {
            None
        } else {
            // One that can't be read is not over.
            match folder.unfinished() {
                Ok(running) => running.map(|running| running.name()),
                Err(error) => Some(format!(
                    "a drill whose state can't be read ({})",
                    trust::sentence(&error)
                )),
            }
        };
        let rollout = if own {
            None
        } else {
            self.rollouts.holding(cluster).await?
        };
        let last = if own {
            None
        } else {
            folder.last_over().map_err(|error| unreadable(&error))?
        };
        let nodes = u32::try_from(view.nodes.len()).unwrap_or(u32::MAX);
        Ok(Around {
            now: self.now(),
            rollout: rollout.map(|rollout| rollout.to_string()),
            hold: decided.hold,
            running,
            last,
            tasks: tasks(view, self.now()),
            ceph: Facet::unknown(UnknownKind::Failed, "this version does not ask Ceph how it is"),
            timing: Timing::unknown(nodes),
            boot: boot(&folder, guest).map(|boot| speed::real(self.fleet.pace, boot)),
        })
    }
}

pub(super) fn unreadable(error: &KeptError) -> Failure {
    Failure::new(ExitCode::Failed, "what is kept of drills can't be read").because(error)
}

/// Tasks of PVE that run, as far as guests and copies show them: what holds a guest stands in its configuration.
fn tasks(view: &View, now: Timestamp) -> Facet<Vec<String>> {
    let mut tasks = BTreeSet::new();
    let mut config = None;
    for (node, seen) in &view.nodes {
        let Ok(observation) = &seen.observation else { continue };
        if config.is_none() {
            config = observation
                .config
                .get()
                .ok()
                .and_then(|config| config.guests.get().ok());
        }
        for copy in observation.replication.get().into_iter().flatten() {
            if copy.running {
                tasks.insert(format!(
                    "the copying of guest {} from {node} to {}",
                    copy.guest, copy.target
                ));
            }
        }
    }
    let Some(guests) = config else {
        return Facet::unknown(
            UnknownKind::Failed,
            "no server tells what its guests' configurations say",
        );
    };
    for guest in guests {
        let owner = &guest.guest.node;
        if let Ok(config) = guest.config.get()
            && let Some(lock) = &config.lock
        {
            tasks.insert(format!("what holds guest {} on {owner} ({lock})", guest.guest.vmid));
        }
    }
    Facet::known(tasks.into_iter().collect(), now)
}

/// How long the guest took from its start to its first answer the last time that this was seen.
fn boot(folder: &Folder, guest: u32) -> Option<Range> {
    let records = folder.records().ok()?;
    let of_guest = records.iter().rev().filter(|record| record.guest == guest);
    let mut spans = of_guest.filter_map(|record| {
        // Where it was no service, it was no start either.
        if !matches!(record.figures.service, Figure::Known { .. }) {
            return None;
        }
        Some(
            record
                .line
                .at(Phase::FirstAnswer)?
                .since(record.line.at(Phase::GuestStarted)?),
        )
    });
    spans.next()
}

#[cfg(test)]
mod tests {
    use quorate_model::Observation;
    use quorate_model::facet::Unknown;
    use quorate_model::observation::ReplicationState;
    use quorate_model::view::NodeView;

    use super::*;

    #[test]
    fn what_holds_guests_is_told_and_what_nobody_tells_is_unknown() {
        let mut view = View::default();
        let mut seen = Observation::empty("prox1", Timestamp(0));
        let copying = ReplicationState {
            running: true,
            ..ReplicationState::of(100, "prox2")
        };
        seen.replication = Facet::known(vec![copying], Timestamp(0));
        let put = |view: &mut View, observation: Result<Observation, Unknown>| {
            let node = NodeView {
                observation,
                clock_offset: None,
            };
            view.nodes.insert("prox1".parse().unwrap(), node);
        };
        put(&mut view, Ok(seen));
        let unknown = tasks(&view, Timestamp(0));
        assert!(unknown.get().is_err(), "the configurations were not seen");
    }
}
