//! Which step begins when: as the plan's order allows, one on each node, one that disturbs the cluster in all, and what was done
//! for a time is taken back whatever else happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::finding::Finding;
use quorate_model::ids::{NodeName, StepId};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind};
use tokio::task::JoinSet;

use super::observe::Said;
use super::shared::Shared;
use super::step::Driver;
use super::{RunError, report};
use crate::ports::{Agents, Clock, Journal};

pub(super) struct Scheduler<J, A, C> {
    shared: Arc<Shared<J, A, C>>,
    tasks: JoinSet<(StepId, Result<(), RunError>)>,
    live: BTreeMap<StepId, Live>,
    /// What steps that may not begin yet were said to wait for.
    said: BTreeMap<StepId, Said>,
    /// Restoring steps that were announced.
    announced: BTreeSet<StepId>,
    /// For how long steps have waited for leave while something was not taken back.
    held_up: Duration,
    /// Steps whose agents are done with them, while PVE goes on.
    behind: BTreeSet<StepId>,
}

/// What a task occupies.
struct Live {
    /// One changing operation on a node at a time.
    node: NodeName,
    /// One such step in a cluster at a time.
    disruptive: bool,
    /// It goes on in PVE's hands when the agent is done, one such step in a cluster at a time; its node may do something else meanwhile.
    background: bool,
}

impl<J: Journal, A: Agents, C: Clock> Scheduler<J, A, C> {
    pub(super) fn new(shared: Arc<Shared<J, A, C>>) -> Self {
        Self {
            shared,
            tasks: JoinSet::new(),
            live: BTreeMap::new(),
            said: BTreeMap::new(),
            announced: BTreeSet::new(),
            held_up: Duration::ZERO,
            behind: BTreeSet::new(),
        }
    }

    /// Drives the rollout to its last record, or until it can't be driven any longer.
    pub(super) async fn drive(mut self) -> Result<RolloutResult, RunError> {
        let result = self.run().await;
        // After an error no step goes on behind the caller's back.
        self.tasks.shutdown().await;
        result
    }

    async fn run(&mut self) -> Result<RolloutResult, RunError> {
        let mut cancel = self.shared.cancel();
        let mut listening = true;
        let clock = Arc::clone(&self.shared.ports.clock);
        loop {
            self.shared.record_cancel().await?;
            self.skip().await?;
            let waiting = self.spawn().await?;
            if self.tasks.is_empty() && !waiting {
                break;
            }
            let look = self.shared.ports.patience.look;
            tokio::select! {
                Some(joined) = self.tasks.join_next() => {
                    let (step, result) = joined.map_err(|error| RunError::Internal(error.to_string()))?;
                    self.live.remove(&step);
                    result?;
                }
                changed = cancel.changed(), if listening => listening = changed.is_ok(),
                () = clock.sleep(look), if waiting => self.held_up += look,
            }
        }
        let result = self.shared.state().await.due_result();
        self.shared.record(Record::Finished { result }).await?;
        Ok(result)
    }

    /// Leaves out what has nothing to take back. One that is left out may be what another one takes back, so until there is none.
    async fn skip(&mut self) -> Result<(), RunError> {
        loop {
            let next = {
                let state = self.shared.state().await;
                // While the step's own task is on, a last look may still show that it is there after all.
                let settled = |(_, restored, _): &(&StepId, &StepId, String)| !self.live.contains_key(*restored);
                let skippable = state.skippable().into_iter().find(settled);
                skippable.map(|(step, _, why)| (step.clone(), why))
            };
            let Some((step, reason)) = next else { return Ok(()) };
            self.shared.record(Record::Skipped { step, reason }).await?;
        }
    }

