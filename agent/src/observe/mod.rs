//! Observing: what the host's files and tools say, facet by facet. Each facet fails alone, with its reason.

mod backups;
mod cluster;
mod config;
pub(crate) mod disks;
mod guests;
mod ha;
pub mod health;
mod network;
pub(crate) mod pools;
pub(crate) mod processes;
mod readiness;
mod replication;
mod running;
mod storages;
pub(crate) mod strays;
mod system;

use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) use cluster::{LOCAL_CONFIG, MEMBERS, pmxcfs_is_gone, published};
pub(crate) use ha::manager as ha_manager;
use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::{FacetName, Observation};
use quorate_model::operation::Package;
pub(crate) use replication::kept as replication_states;

use crate::host::Host;

/// Observes the facets that are asked for, all at once; the others stay "not asked for".
pub async fn observe(host: &Host, facets: &[FacetName]) -> Observation {
    // All facets at once are a large future: callers of callers need not carry it on their stack.
    Box::pin(observe_all(host, facets, &Asked::default())).await
}

/// What is asked for beside the facets.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Names that are resolved here, if the network is looked at.
    pub names: Vec<String>,
    /// Packages that apt tries to fetch, if readiness is looked at.
    pub fetch: BTreeSet<Package>,
    /// How long whoever asks waits for a facet; `None`: as long as it takes.
    pub within: Option<Duration>,
    /// Something is about to be done, for which what is on the disks is looked at last.
    pub acting: bool,
}

/// The same, by who is about to act.
pub(crate) async fn observe_to_act(host: &Host, facets: &[FacetName]) -> Observation {
    let more = Asked {
        acting: true,
        ..Asked::default()
    };
    Box::pin(observe_all(host, facets, &more)).await
}

/// The same, with more that was asked for.
pub async fn observe_all(host: &Host, facets: &[FacetName], more: &Asked) -> Observation {
    let asked = |facet| facets.contains(&facet);
    let depth = if more.acting {
        disks::Depth::Acting
    } else {
        disks::Depth::Whole
    };
    let (
        system,
        disks,
        network,
        cluster,
        guests,
        ha,
        config,
        readiness,
        pools,
        storages,
        running,
        replication,
        strays,
        backups,
    ) = tokio::join!(
        facet(host, asked(FacetName::System), more.within, system::observe(host)),
        facet(host, asked(FacetName::Disks), more.within, disks::observe(host, depth)),
        facet(
            host,
            asked(FacetName::Network),
            more.within,
            network::observe(host, &more.names)
        ),
        facet(host, asked(FacetName::Cluster), more.within, cluster::observe(host)),
        facet(host, asked(FacetName::Guests), more.within, guests::observe(host)),
        facet(host, asked(FacetName::Ha), more.within, ha::observe(host)),
        facet(host, asked(FacetName::Config), more.within, config::observe(host)),
        facet(
            host,
            asked(FacetName::Readiness),
            more.within,
            readiness::observe(host, &more.fetch)
        ),
        facet(host, asked(FacetName::Pools), more.within, pools::observe(host)),
        facet(host, asked(FacetName::Storages), more.within, storages::observe(host)),
        facet(host, asked(FacetName::Running), more.within, running::observe(host)),
        facet(
            host,
            asked(FacetName::Replication),
            more.within,
            replication::observe(host)
        ),
        facet(host, asked(FacetName::Strays), more.within, strays::observe(host)),
        facet(host, asked(FacetName::Backups), more.within, backups::observe(host)),
    );
    let mut observation = Observation::empty(hostname(host), host.now());
    observation.system = system;
    observation.disks = disks;
    observation.network = network;
    observation.cluster = cluster;
    observation.guests = guests;
    observation.ha = ha;
    observation.config = config;
    observation.readiness = readiness;
    observation.pools = pools;
    observation.storages = storages;
    observation.running = running;
    observation.replication = replication;
    observation.strays = strays;
    observation.backups = backups;
    observation
}

/// Awaits the work of a facet if it is asked for.
async fn facet<T>(
    host: &Host,
    asked: bool,
    within: Option<Duration>,
    work: impl Future<Output = Result<T, Unknown>>,
) -> Facet<T> {
    if !asked {
        return Facet::not_asked();
    }
    let seen = match within {
        Some(limit) => in_time(limit, work).await,
        None => work.await,
    };
    finished(host, seen)
}

/// Each tool has its deadline; a pile of them that hang one after the other has this one.
async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, Unknown>>) -> Result<T, Unknown> {
    let late = |_| {
        let reason = format!("was not seen within {limit:?}");
        Err(Unknown::new(UnknownKind::TimedOut, reason))
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(late)
}

/// A result as a facet, with the time at which it was there.
fn finished<T>(host: &Host, result: Result<T, Unknown>) -> Facet<T> {
    match result {
        Ok(value) => Facet::known(value, host.now()),
        Err(unknown) => Facet::Unknown(unknown),
    }
}

/// The short host name, which is the node's name in PVE: the kernel's, cut at the first dot. Empty if it can't be read.
#[must_use]
pub fn hostname(host: &Host) -> String {
    let name = host.root().read_text("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
