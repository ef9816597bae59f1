//! One execution of a plan, as its journal tells it. The legal order of records is the engine's.

use serde::{Deserialize, Serialize};

use crate::finding::Finding;
use crate::ids::{ClusterName, Generation, OperationId, RolloutId, StepId};
use crate::operation::{OperationEventKind, Outcome};
use crate::plan::Plan;
use crate::time::Timestamp;

/// A record of the rollout journal, with its number and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 0, without gaps.
    pub sequence: u64,
    /// On the coordinator's clock.
    pub at: Timestamp,
    /// What is recorded.
    pub record: Record,
}

/// What a journal records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "record")]
pub enum Record {
    /// The first record: the plan as it was shown, who asked for it.
    Created {
        /// The plan, whole.
        plan: Box<Plan>,
        /// Operator's name, or `root` on the socket.
        by: String,
    },
    /// Durable before the request leaves: from here on the outcome is unknown until something else is recorded.
    Intended {
        /// The step.
        step: StepId,
        /// The operation's id, chosen here.
        operation: OperationId,
        /// From 1.
        attempt: u32,
        /// The driver's generation.
        generation: Generation,
    },
    /// The agent has it in its ledger: it may run; a second one is never sent.
    Accepted {
        /// The step.
        step: StepId,
    },
    /// The agent reported its end; final for this attempt.
    Ended {
        /// The step.
        step: StepId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A fresh observation agrees.
    Verified {
        /// The step.
        step: StepId,
        /// What was seen.
        evidence: String,
    },
    /// The branch stops here: failed for good, or nobody can tell.
    Stopped {
        /// The step.
        step: StepId,
        /// Failed or stuck.
        state: StopKind,
        /// Why, most telling first.
        findings: Vec<Finding>,
    },
    /// A restoring step was left out: what it takes back certainly never began, and never will.
    Skipped {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// An operator asked to stop between steps. Restoring steps are carried out all the same.
    CancelRequested {
        /// Who.
        by: String,
    },
    /// The last record.
    Finished {
        /// How it ended.
        result: RolloutResult,
    },
}

/// Why a branch stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopKind {
    /// It is known not to have come about.
    Failed,
    /// It can't be told.
    Stuck,
    /// Its gate did not hold, so it was not started.
    Held,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutResult {
    /// Every step was verified.
    Done,
    /// At least one step failed or is stuck.
    Failed,
    /// It was cancelled between steps.
    Cancelled,
    /// Its journal was lost, or contradicts itself and was let go of. How far it came is known from the agents' ledgers, and from observing.
    Abandoned,
}

/// The state of a step, from the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StepState {
    /// Nothing was sent yet.
    Waiting,
    /// Sent, or about to be; whether the agent has it is not known yet.
    Intended,
    /// The agent has it.
    Running,
    /// The agent says done; not yet seen by a fresh observation.
    Ended,
    /// Seen.
    Verified,
    /// A restoring step that has nothing to take back.
    Skipped,
    /// Failed, stuck or held.
    Stopped {
        /// Which of these.
        kind: StopKind,
    },
}

/// A rollout as lists and reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: RolloutId,
    /// The cluster.
    pub cluster: ClusterName,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// How it ended; `None`: it runs.
    pub result: Option<RolloutResult>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Steps in the plan's order with their states.
    pub steps: Vec<(StepId, StepState)>,
    /// Restoring steps that stopped: what they should have taken back is still so, and somebody must do it by hand.
    #[serde(default)]
    pub not_restored: Vec<StepId>,
}

/// What a watcher of a rollout is told: journal entries, and what agents say meanwhile (which isn't kept in the journal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "progress")]
pub enum Progress {
    /// A journal entry.
    Entry(Box<Entry>),
    /// Something an agent said about a running step.
    Agent {
        /// The step.
        step: StepId,
        /// When the coordinator heard of it, on its own clock.
        at: Timestamp,
        /// What.
        event: OperationEventKind,
    },
    /// A step can't go on yet; said once for each reason.
    Waiting {
        /// The step.
        step: StepId,
        /// For what.
        reason: String,
    },
    /// A restoring step begins although not all went well before it; said once.
    Restoring {
        /// The step.
        step: StepId,
        /// What makes it begin: a step that stopped, or a cancel.
        reason: String,
    },
}
