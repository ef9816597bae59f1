//! A server's power: on, off, on the way from one to the other; and what that means for its processes.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::clock::SimTime;
use super::state::power::Order;
use super::{World, complain};
use crate::process::{self, Program};

/// A killed process is gone when the kernel has found the time.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How a server is powered.
#[derive(Debug, Default)]
pub(crate) struct Power {
    pub(crate) off: bool,
    /// It shuts down in an orderly way: its services end then.
    pub(crate) services_end_at: Option<SimTime>,
    /// And it is off then.
    pub(crate) down_at: Option<SimTime>,
    /// The HA daemons end one after the other when it shuts down; the second one was asked.
    pub(crate) crm_ends: bool,
    /// It boots, and is up then.
    pub(crate) up_at: Option<SimTime>,
    /// What shuts down comes up again by itself.
    pub(crate) again: bool,
    /// How often it went off, and came up, since the world began.
    pub(crate) losses: u32,
    pub(crate) boots: u32,
    /// Its corosync ended without a word to the others.
    pub(crate) vanished: bool,
    /// The agent that ran when the services ended, as it was called: it starts with the server.
    pub(crate) agent: Option<Vec<String>>,
}

impl World {
    /// Ends and starts a server's processes, as its power goes and comes.
    pub(super) fn carry_out(&self, state: &mut super::state::State, order: Order) {
        let (Order::Terminate(index) | Order::Kill(index) | Order::Start(index)) = order;
        let Some(server) = state.servers.get_mut(index) else {
            return;
        };
        let folder = self.layout.node(server.name());
        match order {
            Order::Terminate(_) | Order::Kill(_) => {
                if let Some(agent) = process::agent_of(&folder) {
                    server.power.agent = Some(agent.argv);
                }
                process::end_node(&folder, matches!(order, Order::Kill(_)));
                if let Some(losses) = self.losses.get(index) {
                    losses.send_if_modified(|before| {
                        std::mem::replace(before, server.power.losses) != server.power.losses
                    });
                }
            }
            Order::Start(_) => {
                let Some(argv) = server.power.agent.take() else { return };
                let log = self.layout.agent_log(server.name());
                match start(&argv, &server.root, &log) {
                    Ok(agent) => {
                        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                        if let Some(mut before) = agents.insert(index, agent) {
                            before.kill();
                        }
                    }
                    Err(error) => complain(&format!("{}: can't start the agent: {error}", server.name())),
                }
            }
        }
    }
}

impl World {
    /// Ends a server's agent, and nothing else, and starts it as it was called.
    pub(crate) async fn restart_agent(&self, index: usize) {
        let place = self.with(|state| {
            let server = state.servers.get(index)?;
            Some((server.name().to_owned(), server.root.clone()))
        });
        let Some((name, root)) = place else { return };
        let folder = self.layout.node(&name);
        let Some(agent) = process::agent_of(&folder) else {
            return;
        };
        agent.kill();
        let end = Instant::now() + ENDS_WITHIN;
        let lock = root.join("var/lib/quorate-agent/lock");
        let there = || process::agent_of(&folder).is_some_and(|other| other.pid == agent.pid) || is_held(&lock);
        while there() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match start(&agent.argv, &root, &self.layout.agent_log(&name)) {
            Ok(agent) => {
                let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                agents.insert(index, agent);
            }
            Err(error) => complain(&format!("{name}: can't start the agent: {error}")),
        }
    }
}

/// Does a process hold this lock still? One that was killed seems to be gone before its files are closed; systemd waits for its end.
fn is_held(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err()
}

fn start(argv: &[String], root: &Path, log: &Path) -> io::Result<process::Daemon> {
    let (program, args) = argv
        .split_first()
        .ok_or_else(|| io::Error::other("it was called by no name"))?;
    Program::new(program)
        .args(args)
        .env("HOME", root)
        .bound_by_modes()
        .spawn(log, false)
}
