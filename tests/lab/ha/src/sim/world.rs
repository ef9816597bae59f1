//! All there is besides the daemons: servers, pmxcfs, locks, watchdogs, guests, and the log.

use std::collections::{BTreeMap, BTreeSet};

use super::hardware::Server;
use crate::env::CfsError;
use crate::locks::{Locks, Taken};
use crate::log::{Level, LogLine};
use crate::model::{LrmStatus, ManagerStatus, Seconds, Sid};
use crate::scenario::{Daemon, DatacenterFile, GuestStats, Scenario, ServiceFile};
use crate::watchdog::Watchdogs;

/// The virtual cluster.
#[derive(Debug)]
pub struct World {
    pub(super) time: Seconds,
    pub(super) servers: BTreeMap<String, Server>,
    pub(super) services: BTreeMap<Sid, ServiceFile>,
    pub(super) running: BTreeMap<String, BTreeSet<Sid>>,
    pub(super) stats: BTreeMap<Sid, GuestStats>,
    pub(super) manager_status: ManagerStatus,
    pub(super) lrm_status: BTreeMap<String, LrmStatus>,
    pub(super) commands: Vec<String>,
    pub(super) rules: String,
    pub(super) groups: String,
    pub(super) datacenter: DatacenterFile,
    pub(super) locks: Locks,
    pub(super) watchdogs: Watchdogs,
    /// Tries of what fails so often, by service.
    pub(super) start_tries: BTreeMap<Sid, u32>,
    pub(super) move_tries: BTreeMap<Sid, u32>,
    uids: u64,
    log: Vec<LogLine>,
}

impl World {
    /// The cluster of a scenario, before anything happens.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let servers = scenario
            .hardware
            .iter()
            .map(|(node, hardware)| (node.clone(), Server::new(hardware)));
        Self {
            time: 0,
            servers: servers.collect(),
            services: scenario.services.clone(),
            running: scenario.running.clone(),
            stats: scenario.stats.clone(),
            manager_status: scenario.manager_status.clone(),
            lrm_status: BTreeMap::new(),
            commands: Vec::new(),
            rules: scenario.rules.clone(),
            groups: scenario.groups.clone(),
            datacenter: scenario.datacenter.clone(),
            locks: Locks::default(),
            watchdogs: Watchdogs::default(),
            start_tries: BTreeMap::new(),
            move_tries: BTreeMap::new(),
            uids: 0,
            log: Vec::new(),
        }
    }

    /// What was said so far.
    #[must_use]
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    pub(super) fn into_log(self) -> Vec<LogLine> {
        self.log
    }

    pub(super) fn say(&mut self, level: Level, time: Seconds, source: String, text: &str) {
        self.log.push(LogLine {
            level,
            time,
            source,
            text: text.to_owned(),
        });
    }

    /// Says something that no daemon says.
    pub(super) fn info(&mut self, source: &str, text: &str) {
        self.say(Level::Info, self.time, source.to_owned(), text);
    }

    pub(super) fn server(&self, node: &str) -> Option<&Server> {
        self.servers.get(node)
    }

    pub(super) fn time_of(&self, node: &str, daemon: Daemon) -> Seconds {
        self.server(node).map_or(self.time, |server| server.time(daemon))
    }

    pub(super) fn fresh_uid(&mut self) -> String {
        self.uids += 1;
        format!("request-{}", self.uids)
    }

    /// Is there a partition with quorum? Whoever has power and network is in it.
    fn has_quorum(&self) -> bool {
        let up = self.servers.values().filter(|server| server.is_up()).count();
        up > self.servers.len() / 2
    }

    pub(super) fn is_quorate(&self, node: &str) -> bool {
        self.server(node).is_some_and(Server::is_up) && self.has_quorum()
    }

    pub(super) fn members(&self) -> BTreeMap<String, bool> {
        let quorum = self.has_quorum();
        let member = |(node, server): (&String, &Server)| (node.clone(), quorum && server.is_up());
        self.servers.iter().map(member).collect()
    }

    pub(super) fn cfs(&self, node: &str) -> Result<(), CfsError> {
        match self.server(node) {
            Some(server) if server.cfs_works => Ok(()),
            Some(_) | None => Err(CfsError::NotMounted),
        }
    }

    /// A daemon takes a lock or refreshes it.
    pub(super) fn take_lock(&mut self, lock: &str, node: &str, daemon: Daemon) -> bool {
        if !self.is_quorate(node) {
            return false;
        }
        let now = self.time_of(node, daemon);
        let taken = self.locks.take(lock, node, now);
        if taken == Taken::New {
            let source = format!("{node}/{}", daemon.name());
            self.say(Level::Info, now, source, &format!("got lock '{lock}'"));
        }
        taken.ours()
    }

    pub(super) fn release_lock(&mut self, lock: &str, node: &str, daemon: Daemon) -> bool {
        self.is_quorate(node) && self.locks.release(lock, node, self.time_of(node, daemon))
    }

    /// Moves a guest's configuration.
    pub(super) fn move_config(&mut self, sid: &Sid, from: &str, to: &str) -> Result<(), CfsError> {
        let Some(service) = self.services.get_mut(sid) else {
            return Err(CfsError::Refused(format!("no such service '{sid}'")));
        };
        if service.node != from {
            let is = &service.node;
            return Err(CfsError::Refused(format!(
                "current_node for '{sid}' does not match ({from} != {is})"
            )));
        }
        to.clone_into(&mut service.node);
        Ok(())
    }
}
