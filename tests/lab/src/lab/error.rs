//! Why a lab can't do what was asked.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why a lab can't do what was asked.
#[derive(Debug, Error)]
pub enum LabError {
    /// Files or processes.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The world ended early.
    #[error("the world ended before it was ready: {0}")]
    WorldEnded(String),
    /// The world refused a request, and why.
    #[error("{0}")]
    Refused(String),
    /// Something did not come true in time.
    #[error("{what} did not come true in {deadline:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        deadline: Duration,
    },
    /// There is no such server.
    #[error("the lab has no server called {0}")]
    NoSuchNode(String),
    /// There is no such act.
    #[error("no act is called {name}; there is: {}", known.join(", "))]
    NoSuchAct {
        /// What was asked for.
        name: String,
        /// The acts.
        known: Vec<&'static str>,
    },
}

pub(crate) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
    let what = what.into();
    move |source| LabError::Io { what, source }
}
