//! What PVE's HA manager keeps: its files in `/etc/pve`, and its processes on a server.
//!
//! How it decides is `quorate-lab-ha`'s; `state::ha` lets its daemons run in this world.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fs, io};

use quorate_lab_ha::constants::{MAX_RELOCATE, MAX_RESTART};
use quorate_lab_ha::crm::Crm;
use quorate_lab_ha::env::Act;
use quorate_lab_ha::lrm::Lrm;
use quorate_lab_ha::model::{LrmStatus, ManagerStatus, Requested, ServiceConfig};
use serde_json::Value;

use super::clock::SimTime;
use super::server::Server;

/// watchdog-mux gives a client up after 60 s; the watchdog itself then has up to ten more.
pub(crate) const WATCHDOG_AFTER_MUX: Duration = Duration::from_secs(5);

/// What lies in `/etc/pve`.
#[derive(Debug, Clone, Default)]
pub(crate) struct HaFiles {
    /// `ha/resources.cfg`, by `vm:100`.
    pub(crate) resources: BTreeMap<String, Resource>,
    /// `ha/rules.cfg`.
    pub(crate) rules: String,
    /// `ha/groups.cfg`.
    pub(crate) groups: String,
    /// The lines of `ha/crm_commands`.
    pub(crate) commands: Vec<String>,
    /// `ha/manager_status`.
    pub(crate) manager: Option<Written<ManagerStatus>>,
    /// `nodes/NODE/lrm_status`.
    pub(crate) lrm: BTreeMap<String, Written<LrmStatus>>,
    /// The locks that stand in `priv/lock`; whose they are, the world knows.
    pub(crate) locks: BTreeSet<String>,
}

/// What was written, and when by the writer's wall clock. The daemons themselves count simulated seconds.
#[derive(Debug, Clone)]
pub(crate) struct Written<T> {
    pub(crate) content: T,
    pub(crate) at: i64,
}

/// A section of `resources.cfg`; nothing where PVE's default holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) state: Option<Requested>,
    pub(crate) max_restart: Option<u32>,
    pub(crate) max_relocate: Option<u32>,
    pub(crate) failback: Option<bool>,
    pub(crate) group: Option<String>,
    pub(crate) comment: Option<String>,
}

impl Resource {
    pub(crate) fn new(state: Requested) -> Self {
        Self {
            state: Some(state),
            ..Self::default()
        }
    }

    /// What is wanted of it: without a word that it runs.
    pub(crate) fn requested(&self) -> Requested {
        self.state.unwrap_or(Requested::Started)
    }

    pub(crate) fn max_restart(&self) -> u32 {
        self.max_restart.unwrap_or(MAX_RESTART)
    }

    pub(crate) fn max_relocate(&self) -> u32 {
        self.max_relocate.unwrap_or(MAX_RELOCATE)
    }

    /// As the daemons see it, with the node that has the guest.
    pub(crate) fn config(&self, node: &str) -> ServiceConfig {
        ServiceConfig {
            max_restart: self.max_restart(),
            max_relocate: self.max_relocate(),
            failback: self.failback.unwrap_or(true),
            group: self.group.clone(),
            ..ServiceConfig::new(node, self.requested())
        }
    }

    /// Its lines, as PVE writes them.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let lines = [
            ("comment", self.comment.clone()),
            ("failback", self.failback.map(|failback| u8::from(failback).to_string())),
            ("group", self.group.clone()),
            ("max_relocate", number(self.max_relocate)),
            ("max_restart", number(self.max_restart)),
            ("state", self.state.map(|state| state.to_string())),
        ];
        lines
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

/// The HA daemons of one server.
#[derive(Debug, Default)]
pub(crate) struct HaNode {
    pub(crate) crm: Option<Process<Crm>>,
    pub(crate) lrm: Option<Process<Lrm>>,
    /// What the LRM does to guests, by `vm:100`.
    pub(crate) work: BTreeMap<String, Work>,
    /// The server was up when the daemons last had their turn.
    pub(crate) up: bool,
    /// Processes so far: each has a name of its own, so that a new one waits for the end of the old one's lock.
    pub(crate) started: u32,
    /// The watchdog gets no more updates, and resets the server then.
    pub(crate) resets_at: Option<SimTime>,
    /// watchdog-mux has told that this is near.
    pub(crate) watchdog_warned: bool,
}

/// A daemon that runs.
#[derive(Debug)]
pub(crate) struct Process<D> {
    pub(crate) daemon: D,
    /// Its next turn.
    pub(crate) next: SimTime,
    /// Its name as an owner of locks.
    pub(crate) owner: String,
    /// The locks that it believes to have.
    pub(crate) held: BTreeSet<String>,
}

/// Something that an LRM does to a guest, until it is over.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) act: Act,
    pub(crate) until: SimTime,
    pub(crate) upid: String,
    /// Why it will fail.
    pub(crate) refusal: Option<String>,
    /// What PVE's task says before it fails.
    pub(crate) told: Option<String>,
}

impl Server {
    /// watchdog-mux keeps a folder while anybody is connected to it.
    pub(crate) fn show_watchdog(&self, armed: bool) -> io::Result<()> {
        let marker = self.root.join("run/watchdog-mux.active");
        match (armed && !self.power.off, marker.is_dir()) {
            (true, false) => fs::create_dir(marker),
            (false, true) => fs::remove_dir(marker),
            _ => Ok(()),
        }
    }

    /// Is pve-ha-manager one that can disarm the whole cluster?
    pub(crate) fn can_disarm(&self) -> bool {
        self.ha_version() >= (5, 1, 3)
    }

    /// Does it know rules? Before, there are groups.
    pub(crate) fn has_ha_rules(&self) -> bool {
        self.ha_version() >= (5, 0, 0)
    }

    fn ha_version(&self) -> (u32, u32, u32) {
        let version = self.packages.version("pve-ha-manager").unwrap_or_default();
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        (next(), next(), next())
    }
}

impl HaFiles {
    /// Has HA anything to look after, or did it ever?
    pub(crate) fn used(&self) -> bool {
        !self.resources.is_empty() || self.manager.is_some() || !self.commands.is_empty()
    }

    fn resources_text(&self) -> String {
        let mut text = String::new();
        for (sid, resource) in &self.resources {
            text.push_str(&format!("{}\n", sid.replacen(':', ": ", 1)));
            for (key, value) in resource.lines() {
                text.push_str(&format!("\t{key} {value}\n"));
            }
            text.push('\n');
        }
        text
    }

    /// The files below `/etc/pve`, by path; folders end in `/`.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut put = |path: &str, text: String| {
            if !text.is_empty() {
                files.push((path.to_owned(), text));
            }
        };
        put("ha/resources.cfg", self.resources_text());
        put("ha/rules.cfg", self.rules.clone());
        put("ha/groups.cfg", self.groups.clone());
        put(
            "ha/crm_commands",
            self.commands.iter().map(|line| format!("{line}\n")).collect(),
        );
        if let Some(manager) = &self.manager {
            put("ha/manager_status", manager.json().to_string());
        }
        for (node, status) in &self.lrm {
            put(&format!("nodes/{node}/lrm_status"), status.json().to_string());
        }
        files.extend(
            self.locks
                .iter()
                .map(|lock| (format!("priv/lock/{lock}/"), String::new())),
        );
        files
    }
}

impl<T: serde::Serialize> Written<T> {
    /// As it lies in its file: the time is the wall clock's.
    pub(crate) fn json(&self) -> Value {
        let mut value = serde_json::to_value(&self.content).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("timestamp".to_owned(), self.at.into());
        }
        value
    }
}
