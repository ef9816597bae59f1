//! Files of the servers: read for snapshots, and the two that agents keep for us.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::ids::Driver;
use quorate_model::observation::config::KeptSpec;
use quorate_model::{ClusterName, Hold, NodeRef};
use quorate_proto::{Wire, v1};
use tokio::task::JoinSet;

use super::Fleet;
use super::call::within;

impl Fleet {
    /// The files that a change touches, as they are now on each of these nodes; or why they can't be had.
    pub(crate) async fn snapshots(
        &self,
        names: &BTreeSet<NodeRef>,
    ) -> BTreeMap<NodeRef, Result<Vec<v1::SnapshotFile>, String>> {
        let mut asked = JoinSet::new();
        let mut all = BTreeMap::new();
        for name in names {
            let Some(peer) = self.peer(name) else {
                all.insert(name.clone(), Err("it is not enrolled".to_owned()));
                continue;
            };
            asked.spawn(async move {
                let reply = within(peer.quick(), &peer.name, peer.client().snapshot(v1::SnapshotRequest {})).await;
                (peer.name.clone(), reply)
            });
        }
        while let Some(joined) = asked.join_next().await {
            // A task that broke off leaves its node out; whoever reads sees that it is missing.
            let Ok((name, reply)) = joined else { continue };
            all.insert(name, reply.map(|reply| reply.files).map_err(|error| error.to_string()));
        }
        all
    }

    /// Tells every agent of a cluster what holds it up. Returns those that could not be told, with the reason.
    pub(crate) async fn hold(&self, driver: &Driver, cluster: &ClusterName, hold: &Hold) -> BTreeMap<NodeRef, String> {
        let mut told = JoinSet::new();
        for peer in self.peers().into_iter().filter(|peer| peer.name.cluster == *cluster) {
            let (driver, hold) = (driver.clone(), hold.clone());
            told.spawn(async move {
                let reply = peer.tell_hold(&driver, &hold).await;
                (peer.name.clone(), reply)
            });
        }
        let mut untold = BTreeMap::new();
        while let Some(joined) = told.join_next().await {
            if let Ok((name, Err(error))) = joined {
                untold.insert(name, error.to_string());
            }
        }
        untold
    }

    /// Has one member keep the applied cluster file in /etc/pve, where all of them see it. Tries one after the other.
    pub(crate) async fn keep_spec(
        &self,
        driver: &Driver,
        cluster: &ClusterName,
        spec: &KeptSpec,
    ) -> Result<NodeRef, String> {
        let mut last = "no server of it is enrolled".to_owned();
        for peer in self.peers().into_iter().filter(|peer| peer.name.cluster == *cluster) {
            let request = v1::KeepSpecRequest {
                driver: Some(driver.clone().into_wire()),
                cluster: cluster.to_string(),
                spec: Some(spec.clone().into_wire()),
            };
            let deadline = peer.quick() * 4;
            match within(deadline, &peer.name, peer.client().keep_spec(request)).await {
                Ok(_) => return Ok(peer.name.clone()),
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }
}
