//! Which disks each server had when it was last seen: so that one that is gone, is new, or decays is told as such.
//!
//! Agents tell what is there now and remember nothing; a coordinator that starts anew must not take a disk that was pulled while it
//! was away for one that never was. What is kept can be observed again but for what has vanished: if it is lost, all disks that are
//! there count as known, and nothing else is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_model::observation::disks::Disks;
use quorate_model::observation::pools::Pool;
use quorate_model::{Facet, Finding, NodeRef, Observation, Timestamp};
use serde::{Deserialize, Serialize};

use super::Fleet;
use crate::documents;
use crate::report::{DisksOf, Turn};
use crate::trust;

/// How often what came over the links is looked through. Agents look at their disks when something shows that they changed, and each
/// minute.
const EVERY: Duration = Duration::from_secs(1);

/// What is older than this is not an answer that was overtaken by a later one: the server's clock was set back.
const OVERTAKEN: Duration = Duration::from_secs(60);

/// The form of the file. Another one is not understood, rather than half.
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    nodes: BTreeMap<String, DisksOf>,
}

/// The disks of all servers.
#[derive(Debug)]
pub(crate) struct KnownDisks {
    path: PathBuf,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    nodes: BTreeMap<NodeRef, DisksOf>,
    /// When what was taken in last had been seen, by the server's clock.
    seen: BTreeMap<NodeRef, Timestamp>,
}

impl KnownDisks {
    /// What was kept in this file.
    pub(crate) fn open(path: PathBuf) -> Self {
        let document = match documents::load::<Document>(&path) {
            Ok(Some(document)) if document.version == VERSION => document,
            Ok(None) => Document::default(),
            Ok(Some(other)) => {
                tracing::warn!(path = %path.display(), version = other.version, "which disks there were is in a form that is not understood");
                Document::default()
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "which disks there were can't be read");
                Document::default()
            }
        };
        let named = |(name, disks): (String, DisksOf)| Some((name.parse().ok()?, disks));
        let books = Books {
            nodes: document.nodes.into_iter().filter_map(named).collect(),
            seen: BTreeMap::new(),
        };
        Self {
            path,
            books: Mutex::new(books),
        }
    }

    /// Takes in what a server shows now. Something that is not known changes nothing.
    pub(crate) fn see(&self, node: &NodeRef, observation: &Observation, now: Timestamp) {
        let Facet::Known { value, collected_at } = &observation.disks else {
            return;
        };
        let mut books = self.books();
        let last = books.seen.get(node).copied();
        if last.is_some_and(|last| *collected_at < last && collected_at.age(last) < OVERTAKEN) {
            return;
        }
        books.seen.insert(node.clone(), *collected_at);
        let pools = observation.pools.get().ok().map(Vec::as_slice);
        self.take_in(&mut books, node, (value, pools), now);
    }

    fn take_in(&self, books: &mut Books, node: &NodeRef, (disks, pools): (&Disks, Option<&[Pool]>), now: Timestamp) {
        let known = books.nodes.get(node).cloned();
        let mut next = known.clone().unwrap_or_default();
        for turn in next.see(disks, pools, now) {
            match turn {
                Turn::Gone(disk) => tracing::warn!(%node, disk, "a disk is gone"),
                Turn::New(disk) => tracing::info!(%node, disk, "a disk is new"),
                Turn::Back(disk) => tracing::info!(%node, disk, "a disk is back"),
                Turn::Decays(disk) => tracing::warn!(%node, disk, "a disk has more bad sectors than before"),
            }
        }
        if known.as_ref() != Some(&next) {
            books.nodes.insert(node.clone(), next);
            self.keep(books);
        }
    }

    /// What there is to say of this server's disks.
    pub(crate) fn findings(&self, node: &NodeRef, now: Timestamp) -> Vec<Finding> {
        let books = self.books();
        books
            .nodes
            .get(node)
            .map_or_else(Vec::new, |disks| disks.findings(node, now))
    }

    /// Takes in what came over the links, for ever. Whoever started it cancels it.
    pub(crate) async fn follow(self: Arc<Self>, fleet: Arc<Fleet>) {
        loop {
            let peers = fleet.peers();
            for peer in &peers {
                if let Some(observation) = peer.health().observation {
                    self.see(&peer.name, &observation, trust::now(&fleet.clock));
                }
            }
            self.forget_others_than(&fleet.registry.enrolled());
            tokio::time::sleep(fleet.pace.wait(EVERY)).await;
        }
    }

    /// Servers that were taken out of the fleet.
    fn forget_others_than(&self, enrolled: &BTreeSet<NodeRef>) {
        let mut books = self.books();
        let before = books.nodes.len();
        books.nodes.retain(|node, _| enrolled.contains(node));
        if books.nodes.len() != before {
            self.keep(&books);
        }
    }

    fn keep(&self, books: &Books) {
        let nodes = books
            .nodes
            .iter()
            .map(|(name, disks)| (name.to_string(), disks.clone()));
        let document = Document {
            version: VERSION,
            nodes: nodes.collect(),
        };
        if let Err(error) = documents::save(&self.path, &document) {
            tracing::warn!(path = %self.path.display(), %error, "which disks there are can't be kept");
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::observation::disks::Disk;

    use super::*;

    fn seen(serials: &[&str], at: i64) -> Observation {
        let disk = |serial: &&str| -> Disk {
            let text = format!(
                r#"{{"path": "/dev/sd{serial}", "by_id": [], "wwn": null, "serial": "{serial}", "model": null, "vendor": null, "size": 1,
                "rotational": false, "transport": null, "hctl": null, "read_only": false, "removable": false, "partition_table": null,
                "fstype": null, "controller": null, "raid_level": null, "partitions": [], "holders": [], "verdicts": [],
                "smart": {{"state": "unknown", "kind": "not_asked", "reason": ""}},
                "edges": {{"state": "unknown", "kind": "not_asked", "reason": ""}}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let mut observation = Observation::empty("prox1", Timestamp::from_seconds(at));
        let disks = serials.iter().map(disk).collect();
        observation.disks = Facet::known(Disks { disks }, Timestamp::from_seconds(at));
        observation
    }

    #[test]
    fn what_was_kept_is_known_again_and_damage_means_a_first_look() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("disks.json");
        let node: NodeRef = "hk1/prox1".parse().unwrap();
        let at = Timestamp::from_seconds;
        KnownDisks::open(path.clone()).see(&node, &seen(&["a", "b"], 100), at(100));
        let again = KnownDisks::open(path.clone());
        again.see(&node, &seen(&["a"], 200), at(200));
        assert_eq!(again.findings(&node, at(200)).len(), 1);
        // An answer that was overtaken, and one that says nothing, change nothing.
        again.see(&node, &seen(&["a", "b"], 190), at(201));
        again.see(&node, &Observation::empty("prox1", at(202)), at(202));
        assert_eq!(again.findings(&node, at(202)).len(), 1);
        again.forget_others_than(&BTreeSet::new());
        assert_eq!(again.findings(&node, at(202)), []);

        quorate_identity::write_secret_file(&path, "{\"version\": 1, \"no").unwrap();
        let damaged = KnownDisks::open(path);
        damaged.see(&node, &seen(&["a"], 300), at(300));
        assert_eq!(damaged.findings(&node, at(300)), []);
    }
}
