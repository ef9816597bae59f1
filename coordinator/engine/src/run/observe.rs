//! Looking freshly before and after a step, with patience for what settles by itself.

use std::time::Duration;

use quorate_model::View;
use quorate_model::ids::NodeName;
use quorate_model::operation::{Action, rules};
use quorate_model::plan::Condition;

use super::RunError;
use super::scheduler::is_background;
use super::step::Driver;
use crate::ports::{Agents, Clock, Journal};
use crate::recovery::{Sight, look, look_for_outcome};

/// Seconds after which pmxcfs breaks a lock that somebody asks for. Source: `CFS_LOCK_TIMEOUT`.
const LOCK_LIVES: u64 = 120;

/// A first copy that fails is tried again by PVE after 5, 10 and 15 minutes: it gets the time for all of that, and three times what was estimated.
const FIRST_COPY: Duration = Duration::from_secs(40 * 60);
/// PVE's longest back-off of replication, and a run.
const COPIES_AGAIN: Duration = Duration::from_secs(45 * 60);

/// What is so in the moment before a step.
pub(super) enum Before {
    /// The gate holds.
    Clear,
    /// There is nothing to do: what is wanted is there.
    Reached(String),
    /// The gate does not hold, or can't be judged, and that lasts.
    Held(String),
    /// Somebody wants to stop.
    Cancelled,
}

impl<J: Journal, A: Agents, C: Clock> Driver<J, A, C> {
    /// One fresh look at what the step's conditions are about: of every member, where they are about all. Joins being verified
    /// from all sides, their cost grows with the square of the cluster; that is inherent, and nothing else here does.
    pub(super) async fn look(&self) -> Sight {
        self.seen().await.0
    }

    /// The same, at what is wanted alone: the gate's part is not asked of anybody, and is not judged.
    async fn look_for_outcome(&self) -> Sight {
        let view = self.shared.ports.agents.view(&self.wanted).await;
        self.not_only_silent(look_for_outcome(&self.step, &view)).await
    }

    async fn seen(&self) -> (Sight, View) {
        let view = self.shared.ports.agents.view(&self.needs).await;
        (self.not_only_silent(look(&self.step, &view)).await, view)
    }

    async fn not_only_silent(&self, sight: Sight) -> Sight {
        match sight {
            // A machine that is only cut off from the network looks the same, and must not be taken for one that is off.
            Sight::Reached(evidence) if self.ends_in_silence() && !self.shared.is_done(&self.step.id).await => {
                let node = &self.step.node;
                Sight::Unseen(format!(
                    "{evidence}; but {node} was not heard to go off: it may only be cut off from the network"
                ))
            }
            sight => sight,
        }
    }

    /// Is the step to end with its own server, and so the agent, being off?
    pub(super) fn ends_in_silence(&self) -> bool {
        matches!(&self.step.done_when, Condition::Off { node, .. } if *node == self.step.node)
    }

    /// Does the step's own server go away with its agent, and come back? Nobody can be asked meanwhile.
    pub(super) fn comes_back(&self) -> bool {
        matches!(&self.step.done_when, Condition::Rebooted { node, .. } if *node == self.step.node)
    }

    /// What shows that the agent, which has begun, does not answer because its server is off, as the step wants it. A shutdown is over
    /// within the time that its operation has: a server that falls silent later did not go off by it.
    pub(super) async fn seen_off(&self) -> Option<String> {
        if !self.ends_in_silence() {
            return None;
        }
        let begun = self.shared.accepted_for(&self.step.id).await?;
        if begun > self.patience_to_settle() {
            return None;
        }
        match look(&self.step, &self.shared.ports.agents.view(&self.needs).await) {
            Sight::Reached(evidence) => Some(evidence),
            Sight::Clean(_) | Sight::Mixed { .. } | Sight::Unseen(_) => None,
        }
    }

    /// How long the gate is waited for.
    pub(super) fn patience_before(&self) -> Duration {
        let patience = &self.shared.ports.patience;
        if self.shared.is_restoring(&self.step.id) {
            patience.restore
        } else if self.step.gate.iter().any(|c| matches!(c, Condition::Spare { .. })) {
            // After a restart copies are made again when PVE tries again: after half an hour at the latest.
            patience.gate.max(COPIES_AGAIN)
        } else {
            patience.gate
        }
    }

    /// How long an agent is called that certainly has not got the request.
    pub(super) fn patience_to_reach(&self) -> Duration {
        let patience = &self.shared.ports.patience;
        if self.shared.is_restoring(&self.step.id) {
            patience.restore
        } else {
            patience.reach
        }
    }

    /// How long what was wanted gets to show. A server goes down after the agent has said that it will.
    pub(super) fn patience_to_settle(&self) -> Duration {
        let settle = self.shared.ports.patience.settle;
        if self.ends_in_silence() || self.comes_back() {
            settle.max(rules(self.step.action.kind()).deadline)
        } else if is_background(&self.step) {
            settle.max(FIRST_COPY.max(self.step.estimate.saturating_mul(3)))
        } else if self.step.restores.is_some() {
            // Nobody else will take it back: it gets all the time that its gate would get.
            settle.max(self.shared.ports.patience.restore)
        } else {
            settle
        }
    }

