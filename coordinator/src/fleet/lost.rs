//! What those that are left see and hear of a server that is said to be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::lost::Survivor;
use quorate_model::{NodeName, NodeRef, Unknown};
use quorate_proto::{field, v1};
use tokio::task::JoinSet;

use super::call::{CallError, within};
use super::{Fleet, Peer};

/// Each address is pinged and dialled, one network after another, after all else was looked at: of two networks some twenty seconds. Real time, in
/// a lab too: the tools have their deadlines so.
const LOOKS_WITHIN: Duration = Duration::from_secs(60);

impl Fleet {
    /// Asks each of these at the same time.
    pub(crate) async fn look_for_lost(
        &self,
        names: &BTreeSet<NodeRef>,
        lost: &NodeName,
    ) -> BTreeMap<NodeName, Result<Survivor, Unknown>> {
        let mut asked = JoinSet::new();
        for peer in names.iter().filter_map(|name| self.peer(name)) {
            let lost = lost.clone();
            asked.spawn(async move {
                let said = peer.look_for_lost(&lost).await;
                (peer.name.node.clone(), said.map_err(|error| error.unknown()))
            });
        }
        let mut all = BTreeMap::new();
        while let Some(joined) = asked.join_next().await {
            // A task that broke off leaves its node out, and whoever reads takes it for one that could not be asked.
            if let Ok((name, said)) = joined {
                all.insert(name, said);
            }
        }
        all
    }
}

impl Peer {
    async fn look_for_lost(&self, lost: &NodeName) -> Result<Survivor, CallError> {
        let request = v1::LookForLostRequest { lost: lost.to_string() };
        let reply = within(LOOKS_WITHIN, &self.name, self.client().look_for_lost(request)).await?;
        field("survivor", reply.survivor).map_err(|error| CallError::garbled(&error))
    }
}
