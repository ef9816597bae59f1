//! Storages: that they are defined as planned, and active where they are to be.

use std::collections::BTreeSet;

use super::{Not, Verdict, on_each, row};
use crate::ids::NodeName;
use crate::observation::storages::StorageState;
use crate::storage::StorageDefinition;
use crate::view::View;

pub(super) fn ready(view: &View, storage: &StorageDefinition, nodes: &BTreeSet<NodeName>) -> Verdict {
    let id = storage.name.as_str();
    on_each(
        nodes,
        || format!("storage {id} is defined as planned, and active on {}", row(nodes)),
        |node| {
            let storages = view.facet(node, |o| &o.storages)?;
            let Some(there) = storages.defined(id) else {
                return Err(Not::Yet(format!("knows no storage {id}")));
            };
            let differs = storage.differences(there);
            if !differs.is_empty() {
                return Err(Not::Yet(format!(
                    "knows a storage {id} that is not as planned: {}",
                    row(&differs)
                )));
            }
            let status = storages.status.get()?;
            match status.iter().find(|status| status.id == id) {
                Some(status) if status.state == StorageState::Active => Ok(()),
                Some(status) => {
                    let why = status.complaint.as_ref();
                    let why = why.map_or_else(String::new, |why| format!(": {why}"));
                    Err(Not::Yet(format!("has storage {id} {}{why}", status.state.as_str())))
                }
                None => Err(Not::Yet(format!("does not list storage {id}"))),
            }
        },
    )
}
