//! What the virtual cluster gives to both daemons, and to a CRM.

use std::collections::BTreeMap;

use super::world::World;
use crate::env::{CfsError, CrmEnv, Env, ServiceChange};
use crate::load::Load;
use crate::locks::{MANAGER_LOCK, agent_lock};
use crate::log::Level;
use crate::model::{Datacenter, LrmStatus, ManagerStatus, Requested, Seconds, Services, Sid};
use crate::scenario::Daemon;
use crate::usage::OtherGuest;
use crate::watchdog::WatchdogId;

/// The version of pve-manager, where nothing says otherwise.
const USUAL_VERSION: &str = "9.0.0~2";

/// The cluster, as one daemon sees it.
pub(super) struct DaemonEnv<'a> {
    pub(super) world: &'a mut World,
    pub(super) node: &'a str,
    pub(super) daemon: Daemon,
}

impl Env for DaemonEnv<'_> {
    fn now(&self) -> Seconds {
        self.world.time_of(self.node, self.daemon)
    }

    fn node(&self) -> &str {
        self.node
    }

    fn log(&mut self, level: Level, text: &str) {
        let source = format!("{}/{}", self.node, self.daemon.name());
        self.world.say(level, self.now(), source, text);
    }

    fn quorate(&self) -> bool {
        self.world.is_quorate(self.node)
    }

    fn members(&self) -> BTreeMap<String, bool> {
        self.world.members()
    }

    fn update_cluster_state(&mut self) -> bool {
        self.world.server(self.node).is_some_and(|server| server.cfs_updates)
    }

    fn manager_status(&self) -> Result<ManagerStatus, CfsError> {
        self.world.cfs(self.node)?;
        Ok(self.world.manager_status.clone())
    }

    fn services(&self) -> Result<Services, CfsError> {
        self.world.cfs(self.node)?;
        let config = self
            .world
            .services
            .iter()
            .map(|(sid, service)| (sid.clone(), service.config()));
        Ok(Services {
            all: config.collect(),
            digest: None,
        })
    }

    fn datacenter(&self) -> Datacenter {
        self.world.datacenter.settings()
    }

    fn watchdog_open(&mut self) -> WatchdogId {
        self.world.watchdogs.open(self.node, self.world.time)
    }

    fn watchdog_update(&mut self, id: WatchdogId) {
        self.world.watchdogs.update(id, self.world.time);
    }

    fn watchdog_close(&mut self, id: WatchdogId) {
        self.world.watchdogs.close(id, self.world.time);
    }
}

impl CrmEnv for DaemonEnv<'_> {
    fn take_manager_lock(&mut self) -> bool {
        self.world.take_lock(MANAGER_LOCK, self.node, self.daemon)
    }

    fn release_manager_lock(&mut self) -> bool {
        self.world.release_lock(MANAGER_LOCK, self.node, self.daemon)
    }

    fn take_agent_lock_of(&mut self, node: &str) -> bool {
        self.world.take_lock(&agent_lock(node), self.node, self.daemon)
    }

    fn write_manager_status(&mut self, status: &ManagerStatus) -> Result<(), CfsError> {
        self.world.cfs(self.node)?;
        self.world.manager_status = status.clone();
        Ok(())
    }

    fn lrm_status(&self, node: &str) -> Result<LrmStatus, CfsError> {
        self.world.cfs(self.node)?;
        Ok(self.world.lrm_status.get(node).cloned().unwrap_or_default())
    }

    fn take_commands(&mut self) -> Result<Vec<String>, CfsError> {
        self.world.cfs(self.node)?;
        Ok(std::mem::take(&mut self.world.commands))
    }

    fn commands_wait(&self) -> bool {
        !self.world.commands.is_empty()
    }

    fn rules(&self) -> Result<String, CfsError> {
        self.world.cfs(self.node)?;
        Ok(self.world.rules.clone())
    }

    fn write_rules(&mut self, text: &str) -> Result<(), CfsError> {
        self.world.cfs(self.node)?;
        text.clone_into(&mut self.world.rules);
        Ok(())
    }

    fn groups(&self) -> Result<String, CfsError> {
        self.world.cfs(self.node)?;
        Ok(self.world.groups.clone())
    }

    fn remove_groups(&mut self) -> Result<(), CfsError> {
        self.world.cfs(self.node)?;
        self.world.groups.clear();
        Ok(())
    }

    fn change_services(&mut self, changes: &[ServiceChange]) -> Result<(), CfsError> {
        for change in changes {
            let (ServiceChange::Stop(sid) | ServiceChange::LeaveGroup { sid, .. }) = change;
            let Some(service) = self.world.services.get_mut(sid) else {
                return Err(CfsError::Refused(format!("no such resource '{sid}'")));
            };
            match change {
                ServiceChange::Stop(_) => service.state = Requested::Stopped,
                ServiceChange::LeaveGroup { failback, .. } => {
                    service.group = None;
                    service.failback = *failback;
                }
            }
        }
        Ok(())
    }

    fn steal_service(&mut self, sid: &Sid, from: &str, to: &str) -> Result<(), CfsError> {
        self.world.cfs(self.node)?;
        self.world.move_config(sid, from, to)
    }

    fn remove_guest_lock(&mut self, sid: &Sid, locks: &[&str]) -> Option<String> {
        let service = self.world.services.get_mut(sid)?;
        let removable = service.lock.as_deref().is_some_and(|lock| locks.contains(&lock));
        service.lock.take_if(|_| removable)
    }

    fn other_guests(&self) -> Vec<OtherGuest> {
        let guest = |(sid, service): (&Sid, &crate::scenario::ServiceFile)| OtherGuest {
            sid: sid.clone(),
            node: service.node.clone(),
            on: service.state == Requested::Started,
        };
        self.world.services.iter().map(guest).collect()
    }

    fn load(&mut self, scheduler: &str) -> Result<Load, CfsError> {
        Ok(match scheduler {
            "dynamic" => self.world.dynamic_load(),
            _ => self.world.static_load(),
        })
    }

    fn node_version(&self, node: &str) -> Option<String> {
        let server = self.world.server(node)?;
        Some(server.version.clone().unwrap_or_else(|| USUAL_VERSION.to_owned()))
    }

    fn fresh_uid(&mut self) -> String {
        self.world.fresh_uid()
    }

    fn notify(&mut self, subject: &str) {
        self.log(Level::Email, subject);
    }
}
