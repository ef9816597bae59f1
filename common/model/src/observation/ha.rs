//! PVE's HA manager on one node: is a watchdog armed, who decides, what is looked after.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::readiness::ServiceState;
use crate::facet::Facet;
use crate::time::Timestamp;

/// HA as one node sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ha {
    /// pve-ha-manager's version: from 5.1.3 on HA can be disarmed as a whole. Source: `dpkg-query`.
    pub version: Facet<String>,
    /// A daemon of this node is connected to the watchdog: should it stop feeding it, the server is reset. Source: the folder
    /// /run/watchdog-mux.active.
    pub watchdog_armed: bool,
    /// The unit pve-ha-lrm.
    pub lrm: Facet<ServiceState>,
    /// The unit pve-ha-crm.
    pub crm: Facet<ServiceState>,
    /// What this node's LRM last published; `None`: it never has. Source: /etc/pve/nodes/NODE/lrm_status.
    pub lrm_status: Facet<Option<LrmStatus>>,
    /// What the master last published; `None`: there never was one. Source: /etc/pve/ha/manager_status.
    pub manager: Facet<Option<ManagerStatus>>,
    /// Guests under HA, by `vm:100` or `ct:100`. Source: /etc/pve/ha/resources.cfg.
    pub resources: Facet<BTreeMap<String, HaResource>>,
}

/// Source: /etc/pve/nodes/NODE/lrm_status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LrmStatus {
    /// `wait_for_agent_lock` (idle), `active`, `maintenance`, `lost_agent_lock`.
    pub state: String,
    /// `active`, `maintenance`, `restart`, `shutdown`, `disarm`.
    pub mode: String,
    /// When it was published, on that node's clock.
    pub at: Timestamp,
}

/// Source: /etc/pve/ha/manager_status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagerStatus {
    /// Who is master.
    pub master: String,
    /// When it was published, on the master's clock.
    pub at: Timestamp,
    /// Node → `online`, `maintenance`, `unknown`, `fence`, `gone`.
    pub nodes: BTreeMap<String, String>,
    /// Service → where it is and in which state (`started`, `freeze`, `fence` …).
    pub services: BTreeMap<String, HaPlace>,
    /// Disarming, if it was asked for.
    pub disarm: Option<Disarm>,
    /// Nodes for which maintenance is asked for (`node_request`); it is so once `nodes` says `maintenance`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub maintenance: BTreeSet<String>,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaPlace {
    /// The node.
    pub node: String,
    /// crm_state.
    pub state: String,
    /// Where it is being moved (`target`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// A command that the master has taken and not carried out yet (the first word of `cmd`), such as `migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Source: `disarm` in manager_status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disarm {
    /// `freeze` or `ignore`.
    pub mode: String,
    /// `disarming` or `disarmed`.
    pub state: String,
}

/// Source: a section of resources.cfg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaResource {
    /// Requested state; a missing one is `started`.
    pub state: String,
    /// The group that it is bound to (PVE 8).
    pub group: Option<String>,
}

impl Ha {
    /// Can HA be disarmed as a whole (`crm-command disarm-ha`), or only by stopping the daemons?
    ///
    /// # Errors
    /// The version is not known.
    pub fn can_disarm(&self) -> Result<bool, &crate::facet::Unknown> {
        let version = self.version.get()?;
        let mut parts = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|p| p.parse::<u32>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        Ok((next(), next(), next()) >= (5, 1, 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disarming_needs_5_1_3() {
        let of = |version: &str| {
            let ha = Ha {
                version: Facet::known(version.to_owned(), Timestamp(0)),
                watchdog_armed: false,
                lrm: Facet::not_asked(),
                crm: Facet::not_asked(),
                lrm_status: Facet::not_asked(),
                manager: Facet::not_asked(),
                resources: Facet::not_asked(),
            };
            ha.can_disarm().unwrap()
        };
        assert!(of("5.1.3") && of("5.2.0~1") && of("6"));
        assert!(!of("5.1.2") && !of("4.0.7+") && !of("5.1") && !of(""));
    }
}
