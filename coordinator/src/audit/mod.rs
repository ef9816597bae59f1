//! The audit log: who did what, when and from where. One JSON document a line, only ever appended to, each line with its
//! number and the SHA-256 of the one before it; a head file beside it says how many there are. What changes anything is
//! written down here, on disk, before it is done: what can't be written down is not done.

mod line;
mod log;
#[cfg(test)]
mod tests;
pub(crate) mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_clock::Clock;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{Code, Finding, Timestamp};

pub(crate) use self::line::{Act, By, Line, What};
use self::log::Log;
pub(crate) use self::log::{AuditError, Head};
use crate::state_dir::StateDir;
use crate::trust;

/// The audit log of a state directory. Clones write to the same one, and so may other processes.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    log: Arc<Log>,
    clock: Clock,
}

impl Audit {
    /// The log in a state directory; there need not be one yet.
    pub(crate) fn of(state: &StateDir, clock: Clock) -> Self {
        Self {
            log: Arc::new(Log::new(state.audit(), state.audit_head(), state.fleet())),
            clock,
        }
    }

    /// Writes down what is about to be done. When this returns, it is on disk.
    pub(crate) fn record(&self, act: Act) -> Result<(), Failure> {
        let at = trust::now(&self.clock);
        self.log.append(at, act).map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                "it can't be written to the audit log, and so it is not done",
            )
            .because(&error)
            .hint(format!("look at the disk that holds {}", self.log.path().display()))
        })
    }

    /// The same, away from the threads that answer.
    pub(crate) async fn note(&self, act: Act) -> Result<(), Failure> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.record(act))
            .await
            .unwrap_or_else(|error| Err(Failure::new(ExitCode::Internal, "the audit log broke off").because(&error)))
    }

    /// Writes down what has happened by itself, or can't be stopped any more. A failure is only logged.
    pub(crate) async fn mention(&self, act: Act) {
        if let Err(failure) = self.note(act).await {
            tracing::error!(error = %failure, "the audit log lacks a line");
        }
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &Path {
        self.log.path()
    }

    /// What its end must be; `None`: nothing was ever written.
    pub(crate) fn head(&self) -> Result<Option<Head>, AuditError> {
        self.log.head()
    }

    /// The log and its head as they are at one moment: nobody writes meanwhile.
    pub(crate) fn whole(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, AuditError> {
        self.log.whole()
    }

    /// Is it as it was written? Reads it whole.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let checked = verify::file(self.path(), self.head().ok().flatten().as_ref());
        let broken = match checked {
            Ok(report) => report.broken,
            Err(error) => Some(verify::Broken {
                line: 0,
                why: trust::sentence(&error),
            }),
        };
        broken
            .map(|broken| {
                Finding::new(
                    Code::AuditBroken,
                    "",
                    format!("the audit log {}: {broken}", self.path().display()),
                    "find out who could write to it; compare it with the one in the last backup: quorate audit --verify",
                )
            })
            .into_iter()
            .collect()
    }

    /// Drills of a cluster that were over, as far as the log tells: their numbers, and the digests of their records.
    pub(crate) fn ended_drills(&self, cluster: &str) -> Result<Vec<(u64, String)>, AuditError> {
        let mut all = Vec::new();
        verify::each(self.path(), |_, text| {
            let ended = serde_json::from_str::<Line>(text)
                .ok()
                .filter(|line| line.cluster.as_deref() == Some(cluster))
                .and_then(|line| match line.what {
                    What::EndDrill { number, digest, .. } => Some((number, digest)),
                    _ => None,
                });
            all.extend(ended);
        })?;
        Ok(all)
    }

    /// When the last exchange of the CA was finished, as far as the log tells: from then on nothing counts that is made under an earlier one.
    pub(crate) fn last_finish(&self) -> Result<Option<Timestamp>, AuditError> {
        let mut last = None;
        verify::each(self.path(), |_, text| {
            let finished = serde_json::from_str::<Line>(text)
                .ok()
                .filter(|line| matches!(&line.what, What::ExchangeCa { step } if step == "finish"))
                .and_then(|line| line.at.parse().ok());
            last = finished.or(last);
        })?;
        Ok(last)
    }

    /// The instances that have been started on this state, as far as the log tells.
    pub(crate) fn instances(&self) -> Result<Vec<String>, AuditError> {
        let mut all = Vec::new();
        verify::each(self.path(), |_, text| {
            let started = serde_json::from_str::<Line>(text)
                .ok()
                .and_then(|line| match line.what {
                    What::Start { instance, .. } => Some(instance),
                    _ => None,
                });
            all.extend(started);
        })?;
        Ok(all)
    }
}

/// Reads a line, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(text: &str) -> impl std::fmt::Debug + use<> {
    serde_json::from_str::<Line>(text).map_err(|error| error.to_string())
}
