//! What can be wrong with a scenario.

use std::path::PathBuf;

/// Why a scenario cannot be read, or cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is no such directory.
    #[error("{} is no directory", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file says something that cannot be.
    #[error("{}:{line}: {reason}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A command could not be carried out when its time came.
    #[error("at {time} s: '{command}': {reason}")]
    Refused {
        /// The virtual second.
        time: u64,
        /// The command.
        command: String,
        /// Why not.
        reason: String,
    },
    /// So many nodes take longer than the locks live.
    #[error("{nodes} nodes are too many: one loop would take {seconds} s, which is longer than a watchdog waits")]
    TooManyNodes {
        /// How many.
        nodes: usize,
        /// How long a loop takes.
        seconds: u64,
    },
    /// It does not come to an end.
    #[error("the simulation was still running after {limit} s")]
    Endless {
        /// The limit, in virtual seconds.
        limit: u64,
    },
    /// A daemon ended without being asked to.
    #[error("at {time} s: the {daemon} of {node} ended unexpectedly")]
    DaemonEnded {
        /// The virtual second.
        time: u64,
        /// `crm` or `lrm`.
        daemon: &'static str,
        /// Where.
        node: String,
    },
}