    /// Waits for the gate.
    pub(super) async fn before(&self) -> Result<Before, RunError> {
        let patience = &self.shared.ports.patience;
        let (mut left, mut left_for_lock) = (self.patience_before(), patience.lock);
        let mut said = Said::default();
        loop {
            if self.shared.is_to_stop(&self.step.id).await {
                return Ok(Before::Cancelled);
            }
            let (sight, view) = self.seen().await;
            let why = match sight {
                Sight::Clean(_) => match lock_in_the_way(&self.step.action, &view).filter(|_| !left_for_lock.is_zero())
                {
                    None => return Ok(Before::Clear),
                    Some(why) => {
                        if said.is_news(&why) {
                            self.say_waiting(&why);
                        }
                        let pause = patience.look.min(left_for_lock);
                        self.pause_unless_cancelled(pause).await;
                        left_for_lock = left_for_lock.saturating_sub(pause);
                        continue;
                    }
                },
                Sight::Reached(evidence) => return Ok(Before::Reached(evidence)),
                Sight::Mixed { gate: why, .. } | Sight::Unseen(why) => why,
            };
            if left.is_zero() {
                return Ok(Before::Held(why));
            }
            if said.is_news(&why) {
                self.say_waiting(&why);
            }
            let pause = patience.look.min(left);
            self.pause_unless_cancelled(pause).await;
            left = left.saturating_sub(pause);
        }
    }

    /// Looks until what is wanted is there; after that long, at everything: whatever is seen then.
    pub(super) async fn settle(&self) -> Sight {
        let mut waits = self.settling();
        loop {
            let sight = self.look_for_outcome().await;
            if matches!(sight, Sight::Reached(_)) {
                return sight;
            }
            // A first copy goes on without us: whoever wants to stop does not wait for it.
            let given_up = is_background(&self.step) && self.shared.is_to_stop(&self.step.id).await;
            if waits.is_over() || given_up {
                return self.look().await;
            }
            self.pause_while(&mut waits, &sight).await;
        }
    }

    /// Looks until what is wanted is there, or certainly nothing of it has happened; after that long, whatever is seen then.
    pub(super) async fn settle_or_clean(&self) -> Sight {
        let mut waits = self.settling();
        loop {
            let sight = self.look().await;
            if matches!(sight, Sight::Reached(_) | Sight::Clean(_)) || waits.is_over() {
                return sight;
            }
            self.pause_while(&mut waits, &sight).await;
        }
    }

    fn settling(&self) -> Settling {
        Settling {
            left: self.patience_to_settle(),
            said: Said::default(),
        }
    }

    async fn pause_while(&self, waits: &mut Settling, sight: &Sight) {
        if let Some(why) = sight.why_not()
            && waits.said.is_news(why)
        {
            self.say_waiting(why);
        }
        let patience = &self.shared.ports.patience;
        let pause = patience.look.min(waits.left);
        self.shared.ports.clock.sleep(pause).await;
        waits.left = waits.left.saturating_sub(pause);
    }

    /// A cancel ends the pause, unless the step is carried out all the same.
    pub(super) async fn pause_unless_cancelled(&self, pause: Duration) {
        if self.shared.is_restoring(&self.step.id) {
            return self.shared.ports.clock.sleep(pause).await;
        }
        tokio::select! {
            () = self.shared.ports.clock.sleep(pause) => {}
            () = self.shared.somebody_cancels() => {}
        }
    }
}

/// What begins by taking PVE's lock on corosync.conf gives up on it after ten seconds; one that was left behind can be broken only
/// after [`LOCK_LIVES`]. (Adding a link waits for it itself.)
fn lock_in_the_way(action: &Action, view: &View) -> Option<String> {
    let takes_it = matches!(
        action,
        Action::JoinCluster { .. }
            | Action::RemoveMember { .. }
            | Action::SetUpQdevice { .. }
            | Action::RemoveQdevice { .. }
    );
    let held = |node: &&NodeName| {
        let age = view.cluster_of(node).ok().and_then(|cluster| cluster.config_lock_age);
        age.is_some_and(|age| age < LOCK_LIVES)
    };
    let node = view.nodes.keys().filter(|_| takes_it).find(held)?;
    Some(format!(
        "another command holds the lock on corosync.conf, or has left it behind, as {node} sees"
    ))
}

/// How long something still gets to settle, and what was said of it.
struct Settling {
    left: Duration,
    said: Said,
}

impl Settling {
    fn is_over(&self) -> bool {
        self.left.is_zero()
    }
}

/// Each reason is said once, until it changes.
#[derive(Debug, Default)]
pub(super) struct Said(Option<String>);

impl Said {
    pub(super) fn is_news(&mut self, reason: &str) -> bool {
        let news = self.0.as_deref() != Some(reason);
        if news {
            self.0 = Some(reason.to_owned());
        }
        news
    }
}
