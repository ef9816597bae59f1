//! The world, as an HA daemon of one server sees it.

use std::collections::{BTreeMap, BTreeSet};

use quorate_lab_ha::env::{Act, CfsError, CrmEnv, Env, LrmEnv, NodeShutdown, Progress, ServiceChange};
use quorate_lab_ha::load::Load;
use quorate_lab_ha::locks::{MANAGER_LOCK, Taken, agent_lock};
use quorate_lab_ha::log::Level;
use quorate_lab_ha::model::{Datacenter, LrmStatus, ManagerStatus, Requested, Seconds, Services, Sid};
use quorate_lab_ha::usage::OtherGuest;
use quorate_lab_ha::watchdog::WatchdogId;

use super::{CRM, State, settings};
use crate::world::ha::{HaFiles, Written};
use crate::world::journal;
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::random;
use crate::world::server::Server;

/// A turn of one daemon.
pub(super) struct At<'a> {
    pub(super) state: &'a mut State,
    pub(super) index: usize,
    unit: &'static str,
    owner: &'a str,
    held: &'a mut BTreeSet<String>,
}

impl<'a> At<'a> {
    pub(super) fn new(
        state: &'a mut State,
        index: usize,
        unit: &'static str,
        owner: &'a str,
        held: &'a mut BTreeSet<String>,
    ) -> Self {
        Self {
            state,
            index,
            unit,
            owner,
            held,
        }
    }

    fn files(&self) -> Result<&HaFiles, CfsError> {
        self.state.ha_files(self.index).ok_or(CfsError::NotMounted)
    }

    fn server(&self) -> Option<&Server> {
        self.state.get(self.index)
    }

    fn wall(&self) -> i64 {
        self.server().map_or(0, |server| server.now().as_second())
    }

    fn write(&mut self, change: impl Fn(&mut Replica)) -> Result<(), CfsError> {
        if !self.state.can_lock(self.index) {
            return Err(CfsError::Refused("Permission denied".to_owned()));
        }
        self.state
            .write(self.index, change)
            .map_err(|_| CfsError::Refused("Permission denied".to_owned()))
    }

    /// Takes or refreshes a lock, and says what became of it, as the daemons do.
    fn take(&mut self, lock: &str) -> bool {
        let took = self.try_to_take(lock);
        match (took, self.held.contains(lock)) {
            (true, false) => {
                self.held.insert(lock.to_owned());
                self.log(Level::Info, &format!("successfully acquired lock '{lock}'"));
            }
            (false, true) => {
                self.held.remove(lock);
                // The quote that is missing is missing there, too.
                let text = format!("lost lock '{lock} - cfs lock update failed - Device or resource busy");
                self.log(Level::Error, &text);
            }
            _ => {}
        }
        took
    }

    fn try_to_take(&mut self, lock: &str) -> bool {
        if !self.state.can_lock(self.index) {
            return false;
        }
        let (now, owner) = (self.now(), self.owner.to_owned());
        let locks = self.state.locks_of(self.index);
        // Who asks for a lock that was left behind only frees it; whoever asks next gets it.
        if locks.is_left_behind(lock, now) && !self.held.contains(lock) {
            locks.free(lock);
            self.show_lock(lock, false);
            return false;
        }
        match locks.take(lock, &owner, now) {
            Taken::Refused => false,
            Taken::Refreshed => true,
            Taken::New => self.show_lock(lock, true),
        }
    }

    fn release(&mut self, lock: &str) -> bool {
        self.held.remove(lock);
        if !self.state.can_lock(self.index) {
            return false;
        }
        let (now, owner) = (self.now(), self.owner.to_owned());
        let released = self.state.locks_of(self.index).release(lock, &owner, now);
        if released {
            self.show_lock(lock, false);
        }
        released
    }

    /// A lock is a folder.
    fn show_lock(&mut self, lock: &str, there: bool) -> bool {
        let written = self.write(|replica| {
            if there {
                replica.ha.locks.insert(lock.to_owned());
            } else {
                replica.ha.locks.remove(lock);
            }
        });
        written.is_ok()
    }
}

/// `prox3: online => unknown`, of what the master says when a node's state changes.
fn changed_node(text: &str) -> Option<String> {
    let (node, states) = text
        .strip_prefix("node '")?
        .strip_suffix('\'')?
        .split_once("': state changed from '")?;
    let (from, to) = states.split_once("' => '")?;
    Some(format!("{node}: {from} => {to}"))
}

