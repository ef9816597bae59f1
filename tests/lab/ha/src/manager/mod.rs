//! The manager: what a CRM does while it is the master. It sees to nodes, services and commands once a round, and writes down what it
//! knows (`PVE::HA::Manager`).

mod balance;
mod change;
mod commands;
mod disarm;
mod fencing;
mod groups;
mod nodes;
mod plan;
mod started;
mod states;
mod version;

use std::collections::BTreeMap;

pub use nodes::NodeStatus;

use crate::constants::GROUPS_FIRST_TRY;
use crate::env::{CfsError, CrmEnv};
use crate::groups::Groups;
use crate::log::Level;
use crate::model::{
    Balancing, Disarm, Exit, LrmMode, LrmResult, ManagerStatus, NodeRequest, Requested, ServiceConfig, ServiceState,
    ServiceStatus, Sid,
};
use crate::rules::Compiled;
use crate::select::Selection;
use crate::usage::Usage;

/// Why a round of the manager broke off. What it had decided until then stays in its mind, but is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagerError {
    /// A file could not be used.
    #[error(transparent)]
    Cfs(CfsError),
    /// A service would have gone from a state to the same one.
    #[error("no state change of service '{0}'")]
    NoChange(Sid),
}

impl From<CfsError> for ManagerError {
    fn from(error: CfsError) -> Self {
        Self::Cfs(error)
    }
}

/// The manager of one master, from its beginning to its end.
#[derive(Debug)]
pub struct Manager {
    master: String,
    nodes: NodeStatus,
    services: BTreeMap<Sid, ServiceStatus>,
    node_request: BTreeMap<String, NodeRequest>,
    disarm: Option<Disarm>,
    fully_disarmed: bool,
    scheduler: String,
    rebalance_on_start: bool,
    balance: Option<Balancing>,
    uneven_rounds: u32,
    rules: Option<Compiled>,
    compiled_from: plan::Sources,
    usage: Usage,
    groups_try_in: u32,
}

/// Results by their uid, and modes by their node.
type Heard = (BTreeMap<String, LrmResult>, BTreeMap<String, LrmMode>);

/// What a round of the manager was told, beside what it knows.
struct Round<'a> {
    env: &'a mut dyn CrmEnv,
    config: BTreeMap<Sid, ServiceConfig>,
    groups: Groups,
    results: BTreeMap<String, LrmResult>,
    modes: BTreeMap<String, LrmMode>,
}

impl Round<'_> {
    fn log(&mut self, level: Level, text: &str) {
        self.env.log(level, text);
    }

    fn info(&mut self, text: &str) {
        self.env.log(Level::Info, text);
    }
}

impl Manager {
    /// Takes over from the master before, as far as that one wrote down what it knew.
    ///
    /// # Errors
    ///
    /// `manager_status` cannot be read.
    pub fn new(env: &mut dyn CrmEnv) -> Result<Self, CfsError> {
        let before = env.manager_status()?;
        let mut manager = Self {
            master: env.node().to_owned(),
            nodes: NodeStatus::new(before.node_status),
            services: before.service_status,
            node_request: before.node_request,
            disarm: before.disarm,
            fully_disarmed: false,
            scheduler: plan::BASIC.to_owned(),
            rebalance_on_start: false,
            balance: None,
            uneven_rounds: 0,
            rules: None,
            compiled_from: plan::Sources::default(),
            usage: Usage::default(),
            groups_try_in: GROUPS_FIRST_TRY,
        };
        manager.look_at_scheduler(env, true);
        Ok(manager)
    }

    /// HA was switched off, and all LRMs have followed.
    #[must_use]
    pub fn is_fully_disarmed(&self) -> bool {
        self.fully_disarmed
    }

