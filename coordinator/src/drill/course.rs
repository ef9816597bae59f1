//! A drill that goes on: stage by stage, each on the disk before it begins. Killed at any moment, it goes on at the stage where it was.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quorate_model::drill::{Event, ProbeTarget, What};
use quorate_model::failure::Failure;
use quorate_model::ids::NodeName;
use quorate_model::{Finding, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answers;
use super::distant;
use super::look::Looker;
use super::preview;
use super::rows;
use super::stage::{Ended, Stage};
use super::state::{Folder, Running};
use super::told::{Said, Told};
use super::watches;
use crate::audit::Audit;
use crate::fleet::agents::{ClusterAgents, Watch};
use crate::probe::Listener;
use crate::trust::sentence;

/// From one call of a probe to the next.
const EVERY: Duration = Duration::from_millis(100);
/// Faster, this host would measure itself.
const EVERY_LEAST: Duration = Duration::from_millis(10);
/// A watch lasts so much longer than twice the fault, in seconds: for the server's start, and what returns after it.
const WATCHED_LONGER: u64 = 3600;
/// A disk that can't be written now is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// A drill under way.
pub(super) struct Course {
    pub(super) looker: Looker,
    pub(super) audit: Audit,
    pub(super) folder: Folder,
    pub(super) dir: PathBuf,
    pub(super) agents: Arc<ClusterAgents>,
    pub(super) told: Told,
    /// Whose word ends it.
    pub(super) abort: watch::Receiver<Word>,
    /// How many such words were heeded, or were overtaken by the end that they asked for.
    heeded: u32,
    pub(super) running: Running,
    /// An earlier process was killed in this stage.
    pub(super) resumed: bool,
    /// The victim's boot, as it was seen in the moment before the fault.
    pub(super) boot: Option<String>,
    listeners: Vec<Listener>,
    watching: Option<JoinSet<()>>,
    /// Nodes that call.
    calling: Option<JoinSet<()>>,
}

impl Course {
    pub(super) fn new(
        (looker, audit, folder): (Looker, Audit, Folder),
        agents: ClusterAgents,
        (told, abort): (Told, watch::Receiver<Word>),
        running: Running,
        resumed: bool,
    ) -> Self {
        Self {
            looker,
            audit,
            dir: folder.one(running.number),
            folder,
            agents: Arc::new(agents),
            told,
            abort,
            heeded: 0,
            running,
            resumed,
            boot: None,
            listeners: Vec::new(),
            watching: None,
            calling: None,
        }
    }

    /// To its end.
    pub(super) async fn run(mut self) {
        while self.running.stage != Stage::Over {
            let stage = self.running.stage;
            let ended = self.one(stage).await;
            self.resumed = false;
            self.running.stage = stage.next(ended);
            if !self.running.stage.listens() {
                self.hush().await;
            }
            // From the record on there is nothing to keep.
            if self.running.stage != Stage::Over {
                self.durable().await;
            }
        }
    }

    async fn one(&mut self, stage: Stage) -> Ended {
        if stage.listens() {
            self.listen().await;
        }
        if !stage.heeds_abort() {
            return self.go(stage).await;
        }
        let mut abort = self.abort.clone();
        // A drill that is ending clears up after itself: only a further word, said while a stage goes on, cuts that short.
        if self.running.aborted.is_some() {
            self.heeded = abort.borrow().said;
        }
        let heeded = self.heeded;
        let (ended, word) = tokio::select! {
            biased;
            word = asked(&mut abort, heeded) => (Ended::Aborted, Some(word)),
            ended = self.go(stage) => (ended, None),
        };
        let Some(word) = word else { return ended };
        self.heeded = word.said;
        // The first stage that met a word is the one that it ended.
        if self.running.aborted.is_none() {
            self.running.aborted = Some(format!("by {}, while {}", word.by, stage.as_str()));
            self.say(format!("{} ends it", word.by));
        } else {
            self.say(format!("{} does not wait for it any longer", word.by));
        }
        if stage == Stage::Returning {
            // What has not returned is told all the same, by one more look.
            self.look_at_the_rest().await;
        }
        ended
    }

    async fn go(&mut self, stage: Stage) -> Ended {
        match stage {
            Stage::MovingOff => self.move_off().await,
            Stage::Syncing => self.sync().await,
            Stage::Listening => self.prepare().await,
            Stage::Breaking => self.break_it().await,
            Stage::Observing => self.observe().await,
            Stage::Healing => self.heal().await,
            Stage::Resolving => self.let_go().await,
            Stage::Returning => self.return_to_normal().await,
            Stage::MovingBack => self.move_back().await,
            Stage::Recording => self.record().await,
            Stage::Over => Ended::Done,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.looker.now()
    }

    pub(super) fn say(&self, text: impl Into<String>) {
        self.told.say(Said {
            at: self.now(),
            stage: self.running.stage,
            text: text.into(),
        });
    }

    /// It does not go on, and this is why; what is left to do is done.
    pub(super) fn ends_early(&mut self, why: &str) -> Ended {
        self.say(why);
        if self.running.aborted.is_none() {
            self.running.aborted = Some(format!("{}: {why}", self.running.stage.as_str()));
        }
        Ended::Failed
    }

    /// The same, with what was found.
    pub(super) fn refused(&mut self, why: &str, found: Vec<Finding>) -> Ended {
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        self.running.findings.extend(found);
        self.ends_early(&format!("{why}: {}", said.join("; ")))
    }

    pub(super) fn failed(&mut self, failure: &Failure) -> Ended {
        let found = failure.findings.clone();
        self.running.findings.extend(found);
        self.ends_early(&failure.to_string())
    }

    /// Something that the coordinator saw.
    pub(super) fn saw(&mut self, what: What, within: Duration) {
        self.running.events.push(Event {
            at: self.now(),
            within_micros: u64::try_from(within.as_micros()).unwrap_or(u64::MAX),
            what,
        });
    }

    /// Is on the disk when this returns: what is not is not begun.
    pub(super) async fn durable(&self) {
        while let Err(error) = self.folder.keep(&self.running) {
            tracing::error!(error = sentence(&error), "how far a drill is can't be kept; it waits");
            self.wait(TRY_AGAIN).await;
        }
    }

    /// The same for what only helps later.
    pub(super) fn keep(&self) {
        if let Err(error) = self.folder.keep(&self.running) {
            tracing::error!(error = sentence(&error), "how far a drill is can't be kept");
        }
    }

    pub(super) async fn wait(&self, duration: Duration) {
        tokio::time::sleep(self.looker.fleet.pace.wait(duration)).await;
    }

    /// All nodes of the cluster.
    pub(super) fn nodes(&self) -> BTreeSet<NodeName> {
        let names = self.looker.nodes(&self.running.cluster).into_iter();
        names.map(|name| name.node).collect()
    }

    /// All but the victim.
    pub(super) fn survivors(&self) -> impl Iterator<Item = NodeName> + use<> {
        let victim = self.running.order.node.clone();
        self.nodes().into_iter().filter(move |node| *node != victim)
    }

    /// The watch on all nodes.
    pub(super) fn watch(&self) -> Watch {
        let mut guests: BTreeSet<u32> = self.running.recovered.clone();
        guests.insert(self.running.order.guest);
        let seconds = self
            .running
            .order
            .lasts
            .as_secs()
            .saturating_mul(2)
            .saturating_add(WATCHED_LONGER);
        Watch {
            id: self.running.operation.clone(),
            guests: guests.into_iter().collect(),
            tally: None,
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
        }
    }

    /// The same on one node: the victim also counts what nobody else can ask its guest for.
    fn watch_on(&self, node: &NodeName) -> Watch {
        let order = &self.running.order;
        let asks = *node == order.node && answers::is_isolated(&order.fault);
        let writer = order.probes.iter().find_map(|probe| match probe {
            ProbeTarget::Tally(at) => Some((order.guest, *at)),
            _ => None,
        });
        Watch {
            tally: writer.filter(|_| asks),
            ..self.watch()
        }
    }

    /// Probes and watches run from here on. Also after a restart: what was heard before is kept.
    async fn listen(&mut self) {
        let pace = self.looker.fleet.pace;
        if self.watching.is_none() {
            let nodes = self.nodes().into_iter().map(|node| {
                let watch = self.watch_on(&node);
                (node, watch)
            });
            self.watching = Some(watches::listen(&self.agents, nodes, &self.dir, pace));
        }
        let every = pace.wait(EVERY).max(EVERY_LEAST);
        if self.calling.is_none() {
            let asked = (every, self.watch().seconds);
            let whom = (self.running.order.probes.as_slice(), self.dir.as_path());
            self.calling = Some(distant::call(&self.agents, self.survivors(), whom, asked, pace));
        }
        if !self.listeners.is_empty() {
            return;
        }
        for (number, probe) in self.running.order.probes.clone().iter().enumerate() {
            let Ok(target) = preview::target(probe) else { continue };
            let password = match rows::password(&self.running.order, probe, &self.looker.secrets) {
                Ok(password) => password,
                Err(unusable) => {
                    self.say(format!(
                        "{probe} can't be called: its password can't be used: {}",
                        unusable.why
                    ));
                    continue;
                }
            };
            let (path, clock) = (answers::file(&self.dir, number), self.looker.fleet.clock.clone());
            // It waits for a thread, and for names to be looked up.
            let begun =
                tokio::task::spawn_blocking(move || Listener::begin((target, password), every, path, clock)).await;
            match begun {
                Ok(Ok(listener)) => self.listeners.push(listener),
                Ok(Err(unable)) => self.say(format!("{probe} can't be called: {}", sentence(&unable))),
                Err(error) => self.say(format!("{probe} can't be called: {error}")),
            }
        }
    }

    /// Nobody listens any more. All that was heard is on the disk.
    async fn hush(&mut self) {
        self.watching = None;
        self.calling = None;
        let listeners = std::mem::take(&mut self.listeners);
        if listeners.is_empty() {
            return;
        }
        let ended = tokio::task::spawn_blocking(move || listeners.into_iter().for_each(Listener::end)).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "a probe broke off");
        }
    }
}

