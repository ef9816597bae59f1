//! Guests of customers that may fail are copied anew first: PVE's scheduler is asked for it, and what counts is a copy that was begun since.

use std::time::Duration;

use quorate_engine::ports::AgentError;
use quorate_model::ids::{NodeName, OperationId};
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome};
use quorate_model::time::spoken;
use quorate_model::{Timestamp, View};

use super::copies;
use super::course::Course;
use super::moves;
use super::stage::Ended;
use super::state::{Running, Syncs};

/// Between two looks at copies.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So much longer than its schedule promises a copy may take.
const LONGER: Duration = Duration::from_secs(300);
/// So long a server may take for its tool.
const ASKED_WITHIN: Duration = Duration::from_secs(60);

impl Course {
    /// Guests of customers that may fail have copies that were begun after they were asked for.
    pub(super) async fn sync(&mut self) -> Ended {
        let risked = self.running.order.risked.clone();
        if risked.is_empty() {
            return Ended::Done;
        }
        let cluster = self.running.cluster.clone();
        let since = match self.running.syncs.since {
            Some(since) => since,
            None => {
                let view = self.looker.view(&cluster).await;
                let since = self.now();
                self.running.syncs = Syncs {
                    since: Some(since),
                    asked: asked(&self.running, &view, since),
                };
                self.durable().await;
                since
            }
        };
        for (node, operation) in self.running.syncs.asked.clone() {
            // The schedule runs it all the same, only later.
            if let Err(why) = self.hurry(&node, &operation).await {
                self.say(format!("{node} was not seen to put a copy forward: {why}"));
            }
        }
        let (mut waited, mut most) = (Duration::ZERO, None);
        loop {
            let view = self.looker.view(&cluster).await;
            let (old, promised) = copies::older(&view, &risked, since);
            if old.is_empty() {
                self.say("all copies of the guests that may fail were made since");
                return Ended::Done;
            }
            let limit = *most.get_or_insert_with(|| promised.saturating_add(LONGER));
            if waited.is_zero() {
                self.say(format!(
                    "waiting up to {} for the next run of {}",
                    spoken(limit),
                    old.join(", ")
                ));
            }
            if waited >= limit {
                return self.ends_early(&format!("not made within {}: {}", spoken(limit), old.join(", ")));
            }
            self.wait(LOOK_EVERY).await;
            waited = waited.saturating_add(LOOK_EVERY);
        }
    }

    /// Has a server put a job forward. Asked once more, it tells what came of it.
    async fn hurry(&self, node: &NodeName, operation: &Operation) -> Result<(), String> {
        let mut events = match self.agents.inject(node, operation).await {
            Ok(events) => events,
            Err(AgentError::Refused(finding)) => return Err(finding.to_string()),
            Err(error) => return Err(error.to_string()),
        };
        let limit = self.looker.fleet.pace.deadline(ASKED_WITHIN);
        let ended = async {
            while let Some(event) = events.recv().await {
                match event.kind {
                    OperationEventKind::Ended(Outcome::Done { .. }) => return Ok(()),
                    OperationEventKind::Ended(Outcome::Failed { findings, .. }) => {
                        let why: Vec<String> = findings.iter().map(ToString::to_string).collect();
                        return Err(why.join("; "));
                    }
                    OperationEventKind::Ended(Outcome::Unknown { reason, .. }) => return Err(reason),
                    _ => {}
                }
            }
            Err("the connection broke".to_owned())
        };
        match tokio::time::timeout(limit, ended).await {
            Ok(ended) => ended,
            Err(_) => Err("it did not say so in time".to_owned()),
        }
    }
}

/// What each owner is asked for: all jobs of these guests that run. What can't be seen is left to the wait, which names it.
fn asked(running: &Running, view: &View, since: Timestamp) -> Vec<(NodeName, Operation)> {
    let mut asked = Vec::new();
    for guest in &running.order.risked {
        let Some(owner) = moves::owner(view, *guest) else {
            continue;
        };
        let jobs = view.facet(&owner, |o| &o.config).ok();
        let Some(jobs) = jobs.and_then(|config| config.replication.get().ok()) else {
            continue;
        };
        let ahead = view
            .nodes
            .get(&owner)
            .and_then(|seen| seen.clock_offset)
            .map_or(0, |clock| clock.micros);
        // PVE counts in seconds.
        let by_owner = Timestamp::from_seconds(Timestamp(since.0.saturating_add(ahead)).seconds());
        for job in jobs
            .iter()
            .filter(|job| job.guest == *guest && !job.disabled && job.removal.is_none())
        {
            let other = job.other_end(owner.as_str()).and_then(|other| other.parse().ok());
            let id = OperationId::new(format!("{}-sync-{}", running.operation, job.id));
            let (Some(other), Ok(id), Ok(name)) = (other, id, job.id.parse()) else {
                continue;
            };
            let action = Action::SyncReplication {
                cluster: running.cluster.clone(),
                job: name,
                other,
                since: by_owner,
            };
            asked.push((owner.clone(), Operation { id, action }));
        }
    }
    asked
}