    /// One round.
    ///
    /// # Errors
    ///
    /// Something could not be read, written or moved; the round broke off there.
    pub fn round(&mut self, env: &mut dyn CrmEnv) -> Result<(), ManagerError> {
        let members = env.members();
        let node_list_changed = self.nodes.differ_from(&members);
        let (results, modes) = self.hear_lrms(env)?;
        self.nodes.update(env, &members, &modes);
        if !self.nodes.is_operational(env.node()) {
            env.log(Level::Info, "master seems offline");
            return Ok(());
        }
        self.look_at_scheduler(env, false);
        self.try_to_give_up_groups(env)?;

        let services = env.services()?;
        let groups_text = env.groups()?;
        let (groups, _) = Groups::parse(&groups_text);
        let mut round = Round {
            env,
            config: services.all,
            groups,
            results,
            modes,
        };
        // While HA is off, nothing comes and nothing goes.
        if self.disarm.is_none() {
            self.take_in_new_services(&mut round);
            self.drop_stale_services(&mut round);
        }
        self.count_usage(&mut round);
        self.compile_rules(&mut round, node_list_changed, &groups_text, services.digest)?;
        self.take_commands(&mut round)?;

        let mut only = None;
        if let Some(disarm) = self.disarm {
            only = self.go_on_disarming(&mut round, disarm);
            if only.is_none() {
                return Ok(self.write_down(round.env)?);
            }
        } else {
            self.balance_load(&mut round);
        }
        self.fully_disarmed = false;
        while self.settle(&mut round, only.as_ref())? {}
        Ok(self.write_down(round.env)?)
    }

    fn write_down(&self, env: &mut dyn CrmEnv) -> Result<(), CfsError> {
        let status = ManagerStatus {
            master_node: Some(self.master.clone()),
            timestamp: env.now(),
            node_status: self.nodes.states().clone(),
            service_status: self.services.clone(),
            node_request: self.node_request.clone(),
            disarm: self.disarm,
        };
        env.write_manager_status(&status)
    }

    fn hear_lrms(&self, env: &dyn CrmEnv) -> Result<Heard, CfsError> {
        let mut results = BTreeMap::new();
        let mut modes = BTreeMap::new();
        for node in self.nodes.states().keys() {
            let status = env.lrm_status(node)?;
            modes.insert(node.clone(), status.mode.unwrap_or(LrmMode::Active));
            for (uid, result) in status.results {
                results.entry(uid).or_insert(result);
            }
        }
        Ok((results, modes))
    }

    fn take_in_new_services(&mut self, round: &mut Round<'_>) {
        for (sid, config) in round.config.clone() {
            if self.services.contains_key(&sid) || config.state == Requested::Ignored {
                continue;
            }
            round.info(&format!("adding new service '{sid}' on node '{}'", config.node));
            // Taken to be running where it is: what runs is not to be moved because it came under HA.
            let state = match config.state {
                Requested::Started => ServiceState::RequestStart,
                _ => ServiceState::RequestStop,
            };
            let status = ServiceStatus::new(state, &config.node, round.env.fresh_uid());
            self.services.insert(sid, status);
        }
    }

    fn drop_stale_services(&mut self, round: &mut Round<'_>) {
        let mut dropped = Vec::new();
        self.services.retain(|sid, _| {
            let reason = match round.config.get(sid) {
                Some(config) if config.state != Requested::Ignored => return true,
                Some(_) => "ignored state requested",
                None => "no config",
            };
            dropped.push(format!("removing stale service '{sid}' ({reason})"));
            false
        });
        for line in dropped {
            round.info(&line);
        }
    }

    /// One pass over all services, or over these only, and then over the nodes to be fenced. True when another one is due.
    fn settle(&mut self, round: &mut Round<'_>, only: Option<&disarm::Deferring>) -> Result<bool, ManagerError> {
        let mut again = false;
        let due = |sid: &&Sid| only.is_none_or(|only| only.contains(*sid));
        let sids: Vec<Sid> = self.services.keys().filter(due).cloned().collect();
        for sid in sids {
            let Some(before) = self.services.get(&sid).map(|status| status.state) else {
                continue;
            };
            self.next_state(round, &sid, before)?;
            self.freeze_for_restart(round, &sid)?;
            again |= self.services.get(&sid).is_some_and(|status| status.state != before);
        }
        let fenced = self.fence_nodes(round)?;
        Ok(again || fenced)
    }

    fn result_of(&self, round: &Round<'_>, sid: &Sid) -> Option<Exit> {
        let uid = self.services.get(sid)?.uid.as_ref()?;
        round.results.get(uid).map(|result| result.exit_code)
    }

    fn selection<'a>(&'a self, none: &'a Compiled) -> Selection<'a> {
        Selection {
            rules: self.rules.as_ref().unwrap_or(none),
            usage: &self.usage,
            services: &self.services,
        }
    }
}
