//! The ledger's form on disk. It is the ledger's own: a change of the model's JSON, which is made for people and
//! scripts, does not change what an older agent has written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::Timestamp;
use quorate_model::ids::{ClusterName, Driver, NodeName, OperationId};
use quorate_model::operation::{Action, LedgerEntry, Operation, Outcome};
use serde::{Deserialize, Serialize};

use super::{Content, Revoked};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    driver: Option<Driver>,
    revoked: Revoked,
    operations: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry(#[serde(with = "EntryForm")] LedgerEntry);

#[derive(Serialize, Deserialize)]
#[serde(remote = "LedgerEntry", deny_unknown_fields)]
struct EntryForm {
    #[serde(with = "OperationForm")]
    operation: Operation,
    accepted_at: Timestamp,
    outcome: Option<Outcome>,
    ended_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Operation", deny_unknown_fields)]
struct OperationForm {
    id: OperationId,
    #[serde(with = "ActionForm")]
    action: Action,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Action", rename_all = "snake_case", deny_unknown_fields)]
enum ActionForm {
    CreateCluster {
        cluster: ClusterName,
        links: BTreeMap<u8, IpAddr>,
    },
    JoinCluster {
        cluster: ClusterName,
        member: NodeName,
        member_address: IpAddr,
        links: BTreeMap<u8, IpAddr>,
    },
}

impl From<&Content> for Stored {
    fn from(content: &Content) -> Self {
        let Content {
            driver,
            revoked,
            operations,
        } = content.clone();
        Self {
            driver,
            revoked,
            operations: operations.into_iter().map(Entry).collect(),
        }
    }
}

impl From<Stored> for Content {
    fn from(stored: Stored) -> Self {
        let Stored {
            driver,
            revoked,
            operations,
        } = stored;
        Self {
            driver,
            revoked,
            operations: operations.into_iter().map(|Entry(entry)| entry).collect(),
        }
    }
}
