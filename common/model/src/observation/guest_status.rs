//! How the guests of a node run. Source: `pvesh get /nodes/NODE/{qemu,lxc}` on that node (`vmstatus` of qemu-server and pve-container).

use serde::{Deserialize, Serialize};

use crate::observation::guests::GuestKind;
use crate::size::ByteSize;

/// A guest of this node, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestStatus {
    /// Its id.
    pub vmid: u32,
    /// What it is.
    pub kind: GuestKind,
    /// Whether it runs (`status`; `qmpstatus` where PVE asked QEMU itself). Of the list of all guests, which asks no QEMU, it is whether a process
    /// runs: a machine that is paused or hangs runs, too.
    pub run: GuestRun,
    /// For how long its process has been running (`uptime`), if that was told; 0 where it does not run.
    pub uptime_seconds: Option<u64>,
    /// Memory that it uses now (`mem`), if that was told; 0 where it does not run.
    pub memory_used: Option<ByteSize>,
    /// The most that it may use (`maxmem`).
    pub memory: ByteSize,
    /// What holds it (`lock`).
    pub lock: Option<String>,
}

/// Whether a guest runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestRun {
    /// Its process runs.
    Running,
    /// It does not.
    Stopped,
    /// Its process is there and the guest does not go on (`paused`, `prelaunch`, `suspended` …): the word.
    Held(String),
}

impl GuestRun {
    /// In a word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Held(word) => word,
        }
    }
}
