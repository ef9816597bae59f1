//! PVE's HA manager: what its daemons publish, and what each of them is doing.
//!
//! Arming, disarming and fencing by the watchdog are true to the real timeline. Recovery of guests is not: a service of a
//! node that is gone ends in `fence` and stays there. It comes with guests that really run.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use super::clock::SimTime;
use super::server::Server;

/// A round of an active LRM and of the master.
pub(crate) const ROUND: Duration = Duration::from_secs(10);
/// A round of everybody else.
pub(crate) const IDLE_ROUND: Duration = Duration::from_secs(5);
/// A lock of pmxcfs that nobody refreshed so long is free.
pub(crate) const LOCK_LIFE: Duration = Duration::from_secs(120);
/// watchdog-mux gives a client up after 60 s; the watchdog itself has up to ten more.
pub(crate) const RESETS: Duration = Duration::from_secs(66);
/// From the loss of a node to the decision to fence it.
pub(crate) const FENCE_DELAY: Duration = Duration::from_secs(60);
/// Idle rounds until an LRM, and until a master, gives up its lock and its watchdog.
pub(crate) const LRM_IDLE: u32 = 60;
pub(crate) const CRM_IDLE: u32 = 90;
/// An LRM that lost its lock and shall stop gives up then.
pub(crate) const GIVES_UP: Duration = Duration::from_secs(90);

/// What lies in `/etc/pve`.
#[derive(Debug, Clone, Default)]
pub(crate) struct HaFiles {
    /// `ha/resources.cfg`: requested state by `vm:100`.
    pub(crate) resources: BTreeMap<String, String>,
    /// `ha/crm_commands`.
    pub(crate) commands: Vec<Command>,
    pub(crate) manager: Option<Manager>,
    /// `nodes/N/lrm_status`.
    pub(crate) lrm: BTreeMap<String, LrmStatus>,
    /// Locks by name: their holder, and when it last refreshed them.
    pub(crate) locks: BTreeMap<String, (String, SimTime)>,
}

/// An order to the master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `freeze` or `ignore`.
    Disarm(String),
    Arm,
}

/// `ha/manager_status`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manager {
    pub(crate) master: String,
    pub(crate) timestamp: i64,
    pub(crate) nodes: BTreeMap<String, &'static str>,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) disarm: Option<Disarm>,
}

/// A service as the master sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) node: String,
    pub(crate) state: &'static str,
    pub(crate) running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disarm {
    pub(crate) mode: String,
    pub(crate) done: bool,
}

/// `lrm_status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LrmStatus {
    pub(crate) state: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) timestamp: i64,
    /// Services that it has started.
    pub(crate) started: Vec<String>,
}

/// The daemons of one node.
#[derive(Debug)]
pub(crate) struct HaNode {
    pub(crate) lrm: Lrm,
    pub(crate) crm: Crm,
}

impl Default for HaNode {
    fn default() -> Self {
        Self {
            lrm: Lrm {
                running: true,
                mode: "active",
                state: LrmState::Waits,
                next: SimTime::ZERO,
                watchdog: None,
                idle: 0,
                stopping: None,
            },
            crm: Crm {
                running: true,
                state: CrmState::WaitsForQuorum,
                next: SimTime::ZERO,
                watchdog: None,
                idle: 0,
                missing: BTreeMap::new(),
            },
        }
    }
}

