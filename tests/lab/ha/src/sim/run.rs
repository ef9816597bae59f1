//! The simulator's clock: in which order daemons run, how long a loop takes, and when it is over (facts C.12).

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::World;
use super::control::Daemons;
use super::crm_env::DaemonEnv;
use crate::env::{Next, NodeShutdown};
use crate::log::LogLine;
use crate::model::Seconds;
use crate::scenario::{Command, Daemon, Do, Scenario, ScenarioError};

/// A loop over all daemons takes at least so long. It is longer with many nodes, as each daemon's round takes a second.
pub const SHORTEST_LOOP: Seconds = 20;

/// A loop as long as a watchdog's patience would reset every node.
const LONGEST_LOOP: Seconds = 60;

/// One slot of commands is taken in every so many loops.
pub const SLOT_LOOPS: u64 = 5;

/// The simulation ends so long after the last command.
pub const END_AFTER: Seconds = 500;

/// It never lasts longer.
pub const LIMIT: Seconds = 10_000;

/// A scenario that is being played.
#[derive(Debug)]
pub struct Simulation {
    pub(super) world: World,
    pub(super) daemons: BTreeMap<String, Daemons>,
    slots: VecDeque<Vec<Command>>,
    skip_crm: u32,
    skip_lrm: u32,
    last_command: Seconds,
    no_command_before: Seconds,
}

