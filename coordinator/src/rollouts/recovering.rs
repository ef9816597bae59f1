//! Comparing what agents remember with what the journal holds, whenever an agent comes to be linked; and finding out what
//! was done, if the two don't agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_engine::ports::{Journal, JournalError};
use quorate_model::ids::Driver;
use quorate_model::{ClusterName, Finding, Generation, JournalAnchor, JournalId, NodeRef, RolloutId, Timestamp};
use quorate_proto::ConnectionState;
use tokio::time::Instant;

use super::Rollouts;
use crate::audit::{Act, By, What};
use crate::fleet::{Memory, Peer};
use crate::recovery::{Remembered, rollout_of};
use crate::trust::{self, sentence};

/// How often it is looked whether a link came up, or something that runs has ended. Nobody is asked for nothing.
const LOOK: Duration = Duration::from_millis(250);

/// How often a server is asked again on which something unknown runs.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How often it is looked what rollouts left at rest.
const AT_REST: Duration = Duration::from_secs(10);

/// How long agents are waited for that don't answer, before the generation is chosen without them. If one of them obeys a
/// higher one, it will say so.
const SILENT: Duration = Duration::from_secs(15);

impl Rollouts {
    /// Finds the generation if it was lost, takes up what is not finished, and from then on examines every agent whenever
    /// it is linked. For ever; whoever started it cancels it.
    pub(crate) async fn watch_agents(self: Arc<Self>) {
        if let Some(why) = self.seat.unknown() {
            self.find_generation(&why).await;
            if let Err(failure) = self.resume().await {
                tracing::error!(error = %failure, "rollouts that are not finished can't be taken up");
            }
        }
        let mut asked: BTreeMap<NodeRef, (Timestamp, Instant)> = BTreeMap::new();
        let mut looked: Option<Instant> = None;
        loop {
            for peer in self.fleet.peers() {
                let connection = peer.health().connection;
                if connection.state != ConnectionState::Connected {
                    continue;
                }
                let due = match asked.get(&peer.name) {
                    Some((since, at)) if *since == connection.since => {
                        self.recovery.wants(&peer.name) && at.elapsed() >= self.fleet.pace.wait(ASK_AGAIN)
                    }
                    _ => true,
                };
                if due {
                    self.examine(&peer).await;
                    asked.insert(peer.name.clone(), (connection.since, Instant::now()));
                }
            }
            if looked.is_none_or(|at| at.elapsed() >= self.fleet.pace.wait(AT_REST)) {
                self.look_at_rest().await;
                looked = Some(Instant::now());
            }
            if let Some((reason, rollouts)) = self.recovery.close(&self.fleet.registry.enrolled()) {
                tracing::info!(
                    reason,
                    rollouts,
                    "what was done before the journal was lost is known from the servers; plan and apply again to go on"
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Examines those of these nodes that are enrolled, now.
    pub(super) async fn examine_all(&self, nodes: &BTreeSet<NodeRef>) {
        let mut peers = nodes
            .iter()
            .filter_map(|name| self.fleet.peer(name))
            .collect::<Vec<_>>();
        while let Some(peer) = peers.pop() {
            self.examine(&peer).await;
        }
    }

    /// Examines all servers of a cluster of which nothing is known to be decided, since its record was lost or restored: what they hold
    /// must not be overwritten by nothing.
    pub(super) async fn examine_unsettled(&self, cluster: &ClusterName) {
        if self.clusters.is_unsettled(cluster).unwrap_or(false) {
            let enrolled = self.fleet.registry.enrolled().into_iter();
            self.examine_all(&enrolled.filter(|node| node.cluster == *cluster).collect())
                .await;
        }
    }

    /// Asks an agent for its memory, and compares it with the journal.
    async fn examine(&self, peer: &Peer) {
        let memory = match peer.memory().await {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(node = %peer.name, reason = %error, "can't ask what it remembers");
                return;
            }
        };
        if let Err(error) = self.clusters.told(&peer.name, &memory.hold) {
            tracing::error!(node = %peer.name, error = sentence(&error), "what holds its cluster up can't be kept");
        }
        let own = self.seat.driver();
        let of_another = |driver: &Driver| driver.generation >= own.generation && *driver != own;
        if memory.driver.as_ref().is_some_and(of_another) {
            // Another coordinator's: what it does there is no loss of ours. The first thing we want to change will be refused.
            return self.collect(&peer.name, &memory, true).await;
        }
        let seen = self.store.name();
        match self.compare(memory.anchor.as_ref()).await {
            Ok(()) => {}
            Err(Differs::Unread(error)) => {
                tracing::error!(
                    error = sentence(&error),
                    "the journal can't be compared with what agents remember"
                );
                return;
            }
            Err(Differs::Damaged(why)) => {
                self.lose_journal(&format!("{} remembers more: {why}", peer.name), seen)
                    .await;
            }
            Err(Differs::Elsewhere(anchor)) => {
                let reason = format!(
                    "{} was driven by a journal that is not here, up to rollout {}",
                    peer.name, anchor.rollout
                );
                tracing::error!(journal = %anchor.journal, "{reason}");
                let (now, waiting) = (trust::now(&self.fleet.clock), [peer.name.clone()].into());
                self.recovery.begin(now, &reason, Some(anchor.journal), waiting);
                self.audit
                    .mention(Act::new(By::daemon(), What::JournalLost { reason }))
                    .await;
            }
        }
        self.collect(&peer.name, &memory, false).await;
    }

    async fn compare(&self, anchor: Option<&JournalAnchor>) -> Result<(), Differs> {
        let Some(anchor) = anchor else { return Ok(()) };
        if self.store.name().as_ref() != Some(&anchor.journal) {
            return if self.recovery.knows(&anchor.journal) {
                Ok(())
            } else {
                Err(Differs::Elsewhere(anchor.clone()))
            };
        }
        match self.store.anchor(anchor.position).await {
            Ok(Some(ours)) if ours == *anchor => Ok(()),
            Ok(Some(_)) => Err(Differs::Damaged(format!(
                "record {} of the journal is not the one that it was told of",
                anchor.position
            ))),
            Ok(None) => Err(Differs::Damaged(format!(
                "the journal has no record {}",
                anchor.position
            ))),
            Err(JournalError::Damaged(why)) => Err(Differs::Damaged(why)),
            Err(error) => Err(Differs::Unread(error)),
        }
    }

    /// The journal is not what it was: everything that was driven by it stops, and a new one is begun.
    async fn lose_journal(&self, reason: &str, seen: Option<JournalId>) {
        let _turn = self.turn.lock().await;
        let old = self.store.name();
        if old != seen {
            // Two agents told of it at once, and the first was listened to.
            return;
        }
        for (_, driven) in std::mem::take(&mut *self.driven()) {
            driven.stop.cancel();
        }
        // Said before it is done: whoever asks in between must not hear that all is well.
        self.note_loss(reason, old).await;
        if let Err(error) = self.store.begin_anew(reason).await {
            tracing::error!(
                error = sentence(&error),
                "no new journal can be begun; nothing can be driven"
            );
        }
    }

    /// Takes note that the journal was lost: every enrolled server is to tell what it was asked to do.
    pub(crate) async fn note_loss(&self, reason: &str, old: Option<JournalId>) {
        let now = trust::now(&self.fleet.clock);
        self.recovery.begin(now, reason, old, self.fleet.registry.enrolled());
        let what = What::JournalLost {
            reason: reason.to_owned(),
        };
        self.audit.mention(Act::new(By::daemon(), what)).await;
    }

    async fn collect(&self, node: &NodeRef, memory: &Memory, of_another: bool) {
        let known: BTreeSet<RolloutId> = match self.store.rollouts().await {
            Ok(known) => known.into_iter().collect(),
            Err(error) => {
                tracing::error!(error = sentence(&error), "the journal can't be read");
                return;
            }
        };
        let foreign =
            |one: &&Remembered| rollout_of(&one.operation).is_none_or(|(rollout, _)| !known.contains(&rollout));
        // Of what another coordinator does, only what runs concerns us.
        let remembered: Vec<Remembered> = memory
            .operations
            .iter()
            .filter(foreign)
            .filter(|one| !of_another || one.outcome.is_none())
            .cloned()
            .collect();
        self.recovery.collect(node, &remembered);
    }

    /// Asks every agent under which generation it was driven, and goes above the highest.
    async fn find_generation(&self, why: &str) {
        tracing::error!(why, "the record of earlier generations is lost; the agents are asked");
        let end = Instant::now() + self.fleet.pace.deadline(SILENT);
        let mut told: BTreeMap<NodeRef, Memory> = BTreeMap::new();
        loop {
            for peer in self.fleet.peers() {
                if peer.health().connection.state == ConnectionState::Connected
                    && !told.contains_key(&peer.name)
                    && let Ok(memory) = peer.memory().await
                {
                    told.insert(peer.name.clone(), memory);
                }
            }
            let silent = self
                .fleet
                .registry
                .enrolled()
                .iter()
                .any(|name| !told.contains_key(name));
            if !silent || Instant::now() >= end {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        let highest = told
            .iter()
            .filter_map(|(node, memory)| Some((node, memory.driver.as_ref()?)))
            .max_by_key(|(_, driver)| driver.generation);
        if let Some((node, driver)) = highest
            && !self.seat.may_take_over()
            && self.is_somebody_else(driver.instance.as_str())
        {
            let reason = format!(
                "it obeys instance {} under generation {}, which the audit log of this coordinator does not name",
                driver.instance, driver.generation
            );
            let now = trust::now(&self.fleet.clock);
            self.seat.lose(now, node, &reason, Some(driver.generation));
        }
        let highest = highest.map_or(Generation::default(), |(_, driver)| driver.generation);
        match self.seat.settle(highest) {
            Ok(generation) => {
                tracing::warn!(%generation, asked = told.len(), "the generation is above every one that agents know of");
                let what = What::TakeGeneration {
                    generation: generation.0,
                    reason: why.to_owned(),
                };
                self.audit.mention(Act::new(By::daemon(), what)).await;
            }
            Err(error) => tracing::error!(
                error = sentence(&error),
                "the generation can't be kept; nothing is changed"
            ),
        }
    }

    /// Was this instance never started on our state? If the audit log is lost, too, nobody can tell, and we go on.
    fn is_somebody_else(&self, instance: &str) -> bool {
        match self.audit.instances() {
            Ok(known) => known.len() > 1 && !known.iter().any(|known| known == instance),
            Err(error) => {
                tracing::error!(error = sentence(&error), "the audit log can't be read");
                false
            }
        }
    }

    /// What is to be said of lost journals.
    pub(crate) fn recovery_findings(&self) -> Vec<Finding> {
        self.recovery.findings(&self.fleet.registry.enrolled())
    }
}

enum Differs {
    /// Our journal lacks records, or has others.
    Damaged(String),
    /// It was another journal.
    Elsewhere(JournalAnchor),
    /// It can't be told.
    Unread(JournalError),
}
