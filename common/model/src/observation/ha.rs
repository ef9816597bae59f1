//! PVE's HA manager on one node: is a watchdog armed, who decides, what is looked after.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::readiness::ServiceState;
use crate::facet::{Facet, Unknown};
use crate::time::{Timestamp, spoken};

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
    /// What binds guests to nodes or to each other, in the files' order. Source: /etc/pve/ha/groups.cfg (PVE 8) and rules.cfg (PVE 9).
    #[serde(default)]
    pub placements: Facet<Vec<HaPlacement>>,
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
    /// What the present request to the LRM is called (`uid`): another one with each change of the state, so that a second try is told from a
    /// first one that takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
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
    /// How often a start is tried again on one node (`max_restart`); `None`: not written, which PVE takes as 1.
    #[serde(default)]
    pub max_restart: Option<u32>,
    /// On how many other nodes it is tried then (`max_relocate`); `None`: not written, which PVE takes as 1.
    #[serde(default)]
    pub max_relocate: Option<u32>,
    /// It moves to a node that is better for it as soon as there is one (`failback`, PVE 9); `None`: not written, which PVE takes as yes.
    #[serde(default)]
    pub failback: Option<bool>,
}

impl HaResource {
    /// A service as PVE takes it where nothing but its state is said of it.
    #[must_use]
    pub fn of(state: impl Into<String>) -> Self {
        Self {
            state: state.into(),
            group: None,
            max_restart: None,
            max_relocate: None,
            failback: None,
        }
    }
}

/// A group or a rule of HA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaPlacement {
    /// Its name.
    pub name: String,
    /// `group`, `node-affinity`, `resource-affinity`.
    pub kind: String,
    /// The services that a rule is about; a group's are told by the services.
    pub services: Vec<String>,
    /// The nodes, with the priority that is written; the higher is preferred.
    pub nodes: BTreeMap<String, Option<u32>>,
    /// The services run nowhere else (`strict`, of a group `restricted`).
    pub strict: bool,
    /// The services stay where they are when a better node is back (`nofailback` of a group).
    pub no_failback: bool,
    /// It is switched off (`disable`).
    pub disabled: bool,
    /// Of a rule that binds services to each other: they are kept apart (`affinity negative`), or together.
    #[serde(default)]
    pub apart: bool,
}

impl HaPlacement {
    /// A group of PVE 8.
    pub const GROUP: &str = "group";
    /// A rule of PVE 9 that binds services to nodes.
    pub const NODES: &str = "node-affinity";
    /// A rule of PVE 9 that binds services to each other.
    pub const TOGETHER_OR_APART: &str = "resource-affinity";

    /// Is it, switched on, about this service of HA?
    #[must_use]
    pub fn is_about(&self, sid: &str, resource: &HaResource) -> bool {
        let named = match self.kind.as_str() {
            Self::GROUP => resource.group.as_deref() == Some(&self.name),
            _ => self.services.iter().any(|service| service == sid),
        };
        named && !self.disabled
    }

    /// How much a node is preferred by it; `None`: it rules the node out. Nodes that it does not name come last. Source: pve-ha-manager
    /// PVE/HA/Rules/NodeAffinity.pm (`get_node_affinity`).
    #[must_use]
    pub fn class(&self, node: &str) -> Option<i64> {
        match self.nodes.get(node) {
            Some(priority) => Some(i64::from(priority.unwrap_or(0))),
            None if self.strict => None,
            None => Some(-1),
        }
    }

    /// In words: `the rule NAME`.
    #[must_use]
    pub fn called(&self) -> String {
        let word = if self.kind == Self::GROUP { "group" } else { "rule" };
        format!("the {word} {}", self.name)
    }

    /// Does it bind services strictly to exactly these nodes, none of them preferred?
    #[must_use]
    pub fn binds_to(&self, nodes: &std::collections::BTreeSet<crate::ids::NodeName>) -> bool {
        let same = self.nodes.len() == nodes.len() && nodes.iter().all(|node| self.nodes.contains_key(node.as_str()));
        let mut priorities = self.nodes.values().map(|priority| priority.unwrap_or(0));
        let first = priorities.next();
        let equal = priorities.all(|other| Some(other) == first);
        same && equal && self.strict && !self.disabled
    }
}

impl ManagerStatus {
    /// A master that has written nothing for longer than this decides nothing: it looks every 10 s, and PVE's own status says `old timestamp -
    /// dead?` then. What it wrote stays in the file.
    pub const SILENT: Duration = Duration::from_secs(30);

    /// In words: a master that has been silent for so long.
    #[must_use]
    pub fn silence(master: &str, silent: Duration) -> String {
        format!("the HA master {master} has written nothing for {}", spoken(silent))
    }

    /// Is a node known to be one that HA puts nothing on now: in maintenance, on the way there, or not seen by the master?
    #[must_use]
    pub fn spares(&self, node: &str) -> bool {
        self.maintenance.contains(node) || self.nodes.get(node).is_some_and(|state| state != "online")
    }
}

