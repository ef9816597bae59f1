//! What is configured of each cluster's guests, asked of one member now and then; and since when each guest is known.
//!
//! Health streams do not bring what is configured: it is long, the same on all members, and changes seldom. Since when a container is there
//! stands nowhere in PVE; so it is kept here when each guest was first seen, and whether the coordinator was watching before: one that
//! it found when it first looked may be of any age.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_model::facet::{Facet, Unknown};
use quorate_model::observation::{FacetName, PveConfig};
use quorate_model::{ClusterName, NodeName, NodeRef, Observation, Timestamp};
use quorate_proto::Sighting;
use serde::{Deserialize, Serialize};

use super::Fleet;
use crate::documents;
use crate::trust;

/// How often a member of each cluster is asked.
const EVERY: Duration = Duration::from_secs(60);

/// How soon it is asked again where nobody could tell.
const AGAIN: Duration = Duration::from_secs(5);

/// Whoever has not looked for longer than this can't say of a guest that it is new.
const WATCHED: Duration = Duration::from_secs(10 * 60);

/// The form of the file. Another one is not understood, rather than half.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    clusters: BTreeMap<ClusterName, BTreeMap<u32, Since>>,
}

/// Since when a guest is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since {
    /// When it was first seen, by the coordinator's clock.
    pub(crate) at: Timestamp,
    /// It was not there at the look before: it is no older, but for the time between two looks.
    pub(crate) new: bool,
}

/// What one member of a cluster told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Who told it.
    pub(crate) by: NodeName,
    /// What is configured.
    pub(crate) config: Result<PveConfig, Unknown>,
    /// When, by the coordinator's clock.
    pub(crate) at: Timestamp,
    /// Since when its guests are known.
    pub(crate) since: BTreeMap<u32, Since>,
}

/// What is known of all clusters' guests.
#[derive(Debug)]
pub(crate) struct KnownGuests {
    path: PathBuf,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    told: BTreeMap<ClusterName, Told>,
    since: BTreeMap<ClusterName, BTreeMap<u32, Since>>,
    /// When the guests of a cluster were last seen.
    looked: BTreeMap<ClusterName, Timestamp>,
}

