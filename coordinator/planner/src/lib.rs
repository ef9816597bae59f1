//! From what is wanted and what is seen to what is to be done: a pure function, without clock, randomness or I/O.
//!
//! Identical input gives an identical plan, byte for byte: every collection that is walked has an order of its own.
//! What can't be seen is told and refused, never taken for absent. Each domain has a module; [`checker`] says
//! independently of all of them what a sound plan is, [`diff`] what two plans do differently, and [`select()`] takes a part of one.

pub mod checker;
mod cluster;
mod destruction;
pub mod diff;
pub mod disks;
mod draft;
pub mod drill;
mod moves;
mod pools;
mod protection;
mod report;
pub mod select;
pub mod storages;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod upgrade;

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::moves::Moves;
use quorate_model::observation::FacetName;
use quorate_model::operation::Package;
use quorate_model::plan::{Plan, Step};
use quorate_model::spec::ClusterFile;
use quorate_model::{NodeName, View, Wish};

pub use cluster::ends::{LinkEnds, link_ends};
pub use protection::{Copying, copying};
pub use report::in_order;
pub use select::select;

use report::{Report, Weight};

/// What every plan looks at.
const NEEDED: [FacetName; 7] = [
    FacetName::System,
    FacetName::Network,
    FacetName::Cluster,
    FacetName::Guests,
    FacetName::Ha,
    FacetName::Config,
    FacetName::Readiness,
];

/// What a plan of this file and wish looks at. Nothing else is asked of the nodes for it: a disk that hangs must not hold up a cluster of which
/// no pool is wanted.
#[must_use]
pub fn needed(file: &ClusterFile, wish: &Wish) -> Vec<FacetName> {
    let pools = [FacetName::Disks, FacetName::Pools]
        .into_iter()
        .filter(|_| !file.pools.is_empty() || wish.replace_disk.is_some());
    // What a server has of a guest is in its pools.
    let in_pools = |moves: &Moves| {
        let canaries = matches!(moves, Moves::ClearCanary { .. } | Moves::RemoveCanary { .. });
        canaries || matches!(moves, Moves::Resolve { .. } | Moves::Migrate { .. })
    };
    let resolves = wish.moves.as_ref().is_some_and(in_pools);
    // Which servers have a pool decides on which its storage is; and what is defined, what there is to do.
    let storages = storages::all(file);
    let on_pools = storages.iter().any(|storage| storage.pool().is_some()) && file.pools.is_empty();
    let of_storages = [
        (FacetName::Pools, on_pools),
        (FacetName::Storages, !storages.is_empty()),
    ];
    let of_storages = of_storages
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(name, _)| name);
    let of_moves = [FacetName::Running, FacetName::Replication, FacetName::Storages];
    let of_moves = of_moves.into_iter().filter(|_| wish.moves.is_some());
    let of_moves = of_moves.chain([FacetName::Pools].into_iter().filter(|_| resolves));
    let mut needed: Vec<FacetName> = NEEDED.into_iter().chain(pools).chain(of_storages).collect();
    for name in of_moves.chain(protection::needed(file)) {
        if !needed.contains(&name) {
            needed.push(name);
        }
    }
    needed
}

/// The packages that a cluster of this file needs on each host and that PVE does not bring along: whether they can be fetched where they
/// are missing is a question to ask before a plan.
#[must_use]
pub fn packages(file: &ClusterFile) -> BTreeMap<NodeName, BTreeSet<Package>> {
    let Some((host, _)) = file.qnetd() else {
        return BTreeMap::new();
    };
    let of = |node: &NodeName, package| (node.clone(), BTreeSet::from([package]));
    let members = file.members().map(|(node, _)| of(node, Package::CorosyncQdevice));
    members.chain([of(host, Package::CorosyncQnetd)]).collect()
}

/// Does what is wanted lean on the network between the servers, so that it must be measured? Also where nothing can be planned yet: all
/// problems are to be found at once.
#[must_use]
pub fn leans_on_the_network(file: &ClusterFile, wish: &Wish, view: &View) -> bool {
    let only = wish.upgrade.is_some() || wish.moves.is_some() || wish.only_replaces_a_disk().is_some();
    !only && cluster::leans_on_the_network(file, wish, view)
}

/// Plans what makes the cluster of `view` the one of `file`, as far as `wish` consents, and says what stands against it.
///
/// All findings come at once: refusals first, then by subject. A plan that is refused still lists the steps that it would have,
/// if they can be told from what was seen; where something that they depend on is unknown, or a server's standing is
/// contradictory, it lists none.
#[must_use]
pub fn plan(file: &ClusterFile, wish: &Wish, view: &View) -> Plan {
    let mut report = Report::default();
    if let Some(what) = &wish.moves {
        // How the cluster stands is told; what moving leans on, it asks itself.
        let mut of_cluster = Report::default();
        cluster::plan(file, &Wish::default(), view, &mut of_cluster);
        report.weigh_all(Weight::Told, of_cluster);
        let steps = moves::plan(file, what, view, &mut report);
        return Plan {
            cluster: file.cluster.name.value.clone(),
            spec_digest: file.digest.clone(),
            steps,
            findings: report.into_findings(),
        };
    }
    let steps = match (&wish.upgrade, wish.only_replaces_a_disk()) {
        (Some(what), _) => {
            // How the cluster stands is told; that each node is quorate is every step's own gate.
            let mut of_cluster = Report::default();
            cluster::plan(file, &Wish::default(), view, &mut of_cluster);
            report.weigh_all(Weight::Told, of_cluster);
            upgrade::plan(file, what, view, &mut report)
        }
        (None, Some(what)) => {
            // A disk that fails does not wait until all else is well. How the cluster stands is told, and no step depends on it.
            let mut of_cluster = Report::default();
            cluster::plan(file, wish, view, &mut of_cluster);
            report.weigh_all(Weight::Told, of_cluster);
            pools::replacement(file, wish, what, view, &mut report)
        }
        (None, None) => all(file, wish, view, &mut report),
    };
    destruction::consented(&steps, wish, &mut report);
    Plan {
        cluster: file.cluster.name.value.clone(),
        spec_digest: file.digest.clone(),
        steps,
        findings: report.into_findings(),
    }
}

/// The steps of all domains.
fn all(file: &ClusterFile, wish: &Wish, view: &View, report: &mut Report) -> Vec<Step> {
    let mut steps = cluster::plan(file, wish, view, report);
    let pools = pools::plan(file, wish, view, &steps, report);
    // Where the cluster's steps can't be told, it is not as it should be, and nothing else is begun in it.
    if !report.blind() {
        steps.extend(pools);
    }
    let storages = storages::plan(file, wish, view, &steps, report);
    if !report.blind() {
        steps.extend(storages);
    }
    let protection = protection::plan(file, wish, view, &steps, report);
    if !report.blind() {
        steps.extend(protection);
    }
    steps
}
