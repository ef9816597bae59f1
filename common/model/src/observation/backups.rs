//! How the last backup of each guest went that PVE's vzdump made on a server. Backups that other programs make are not seen.

use serde::{Deserialize, Serialize};

use crate::observation::guests::GuestKind;
use crate::time::Timestamp;

/// The last backup of a guest on this server, by the log that vzdump keeps of it: of older ones, and of those that other servers made, it says
/// nothing. Source: /var/log/vzdump/{qemu,lxc}-ID.log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestBackup {
    /// The guest.
    pub vmid: u32,
    /// What it was then: an id may have become another guest's since.
    pub kind: GuestKind,
    /// When its log was written last, by the server's clock: the end of the backup, or the last line so far.
    pub at: Timestamp,
    /// What became of it.
    pub end: BackupEnd,
}

/// What became of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupEnd {
    /// It was made.
    Finished,
    /// It failed: PVE's reason.
    Failed(String),
    /// The log has no end: it runs, or was broken off without a word.
    Open,
}

impl BackupEnd {
    /// In words.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Finished => "made".to_owned(),
            Self::Failed(why) => format!("failed: {why}"),
            Self::Open => "no end is logged".to_owned(),
        }
    }
}