impl Ha {
    /// Why HA would not leave a service on a node to which it is moved by hand; `None`: nothing is known to be against it. HA takes the
    /// command whatever its rules say, and moves the service back as soon as it runs there. `online`: nodes that HA may use then. Source:
    /// pve-ha-manager PVE/HA/Manager.pm (`next_state_started`, `select_service_node`).
    ///
    /// # Errors
    /// What is under HA, or what binds it, can't be seen.
    pub fn sends_back(&self, sid: &str, target: &str, online: &BTreeSet<&str>) -> Result<Option<String>, Unknown> {
        let resources = self.resources.get().map_err(Clone::clone)?;
        let Some(resource) = resources.get(sid) else {
            return Ok(None);
        };
        let all = self.placements.get().map_err(Clone::clone)?;
        let of_nodes = all.iter().filter(|one| one.kind != HaPlacement::TOGETHER_OR_APART);
        for one in of_nodes.filter(|one| one.is_about(sid, resource)) {
            let Some(own) = one.class(target) else {
                let names: Vec<&str> = one.nodes.keys().map(String::as_str).collect();
                return Ok(Some(format!(
                    "{} lets {sid} run on {} alone, and HA would move it back at once",
                    one.called(),
                    names.join(", ")
                )));
            };
            let failback = match one.kind.as_str() {
                HaPlacement::GROUP => !one.no_failback,
                _ => resource.failback.unwrap_or(true),
            };
            let better = online
                .iter()
                .filter(|node| one.class(node) > Some(own))
                .max_by_key(|node| one.class(node));
            if let Some(better) = better.filter(|_| failback) {
                return Ok(Some(format!(
                    "{} prefers {better} for {sid}, and with failback HA would move it there at once",
                    one.called()
                )));
            }
        }
        Ok(None)
    }

    /// Guests that HA moves along with a service, besides itself: rules that are switched on keep them together, directly or by others. Source:
    /// pve-ha-manager PVE/HA/Manager.pm (`queue_resource_motion`), PVE/HA/Rules/ResourceAffinity.pm (rules with a service in common are one).
    ///
    /// # Errors
    /// What binds it can't be seen.
    pub fn moved_along(&self, sid: &str) -> Result<BTreeSet<u32>, Unknown> {
        let all = self.placements.get().map_err(Clone::clone)?;
        let binds = |one: &&HaPlacement| one.kind == HaPlacement::TOGETHER_OR_APART && !one.apart && !one.disabled;
        let together: Vec<&HaPlacement> = all.iter().filter(binds).collect();
        let mut found = BTreeSet::from([sid]);
        loop {
            let more: BTreeSet<&str> = together
                .iter()
                .filter(|one| one.services.iter().any(|service| found.contains(service.as_str())))
                .flat_map(|one| one.services.iter().map(String::as_str))
                .filter(|service| !found.contains(service))
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        let others = found.into_iter().filter(|service| *service != sid);
        let ids = others.filter_map(|service| service.split_once(':')?.1.parse::<u32>().ok());
        Ok(ids.collect())
    }

    /// Can HA be disarmed as a whole (`crm-command disarm-ha`), or only by stopping the daemons?
    ///
    /// # Errors
    /// The version is not known.
    pub fn can_disarm(&self) -> Result<bool, &crate::facet::Unknown> {
        Ok(numbers(self.version.get()?) >= (5, 1, 3))
    }

    /// Is pve-ha-manager known to be of this version or a later one?
    #[must_use]
    pub fn is_at_least(&self, version: (u32, u32, u32)) -> bool {
        self.version.get().is_ok_and(|own| numbers(own) >= version)
    }
}

/// The first three numbers of a version.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut parts = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen() -> Ha {
        Ha {
            version: Facet::not_asked(),
            watchdog_armed: false,
            lrm: Facet::not_asked(),
            crm: Facet::not_asked(),
            lrm_status: Facet::not_asked(),
            manager: Facet::not_asked(),
            resources: Facet::not_asked(),
            placements: Facet::not_asked(),
        }
    }

    #[test]
    fn rules_that_keep_services_together_move_them_together_directly_or_by_others() {
        let rule = |services: &[&str], apart, disabled| HaPlacement {
            name: "rule".to_owned(),
            kind: HaPlacement::TOGETHER_OR_APART.to_owned(),
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            nodes: BTreeMap::new(),
            strict: false,
            no_failback: false,
            disabled,
            apart,
        };
        let ha = Ha {
            placements: Facet::known(
                vec![
                    rule(&["vm:101", "ct:102"], false, false),
                    rule(&["vm:100", "vm:101"], false, false),
                    rule(&["vm:100", "vm:103"], true, false),
                    rule(&["vm:100", "vm:104"], false, true),
                ],
                Timestamp(0),
            ),
            ..unseen()
        };
        assert_eq!(ha.moved_along("vm:100"), Ok(BTreeSet::from([101, 102])));
        assert_eq!(ha.moved_along("vm:103"), Ok(BTreeSet::new()));
        assert!(unseen().moved_along("vm:100").is_err());
    }

    #[test]
    fn disarming_needs_5_1_3() {
        let of = |version: &str| {
            let ha = Ha {
                version: Facet::known(version.to_owned(), Timestamp(0)),
                ..unseen()
            };
            ha.can_disarm().unwrap()
        };
        assert!(of("5.1.3") && of("5.2.0~1") && of("6"));
        assert!(!of("5.1.2") && !of("4.0.7+") && !of("5.1") && !of(""));
    }
}
