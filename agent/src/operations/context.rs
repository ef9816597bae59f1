//! What an operation works with while it runs.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use quorate_exec::SecretBytes;
use quorate_model::ids::NodeName;
use quorate_model::operation::{Operation, OperationEventKind};

use super::actions;
use super::folder::Folder;
use super::log::EventLog;
use super::patience::Patience;
use super::supervisor::Supervisor;
use crate::host::Host;
use crate::pace::Pace;

/// Nothing is looked at more often than this, at whatever pace.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(20);

/// A diagnosis asks tools that may hang too.
const DIAGNOSIS_WITHIN: Duration = Duration::from_secs(20);

/// Everything about one running operation.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) host: &'a Host,
    pub(super) pace: Pace,
    pub(super) supervisor: &'a Supervisor,
    /// The name under which this node is enrolled.
    pub(super) node: &'a NodeName,
    pub(super) operation: &'a Operation,
    pub(super) folder: &'a Folder,
    pub(super) log: &'a EventLog,
    /// Another operation waits for its place.
    pub(super) give_way: &'a AtomicBool,
    /// What the tool reads; kept to take it out of the tool's lines. Gone after a restart.
    pub(super) secret: Option<SecretBytes>,
    pub(super) patience: Patience,
}

impl Context<'_> {
    /// How long to wait between two looks.
    pub(super) fn interval(&self, in_life: Duration) -> Duration {
        self.pace.of(in_life).max(SHORTEST_INTERVAL)
    }

    /// Says what can be seen, if the operation takes longer than it should.
    pub(super) async fn say_if_overdue(&mut self) {
        if self.patience.is_over() {
            let diagnosis = tokio::time::timeout(DIAGNOSIS_WITHIN, actions::diagnose(self)).await;
            let diagnosis = diagnosis.unwrap_or_else(|_| {
                vec![format!(
                    "the diagnosis itself got no answer within {} s",
                    DIAGNOSIS_WITHIN.as_secs()
                )]
            });
            self.log.say(OperationEventKind::Overdue { diagnosis });
        }
    }

    /// Says what is waited for, unless that was the last thing said.
    pub(super) fn say_waiting_for(&self, what: &str, last: &mut String) {
        if last != what {
            what.clone_into(last);
            self.log.say(OperationEventKind::Verifying {
                waiting_for: what.to_owned(),
            });
        }
    }
}