impl Env for At<'_> {
    fn now(&self) -> Seconds {
        self.state.now.as_secs()
    }

    fn node(&self) -> &str {
        self.state.get(self.index).map_or("", Server::name)
    }

    fn log(&mut self, level: Level, text: &str) {
        if let Some(node) = changed_node(text).filter(|_| self.unit == CRM) {
            self.state.note(Some(self.index), What::HaNodeChanged, node);
        }
        let priority = match level {
            Level::Info | Level::Email => journal::INFO,
            Level::Notice => journal::NOTICE,
            Level::Warning => journal::WARNING,
            Level::Error => journal::ERR,
        };
        self.state.ha_log_at(priority, self.index, self.unit, text);
    }

    fn quorate(&self) -> bool {
        self.server().is_some_and(|server| server.pmxcfs.writable())
    }

    fn members(&self) -> BTreeMap<String, bool> {
        let Some(server) = self.server() else {
            return BTreeMap::new();
        };
        match server.pmxcfs.view.as_ref().filter(|_| server.pmxcfs.clustered) {
            Some(view) => {
                let member = |node: &crate::world::pmxcfs::ViewNode| (node.name.clone(), view.quorate && node.online);
                view.nodes.iter().map(member).collect()
            }
            None => BTreeMap::from([(server.spec.name.clone(), server.pmxcfs.writable())]),
        }
    }

    fn update_cluster_state(&mut self) -> bool {
        self.server().is_some_and(|server| server.pmxcfs.running)
    }

    fn manager_status(&self) -> Result<ManagerStatus, CfsError> {
        let manager = self.files()?.manager.as_ref();
        Ok(manager.map(|manager| manager.content.clone()).unwrap_or_default())
    }

    fn services(&self) -> Result<Services, CfsError> {
        let files = self.files()?;
        let Some(server) = self.server() else {
            return Err(CfsError::NotMounted);
        };
        let all = files.resources.iter().filter_map(|(sid, resource)| {
            let sid = Sid::parse(sid).ok()?;
            let vmid: u32 = sid.number().parse().ok()?;
            // A guest that is gone is passed over.
            let guest = server.pmxcfs.replica.guests.get(&vmid)?;
            Some((sid, resource.config(&guest.node)))
        });
        Ok(Services {
            all: all.collect(),
            digest: None,
        })
    }

    fn datacenter(&self) -> Datacenter {
        let text = self.server().map(|server| settings::text(&server.pmxcfs.replica));
        settings::datacenter(text.unwrap_or_default())
    }

    fn watchdog_open(&mut self) -> WatchdogId {
        self.log(Level::Notice, "watchdog active");
        let (name, now) = (self.node().to_owned(), self.now());
        self.state.watchdogs.open(&name, now)
    }

    fn watchdog_update(&mut self, id: WatchdogId) {
        let now = self.now();
        self.state.watchdogs.update(id, now);
    }

    fn watchdog_close(&mut self, id: WatchdogId) {
        let now = self.now();
        if self.state.watchdogs.close(id, now) {
            self.log(Level::Notice, "watchdog closed (disabled)");
        }
    }
}

