//! What the engine needs of the world: a journal, agents, a clock. It knows neither sled nor tonic.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use quorate_model::ids::{NodeName, OperationId, RolloutId};
use quorate_model::operation::{LedgerEntry, Operation, OperationEvent};
use quorate_model::plan::{Needs, Step};
use quorate_model::rollout::{Entry, Record};
use quorate_model::{Finding, Timestamp, View};
use tokio::sync::mpsc;

/// Proof that a record is durable: [`Agents::start`] demands one, so that no request can leave before its intent is on disk.
#[derive(Debug)]
pub struct Recorded {
    /// The entry as it stands in the journal.
    pub entry: Entry,
}

/// The journal can't be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// It can't be written: nothing more is started.
    #[error("can't write the rollout journal: {0}")]
    Write(String),
    /// It can't be read.
    #[error("can't read the rollout journal: {0}")]
    Read(String),
    /// It is shorter than it was, or altered.
    #[error("the rollout journal is damaged: {0}")]
    Damaged(String),
}

/// Where records go. Returns only when they are durable.
pub trait Journal: Send + Sync + 'static {
    /// Appends a record to a rollout, durably.
    fn append(
        &self,
        rollout: &RolloutId,
        record: Record,
    ) -> impl Future<Output = Result<Recorded, JournalError>> + Send;
    /// All entries of a rollout, in order; an unknown rollout has none.
    fn load(&self, rollout: &RolloutId) -> impl Future<Output = Result<Vec<Entry>, JournalError>> + Send;
    /// All rollouts, oldest first.
    fn rollouts(&self) -> impl Future<Output = Result<Vec<RolloutId>, JournalError>> + Send;
}

/// Why an operation's events can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The request certainly did not reach the agent.
    #[error("the agent was not reached: {0}")]
    NotReached(String),
    /// It can't be told whether the agent has it.
    #[error("no answer from the agent: {0}")]
    NoAnswer(String),
    /// The agent, or what must be done before it is asked, said no.
    #[error("refused: {}", .0.message)]
    Refused(Box<Finding>),
    /// The agent does not know the operation.
    #[error("the agent does not know the operation")]
    NotKnown,
}

/// Events of one operation. The channel ends after `Ended`; if it ends before, the connection broke.
pub type Events = mpsc::Receiver<OperationEvent>;

/// The agents of one cluster. Every call has a deadline of its own: it ends in an error or in something unknown, never in silence.
/// A stream of events ends when its connection is dead, which its keep-alive must find out.
pub trait Agents: Send + Sync + 'static {
    /// Looks freshly at these facets of these nodes, and at nothing else. What can't be seen is unknown in the view; a node that is
    /// not reached is in it as [`Unreachable`](quorate_model::facet::UnknownKind::Unreachable), which is what tells that it is off.
    fn view(&self, needs: &Needs) -> impl Future<Output = View> + Send;
    /// Sends a step's operation, whose intent is recorded, to the step's node. Whatever else the action needs (a ticket of a member)
    /// is fetched on the way. Of a step that `restores`, the agent must know it: it is not held up by a freeze or a window.
    fn start(
        &self,
        recorded: &Recorded,
        step: &Step,
        operation: &Operation,
    ) -> impl Future<Output = Result<Events, AgentError>> + Send;
    /// The events of a known operation from a number on.
    fn attach(
        &self,
        node: &NodeName,
        operation: &OperationId,
        from: u64,
    ) -> impl Future<Output = Result<Events, AgentError>> + Send;
    /// What the agent's ledger says of an operation; `Ok(None)`: the agent has never seen it.
    fn ledger(
        &self,
        node: &NodeName,
        operation: &OperationId,
    ) -> impl Future<Output = Result<Option<LedgerEntry>, AgentError>> + Send;
}

/// Time, so that tests can run it.
pub trait Clock: Send + Sync + 'static {
    /// Wall time, for records.
    fn now(&self) -> Timestamp;
    /// Waits; a lab divides it by its speed.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// Whether the cluster may be disturbed now: maintenance windows, `quorate freeze`.
pub trait Permit: fmt::Debug + Send + Sync + 'static {
    /// May a disruptive step begin? Asked in the moment before each one, and every [`look`](crate::Patience::look) while one waits.
    ///
    /// # Errors
    /// What it waits for, as a finding with the code `ClusterFrozen` or `OutsideWindow`.
    fn disruptive(&self, now: Timestamp) -> Result<(), Box<Finding>>;
}

/// Leave is always given.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysPermitted;

impl Permit for AlwaysPermitted {
    fn disruptive(&self, _now: Timestamp) -> Result<(), Box<Finding>> {
        Ok(())
    }
}
