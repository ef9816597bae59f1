//! Steady health: what changes from second to second is read from files at each tick; what is dearer is observed when
//! something shows that it changed, and otherwise now and then. So a tick costs less than a millisecond of processor time,
//! and a tool that hangs holds up no tick.
//!
//! Left out are `config`, which holds the whole cluster file and long lists, and `readiness`, for which apt computes a second:
//! both are asked for when somebody plans; the coordinator asks one member of each cluster now and then for what is configured.

mod background;

use std::sync::Arc;
use std::time::Duration;

use quorate_model::facet::{Facet, Unknown};
use quorate_model::observation::cluster::Votes;
use quorate_model::observation::{
    Cluster, Disk, Disks, Guest, GuestBackup, Ha, Network, Observation, Pool, ReplicationState, Storages, Stray, System,
};

use super::{
    backups, cluster, disks, finished, guests, ha, hostname, network, pools, replication, storages, strays, system,
};
use crate::host::Host;
use background::Background;

/// How often a facet is observed though nothing seems to have changed: links may break, SMART and speeds change silently.
const NOW_AND_THEN: Duration = Duration::from_secs(60);

/// Guests come and go without a sign elsewhere, and their list is one small file.
const GUESTS: Duration = Duration::from_secs(10);

/// How copies go, and which of them are held: three small files.
const REPLICATION: Duration = Duration::from_secs(10);

/// pvesm is a Perl program of a third of a second, asks every server that keeps something, and what it tells fills slowly.
const STORAGES: Duration = Duration::from_secs(120);

/// A log for each guest, and at most a few backups a day.
const BACKUPS: Duration = Duration::from_secs(180);

/// How soon to look again after a facet could not be observed, or while a change settles.
const AGAIN: Duration = Duration::from_secs(5);

/// When the members change, votes and links follow: a QDevice's vote after up to 15 s, a link after 3 s.
const MEMBERSHIP_SETTLES: Duration = Duration::from_secs(30);

/// How long a tick waits for the membership's details: corosync's tools answer in some twenty milliseconds, and a change
/// is then told whole. If they hang, the tick goes on without.
const DETAILS: Duration = Duration::from_millis(250);

/// Watches one host. Each tick returns what is new; a facet that is left out ("not asked for") is unchanged.
#[derive(Debug)]
pub struct HealthCollector {
    host: Arc<Host>,
    system: Background<System>,
    last_system: Option<System>,
    cluster: Background<Cluster>,
    membership: Option<MembershipSigns>,
    votes: Background<Votes>,
    disks: Background<Disks>,
    last_disks: Vec<Disk>,
    partitions: Option<String>,
    network: Background<Network>,
    pools: Background<Vec<Pool>>,
    storages: Background<Storages>,
    guests: Background<Vec<Guest>>,
    strays: Background<Vec<Stray>>,
    backups: Background<Vec<GuestBackup>>,
    replication: Background<Vec<ReplicationState>>,
    ha: Background<Ha>,
    watchdog_armed: Option<bool>,
}

/// What a change of membership or quorum cannot leave as it was.
#[derive(Debug, Clone, PartialEq)]
struct MembershipSigns {
    members: Option<String>,
    mode: Option<u32>,
    /// Where pmxcfs is down, what corosync counts.
    votes: Option<Votes>,
}

