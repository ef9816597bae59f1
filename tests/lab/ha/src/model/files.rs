//! The files of HA in pmxcfs, as far as the two daemons read and write them (facts C.2).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::words::{flag, words};
use super::{Exit, LrmMode, LrmState, NodeState, Seconds, ServiceConfig, ServiceState, ServiceStatus, Sid};

/// `/etc/pve/ha/manager_status`: all that a master knows, so that the next one can go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_node: Option<String>,
    /// When.
    #[serde(default)]
    pub timestamp: Seconds,
    /// The nodes.
    #[serde(default)]
    pub node_status: BTreeMap<String, NodeState>,
    /// The services.
    #[serde(default)]
    pub service_status: BTreeMap<Sid, ServiceStatus>,
    /// What was asked of nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_request: BTreeMap<String, NodeRequest>,
    /// HA is off, or on its way there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disarm: Option<Disarm>,
}

/// What was asked of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRequest {
    /// To go into maintenance, and to stay there.
    #[serde(default, with = "flag", skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

impl ManagerStatus {
    /// Was this node asked to go into maintenance?
    #[must_use]
    pub fn maintenance_asked(&self, node: &str) -> bool {
        self.node_request.get(node).is_some_and(|request| request.maintenance)
    }

    /// Services of this node that wait for its fencing.
    #[must_use]
    pub fn fenced_services(&self, node: &str) -> usize {
        let waits = |s: &&ServiceStatus| s.node == node && s.state == ServiceState::Fence;
        self.service_status.values().filter(waits).count()
    }

    /// Services for which the LRM of this node needs its lock: its own and those on their way to it, without what is off, frozen,
    /// given up, or still without a final node.
    #[must_use]
    pub fn active_services(&self, node: &str) -> usize {
        let active = |s: &&ServiceStatus| {
            (s.node == node || s.target.as_deref() == Some(node))
                && !matches!(
                    s.state,
                    ServiceState::Stopped | ServiceState::Freeze | ServiceState::Error | ServiceState::RequestStart
                )
        };
        self.service_status.values().filter(active).count()
    }
}

words! {
    /// What becomes of the services while HA is off.
    DisarmMode {
        /// They stay as they are, frozen.
        Freeze = "freeze",
        /// HA forgets what they do; they may be moved by hand.
        Ignore = "ignore",
    }
}

words! {
    /// How far the way to "off" is gone.
    DisarmState {
        /// Some LRM still has its lock.
        Disarming = "disarming",
        /// All have given it up.
        Disarmed = "disarmed",
    }
}

/// HA is off by `disarm-ha`, or on its way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarm {
    /// What becomes of the services.
    pub mode: DisarmMode,
    /// How far it is.
    pub state: DisarmState,
}

/// `/etc/pve/nodes/NODE/lrm_status`: what an LRM tells the master.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LrmStatus {
    /// What it does; nothing when it never wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<LrmState>,
    /// What to expect of it; nothing when it never wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<LrmMode>,
    /// When it was written.
    #[serde(default)]
    pub timestamp: Seconds,
    /// How requests ended, by their uid.
    #[serde(default)]
    pub results: BTreeMap<String, LrmResult>,
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LrmResult {
    /// Whose it was.
    pub sid: Sid,
    /// What was asked.
    pub state: ServiceState,
    /// How it ended.
    pub exit_code: Exit,
}

/// The services that are configured: `resources.cfg` together with where each guest's configuration lies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// By name.
    pub all: BTreeMap<Sid, ServiceConfig>,
    /// Changes with the file; nothing where nobody counts.
    pub digest: Option<String>,
}

words! {
    /// What a node's shutdown means for its services: `shutdown_policy` of `datacenter.cfg` (facts C.10).
    ShutdownPolicy {
        /// Frozen for a reboot, recovered elsewhere after a poweroff.
        Conditional = "conditional",
        /// Always frozen.
        Freeze = "freeze",
        /// Always recovered elsewhere.
        Failover = "failover",
        /// Moved away first.
        Migrate = "migrate",
    }
}

/// What `datacenter.cfg` says about HA.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Datacenter {
    /// `ha: shutdown_policy=`, as it is written; conditional without.
    pub shutdown_policy: Option<String>,
    /// `crs: ha=`, as it is written; basic without.
    pub scheduler: Option<String>,
    /// `crs: ha-rebalance-on-start=`: a node is chosen anew for each start.
    pub rebalance_on_start: bool,
    /// `crs: ha-auto-rebalance=`: services are moved to even out the load; not without.
    pub balance: Option<Balancing>,
}

/// When services are moved to even out the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Balancing {
    /// `ha-auto-rebalance-threshold`: up to this imbalance nothing moves.
    pub threshold: f64,
    /// `ha-auto-rebalance-method`: `bruteforce` or `topsis`.
    pub method: String,
    /// `ha-auto-rebalance-hold-duration`: rounds for which the load has to be uneven.
    pub hold_duration: u32,
    /// `ha-auto-rebalance-margin`: so much better it has to become, as a part of the imbalance.
    pub margin: f64,
}

impl Default for Balancing {
    fn default() -> Self {
        Self {
            threshold: 0.3,
            method: "bruteforce".to_owned(),
            hold_duration: 3,
            margin: 0.1,
        }
    }
}