#[derive(Debug)]
pub(crate) struct Lrm {
    pub(crate) running: bool,
    pub(crate) mode: &'static str,
    pub(crate) state: LrmState,
    pub(crate) next: SimTime,
    /// When it last fed the watchdog; connected while it is something.
    pub(crate) watchdog: Option<SimTime>,
    pub(crate) idle: u32,
    /// Since when it has been told to stop.
    pub(crate) stopping: Option<SimTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LrmState {
    Waits,
    Active,
    LostLock,
}

impl LrmState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waits => "wait_for_agent_lock",
            Self::Active => "active",
            Self::LostLock => "lost_agent_lock",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Crm {
    pub(crate) running: bool,
    pub(crate) state: CrmState,
    pub(crate) next: SimTime,
    pub(crate) watchdog: Option<SimTime>,
    pub(crate) idle: u32,
    /// Nodes that this master misses, and since when.
    pub(crate) missing: BTreeMap<String, SimTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrmState {
    WaitsForQuorum,
    Slave,
    Master,
}

impl HaNode {
    /// Is anybody connected to watchdog-mux?
    pub(crate) fn armed(&self) -> bool {
        self.lrm.watchdog.is_some() || self.crm.watchdog.is_some()
    }

    /// A server that boots starts both daemons anew.
    pub(crate) fn boot(&mut self, now: SimTime) {
        *self = Self::default();
        self.lrm.next = now;
        self.crm.next = now;
    }
}

impl Server {
    /// watchdog-mux keeps a folder while anybody is connected to it.
    pub(crate) fn show_watchdog(&self) -> io::Result<()> {
        let marker = self.root.join("run/watchdog-mux.active");
        match (self.ha.armed() && !self.power.off, marker.is_dir()) {
            (true, false) => fs::create_dir(marker),
            (false, true) => fs::remove_dir(marker),
            _ => Ok(()),
        }
    }
}

impl HaFiles {
    /// Has HA anything to look after, or did it ever?
    pub(crate) fn used(&self) -> bool {
        !self.resources.is_empty() || self.manager.is_some()
    }

    pub(crate) fn resources_text(&self) -> String {
        self.resources
            .iter()
            .map(|(sid, state)| format!("{}\n\tstate {state}\n\n", sid.replacen(':', ": ", 1)))
            .collect()
    }

    /// The files below `/etc/pve`, by path; folders end in `/`.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        if !self.resources.is_empty() {
            files.push(("ha/resources.cfg".to_owned(), self.resources_text()));
        }
        if let Some(manager) = &self.manager {
            files.push(("ha/manager_status".to_owned(), manager.json().to_string()));
        }
        for (node, status) in &self.lrm {
            files.push((format!("nodes/{node}/lrm_status"), status.json().to_string()));
        }
        for lock in self.locks.keys() {
            files.push((format!("priv/lock/{lock}/"), String::new()));
        }
        files
    }

    /// Can this node have the lock?
    pub(crate) fn free(&self, lock: &str, node: &str, now: SimTime) -> bool {
        self.locks
            .get(lock)
            .is_none_or(|(holder, refreshed)| holder == node || now.saturating_sub(*refreshed) > LOCK_LIFE)
    }
}

impl Manager {
    pub(crate) fn json(&self) -> Value {
        let services: serde_json::Map<String, Value> = self
            .services
            .iter()
            .map(|(sid, service)| {
                let mut value = json!({"node": service.node, "state": service.state, "uid": uid(sid)});
                if let (true, Some(map)) = (service.running, value.as_object_mut()) {
                    map.insert("running".to_owned(), json!(1));
                }
                (sid.clone(), value)
            })
            .collect();
        let mut value = json!({
            "master_node": self.master, "node_status": self.nodes, "service_status": services, "timestamp": self.timestamp,
        });
        if let (Some(disarm), Some(map)) = (&self.disarm, value.as_object_mut()) {
            let state = if disarm.done { "disarmed" } else { "disarming" };
            map.insert("disarm".to_owned(), json!({"mode": disarm.mode, "state": state}));
        }
        value
    }
}

impl LrmStatus {
    pub(crate) fn json(&self) -> Value {
        let results: serde_json::Map<String, Value> = self
            .started
            .iter()
            .map(|sid| (uid(sid), json!({"exit_code": 0, "sid": sid, "state": "started"})))
            .collect();
        json!({"mode": self.mode, "results": results, "state": self.state, "timestamp": self.timestamp})
    }
}

/// An identifier as the master gives to each order: 22 characters.
fn uid(sid: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(sid);
    data_encoding::BASE64_NOPAD.encode(digest.get(..16).unwrap_or_default())
}
