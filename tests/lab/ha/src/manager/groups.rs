//! Groups are given up for rules as soon as every node understands rules.

use super::version::at_least;
use super::{Manager, ManagerError};
use crate::constants::{ACTIVE_ROUND, GROUPS_NEXT_TRY, RULES_SINCE};
use crate::env::{CfsError, CrmEnv, ServiceChange};
use crate::groups::Groups;
use crate::log::Level;
use crate::model::{LrmMode, LrmState, ManagerStatus, NodeState};
use crate::rules::Rules;

impl Manager {
    pub(super) fn try_to_give_up_groups(&mut self, env: &mut dyn CrmEnv) -> Result<(), ManagerError> {
        let (mut groups, _) = Groups::parse(&env.groups()?);
        if groups.all.is_empty() {
            return Ok(());
        }
        self.groups_try_in = self.groups_try_in.saturating_sub(1);
        if self.groups_try_in > 0 {
            return Ok(());
        }
        self.groups_try_in = GROUPS_NEXT_TRY;
        env.log(Level::Notice, "start ha group migration...");
        match self.give_up_groups(env, &mut groups) {
            Ok(()) => env.log(Level::Notice, "ha groups migration successful"),
            Err(reason) => {
                env.log(Level::Error, &format!("abort ha groups migration: {reason}"));
                env.log(Level::Error, "ha groups migration failed");
                let seconds = u64::from(GROUPS_NEXT_TRY) * ACTIVE_ROUND;
                let line = format!("retry ha groups migration in {GROUPS_NEXT_TRY} rounds (~ {seconds} seconds)");
                env.log(Level::Notice, &line);
            }
        }
        Ok(())
    }

    fn give_up_groups(&self, env: &mut dyn CrmEnv, groups: &mut Groups) -> Result<(), String> {
        self.all_understand_rules(env)?;
        let cfs = |error: CfsError| error.to_string();
        let mut services = env.services().map_err(cfs)?.all;
        let (mut rules, _) = Rules::parse(&env.rules().map_err(cfs)?);
        groups.become_rules(&services, &mut rules);
        env.write_rules(&rules.to_text()).map_err(cfs)?;
        env.log(
            Level::Notice,
            "ha groups migration: migration to rules config successful",
        );

        groups.decide_failback(&mut services);
        let members = services.into_iter().filter(|(_, service)| service.group.is_some());
        let changes: Vec<ServiceChange> = members
            .map(|(sid, service)| ServiceChange::LeaveGroup {
                sid,
                failback: service.failback,
            })
            .collect();
        env.change_services(&changes).map_err(cfs)?;
        env.log(
            Level::Notice,
            "ha groups migration: migration to resources config successful",
        );

        env.remove_groups().map_err(cfs)?;
        env.log(Level::Notice, "ha groups migration: group config deletion successful");
        Ok(())
    }

    fn all_understand_rules(&self, env: &mut dyn CrmEnv) -> Result<(), String> {
        if !env.quorate() {
            return Err("cluster is not quorate".to_owned());
        }
        let view = ManagerStatus {
            service_status: self.services.clone(),
            ..ManagerStatus::default()
        };
        for (node, state) in self.nodes.states() {
            let mut say = |text: String| env.log(Level::Notice, &format!("ha groups migration: {text}"));
            say(format!("node '{node}' is in state '{state}'"));
            if *state != NodeState::Online {
                return Err(format!("node '{node}' is not online"));
            }
            let lrm = env.lrm_status(node).map_err(|error| error.to_string())?;
            let (Some(lrm_state), Some(mode)) = (lrm.state, lrm.mode) else {
                return Err(format!("could not retrieve state for lrm '{node}'"));
            };
            let mut say = |text: String| env.log(Level::Notice, &format!("ha groups migration: {text}"));
            say(format!("lrm '{node}' is in state '{lrm_state}' and mode '{mode}'"));
            let idle = lrm_state == LrmState::WaitForAgentLock && view.active_services(node) == 0;
            if lrm_state != LrmState::Active && !idle {
                return Err(format!("lrm '{node}' is not in state 'active' or 'idle'"));
            }
            if mode != LrmMode::Active {
                return Err(format!("lrm '{node}' is not in mode 'active'"));
            }
            let Some(version) = env.node_version(node) else {
                return Err(format!("could not retrieve version from node '{node}'"));
            };
            let line = format!("ha groups migration: node '{node}' has version '{version}'");
            env.log(Level::Notice, &line);
            if !at_least(&version, RULES_SINCE) {
                return Err(format!(
                    "node '{node}' needs at least pve-manager version '{RULES_SINCE}'"
                ));
            }
        }
        Ok(())
    }
}
