//! Measuring the network between a cluster's nodes, and keeping what was measured.

mod kept;
mod run;
mod schedule;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::measurement::{self, Baseline, Ends};
use quorate_model::{ClusterName, Facet, NodeName, Timestamp, Unknown};
use quorate_planner::LinkEnds;
use tokio::sync::Mutex;

use self::kept::Kept;
pub(crate) use self::kept::KeptError;
use crate::fleet::Fleet;
use crate::state_dir::StateDir;
use crate::trust;

/// Every pair of a cluster on every link, with the two addresses, or why one of them can't be told.
pub(crate) type Wanted = Vec<(Ends, Facet<(IpAddr, IpAddr)>)>;

/// What came of a measurement.
#[derive(Debug)]
pub(crate) struct Measured {
    /// All that is wanted.
    pub(crate) now: Baseline,
    /// What it is to be compared with.
    pub(crate) before: Baseline,
}

/// Measures, and keeps what was measured.
#[derive(Debug)]
pub(crate) struct Measurements {
    fleet: Arc<Fleet>,
    kept: Kept,
    /// One at a time: a node opens its links for one measurement only.
    turn: Mutex<()>,
}

impl Measurements {
    pub(crate) fn new(state: &StateDir, fleet: Arc<Fleet>) -> Self {
        Self {
            fleet,
            kept: Kept::new(state),
            turn: Mutex::default(),
        }
    }

    /// What was measured last of what is wanted.
    pub(crate) fn kept(&self, cluster: &ClusterName) -> Result<Baseline, KeptError> {
        self.kept.load(cluster)
    }

    /// Measures these pairs and keeps that, beside what is kept of others that are still wanted. `most`: what is not measured by
    /// then is unknown. Returns all that is wanted, and what it was like before.
    pub(crate) async fn measure(
        &self,
        cluster: &ClusterName,
        wanted: Wanted,
        which: impl Fn(&Ends) -> bool,
        most: Duration,
    ) -> Result<Measured, KeptError> {
        let begun = tokio::time::Instant::now();
        let _turn = self.turn.lock().await;
        // What is damaged is measured anew, and set aside when that is kept.
        let kept = self.kept.load(cluster).unwrap_or_else(|error| {
            let reason = trust::sentence(&error);
            tracing::warn!(%cluster, reason, "what was measured before can't be read; everything counts as not measured");
            Baseline::default()
        });
        let now: Wanted = wanted.iter().filter(|(ends, _)| which(ends)).cloned().collect();
        let measured = run::measure(&self.fleet, cluster, now, begun + most).await;
        let before = self.kept.reference(cluster).unwrap_or_default();
        let reference = before.clone().only(wanted.clone()).with(measurement::reference(
            &before,
            &measured,
            trust::now(&self.fleet.clock),
        ));
        let now = kept.only(wanted).with(measured);
        self.kept.save(cluster, &now)?;
        self.kept.save_reference(cluster, &reference)?;
        Ok(Measured { now, before })
    }
}

/// All pairs of the servers with ends of links.
pub(crate) fn wanted(ends: &LinkEnds, now: Timestamp) -> Wanted {
    let mut wanted = Wanted::new();
    let names: Vec<&NodeName> = ends.keys().collect();
    let links: BTreeSet<u8> = ends.values().flat_map(|own| own.keys().copied()).collect();
    for (index, one) in names.iter().enumerate() {
        for other in names.iter().skip(index + 1) {
            for link in &links {
                let end = |node: &NodeName| -> Option<&Result<IpAddr, Unknown>> { ends.get(node)?.get(link) };
                let (Some(local), Some(remote)) = (end(one), end(other)) else {
                    continue;
                };
                let addresses = match (local, remote) {
                    (Ok(local), Ok(remote)) => Facet::known((*local, *remote), now),
                    (Err(unknown), _) | (_, Err(unknown)) => Facet::Unknown(unknown.clone()),
                };
                // In the order of the names, as a map has them: the first sends.
                wanted.push((Ends::of(*link, (*one).clone(), (*other).clone()), addresses));
            }
        }
    }
    wanted
}
