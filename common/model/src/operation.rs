//! What an agent executes for a step: one typed action under an id, once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::{ClusterName, NodeName, OperationId};
use crate::time::Timestamp;

/// The things an agent can change. There is no "run this command".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// `pvecm create`: a new cluster with this node as its only member.
    CreateCluster {
        /// The cluster's name, for ever.
        cluster: ClusterName,
        /// Link number → this node's address on it.
        #[serde(deserialize_with = "crate::keys::numbers")]
        links: BTreeMap<u8, IpAddr>,
    },
    /// `pvecm add`: this node joins the cluster through one of its members.
    JoinCluster {
        /// The cluster that it must turn out to be.
        cluster: ClusterName,
        /// The member's name.
        member: NodeName,
        /// The member's address for the API call (port 8006).
        member_address: IpAddr,
        /// Link number → this node's address on it.
        #[serde(deserialize_with = "crate::keys::numbers")]
        links: BTreeMap<u8, IpAddr>,
    },
}

impl Action {
    /// Its kind, for tables and logs.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::CreateCluster { .. } => ActionKind::CreateCluster,
            Self::JoinCluster { .. } => ActionKind::JoinCluster,
        }
    }
}

/// The kinds of actions: every table about actions has a row for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// See [`Action::CreateCluster`].
    CreateCluster,
    /// See [`Action::JoinCluster`].
    JoinCluster,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [ActionKind; 2] = [Self::CreateCluster, Self::JoinCluster];

    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateCluster => "create cluster",
            Self::JoinCluster => "join cluster",
        }
    }
}

/// What happens when an action's deadline passes, and when the operator cancels while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// The tool is asked to stop (SIGTERM): it ends its own task and leaves nothing half-done.
    Stop,
    /// It is diagnosed and followed: stopping it half-way would leave a half-state.
    Follow,
}

/// One row of the table that says for each action what its deadline and a cancel do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRules {
    /// The action.
    pub kind: ActionKind,
    /// How long it should take at most.
    pub deadline: Duration,
    /// What happens then.
    pub on_deadline: OnDeadline,
    /// What a cancel does while it runs.
    pub on_cancel: OnDeadline,
    /// May it simply be sent again when the first try is known to have failed without a trace?
    pub repeatable: bool,
    /// Why so.
    pub why: &'static str,
}

/// The table. Durations are PVE's own (create: 2.5 s + up to 6 s until /etc/pve is writable; join: 14–15 s) with ample room.
pub const ACTION_RULES: [ActionRules; 2] = [
    ActionRules {
        kind: ActionKind::CreateCluster,
        deadline: Duration::from_secs(60),
        on_deadline: OnDeadline::Follow,
        on_cancel: OnDeadline::Follow,
        repeatable: true,
        why: "it takes seconds, and stopping it between the key and corosync.conf leaves files that refuse the next try",
    },
    ActionRules {
        kind: ActionKind::JoinCluster,
        deadline: Duration::from_secs(120),
        on_deadline: OnDeadline::Follow,
        on_cancel: OnDeadline::Follow,
        repeatable: true,
        why: "after the member has accepted the node, a killed join leaves a vote without a voter; before that it ends by itself",
    },
];

/// The rules of an action.
#[must_use]
pub fn rules(kind: ActionKind) -> ActionRules {
    match kind {
        ActionKind::CreateCluster => ACTION_RULES[0],
        ActionKind::JoinCluster => ACTION_RULES[1],
    }
}

/// An action under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Chosen by the coordinator before the request leaves.
    pub id: OperationId,
    /// What to do.
    pub action: Action,
}

/// What an agent tells about a running operation; numbered from 0, so that a stream can be taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// Number of the event within its operation.
    pub sequence: u64,
    /// On the node's clock.
    pub at: Timestamp,
    /// What happened.
    pub kind: OperationEventKind,
}

/// The kinds of operation events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum OperationEventKind {
    /// It stands in the agent's ledger; from now on it is never started a second time.
    Accepted,
    /// A tool was started.
    ToolStarted {
        /// Its command line for people; secrets are never in it.
        command: String,
        /// Its process id.
        pid: u32,
    },
    /// A line that the tool printed.
    Line {
        /// From stderr rather than stdout.
        stderr: bool,
        /// The line, with what could be a secret taken out.
        text: String,
    },
    /// The tool ended.
    ToolEnded {
        /// Exit code or signal in words.
        exit: String,
        /// Milliseconds that it ran.
        milliseconds: u64,
    },
    /// The agent looks whether what was wanted is there.
    Verifying {
        /// What it waits for.
        waiting_for: String,
    },
    /// It takes longer than it should; this is what can be seen.
    Overdue {
        /// What was found out, line by line.
        diagnosis: Vec<String>,
    },
    /// It is over.
    Ended(Outcome),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// A fresh observation on the node shows what was wanted.
    Done {
        /// What was seen.
        evidence: String,
    },
    /// It did not come about; this is why.
    Failed {
        /// The findings, most telling first; at least one.
        findings: Vec<Finding>,
        /// Nothing was changed on this node or elsewhere, as far as the tool's messages tell: it may be tried again.
        unchanged: bool,
    },
    /// It can't be told: the tool's end was not seen, or the node is in neither state.
    Unknown {
        /// What is known.
        reason: String,
    },
}

/// An operation in an agent's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The operation.
    pub operation: Operation,
    /// When it was accepted, on the node's clock.
    pub accepted_at: Timestamp,
    /// How it ended; `None`: it runs.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_read_back_from_json() {
        let action = Action::JoinCluster {
            cluster: "hk1".parse().unwrap(),
            member: "prox1".parse().unwrap(),
            member_address: "192.168.1.11".parse().unwrap(),
            links: BTreeMap::from([(0, "10.10.10.2".parse().unwrap()), (7, "fd00::2".parse().unwrap())]),
        };
        let json = serde_json::to_string(&action).unwrap();
        assert_eq!(serde_json::from_str::<Action>(&json).unwrap(), action);
        assert!(serde_json::from_str::<Action>(&json.replace("\"7\"", "\"seven\"")).is_err());
    }

    #[test]
    fn every_action_has_its_own_row() {
        for kind in ActionKind::ALL {
            assert_eq!(rules(kind).kind, kind);
            assert!(rules(kind).deadline > Duration::ZERO && !rules(kind).why.is_empty());
        }
    }
}
