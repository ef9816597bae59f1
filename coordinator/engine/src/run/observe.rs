//! Looking freshly before and after a step, with patience for what settles by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::ids::NodeName;

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
    /// One fresh look at all nodes that the step's conditions are about.
    pub(super) async fn look(&self) -> Sight {
        let mut nodes: BTreeSet<NodeName> = self.step.done_when.nodes();
        nodes.extend(self.step.gate.iter().flat_map(quorate_model::plan::Condition::nodes));
        look(&self.step, &self.shared.ports.agents.view(&nodes).await)
    }

    /// Waits for the gate.
    pub(super) async fn before(&self) -> Result<Before, RunError> {
        let patience = &self.shared.ports.patience;
        let mut left = patience.gate;
        let mut said = Said::default();
        loop {
            if self.shared.wants_to_stop().await {
                return Ok(Before::Cancelled);
            }
            let why = match self.look().await {
                Sight::Clean => return Ok(Before::Clear),
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
        let mut left = patience.settle;
        let mut said = Said::default();
        loop {
            let sight = self.look().await;
            if matches!(sight, Sight::Reached(_)) || enough(&sight) || left.is_zero() {
                return sight;
            }
            let why = match &sight {
                Sight::Mixed { wanted: why, .. } | Sight::Unseen(why) => why.as_str(),
                Sight::Clean | Sight::Reached(_) => "nothing of it is to be seen yet",
            };
            if said.is_news(why) {
                self.say_waiting(why);
            }
            let pause = patience.look.min(left);
            self.shared.ports.clock.sleep(pause).await;
            left = left.saturating_sub(pause);
        }
    }

    pub(super) async fn pause_unless_cancelled(&self, pause: Duration) {
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
