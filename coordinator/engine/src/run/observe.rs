//! Looking freshly before and after a step, with patience for what settles by itself.

use std::time::Duration;

use quorate_model::operation::rules;
use quorate_model::plan::Condition;

use super::RunError;
use super::step::Driver;
use crate::ports::{Agents, Clock, Journal};
use crate::recovery::{Sight, look};

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
        look(&self.step, &self.shared.ports.agents.view(&self.needs).await)
    }

    /// Is the step to end with its own server, and so the agent, being off?
    pub(super) fn ends_in_silence(&self) -> bool {
        matches!(&self.step.done_when, Condition::Off { node, .. } if *node == self.step.node)
    }

    /// What shows that the agent does not answer because its server is off, as the step wants it.
    pub(super) async fn seen_off(&self) -> Option<String> {
        if !self.ends_in_silence() {
            return None;
        }
        match self.look().await {
            Sight::Reached(evidence) => Some(evidence),
            Sight::Clean(_) | Sight::Mixed { .. } | Sight::Unseen(_) => None,
        }
    }

    /// How long the gate is waited for.
    pub(super) fn patience_before(&self) -> Duration {
        let patience = &self.shared.ports.patience;
        if self.shared.is_restoring(&self.step.id) {
            patience.restore
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
    fn patience_to_settle(&self) -> Duration {
        let settle = self.shared.ports.patience.settle;
        if self.ends_in_silence() {
            settle.max(rules(self.step.action.kind()).deadline)
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
        let mut left = self.patience_before();
        let mut said = Said::default();
        loop {
            if self.shared.is_to_stop(&self.step.id).await {
                return Ok(Before::Cancelled);
            }
            let why = match self.look().await {
                Sight::Clean(_) => return Ok(Before::Clear),
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

    /// Looks until what is wanted is there or `enough` is satisfied; after that long, whatever is seen then.
    pub(super) async fn settle(&self, enough: impl Fn(&Sight) -> bool + Send + Sync) -> Sight {
        let patience = &self.shared.ports.patience;
        let mut left = self.patience_to_settle();
        let mut said = Said::default();
        loop {
            let sight = self.look().await;
            if matches!(sight, Sight::Reached(_)) || enough(&sight) || left.is_zero() {
                return sight;
            }
            let why = match &sight {
                Sight::Clean(why) | Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => why.as_str(),
                Sight::Reached(_) => "it is there",
            };
            if said.is_news(why) {
                self.say_waiting(why);
            }
            let pause = patience.look.min(left);
            self.shared.ports.clock.sleep(pause).await;
            left = left.saturating_sub(pause);
        }
    }

    /// A cancel ends the pause, unless the step is carried out all the same.
    pub(super) async fn pause_unless_cancelled(&self, pause: Duration) {
        if self.shared.is_restoring(&self.step.id) {
            return self.shared.ports.clock.sleep(pause).await;
        }
        let mut cancel = self.shared.cancel();
        let wanted = async {
            // Without anybody left who could cancel, nobody will.
            if cancel.wait_for(Option::is_some).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = self.shared.ports.clock.sleep(pause) => {}
            () = wanted => {}
        }
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
