//! From what is wanted and what is seen to what is to be done: a pure function, without clock, randomness or I/O.
//!
//! Identical input gives an identical plan, byte for byte: every collection that is walked has an order of its own.
//! What can't be seen is told and refused, never taken for absent. Each domain has a module; [`checker`] says
//! independently of all of them what a sound plan is, [`diff`] what two plans do differently, and [`select()`] takes a part of one.

pub mod checker;
mod cluster;
pub mod diff;
mod report;
pub mod select;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
pub mod versions;

use quorate_model::View;
use quorate_model::Wish;
use quorate_model::observation::FacetName;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;

pub use cluster::ends::{LinkEnds, link_ends};
pub use select::select;

use report::Report;

/// What a plan looks at. Nothing else is asked of the nodes for it: a disk that hangs must not hold up a cluster.
pub const NEEDED: [FacetName; 7] = [
    FacetName::System,
    FacetName::Network,
    FacetName::Cluster,
    FacetName::Guests,
    FacetName::Ha,
    FacetName::Config,
    FacetName::Readiness,
];

/// Plans what makes the cluster of `view` the one of `file`, as far as `wish` consents, and says what stands against it.
///
/// All findings come at once: refusals first, then by subject. A plan that is refused still lists the steps that it would have,
/// if they can be told from what was seen; where something that they depend on is unknown, or a server's standing is
/// contradictory, it lists none.
#[must_use]
pub fn plan(file: &ClusterFile, wish: &Wish, view: &View) -> Plan {
    let mut report = Report::default();
    let steps = cluster::plan(file, wish, view, &mut report);
    Plan {
        cluster: file.cluster.name.value.clone(),
        spec_digest: file.digest.clone(),
        steps,
        findings: report.into_findings(),
    }
}
