//! What an agent executes for a step: one typed action under an id, once.

mod about;
pub mod action;
mod ha_service;
mod kind;
mod package;
mod rules;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::OperationId;
use crate::time::Timestamp;

pub use action::{Action, GIVEN_AT_APPLY};
pub use ha_service::HaService;
pub use kind::ActionKind;
pub use package::Package;
pub use rules::{ACTION_RULES, ActionRules, OnDeadline, rules};

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
        /// The tool certainly runs no more. Otherwise it may still change something, and must not be started a second time.
        #[serde(default)]
        over: bool,
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