/// Words that end a drill: how often that was said, and by whom last.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) said: u32,
    pub(super) by: String,
}

impl Word {
    /// Once more.
    pub(super) fn again(&mut self, by: &str) {
        self.said = self.said.saturating_add(1);
        by.clone_into(&mut self.by);
    }
}

/// Waits for a word beyond those that were heeded.
async fn asked(abort: &mut watch::Receiver<Word>, heeded: u32) -> Word {
    loop {
        let word = abort.borrow_and_update().clone();
        if word.said > heeded {
            return word;
        }
        if abort.changed().await.is_err() {
            // Nobody can say it any more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The word, if there is one by now.
    async fn now(heard: &watch::Receiver<Word>, heeded: u32) -> Option<Word> {
        let mut heard = heard.clone();
        tokio::select! {
            biased;
            word = asked(&mut heard, heeded) => Some(word),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn a_word_counts_once_and_a_further_one_counts_again() {
        let (say, heard) = watch::channel(Word::default());
        assert!(now(&heard, 0).await.is_none(), "nobody has said anything");
        say.send_modify(|word| word.again("kim"));
        let word = now(&heard, 0).await.unwrap();
        assert_eq!((word.said, word.by.as_str()), (1, "kim"));
        assert!(
            now(&heard, 1).await.is_none(),
            "what ends a drill does not end its clearing up as well"
        );
        say.send_modify(|word| word.again("lee"));
        assert_eq!(now(&heard, 1).await.unwrap().by, "lee");
    }
}
