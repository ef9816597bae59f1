//! All that there is to say about clusters as they are seen now: what their servers show, what these had before, how guests are protected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_model::spec::ClusterFile;
use quorate_model::{ClusterName, Finding, NodeRef, Timestamp};
use quorate_proto::Sighting;

use crate::clusters::Clusters;
use crate::fleet::Fleet;
use crate::fleet::known_disks::KnownDisks;
use crate::fleet::known_guests::KnownGuests;
use crate::{report, trust};

/// What findings are made from.
#[derive(Debug)]
pub(crate) struct Overview {
    fleet: Arc<Fleet>,
    disks: Arc<KnownDisks>,
    guests: Arc<KnownGuests>,
    clusters: Clusters,
}

impl Overview {
    pub(crate) fn new(
        fleet: Arc<Fleet>,
        (disks, guests): (Arc<KnownDisks>, Arc<KnownGuests>),
        clusters: Clusters,
    ) -> Self {
        Self {
            fleet,
            disks,
            guests,
            clusters,
        }
    }

    /// What there is to say of these servers, and of the clusters that they are of.
    pub(crate) fn findings(&self, seen: &[Sighting], now: Timestamp) -> Vec<Finding> {
        let mut findings = report::health(now, seen);
        let mut clusters: BTreeMap<&ClusterName, Vec<Sighting>> = BTreeMap::new();
        for sighting in seen {
            if let Ok(observation) = &sighting.view.observation {
                self.disks.see(&sighting.node, observation, now);
            }
            findings.extend(self.disks.findings(&sighting.node, now));
            clusters
                .entry(&sighting.node.cluster)
                .or_default()
                .push(sighting.clone());
        }
        for (cluster, seen) in clusters {
            let Some(told) = self.guests.of(cluster) else { continue };
            let file = self.applied(cluster);
            findings.extend(report::protection(now, cluster, &told, file.as_ref(), &seen));
            findings.extend(report::backups(now, cluster, &told, &seen));
            findings.extend(report::canaries(now, cluster, &told, &seen));
        }
        findings
    }

    /// What there is to say of a cluster, where `fresh` was looked at just now; of all else what the health streams brought last.
    pub(crate) fn of_cluster(&self, cluster: &ClusterName, fresh: Vec<Sighting>) -> Vec<Finding> {
        let now = trust::now(&self.fleet.clock);
        self.guests.see(&fresh, now);
        let enrolled = self.fleet.registry.enrolled().into_iter();
        let names: BTreeSet<NodeRef> = enrolled.filter(|node| node.cluster == *cluster).collect();
        self.findings(&over(self.fleet.last_seen(&names), fresh), now)
    }

    /// The file that was applied last, as far as it can be read.
    fn applied(&self, cluster: &ClusterName) -> Option<ClusterFile> {
        let spec = self.clusters.decided(cluster).ok()?.spec?;
        ClusterFile::parse("the file that was applied last", &spec.text).ok()
    }
}

/// What was looked at freshly, over what the health streams said last of all else: a fresh look at a part silences nothing about the rest.
pub(crate) fn over(last: Vec<Sighting>, fresh: Vec<Sighting>) -> Vec<Sighting> {
    let mut fresh: BTreeMap<NodeRef, Sighting> = fresh.into_iter().map(|seen| (seen.node.clone(), seen)).collect();
    let merged = |last: Sighting| {
        let Some(mut fresh) = fresh.remove(&last.node) else {
            return last;
        };
        if let (Ok(now), Ok(before)) = (&mut fresh.view.observation, last.view.observation) {
            let newer = std::mem::replace(now, before);
            now.update(newer);
        }
        fresh
    };
    last.into_iter().map(merged).collect()
}
