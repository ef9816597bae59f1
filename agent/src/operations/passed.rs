//! What is passed beside an operation: outside of its digest, the ledger and the journal.

use quorate_exec::SecretBytes;

use super::join_secret::JoinSecret;

/// What the coordinator hands over with an operation.
#[derive(Debug, Clone)]
pub enum Passed {
    /// A ticket or password, and a fingerprint.
    Join(JoinSecret),
    /// The cluster's present corosync.conf. No secret; only never older than the attempt.
    CorosyncConf(String),
    /// The password that goes with a storage; without a line feed.
    Storage(SecretBytes),
    /// The program that is put into a guest. No secret.
    Program(Vec<u8>),
}

/// Its kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PassedKind {
    Join,
    CorosyncConf,
    Storage,
    Program,
}

impl PassedKind {
    /// In words, for refusals.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Join => "a ticket or password",
            Self::CorosyncConf => "the cluster's corosync.conf",
            Self::Storage => "a storage's password",
            Self::Program => "the program for a guest",
        }
    }

    pub(super) fn is_kind_of(self, passed: Option<&Passed>) -> bool {
        matches!(
            (self, passed),
            (Self::Join, Some(Passed::Join(_)))
                | (Self::CorosyncConf, Some(Passed::CorosyncConf(_)))
                | (Self::Storage, Some(Passed::Storage(_)))
                | (Self::Program, Some(Passed::Program(_)))
        )
    }
}
