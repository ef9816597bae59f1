//! A journal in memory, and one that fails where a test wants it to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quorate_model::ids::RolloutId;
use quorate_model::plan::Plan;
use quorate_model::rollout::{Entry, Record};
use tokio::sync::watch;

use super::{TokioClock, World, locked};
use crate::ports::{Clock as _, Journal, JournalError, Recorded};

/// A journal in memory. Clones are the same journal, as a restarted process finds it.
#[derive(Debug, Clone, Default)]
pub struct MemJournal {
    rollouts: Arc<Mutex<BTreeMap<RolloutId, Vec<Entry>>>>,
    clock: TokioClock,
}

impl MemJournal {
    /// A journal with one rollout, created and not begun.
    #[must_use]
    pub fn with(rollout: &RolloutId, plan: Plan) -> Self {
        let journal = Self::default();
        journal.write(
            rollout,
            Record::Created {
                plan: Box::new(plan),
                by: "root".to_owned(),
            },
        );
        journal
    }

    /// A journal with these entries: a copy of another one.
    #[must_use]
    pub fn of(rollout: &RolloutId, entries: Vec<Entry>) -> Self {
        let journal = Self::default();
        locked(&journal.rollouts).insert(rollout.clone(), entries);
        journal
    }

    /// The clock of its records, which goes on when its coordinator does not.
    #[must_use]
    pub fn clock(&self) -> TokioClock {
        self.clock
    }

    /// What a rollout's journal has.
    #[must_use]
    pub fn entries(&self, rollout: &RolloutId) -> Vec<Entry> {
        locked(&self.rollouts).get(rollout).cloned().unwrap_or_default()
    }

    /// How many records a rollout's journal has.
    #[must_use]
    pub fn length(&self, rollout: &RolloutId) -> u64 {
        let length = locked(&self.rollouts).get(rollout).map_or(0, Vec::len);
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    fn write(&self, rollout: &RolloutId, record: Record) -> Recorded {
        let mut rollouts = locked(&self.rollouts);
        let entries = rollouts.entry(rollout.clone()).or_default();
        let sequence = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        let entry = Entry {
            sequence,
            at: self.clock.now(),
            record,
        };
        entries.push(entry.clone());
        Recorded { entry }
    }

    fn unwrite(&self, rollout: &RolloutId) {
        if let Some(entries) = locked(&self.rollouts).get_mut(rollout) {
            entries.pop();
        }
    }

    /// Keeps the first so many entries.
    fn shorten(&self, rollout: &RolloutId, length: u64) {
        if let Some(entries) = locked(&self.rollouts).get_mut(rollout) {
            entries.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        }
    }
}

impl Journal for MemJournal {
    async fn append(&self, rollout: &RolloutId, record: Record) -> Result<Recorded, JournalError> {
        Ok(self.write(rollout, record))
    }

    async fn load(&self, rollout: &RolloutId) -> Result<Vec<Entry>, JournalError> {
        Ok(self.entries(rollout))
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, JournalError> {
        Ok(locked(&self.rollouts).keys().cloned().collect())
    }
}

/// What goes wrong with one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not written, and the journal says so.
    Refuse,
    /// It is written, and the journal says that it isn't.
    LoseAnswer,
    /// It is not written, though the journal says so; nor is anything after it. It comes to light at once: nothing has come of it.
    Forget,
    /// The same, and it comes to light only when so many more records were taken: whatever came of them has left.
    ForgetLater {
        /// How many more.
        records: u64,
    },
    /// The process dies.
    Crash(CrashPoint),
}

/// Where the process dies, seen from one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before the record is written.
    BeforeAppend,
    /// It was written, but not made durable: the restart does not find it.
    NotDurable,
    /// It is durable, and nothing has come of it yet.
    Durable,
    /// What came of it is over, and the next record is not written.
    AfterEffect,
    /// A moment after it: a request that follows it has left.
    Later,
}

impl CrashPoint {
    /// All of them.
    pub const ALL: [CrashPoint; 5] = [
        Self::BeforeAppend,
        Self::NotDurable,
        Self::Durable,
        Self::AfterEffect,
        Self::Later,
    ];
}

/// A journal in which something goes wrong with the record of a given number, once.
#[derive(Debug)]
pub struct FaultyJournal {
    journal: MemJournal,
    world: World,
    fault: Option<(u64, Fault)>,
    crashed: watch::Sender<bool>,
}

impl FaultyJournal {
    /// Lets the fault happen to the record with this sequence number.
    #[must_use]
    pub fn new(journal: MemJournal, world: World, fault: Option<(u64, Fault)>) -> Self {
        Self {
            journal,
            world,
            fault,
            crashed: watch::Sender::new(false),
        }
    }

    /// Becomes true when the process is to die; the test then drops it.
    #[must_use]
    pub fn crashed(&self) -> watch::Receiver<bool> {
        self.crashed.subscribe()
    }

    async fn die(&self) -> ! {
        self.crashed.send_replace(true);
        std::future::pending().await
    }

    fn due(&self, rollout: &RolloutId) -> u64 {
        self.journal.length(rollout)
    }
}

impl Journal for FaultyJournal {
    async fn append(&self, rollout: &RolloutId, record: Record) -> Result<Recorded, JournalError> {
        let number = self.due(rollout);
        let lost = || JournalError::Write("no space left on device".to_owned());
        match self.fault {
            Some((at, Fault::Crash(CrashPoint::AfterEffect))) if number == at + 1 => {
                self.world.idle().await;
                self.die().await
            }
            Some((at, Fault::ForgetLater { records })) if number == at + records => {
                self.journal.shorten(rollout, at);
                self.die().await
            }
            Some((at, fault)) if number == at => match fault {
                Fault::Refuse => Err(lost()),
                Fault::LoseAnswer => {
                    self.journal.write(rollout, record);
                    Err(lost())
                }
                Fault::Forget => {
                    // The test crashes it here: what the journal has lost comes to light at a restart.
                    let recorded = self.journal.write(rollout, record);
                    self.journal.unwrite(rollout);
                    self.crashed.send_replace(true);
                    Ok(recorded)
                }
                Fault::ForgetLater { .. } | Fault::Crash(CrashPoint::AfterEffect) => {
                    Ok(self.journal.write(rollout, record))
                }
                Fault::Crash(CrashPoint::BeforeAppend) => self.die().await,
                Fault::Crash(CrashPoint::NotDurable) => {
                    self.journal.write(rollout, record);
                    tokio::task::yield_now().await;
                    self.journal.unwrite(rollout);
                    self.die().await
                }
                Fault::Crash(CrashPoint::Durable) => {
                    self.journal.write(rollout, record);
                    self.die().await
                }
                Fault::Crash(CrashPoint::Later) => {
                    let (recorded, crashed) = (self.journal.write(rollout, record), self.crashed.clone());
                    tokio::spawn(async move {
                        // Whoever begins something yields once before it leaves.
                        for _ in 0..3 {
                            tokio::task::yield_now().await;
                        }
                        crashed.send_replace(true);
                    });
                    Ok(recorded)
                }
            },
            _ => self.journal.append(rollout, record).await,
        }
    }

    async fn load(&self, rollout: &RolloutId) -> Result<Vec<Entry>, JournalError> {
        self.journal.load(rollout).await
    }

    async fn rollouts(&self) -> Result<Vec<RolloutId>, JournalError> {
        self.journal.rollouts().await
    }
}