impl KnownGuests {
    /// What was kept in this file. If it is lost, all guests that are there may be of any age.
    pub(crate) fn open(path: PathBuf) -> Self {
        let document = match documents::load::<Document>(&path) {
            Ok(Some(document)) if document.version == VERSION => document,
            Ok(None) => Document::default(),
            Ok(Some(other)) => {
                tracing::warn!(path = %path.display(), version = other.version, "since when guests are known is in a form that is not understood");
                Document::default()
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "since when guests are known can't be read");
                Document::default()
            }
        };
        let books = Books {
            since: document.clusters,
            ..Books::default()
        };
        Self {
            path,
            books: Mutex::new(books),
        }
    }

    /// What was told of a cluster last; `None`: nobody was asked yet.
    pub(crate) fn of(&self, cluster: &ClusterName) -> Option<Told> {
        self.books().told.get(cluster).cloned()
    }

    /// Takes in what was looked at for another reason, if it is by a member whose word counts.
    pub(crate) fn see(&self, seen: &[Sighting], now: Timestamp) {
        let configured = seen.iter().filter(|sighting| {
            let observation = sighting.view.observation.as_ref();
            observation.is_ok_and(|observation| observation.config.is_known())
        });
        let configured: Vec<Sighting> = configured.cloned().collect();
        let Some(speaker) = speaker(&configured) else { return };
        let own = configured.into_iter().find(|sighting| sighting.node == speaker);
        if let Some(Ok(Facet::Known { value, .. })) = own.map(|own| own.view.observation.map(|seen| seen.config)) {
            self.take(&speaker, Ok(value), now);
        }
    }

    /// Asks for ever. Whoever started it cancels it.
    pub(crate) async fn follow(self: Arc<Self>, fleet: Arc<Fleet>) {
        loop {
            let mut all_told = true;
            let enrolled = fleet.registry.enrolled();
            let clusters: BTreeSet<ClusterName> = enrolled.iter().map(|node| node.cluster.clone()).collect();
            for cluster in &clusters {
                let of_it = enrolled
                    .iter()
                    .filter(|node| node.cluster == *cluster)
                    .cloned()
                    .collect();
                all_told &= match speaker(&fleet.last_seen(&of_it)) {
                    Some(speaker) => self.ask(&fleet, speaker).await,
                    // Nobody is heard yet, or nobody has quorum.
                    None => false,
                };
            }
            self.forget_others_than(&clusters);
            tokio::time::sleep(fleet.pace.wait(if all_told { EVERY } else { AGAIN })).await;
        }
    }

    /// Asks this member. Did it tell?
    async fn ask(&self, fleet: &Arc<Fleet>, speaker: NodeRef) -> bool {
        let only = BTreeSet::from([speaker.clone()]);
        let seen = fleet.look(&only, &[FacetName::Config]).await;
        let Some(sighting) = seen.into_iter().next() else {
            return false;
        };
        let config = match sighting.view.observation.map(|observation| observation.config) {
            Ok(Facet::Known { value, .. }) => Ok(value),
            Ok(Facet::Unknown(unknown)) | Err(unknown) => Err(unknown),
        };
        let told = config.is_ok();
        self.take(&speaker, config, trust::now(&fleet.clock));
        told
    }

    /// Takes in what a member told.
    fn take(&self, speaker: &NodeRef, config: Result<PveConfig, Unknown>, now: Timestamp) {
        let cluster = &speaker.cluster;
        let mut books = self.books();
        let seen = config.as_ref().ok().and_then(|config| config.guests.get().ok());
        let ids: Option<BTreeSet<u32>> = seen.map(|guests| guests.iter().map(|one| one.guest.vmid).collect());
        if let Some(ids) = ids {
            let last = books.looked.insert(cluster.clone(), now);
            let new = last.is_some_and(|last| last.age(now) <= WATCHED);
            let mut since = books.since.get(cluster).cloned().unwrap_or_default();
            since.retain(|id, _| ids.contains(id));
            for id in ids {
                since.entry(id).or_insert(Since { at: now, new });
            }
            if books.since.get(cluster) != Some(&since) {
                books.since.insert(cluster.clone(), since);
                self.keep(&books);
            }
        }
        let told = Told {
            by: speaker.node.clone(),
            config,
            at: now,
            since: books.since.get(cluster).cloned().unwrap_or_default(),
        };
        books.told.insert(cluster.clone(), told);
    }

    /// Clusters of which no server is left in the fleet.
    fn forget_others_than(&self, clusters: &BTreeSet<ClusterName>) {
        let mut books = self.books();
        books.told.retain(|cluster, _| clusters.contains(cluster));
        books.looked.retain(|cluster, _| clusters.contains(cluster));
        let before = books.since.len();
        books.since.retain(|cluster, _| clusters.contains(cluster));
        if books.since.len() != before {
            self.keep(&books);
        }
    }

    fn keep(&self, books: &Books) {
        let document = Document {
            version: VERSION,
            clusters: books.since.clone(),
        };
        if let Err(error) = documents::save(&self.path, &document) {
            tracing::warn!(path = %self.path.display(), %error, "since when guests are known can't be kept");
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose /etc/pve counts: the first member that is quorate. One without quorum may have an old one.
fn speaker(seen: &[Sighting]) -> Option<NodeRef> {
    let quorate = |observation: &Observation| {
        let member = observation.cluster.get().ok().and_then(|cluster| cluster.member());
        member.is_some_and(|member| member.quorate)
    };
    let speaks = |sighting: &&Sighting| sighting.view.observation.as_ref().is_ok_and(quorate);
    seen.iter().find(speaks).map(|sighting| sighting.node.clone())
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::UnknownKind;
    use quorate_model::observation::guest_config::ConfiguredGuest;
    use quorate_model::observation::{Guest, GuestKind};

    use super::*;

    fn with(ids: &[u32]) -> Result<PveConfig, Unknown> {
        let one = |id: &u32| ConfiguredGuest {
            guest: Guest {
                vmid: *id,
                node: "prox1".to_owned(),
                kind: GuestKind::Container,
            },
            config: Facet::not_asked(),
        };
        let servers = quorate_planner::testkit::Servers::bare(1);
        let seen = servers.view.nodes.into_values().next().unwrap().observation.unwrap();
        let mut config = seen.config.get().unwrap().clone();
        config.guests = Facet::known(ids.iter().map(one).collect(), Timestamp(0));
        Ok(config)
    }

    #[test]
    fn a_guest_is_new_only_if_somebody_was_watching_when_it_was_not_there() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("guests.json");
        let node: NodeRef = "hk1/prox1".parse().unwrap();
        let at = Timestamp::from_seconds;
        let known = KnownGuests::open(path.clone());
        let since = |known: &KnownGuests, id| known.of(&node.cluster).and_then(|told| told.since.get(&id).copied());
        known.take(&node, with(&[100]), at(1000));
        known.take(&node, with(&[100, 101]), at(1060));
        let silent = Unknown::new(UnknownKind::Unreachable, "no route");
        known.take(&node, Err(silent), at(1100));
        assert_eq!(
            since(&known, 100),
            Some(Since {
                at: at(1000),
                new: false
            })
        );
        assert_eq!(
            since(&known, 101),
            Some(Since {
                at: at(1060),
                new: true
            })
        );

        // Of what came while it was away it does not know the age, and what was known stays so.
        let again = KnownGuests::open(path);
        again.take(&node, with(&[101, 102]), at(9000));
        assert_eq!(
            since(&again, 101),
            Some(Since {
                at: at(1060),
                new: true
            })
        );
        assert_eq!(
            since(&again, 102),
            Some(Since {
                at: at(9000),
                new: false
            })
        );
        assert_eq!(
            since(&again, 100),
            None,
            "it is gone: whoever comes by its id is another one"
        );
    }
}