impl CrmEnv for At<'_> {
    fn take_manager_lock(&mut self) -> bool {
        self.take(MANAGER_LOCK)
    }

    fn release_manager_lock(&mut self) -> bool {
        self.release(MANAGER_LOCK)
    }

    fn take_agent_lock_of(&mut self, node: &str) -> bool {
        let lock = agent_lock(node);
        let had = self.held.contains(&lock);
        let has = self.take(&lock);
        if has && !had {
            self.state.note(Some(self.index), What::LockTaken, node);
        }
        has
    }

    fn write_manager_status(&mut self, status: &ManagerStatus) -> Result<(), CfsError> {
        let at = self.wall();
        self.write(|replica| {
            replica.ha.manager = Some(Written {
                content: status.clone(),
                at,
            });
        })
    }

    fn lrm_status(&self, node: &str) -> Result<LrmStatus, CfsError> {
        let status = self.files()?.lrm.get(node);
        Ok(status.map(|status| status.content.clone()).unwrap_or_default())
    }

    fn take_commands(&mut self) -> Result<Vec<String>, CfsError> {
        let commands = self.files()?.commands.clone();
        if !commands.is_empty() {
            self.write(|replica| replica.ha.commands.clear())?;
        }
        Ok(commands)
    }

    fn commands_wait(&self) -> bool {
        self.files().is_ok_and(|files| !files.commands.is_empty())
    }

    fn rules(&self) -> Result<String, CfsError> {
        Ok(self.files()?.rules.clone())
    }

    fn write_rules(&mut self, text: &str) -> Result<(), CfsError> {
        self.write(|replica| text.clone_into(&mut replica.ha.rules))
    }

    fn groups(&self) -> Result<String, CfsError> {
        Ok(self.files()?.groups.clone())
    }

    fn remove_groups(&mut self) -> Result<(), CfsError> {
        self.write(|replica| replica.ha.groups.clear())
    }

    fn change_services(&mut self, changes: &[ServiceChange]) -> Result<(), CfsError> {
        for change in changes {
            let (ServiceChange::Stop(sid) | ServiceChange::LeaveGroup { sid, .. }) = change;
            if !self.files()?.resources.contains_key(sid.as_str()) {
                return Err(CfsError::Refused(format!("no such resource '{sid}'")));
            }
        }
        self.write(|replica| {
            for change in changes {
                let (ServiceChange::Stop(sid) | ServiceChange::LeaveGroup { sid, .. }) = change;
                let Some(resource) = replica.ha.resources.get_mut(sid.as_str()) else {
                    continue;
                };
                match change {
                    ServiceChange::Stop(_) => resource.state = Some(Requested::Stopped),
                    ServiceChange::LeaveGroup { failback, .. } => {
                        resource.group = None;
                        resource.failback = Some(*failback);
                    }
                }
            }
        })
    }

    fn steal_service(&mut self, sid: &Sid, from: &str, to: &str) -> Result<(), CfsError> {
        let vmid = sid.number().parse().unwrap_or(0);
        self.state
            .steal_guest(self.index, vmid, from, to)
            .map_err(CfsError::Refused)
    }

    fn remove_guest_lock(&mut self, sid: &Sid, locks: &[&str]) -> Option<String> {
        let vmid: u32 = sid.number().parse().ok()?;
        let lock = self
            .server()?
            .pmxcfs
            .replica
            .guests
            .get(&vmid)?
            .value("lock")?
            .to_owned();
        if !locks.contains(&lock.as_str()) {
            return None;
        }
        self.write(|replica| {
            if let Some(guest) = replica.guests.get_mut(&vmid) {
                guest.set("lock", None);
            }
        })
        .ok()?;
        Some(lock)
    }

    fn other_guests(&self) -> Vec<OtherGuest> {
        let Some(server) = self.server() else {
            return Vec::new();
        };
        let guests = server.pmxcfs.replica.guests.iter();
        let other = guests.filter_map(|(vmid, guest)| {
            let runs = self.state.find(&guest.node).and_then(|index| self.state.get(index));
            Some(OtherGuest {
                sid: Sid::parse(&format!("{}:{vmid}", guest.kind.sid_type())).ok()?,
                node: guest.node.clone(),
                on: runs.is_some_and(|server| server.running.contains_key(vmid)),
            })
        });
        other.collect()
    }

    fn load(&mut self, scheduler: &str) -> Result<Load, CfsError> {
        Ok(settings::load(self.state, self.index, scheduler))
    }

    fn node_version(&self, node: &str) -> Option<String> {
        let server = self.state.get(self.state.find(node)?)?;
        server.packages.version("pve-manager").map(str::to_owned)
    }

    fn fresh_uid(&mut self) -> String {
        let mut bytes = random().to_be_bytes().to_vec();
        bytes.extend(random().to_be_bytes());
        data_encoding::BASE64_NOPAD.encode(&bytes)
    }

    // Mail to root: nobody reads it here.
    fn notify(&mut self, subject: &str) {
        let fenced = subject.strip_prefix("FENCE: Try to fence node '");
        if let Some(node) = fenced.and_then(|rest| rest.strip_suffix('\'')) {
            self.state.note(Some(self.index), What::FenceDecided, node);
        }
    }
}

impl LrmEnv for At<'_> {
    fn take_agent_lock(&mut self) -> bool {
        let lock = agent_lock(self.node());
        self.take(&lock)
    }

    fn release_agent_lock(&mut self) {
        let lock = agent_lock(self.node());
        self.release(&lock);
    }

    fn write_lrm_status(&mut self, status: &LrmStatus) -> Result<(), CfsError> {
        // As long as nothing is under HA, nobody needs to know; a real LRM says so every five seconds all the same.
        if !self.files()?.used() {
            return Ok(());
        }
        let (node, at) = (self.node().to_owned(), self.wall());
        self.write(|replica| {
            let status = Written {
                content: status.clone(),
                at,
            };
            replica.ha.lrm.insert(node.clone(), status);
        })
    }

    fn node_shutdown(&self) -> NodeShutdown {
        match self.server().map(|server| &server.power) {
            Some(power) if power.down_at.is_none() => NodeShutdown::No,
            Some(power) if power.again => NodeShutdown::Reboot,
            Some(_) => NodeShutdown::Poweroff,
            None => NodeShutdown::No,
        }
    }

    fn max_workers(&self) -> usize {
        let text = self.server().map(|server| settings::text(&server.pmxcfs.replica));
        settings::max_workers(text.unwrap_or_default())
    }

    fn knows_type(&self, kind: &str) -> bool {
        ["vm", "ct"].contains(&kind)
    }

    fn runs(&self, sid: &Sid) -> bool {
        let vmid = sid.number().parse().unwrap_or(0);
        self.state.guest_runs(self.index, vmid)
    }

    fn begin(&mut self, sid: &Sid, act: &Act) -> Progress {
        self.begin_work(sid, act)
    }

    fn progress(&mut self, sid: &Sid) -> Progress {
        self.work_goes_on(sid)
    }
}
