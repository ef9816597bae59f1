//! Watches that run: one task each, until its time is over or the agent ends; all that counts is on the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::drill::{Event, What};
use quorate_model::ids::{NodeName, OperationId};
use quorate_tools::proc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::follow::{Following, Progress};
use super::kept::{self, Alive, KeepError, Kept};
use super::order::Order;
use super::sources::{Copies, Guests, HaStates, Journal, Members};
use super::wrote::Wrote;
use crate::host::Host;
use crate::observe::hostname;

/// Between two looks at members and guests: what they show is at most so old.
const LOOK: Duration = Duration::from_millis(100);

/// Looks until HA's states and copies are looked at again: their daemons take ten seconds a round.
const SLOW: u32 = 5;

/// Looks until the journal is read again and a sign of life is given. Its entries bear their own times.
const SLOWEST: u32 = 10;

/// Watches at a time: one drill holds a cluster at once.
const AT_ONCE: usize = 4;

/// A watch was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RefusedWatch {
    /// There are too many.
    #[error("{AT_ONCE} watches run already")]
    TooMany,
    /// It can't be kept.
    #[error("the watch can't be kept")]
    Keep(#[from] KeepError),
}

/// All watches of this agent.
#[derive(Debug)]
pub struct Recorders {
    host: Arc<Host>,
    state_dir: PathBuf,
    running: Mutex<BTreeMap<OperationId, watch::Receiver<Progress>>>,
}

impl Recorders {
    /// Watches that are kept below this folder; none runs yet.
    pub(crate) fn new(host: Arc<Host>, state_dir: PathBuf) -> Self {
        Self {
            host,
            state_dir,
            running: Mutex::default(),
        }
    }

    /// Goes on with what an agent before this one had not finished. Needs a Tokio runtime.
    pub(crate) fn resume(&self) {
        for order in kept::unfinished(&self.state_dir, self.host.now()) {
            if let Err(error) = self.start(&order) {
                tracing::warn!(watch = %order.id, %error, "a watch for a drill does not go on");
            }
        }
    }

    /// Begins a watch, or listens to the one of that name, from a number of events on.
    ///
    /// # Errors
    /// It can't be kept, or there are too many.
    pub(crate) fn follow(&self, order: &Order, from: usize) -> Result<Following, RefusedWatch> {
        let known = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&order.id)
            .cloned();
        let receiver = match known {
            Some(receiver) => receiver,
            None => self.start(order)?,
        };
        Ok(Following { receiver, from })
    }

    /// What a watch has told, also one that is over.
    ///
    /// # Errors
    /// There is none of that name, or it can't be read.
    pub(crate) fn told(&self, id: &OperationId) -> Result<Vec<Event>, KeepError> {
        kept::told(&self.state_dir, id)
    }

    fn start(&self, order: &Order) -> Result<watch::Receiver<Progress>, RefusedWatch> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, receiver| !receiver.borrow().over);
        if running.len() >= AT_ONCE {
            return Err(RefusedWatch::TooMany);
        }
        let (kept, order) = Kept::open(&self.state_dir, order)?;
        let (sender, receiver) = watch::channel(Progress {
            events: kept.told.clone(),
            over: false,
        });
        running.insert(order.id.clone(), receiver.clone());
        let task = Task::new(Arc::clone(&self.host), order, kept, sender);
        tokio::spawn(task.run());
        Ok(receiver)
    }
}

struct Task {
    host: Arc<Host>,
    order: Order,
    kept: Kept,
    sender: watch::Sender<Progress>,
    boot: String,
    members: Members,
    ha: HaStates,
    journal: Journal,
    guests: Guests,
    copies: Copies,
    wrote: Option<Wrote>,
}

impl Task {
    fn new(host: Arc<Host>, order: Order, kept: Kept, sender: watch::Sender<Progress>) -> Self {
        let boot = host
            .root()
            .read_text("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default();
        // An agent that was gone for a while reads up what was logged meanwhile.
        let since = kept.last_alive().map_or(host.now(), |alive| alive.at);
        Self {
            journal: Journal::since(since),
            host,
            order,
            kept,
            sender,
            boot: boot.trim().to_owned(),
            members: Members::default(),
            ha: HaStates::default(),
            guests: Guests::default(),
            copies: Copies::default(),
            wrote: None,
        }
    }

    async fn run(mut self) {
        let mut first = Vec::new();
        if let Some(tally) = self.order.tally {
            let (kept, wrote) = Wrote::begin(&self.host, tally, self.kept.readings(), &self.boot);
            self.wrote = wrote;
            // Told already, if it was no reset that ended the agent before this one.
            first.extend(kept.filter(|kept| !self.kept.told.contains(kept)));
        }
        // By the clock before the reset is what comes before it.
        first.extend(self.reset());
        self.tell(first);
        let mut ticks = tokio::time::interval(self.host.pace().of(LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut count = 0_u32;
        while !self.order.is_over(self.host.now()) {
            ticks.tick().await;
            let new = self.look(count).await;
            self.tell(new);
            count = count.wrapping_add(1);
        }
        if let Some(wrote) = &mut self.wrote {
            let rest = wrote.end(&self.host);
            self.tell(rest);
        }
        self.sender.send_modify(|progress| progress.over = true);
    }

    async fn look(&mut self, count: u32) -> Vec<Event> {
        let watched = self.order.guests.clone();
        let mut new = self.members.look(&self.host).await;
        new.extend(self.guests.look(&self.host, &watched));
        if let Some(wrote) = &mut self.wrote {
            let guests = &self.guests;
            new.extend(wrote.look(&self.host, |guest| guests.runs(guest)));
        }
        if count.is_multiple_of(SLOW) {
            new.extend(self.ha.look(&self.host).await);
            new.extend(self.copies.look(&self.host, &watched));
        }
        if count.is_multiple_of(SLOWEST) {
            new.extend(self.journal.look(&self.host, &self.members.ids).await);
            let alive = Alive {
                boot: self.boot.clone(),
                at: self.host.now(),
            };
            if let Err(error) = self.kept.alive(&alive) {
                tracing::warn!(%error, "no sign of life can be kept: the time of a reset will not be known");
            }
        }
        new
    }

    /// Another start of the kernel than at the last sign of life: this node was reset in between, at most so long before it began.
    fn reset(&self) -> Option<Event> {
        let last = self.kept.last_alive().filter(|alive| alive.boot != self.boot)?;
        let node = NodeName::new(hostname(&self.host)).ok()?;
        let uptime = self.host.root().read_text("/proc/uptime").ok()?;
        let uptime = Duration::from_secs(proc::uptime_seconds(&uptime).ok()?);
        let booted = Timestamp(self.host.now().0.saturating_sub(micros(uptime)));
        let within = u64::try_from(last.at.age(booted).as_micros()).unwrap_or(u64::MAX);
        Some(Event {
            at: booted,
            within_micros: within,
            what: What::Reset { node },
        })
    }

    /// What is not on the disk is not told.
    fn tell(&mut self, new: Vec<Event>) {
        if new.is_empty() {
            return;
        }
        if let Err(error) = self.kept.add(new) {
            tracing::warn!(%error, "what happens can't be kept, and is not told");
            return;
        }
        let told = self.kept.told.clone();
        self.sender.send_modify(|progress| progress.events = told);
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