impl HealthCollector {
    /// Begins to watch: the first tick sets off everything.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            system: Background::every(NOW_AND_THEN),
            last_system: None,
            cluster: Background::every(NOW_AND_THEN).settling(MEMBERSHIP_SETTLES),
            membership: None,
            votes: Background::every(Duration::ZERO),
            disks: Background::every(NOW_AND_THEN),
            last_disks: Vec::new(),
            partitions: None,
            network: Background::every(NOW_AND_THEN),
            pools: Background::every(NOW_AND_THEN),
            storages: Background::every(STORAGES),
            guests: Background::every(GUESTS),
            strays: Background::every(GUESTS),
            backups: Background::every(BACKUPS),
            replication: Background::every(REPLICATION),
            ha: Background::every(NOW_AND_THEN),
            watchdog_armed: None,
        }
    }

    /// Looks once. Call it at the wanted interval. Needs a Tokio runtime.
    pub async fn tick(&mut self) -> Observation {
        let now = self.host.clock().monotonic();
        let mut observation = Observation::empty(hostname(&self.host), self.host.now());
        observation.cluster = self.cluster_facet(now).await;
        observation.system = self.system_facet(now).await;
        observation.disks = self.disks_facet(now).await;
        let host = Arc::clone(&self.host);
        observation.network = self
            .network
            .look(
                now,
                || async move { finished(&host, network::observe(&host, &[]).await) },
            )
            .await;
        let host = Arc::clone(&self.host);
        observation.guests = self
            .guests
            .look(now, || async move { finished(&host, guests::observe(&host).await) })
            .await;
        let host = Arc::clone(&self.host);
        observation.strays = self
            .strays
            .look(now, || async move { finished(&host, strays::observe(&host).await) })
            .await;
        let host = Arc::clone(&self.host);
        observation.backups = self
            .backups
            .look(now, || async move { finished(&host, backups::observe(&host).await) })
            .await;
        let host = Arc::clone(&self.host);
        observation.replication = self
            .replication
            .look(
                now,
                || async move { finished(&host, replication::observe(&host).await) },
            )
            .await;
        let host = Arc::clone(&self.host);
        observation.pools = self
            .pools
            .look(now, || async move { finished(&host, pools::observe(&host).await) })
            .await;
        let host = Arc::clone(&self.host);
        observation.storages = self
            .storages
            .look(now, || async move { finished(&host, storages::observe(&host).await) })
            .await;
        observation.ha = self.ha_facet(now).await;
        observation.observed_at = self.host.now();
        observation
    }

    /// Whether a watchdog is armed shows in /run at no cost; what else there is of HA follows it, or is looked at now and then.
    async fn ha_facet(&mut self, now: Duration) -> Facet<Ha> {
        let armed = self.host.root().exists(ha::WATCHDOG_ARMED).ok();
        if self.watchdog_armed != armed {
            self.watchdog_armed = armed;
            self.ha.changed(now);
        }
        let host = Arc::clone(&self.host);
        let work = || async move { finished(&host, ha::observe(&host).await) };
        self.ha.look(now, work).await
    }

    async fn cluster_facet(&mut self, now: Duration) -> Facet<Cluster> {
        let signs = match self.membership_signs(now).await {
            Ok(signs) => signs,
            // Whatever was known before may be over: say so at once, and look again as soon as it can be read.
            Err(unknown) => {
                self.membership = None;
                return Facet::Unknown(unknown);
            }
        };
        if self.membership.as_ref() != Some(&signs) {
            self.membership = Some(signs);
            self.cluster.changed(now);
        }
        let host = Arc::clone(&self.host);
        let work = || async move { finished(&host, cluster::observe(&host).await) };
        self.cluster.look_and_wait(now, DETAILS, work).await
    }

    /// Files of pmxcfs show a change at no cost. Where it is down, corosync is asked at each tick, which costs some milliseconds.
    async fn membership_signs(&mut self, now: Duration) -> Result<MembershipSigns, Unknown> {
        let members = cluster::published(&self.host, cluster::MEMBERS).await?;
        let mode = self.host.mode("/etc/pve").await.ok().flatten();
        let has_corosync = || self.host.root().exists(cluster::LOCAL_CONFIG).unwrap_or(false);
        let mut votes = None;
        if members.is_none() && has_corosync() {
            let host = Arc::clone(&self.host);
            let work = || async move { finished(&host, cluster::votes(&host).await) };
            votes = match self.votes.look_and_wait(now, DETAILS, work).await {
                Facet::Known { value, .. } => Some(value),
                // It has not answered yet: that is no change.
                Facet::Unknown(unknown) if background::is_no_news(&unknown) => {
                    self.membership.as_ref().and_then(|signs| signs.votes.clone())
                }
                Facet::Unknown(_) => None,
            };
        }
        Ok(MembershipSigns { members, mode, votes })
    }

    /// Load, memory and clock at every tick, the rest now and then.
    async fn system_facet(&mut self, now: Duration) -> Facet<System> {
        let host = Arc::clone(&self.host);
        let work = || async move { finished(&host, system::observe(&host).await) };
        let whole = match self.last_system {
            None => self.system.look_and_wait(now, DETAILS, work).await,
            Some(_) => self.system.look(now, work).await,
        };
        match (&whole, &mut self.last_system) {
            (Facet::Known { value, .. }, last) => *last = Some(value.clone()),
            (Facet::Unknown(unknown), Some(last)) if background::is_no_news(unknown) => {
                let refreshed = system::refresh(&self.host, last).map(|()| last.clone());
                return finished(&self.host, refreshed);
            }
            (Facet::Unknown(_), _) => {}
        }
        whole
    }

    async fn disks_facet(&mut self, now: Duration) -> Facet<Disks> {
        // Sizes and names of all disks and partitions: whatever is plugged, pulled or partitioned changes it.
        let partitions = self.host.root().read_text("/proc/partitions").ok();
        if self.partitions != partitions {
            self.partitions = partitions;
            self.disks.changed(now);
        }
        let work = || {
            let (host, recent) = (Arc::clone(&self.host), self.last_disks.clone());
            async move { finished(&host, disks::observe(&host, disks::Depth::InPassing(&recent)).await) }
        };
        let facet = self.disks.look(now, work).await;
        if let Facet::Known { value, .. } = &facet {
            self.last_disks.clone_from(&value.disks);
        }
        facet
    }
}

#[cfg(test)]
mod tests;
