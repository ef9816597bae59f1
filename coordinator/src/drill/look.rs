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
use quorate_planner::drill::{ALSO, Around, NEEDS};

use super::seal::Seal;
use super::speed;
use super::state::{Folder, KeptError};
use crate::clusters::Clusters;
use crate::fleet::Fleet;
use crate::host::Host;
use crate::overview::Overview;
use crate::rollouts::Rollouts;
use crate::storage_secret::Secrets;
use crate::trust;

/// What looks.
#[derive(Debug, Clone)]
pub(crate) struct Looker {
    pub(super) fleet: Arc<Fleet>,
    pub(super) overview: Arc<Overview>,
    pub(super) rollouts: Arc<Rollouts>,
    pub(super) clusters: Clusters,
    pub(super) host: Host,
    /// Where passwords of databases lie.
    pub(super) secrets: Arc<Secrets>,
    pub(super) seal: Seal,
    /// Where drills are kept.
    pub(super) dir: PathBuf,
}

impl Looker {
    pub(crate) fn new(
        (fleet, overview): (Arc<Fleet>, Arc<Overview>),
        (rollouts, clusters): (Arc<Rollouts>, Clusters),
        (host, secrets, seal): (Host, Arc<Secrets>, Seal),
        dir: PathBuf,
    ) -> Self {
        Self {
            fleet,
            overview,
            rollouts,
            clusters,
            host,
            secrets,
            seal,
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
        facets.extend(ALSO);
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
        Ok(Around {
            now: self.now(),
            rollout: rollout.map(|rollout| rollout.to_string()),
            hold: decided.hold,
            running,
            last,
            tasks: tasks(view, self.now()),
            ceph: Facet::unknown(UnknownKind::Failed, "this version does not ask Ceph how it is"),
            timing: timing(view, self.now()),
            boot: boot(&folder, guest).map(|boot| speed::real(self.fleet.pace, boot)),
        })
    }
}

pub(super) fn unreadable(error: &KeptError) -> Failure {
    Failure::new(ExitCode::Failed, "what is kept of drills can't be read").because(error)
}

/// Tasks of PVE that run on any server, and copies that are being made. What holds a guest stands in its configuration, and is told with that.
fn tasks(view: &View, now: Timestamp) -> Facet<Vec<String>> {
    let mut told = BTreeSet::new();
    for node in view.nodes.keys() {
        let running = view.facet(node, |o| &o.system).and_then(|system| {
            let tasks = system.tasks.get();
            tasks.map_err(Clone::clone)
        });
        match running {
            Ok(tasks) => {
                let tasks = tasks.iter().filter(|task| task.does_something());
                told.extend(tasks.map(|task| task.told(node.as_str())));
            }
            Err(unknown) => {
                return Facet::unknown(unknown.kind, format!("of {node} it is not known: {}", unknown.reason));
            }
        }
        // Where it can't be seen, the copies themselves are told to be unknown.
        for copy in view.facet(node, |o| &o.replication).ok().into_iter().flatten() {
            if copy.running {
                told.insert(format!(
                    "the copying of guest {} from {node} to {}",
                    copy.guest, copy.target
                ));
            }
        }
    }
    if view.nodes.is_empty() {
        return Facet::unknown(UnknownKind::Failed, "no server was asked");
    }
    Facet::known(told.into_iter().collect(), now)
}

/// corosync's timers, as the members run with them. Where they differ, an edit has not reached all of them, and nobody can tell which hold.
fn timing(view: &View, now: Timestamp) -> Facet<Timing> {
    let nodes = u32::try_from(view.nodes.len()).unwrap_or(u32::MAX);
    let mut found: Option<Timing> = None;
    let mut why = None;
    for node in view.nodes.keys() {
        let member = match view.cluster_of(node) {
            Ok(cluster) => cluster.member(),
            Err(unknown) => {
                why.get_or_insert((unknown.kind, format!("{node}: {}", unknown.reason)));
                continue;
            }
        };
        let Some(member) = member else { continue };
        match member.totem.get() {
            Ok(totem) => {
                let timing = Timing::of(nodes, totem);
                if found.is_some_and(|other| other != timing) {
                    return Facet::unknown(UnknownKind::Failed, "not all members run with the same ones");
                }
                found = Some(timing);
            }
            Err(unknown) => {
                why.get_or_insert((unknown.kind, format!("{node}: {}", unknown.reason)));
            }
        }
    }
    match (found, why) {
        (Some(timing), _) => Facet::known(timing, now),
        (None, Some((kind, why))) => Facet::unknown(kind, why),
        (None, None) => Facet::unknown(UnknownKind::Failed, "no member told them"),
    }
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
    use quorate_model::observation::ReplicationState;
    use quorate_model::observation::cluster::Totem;
    use quorate_model::observation::system::RunningTask;
    use quorate_planner::testkit::{NOW, Servers, known};

    use super::*;

    fn task(kind: &str, about: &str) -> RunningTask {
        RunningTask {
            kind: kind.to_owned(),
            about: about.to_owned(),
            user: "root@pam".to_owned(),
            started_at: NOW,
        }
    }

    /// Three members; nothing runs on them.
    fn servers() -> Servers {
        Servers::bare(3)
            .members("hk1", &["prox1", "prox2", "prox3"], &["10.10.10.0/24"])
            .with_each(|seen| known(&mut seen.system).tasks = Facet::known(vec![], NOW))
    }

    #[test]
    fn tasks_of_all_servers_are_told_and_what_one_does_not_tell_is_unknown() {
        let told = |servers: &Servers| tasks(&servers.view, NOW);
        assert!(tasks(&View::default(), NOW).get().is_err());
        let busy = servers()
            .with_system("prox1", |system| {
                system.tasks = Facet::known(vec![task("vncproxy", "100")], NOW);
            })
            .with_system("prox2", |system| {
                system.tasks = Facet::known(vec![task("vzdump", "101"), task("aptupdate", "")], NOW);
            })
            .with("prox2", |seen| {
                let copying = ReplicationState {
                    running: true,
                    ..ReplicationState::of(100, "prox1")
                };
                seen.replication = Facet::known(vec![copying], NOW);
            });
        assert_eq!(
            told(&busy).get().unwrap(),
            &[
                "aptupdate on prox2",
                "the copying of guest 100 from prox2 to prox1",
                "vzdump of 101 on prox2"
            ]
        );
        let half = busy.with_system("prox3", |system| {
            system.tasks = Facet::unknown(UnknownKind::Unparsable, "half a line");
        });
        assert_eq!(
            told(&half).get().unwrap_err().reason,
            "of prox3 it is not known: half a line"
        );
        assert!(told(&servers().unreachable("prox2")).get().is_err());
    }

    #[test]
    fn timers_are_those_that_all_members_run_with() {
        let run_with = |servers: Servers, node: &str, totem: Facet<Totem>| {
            servers.with_member(node, move |member| member.totem = totem)
        };
        let of = |token: u32| {
            let totem = Totem {
                token,
                consensus: token / 5 * 6,
                pings: vec![],
            };
            Facet::known(totem, NOW)
        };
        let silent =
            |servers: Servers, node: &str| run_with(servers, node, Facet::unknown(UnknownKind::TimedOut, "no answer"));
        let none = silent(silent(silent(servers(), "prox1"), "prox2"), "prox3");
        assert_eq!(timing(&none.view, NOW).get().unwrap_err().reason, "prox1: no answer");
        let two = run_with(run_with(none, "prox2", of(3650)), "prox3", of(3650));
        assert_eq!(timing(&two.view, NOW).get().unwrap().detection().likely, 8_030_000);
        let differ = run_with(two, "prox3", of(10_000));
        assert!(timing(&differ.view, NOW).get().is_err());
    }
}
