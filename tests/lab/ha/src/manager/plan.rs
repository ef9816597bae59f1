//! What decisions rest on: the scheduler, how full the nodes are, and the rules.

use super::{Manager, ManagerError, Round};
use crate::env::CrmEnv;
use crate::log::Level;
use crate::rules::{Compiled, Rules};
use crate::usage::Usage;

/// The scheduler that counts services.
pub(super) const BASIC: &str = "basic";

/// From what the rules were compiled; they are compiled anew when something of it has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources {
    rules: String,
    groups: String,
    services: Option<String>,
}

impl Manager {
    pub(super) fn look_at_scheduler(&mut self, env: &mut dyn CrmEnv, first: bool) {
        let datacenter = env.datacenter();
        self.rebalance_on_start = datacenter.rebalance_on_start;
        self.balance = datacenter.balance;
        let wanted = datacenter.scheduler.unwrap_or_else(|| BASIC.to_owned());
        if wanted == self.scheduler {
            return;
        }
        let line = match first {
            true => format!("using scheduler mode '{wanted}'"),
            false => format!("switching scheduler mode from '{}' to '{wanted}'", self.scheduler),
        };
        env.log(Level::Info, &line);
        self.scheduler = wanted;
    }

    pub(super) fn count_usage(&mut self, round: &mut Round<'_>) {
        let online = self.nodes.online();
        self.usage = match self.scheduler.as_str() {
            BASIC => Usage::basic(online),
            mode @ ("static" | "dynamic") => {
                let weighed = round.env.load(mode).map_err(|error| error.to_string());
                match weighed.and_then(|load| Usage::weighed(online.clone(), load)) {
                    Ok(usage) => usage,
                    Err(reason) => {
                        let line = format!("fallback to 'basic' scheduler mode, init for '{mode}' failed - {reason}");
                        round.log(Level::Warning, &line);
                        Usage::basic(online)
                    }
                }
            }
            other => {
                round.log(
                    Level::Warning,
                    &format!("got unknown scheduler mode '{other}', using 'basic'"),
                );
                Usage::basic(online)
            }
        };
        for (sid, status) in &self.services {
            self.usage.add(sid, status);
        }
        for guest in round.env.other_guests() {
            if !self.services.contains_key(&guest.sid) {
                self.usage.add_other(&guest);
            }
        }
    }

    pub(super) fn compile_rules(
        &mut self,
        round: &mut Round<'_>,
        node_list_changed: bool,
        groups: &str,
        services: Option<String>,
    ) -> Result<(), ManagerError> {
        let sources = Sources {
            rules: round.env.rules()?,
            groups: groups.to_owned(),
            services,
        };
        round.groups.decide_failback(&mut round.config);
        if self.rules.is_some() && !node_list_changed && sources == self.compiled_from {
            return Ok(());
        }
        let (mut rules, _) = Rules::parse(&sources.rules);
        round.groups.become_rules(&round.config, &mut rules);
        let nodes: Vec<String> = self.nodes.states().keys().cloned().collect();
        for line in rules.make_feasible(nodes.len()) {
            round.info(&line);
        }
        self.rules = Some(Compiled::new(&rules, &nodes));
        self.compiled_from = sources;
        Ok(())
    }
}