    /// Takes up what was under way, then whatever may begin. True: something waits until the cluster may be disturbed.
    async fn spawn(&mut self) -> Result<bool, RunError> {
        let (active, ready, meanwhile) = {
            let state = self.shared.state().await;
            let active: Vec<StepId> = state.active().cloned().collect();
            let ready: Vec<(StepId, Option<String>)> = state
                .runnable()
                .into_iter()
                .map(|id| (id.clone(), state.why_restoring(id)))
                .collect();
            let meanwhile: Vec<String> = state.not_yet_restored().map(ToString::to_string).collect();
            let ended = |id: &&StepId| state.log_of(id).is_some_and(|log| log.state == StepState::Ended);
            self.behind = self.live.keys().filter(ended).cloned().collect();
            (active, ready, meanwhile)
        };
        let mut held_by_a_copy = false;
        for id in active {
            self.start(&id);
        }
        let mut waiting = Vec::new();
        for (id, restoring) in ready {
            if !self.is_free(&id) {
                // Nobody says when an agent is done with it: it is looked for.
                held_by_a_copy |= self.live.values().any(|live| live.background);
                continue;
            }
            if let Some(finding) = self.shared.forbidden(&id) {
                let mut reason = finding.message.clone();
                if !meanwhile.is_empty() {
                    reason.push_str(&format!("; not taken back meanwhile: {}", meanwhile.join(", ")));
                }
                if self.said.entry(id.clone()).or_default().is_news(&reason) {
                    let step = id.clone();
                    self.shared.tell(Progress::Waiting { step, reason });
                }
                waiting.push((id, finding));
                continue;
            }
            self.said.remove(&id);
            if let Some(reason) = restoring
                && self.announced.insert(id.clone())
            {
                self.shared.tell(Progress::Restoring {
                    step: id.clone(),
                    reason,
                });
            }
            self.start(&id);
        }
        if waiting.is_empty() || meanwhile.is_empty() {
            self.held_up = Duration::ZERO;
        } else if self.held_up >= self.shared.ports.patience.leave {
            self.held_up = Duration::ZERO;
            self.give_way(waiting, &meanwhile).await?;
            return Ok(true);
        }
        Ok(!waiting.is_empty() || held_by_a_copy)
    }

    /// Ends steps that may not begin for too long, so that what was done for them is taken back.
    async fn give_way(&self, waiting: Vec<(StepId, Finding)>, meanwhile: &[String]) -> Result<(), RunError> {
        for (id, forbidden) in waiting {
            if let Some(step) = self.shared.plan.step(&id) {
                let findings = vec![forbidden, report::not_waited_for(step, meanwhile)];
                self.shared.stopped(step, StopKind::Held, findings).await?;
            }
        }
        Ok(())
    }

    /// Neither is its node occupied, nor would it be the second to disturb the cluster.
    fn is_free(&self, id: &StepId) -> bool {
        let Some(step) = self.shared.plan.step(id) else {
            return false;
        };
        let (disruptive, background) = (self.shared.is_disruptive(id), is_background(step));
        let in_the_way = |(other, live): (&StepId, &Live)| {
            let occupies = live.node == step.node && !(live.background && self.behind.contains(other));
            occupies || (live.disruptive && disruptive) || (live.background && background)
        };
        !self.live.contains_key(id) && !self.live.iter().any(in_the_way)
    }

    fn start(&mut self, id: &StepId) {
        let (true, Some(step)) = (self.is_free(id), self.shared.plan.step(id)) else {
            return;
        };
        let live = Live {
            node: step.node.clone(),
            disruptive: self.shared.is_disruptive(id),
            background: is_background(step),
        };
        self.live.insert(id.clone(), live);
        let driver = Driver::new(Arc::clone(&self.shared), step.clone());
        let id = id.clone();
        self.tasks.spawn(async move { (id, driver.drive().await) });
    }
}

/// A first copy may take hours, and is PVE's to make once its job is written, or switched on again.
pub(super) fn is_background(step: &Step) -> bool {
    matches!(
        step.action,
        Action::CreateReplication { .. } | Action::ChangeReplication { enable: true, .. }
    )
}
