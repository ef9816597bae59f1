//! The server itself: versions, CPU, memory, load, clock.

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::size::ByteSize;
use crate::time::Timestamp;

/// The server itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// PVE's version; `None`: known not to be a PVE server. Source: `pveversion`.
    pub pve: Facet<Option<PveVersion>>,
    /// The distribution. Source: `PRETTY_NAME` of /etc/os-release.
    pub os: String,
    /// The running kernel's release. Source: /proc/sys/kernel/osrelease.
    pub kernel: String,
    /// Changes with every boot. Source: /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// Seconds since boot. Source: /proc/uptime.
    pub uptime_seconds: u64,
    /// Processors.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Memory,
    /// The clock.
    pub clock: ClockState,
    /// Why a reboot is needed: a newer kernel is installed, or /run/reboot-required exists; `None`: it isn't.
    pub reboot_needed: Option<String>,
    /// What the agent itself costs.
    pub agent: AgentState,
    /// Tasks of PVE that run on this server now. Source: /var/log/pve/tasks/active, and whether the process that it names is there.
    #[serde(default)]
    pub tasks: Facet<Vec<RunningTask>>,
}

/// A task of PVE that runs. Source: its UPID, `UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningTask {
    /// TYPE: `vzdump`, `qmigrate` …
    pub kind: String,
    /// ID: what it is about, such as a guest's id; may be empty.
    pub about: String,
    /// USER: who began it.
    pub user: String,
    /// STARTTIME: when, to the second.
    pub started_at: Timestamp,
}

impl RunningTask {
    /// Somebody looks at a console: nothing is done to a guest or a server by it. Source: pve-manager API2/Nodes.pm, qemu-server API2/Qemu.pm
    /// (`fork_worker`).
    const CONSOLES: [&'static str; 3] = ["vncproxy", "vncshell", "spiceshell"];

    /// Is it more than a console that somebody looks at?
    #[must_use]
    pub fn does_something(&self) -> bool {
        !Self::CONSOLES.contains(&self.kind.as_str())
    }

    /// In words: `vzdump of 101 on prox2`.
    #[must_use]
    pub fn told(&self, node: &str) -> String {
        if self.about.is_empty() {
            format!("{} on {node}", self.kind)
        } else {
            format!("{} of {} on {node}", self.kind, self.about)
        }
    }
}

/// The agent's own version and cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentState {
    /// The agent's version.
    pub version: String,
    /// Its resident memory; zero where it could not be read.
    pub memory: ByteSize,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// The TCP port that it listens on; `None`: an older one, which does not tell.
    #[serde(default)]
    pub port: Option<u16>,
    /// First and last of the UDP ports on which it measures the network; `None`: as above.
    #[serde(default)]
    pub measure_ports: Option<PortRange>,
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// PVE's version, as `pveversion` prints it: `pve-manager/8.4.21/2606ac85… (running kernel: 6.8.12-4-pve)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PveVersion {
    /// pve-manager's version, such as `8.4.21`.
    pub manager: String,
    /// The repository id behind it.
    pub repoid: String,
    /// The kernel that `pveversion` says is running.
    pub running_kernel: String,
}

impl PveVersion {
    /// The PVE release: the part before the first dot, or `None` if it isn't a number.
    #[must_use]
    pub fn major(&self) -> Option<u32> {
        self.manager.split('.').next()?.parse().ok()
    }

    /// The number after the first dot, or `None` if there is none.
    #[must_use]
    pub fn minor(&self) -> Option<u32> {
        self.manager.split('.').nth(1)?.parse().ok()
    }
}

/// Processors and their load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// Model name of the first. Source: /proc/cpuinfo.
    pub model: String,
    /// Hardware threads.
    pub threads: u32,
    /// Load averages over 1, 5 and 15 minutes. Source: /proc/loadavg.
    pub load: [f64; 3],
}

/// Memory. Source: /proc/meminfo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// All of it.
    pub total: ByteSize,
    /// What could be given to programs without swapping.
    pub available: ByteSize,
    /// Swap, all of it.
    pub swap_total: ByteSize,
    /// Swap not in use.
    pub swap_free: ByteSize,
}

/// The clock: how far it is off can only be said by comparing, which the coordinator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockState {
    /// The node's wall time when the facet was made.
    pub now: Timestamp,
    /// Whether a time service says that it is synchronised. Source: `timedatectl`, `chronyc`.
    pub synchronised: Facet<ClockSync>,
}

/// What the time service says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockSync {
    /// Synchronised according to systemd (`NTPSynchronized`).
    pub synchronised: bool,
    /// Which service said so.
    pub source: String,
    /// Offset to its sources in seconds, positive if this clock is ahead; where chrony runs.
    pub offset_seconds: Option<f64>,
}
