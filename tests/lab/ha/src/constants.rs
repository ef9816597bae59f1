//! Times and limits of PVE's HA manager (facts C.4). All times are in seconds of the virtual clock, all rounds are counted.

use crate::model::Seconds;

/// A cluster lock that was not refreshed for longer than this is free for anybody (pmxcfs and `PVE::HA::Env::PVE2`).
pub const LOCK_LIFE: Seconds = 120;

/// A client of the watchdog that did not report for longer than this costs its node the reset (`watchdog-mux`).
pub const WATCHDOG_LIMIT: Seconds = 60;

/// PVE 9's `watchdog-mux` warns of a client that did not report for longer than this.
pub const WATCHDOG_WARNS: Seconds = 50;

/// So long a node must have been away, as this very master saw it, before it is fenced (`PVE::HA::NodeStatus`). Short enough to
/// be over before the lock of the dead node is free, long enough for a node that only lost its link for a moment.
pub const FENCE_DELAY: Seconds = 60;

/// So long the name of a node that left the cluster is remembered (`PVE::HA::NodeStatus`).
pub const GONE_DELAY: Seconds = 3600;

/// Rounds without any service on its node after which an LRM gives up lock and watchdog: about ten minutes (`PVE::HA::LRM`).
pub const LRM_IDLE_ROUNDS: u32 = 60;

/// Rounds without any service in the cluster after which the master gives up its lock: about a quarter of an hour, so that no
/// LRM is left without a master (`PVE::HA::CRM`).
pub const CRM_IDLE_ROUNDS: u32 = 90;

/// From start to start of a round with work (`PVE::HA::CRM`, `PVE::HA::LRM`).
pub const ACTIVE_ROUND: Seconds = 10;

/// Rest of a daemon that waits: for quorum, for its lock, or for the end of a maintenance.
pub const IDLE_REST: Seconds = 5;

/// A protected lock is tried so often in one round.
pub const LOCK_TRIES: u32 = 6;

/// Between two tries of a protected lock.
pub const LOCK_RETRY: Seconds = 1;

/// Workers may be started and waited for so long in a round; what still runs is looked at in the next one (`PVE::HA::LRM`).
pub const WORKER_BUDGET: Seconds = 8;

/// An LRM that is to restart, but lost its lock, gives up after this.
pub const RESTART_WITHOUT_LOCK: Seconds = 90;

/// Tries of a start on the same node after the first one, where nothing is configured (`PVE::HA::Resources`).
pub const MAX_RESTART: u32 = 1;

/// Other nodes on which a start is tried, where nothing is configured (`PVE::HA::Resources`).
pub const MAX_RELOCATE: u32 = 1;

/// Rounds of a new master before it tries to turn groups into rules, so that all nodes have come.
pub const GROUPS_FIRST_TRY: u32 = 3;

/// Rounds between two tries to turn groups into rules.
pub const GROUPS_NEXT_TRY: u32 = 6;

/// From this version of pve-manager on, a node understands rules; groups are only given up when all nodes do.
pub const RULES_SINCE: &str = "9.0.0~16";

/// Locks of a guest that mean nothing any more once its node was reset, so that a recovered guest may start (`PVE::HA::Manager`).
pub const STALE_GUEST_LOCKS: [&str; 9] = [
    "backup",
    "mounted",
    "migrate",
    "clone",
    "rollback",
    "snapshot",
    "snapshot-delete",
    "suspending",
    "suspended",
];