impl Simulation {
    /// A scenario, before its beginning.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let world = World::new(scenario);
        Self {
            daemons: world
                .servers
                .keys()
                .map(|node| (node.clone(), Daemons::default()))
                .collect(),
            world,
            slots: scenario.slots.clone().into(),
            skip_crm: 0,
            skip_lrm: 0,
            last_command: 0,
            no_command_before: 0,
        }
    }

    /// Plays it to its end.
    ///
    /// # Errors
    ///
    /// A command cannot be carried out, a daemon ends unasked, or there is no end.
    pub fn play(mut self) -> Result<Vec<LogLine>, ScenarioError> {
        self.world.info("hardware", "starting simulation");
        let nodes: Vec<String> = self.daemons.keys().cloned().collect();
        let looptime = SHORTEST_LOOP.max(2 * nodes.len() as Seconds);
        if looptime >= LONGEST_LOOP {
            return Err(ScenarioError::TooManyNodes {
                nodes: nodes.len(),
                seconds: looptime,
            });
        }
        let mut loops = 0;
        loop {
            self.one_loop(&nodes, looptime)?;
            if self.world.time > LIMIT {
                return Err(ScenarioError::Endless { limit: LIMIT });
            }
            if self.world.time < self.no_command_before {
                continue;
            }
            if loops % SLOT_LOOPS == 0 && self.take_slot()? {
                break;
            }
            loops += 1;
        }
        self.world.info("hardware", "exit simulation - done");
        Ok(self.world.into_log())
    }

    /// Every daemon has its round, node after node; after each node the watchdogs are looked at.
    fn one_loop(&mut self, nodes: &[String], looptime: Seconds) -> Result<(), ScenarioError> {
        let began = self.world.time;
        let mut first = true;
        for node in nodes {
            self.round(node, Daemon::Crm, first)?;
            self.round(node, Daemon::Lrm, first)?;
            for other in nodes {
                self.look_at_watchdog(other)?;
            }
            first = false;
        }
        self.skip_crm = self.skip_crm.saturating_sub(1);
        self.skip_lrm = self.skip_lrm.saturating_sub(1);
        self.world.time = self.world.time.max(began + looptime);
        for server in self.world.servers.values_mut() {
            server.set_time(Daemon::Crm, self.world.time);
            server.set_time(Daemon::Lrm, self.world.time);
        }
        Ok(())
    }

    fn round(&mut self, node: &str, daemon: Daemon, first: bool) -> Result<(), ScenarioError> {
        let runs = self.daemons.get(node).is_some_and(|daemons| daemons.runs(daemon));
        if !runs {
            return Ok(());
        }
        let (skipped, name) = match daemon {
            Daemon::Crm => (self.skip_crm > 0, "CRM"),
            Daemon::Lrm => (self.skip_lrm > 0, "LRM"),
        };
        let mut exits = false;
        if !skipped {
            exits = self.step(node, daemon);
        } else if first {
            self.world.info("run-loop", &format!("skipping {name} round"));
        }
        self.world.time = self.world.time.max(self.world.time_of(node, daemon));
        match (exits, daemon) {
            (false, _) => Ok(()),
            (true, Daemon::Crm) => self.crm_ended(node),
            (true, Daemon::Lrm) => self.lrm_ended(node),
        }
    }

    /// One whole round of a daemon, in its own time, which then goes on by a second. True when its process ended.
    fn step(&mut self, node: &str, daemon: Daemon) -> bool {
        if let Some(server) = self.world.servers.get_mut(node) {
            server.set_time(daemon, self.world.time);
        }
        let Some(daemons) = self.daemons.get_mut(node) else {
            return false;
        };
        let mut env = DaemonEnv {
            world: &mut self.world,
            node,
            daemon,
        };
        let next = loop {
            let next = match daemon {
                Daemon::Crm => daemons.crm.as_mut().map(|crm| crm.step(&mut env)),
                Daemon::Lrm => daemons.lrm.as_mut().map(|lrm| lrm.step(&mut env)),
            };
            // Time stands still within a round.
            if !matches!(next, Some(Next::Within(_))) {
                break next;
            }
        };
        if let Some(server) = self.world.servers.get_mut(node) {
            server.set_time(daemon, server.time(daemon) + 1);
        }
        next == Some(Next::Exit)
    }

    fn crm_ended(&mut self, node: &str) -> Result<(), ScenarioError> {
        self.say_ended(node, Daemon::Crm);
        let Some(daemons) = self.daemons.get_mut(node) else {
            return Ok(());
        };
        daemons.crm = None;
        let asked = std::mem::take(&mut daemons.crm_stops);
        let power = |on| {
            let state = if on { "on" } else { "off" };
            Command {
                text: format!("power {node} {state}"),
                does: Do::Power {
                    node: node.to_owned(),
                    on,
                },
            }
        };
        match self.shutdown_of(node) {
            NodeShutdown::Reboot => {
                self.command(&power(false), "reboot")?;
                self.command(&power(true), "reboot")
            }
            NodeShutdown::Poweroff => self.command(&power(false), "shutdown"),
            NodeShutdown::No if asked => Ok(()),
            NodeShutdown::No => Err(self.ended(node, Daemon::Crm)),
        }
    }

    fn lrm_ended(&mut self, node: &str) -> Result<(), ScenarioError> {
        self.say_ended(node, Daemon::Lrm);
        let Some(daemons) = self.daemons.get_mut(node) else {
            return Ok(());
        };
        daemons.lrm = None;
        let restarts = std::mem::take(&mut daemons.lrm_restarts);
        // An LRM ends before its CRM, as on a real server.
        let source = match self.shutdown_of(node) {
            NodeShutdown::No if restarts => {
                self.start(node, Daemon::Lrm);
                return Ok(());
            }
            NodeShutdown::No => return Err(self.ended(node, Daemon::Lrm)),
            _ if restarts => return Err(self.ended(node, Daemon::Lrm)),
            NodeShutdown::Reboot => "reboot",
            NodeShutdown::Poweroff => "shutdown",
        };
        let stop = Command {
            text: format!("crm {node} stop"),
            does: Do::Crm(node.to_owned(), crate::scenario::CrmAction::Stop),
        };
        self.command(&stop, source)
    }

    fn say_ended(&mut self, node: &str, daemon: Daemon) {
        crate::env::Env::log(
            &mut DaemonEnv {
                world: &mut self.world,
                node,
                daemon,
            },
            crate::log::Level::Info,
            "exit (loop end)",
        );
    }

    fn ended(&self, node: &str, daemon: Daemon) -> ScenarioError {
        ScenarioError::DaemonEnded {
            time: self.world.time,
            daemon: daemon.name(),
            node: node.to_owned(),
        }
    }

    fn shutdown_of(&self, node: &str) -> NodeShutdown {
        self.world
            .server(node)
            .map_or(NodeShutdown::No, |server| server.shutdown)
    }

    fn look_at_watchdog(&mut self, node: &str) -> Result<(), ScenarioError> {
        if !self.world.watchdogs.ran_out(node, self.world.time) {
            return Ok(());
        }
        let off = Command {
            text: format!("power {node} off"),
            does: Do::Power {
                node: node.to_owned(),
                on: false,
            },
        };
        self.command(&off, "watchdog")?;
        let line = format!("server '{node}' stopped by poweroff (watchdog)");
        self.world.info("hardware", &line);
        Ok(())
    }

    /// Carries out the next slot. True when there is none any more, and enough time has passed since the last one.
    fn take_slot(&mut self) -> Result<bool, ScenarioError> {
        let Some(slot) = self.slots.pop_front() else {
            return Ok(self.world.time.saturating_sub(self.last_command) > END_AFTER);
        };
        for command in slot {
            self.last_command = self.world.time;
            match command.does {
                Do::Delay(seconds) => {
                    self.world.info("cmdlist", &format!("execute {}", command.text));
                    self.no_command_before = self.world.time + seconds;
                }
                Do::SkipRound { daemon, rounds } => {
                    self.world.info("cmdlist", &format!("execute {}", command.text));
                    match daemon {
                        Daemon::Crm => self.skip_crm += rounds,
                        Daemon::Lrm => self.skip_lrm += rounds,
                    }
                }
                _ => self.command(&command, "cmdlist")?,
            }
        }
        Ok(false)
    }
}
