//! The end: guests are moved back, and the record is written.

use std::collections::{BTreeMap, BTreeSet};

use quorate_engine::ports::Agents as _;
use quorate_identity::Identity;
use quorate_model::drill::Record;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeRef, RolloutId};
use quorate_model::observation::FacetName;
use quorate_model::operation::Action;
use quorate_model::rollout::RolloutResult;

use super::course::Course;
use super::record::{self, Gathered};
use super::seal::{self, Signature};
use super::stage::Ended;
use super::{moves, watches};
use crate::audit::{Act, By, What};
use crate::trust::sentence;

impl Course {
    pub(super) async fn move_back(&mut self) -> Ended {
        self.stop_what_goes_on().await;
        if self.running.after.is_empty() {
            return Ended::Done;
        }
        let rollouts = self.looker.rollouts.clone();
        if self.running.moves.back.is_none() && self.resumed {
            match moves::begun_before(&rollouts, &self.running).await {
                Ok(found) => self.running.moves.back = found,
                Err(failure) => return self.stay(&failure.to_string()),
            }
        }
        let id = match self.running.moves.back.clone() {
            Some(id) => id,
            None => {
                let cluster = self.running.cluster.clone();
                let view = self.looker.view(&cluster).await;
                let steps = moves::still_due(&self.running.after, &view);
                if steps.is_empty() {
                    return Ended::Done;
                }
                self.say(format!("{} guests are moved back", steps.len()));
                match moves::begin(&rollouts, &self.running, (steps, vec![])).await {
                    Ok(id) => id,
                    Err(failure) => return self.stay(&failure.to_string()),
                }
            }
        };
        self.running.moves.back = Some(id.clone());
        self.durable().await;
        let followed = moves::follow(&rollouts, &id, |text| self.say(text)).await;
        match followed {
            Ok(RolloutResult::Done) => Ended::Done,
            Ok(_) => self.stay(&format!("rollout {id} did not move all of them")),
            Err(failure) => self.stay(&failure.to_string()),
        }
    }

    /// An operator's word does not wait for all moves, nor for a copy: the running step is followed to its end, and no other begins.
    async fn stop_what_goes_on(&mut self) {
        let rollouts = self.looker.rollouts.clone();
        let moves = &self.running.moves;
        let before = [moves.off.clone(), moves.resolved.clone(), moves.cleared.clone()];
        let Ok(Some(holding)) = rollouts.holding(&self.running.cluster).await else {
            return;
        };
        if !before.contains(&Some(holding.clone())) && !self.is_unnoted(&holding).await {
            return;
        }
        if let Err(failure) = rollouts.cancel(&holding, &moves::who(&self.running)).await {
            tracing::warn!(rollout = %holding, error = %failure, "a rollout of a drill can't be cancelled");
        }
        if let Err(failure) = moves::follow(&rollouts, &holding, |text| self.say(text)).await {
            tracing::warn!(rollout = %holding, error = %failure, "how a rollout of a drill ended is not known");
        }
    }

    /// Is it one of this drill that was begun by an earlier process, which was killed before it was noted? One of this stage is no other stage's.
    async fn is_unnoted(&self, holding: &RolloutId) -> bool {
        if self.resumed {
            return false;
        }
        let found = moves::begun_before(&self.looker.rollouts, &self.running).await;
        found.is_ok_and(|found| found.as_ref() == Some(holding))
    }

    /// Guests stay where they were moved to, which is told.
    fn stay(&mut self, why: &str) -> Ended {
        for step in &self.running.after {
            let Action::MigrateGuest { guest, target, .. } = &step.action else {
                continue;
            };
            let subject = format!("{}/guest {guest}", self.running.cluster);
            let message = format!("it was not seen to be moved back to {target}: {why}");
            let next = format!(
                "quorate guests; then: quorate migrate {guest} {}/{target}",
                self.running.cluster
            );
            self.running
                .left
                .push(Finding::new(Code::StepFailed, subject, message, next));
        }
        self.say(format!("guests were not moved back: {why}"));
        Ended::Failed
    }

    pub(super) async fn record(&mut self) -> Ended {
        match self.folder.record(self.running.number) {
            // Written before an earlier process was killed.
            Ok(Some(record)) => {
                self.folder.tidy(record.number);
                self.over(&record).await;
                return Ended::Done;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(
                error = sentence(&error),
                "a record of this number is there, and is written anew"
            ),
        }
        let gathered = self.gather().await;
        self.keep_what_is_left().await;
        let mut told = false;
        loop {
            match self.written(&gathered) {
                Ok(record) => {
                    self.over(&record).await;
                    return Ended::Done;
                }
                Err(error) => {
                    tracing::error!(error, "the record of a drill can't be written; it is tried again");
                    if !told {
                        self.say(format!("the record can't be written, and is tried again: {error}"));
                    }
                    told = true;
                    self.wait(std::time::Duration::from_secs(30)).await;
                }
            }
        }
    }

    fn written(&self, gathered: &Gathered) -> Result<Record, String> {
        // Taken once: the certificate in the record is that of the key which signs it.
        let identity = self.looker.seal.identity();
        let gathered = Gathered {
            signer: identity.as_ref().map(Identity::chain_pem).unwrap_or_default(),
            ..gathered.clone()
        };
        let record = record::compose(&self.running, &gathered, &self.dir).map_err(|error| error.to_string())?;
        let record = seal::signed(record, identity.as_ref());
        self.folder.seal(&record).map_err(|error| sentence(&error))?;
        Ok(record)
    }

    /// What agents still have, and how clocks stand now.
    async fn gather(&mut self) -> Gathered {
        let watch = self.watch();
        let mut missing = BTreeMap::new();
        for node in self.running.clocks.keys() {
            if let Err(why) = watches::rest(&self.agents, node, &watch, &self.dir).await {
                missing.insert(node.clone(), format!("not all that it saw could be had: {why}"));
            }
        }
        let cluster = self.running.cluster.clone();
        let names: BTreeSet<NodeRef> = self.looker.nodes(&cluster);
        let seen = self.looker.fleet.look(&names, &[FacetName::System]).await;
        let clocks = seen
            .into_iter()
            // One that was not seen now has the clock that it had.
            .filter(|sighting| sighting.view.observation.is_ok())
            .filter_map(|sighting| Some((sighting.node.node, sighting.view.clock_offset?)));
        let clocks: BTreeMap<_, _> = clocks.collect();
        let victim = self.running.order.node.clone();
        let entry = match self.running.fault.asked {
            Some(_) => self
                .agents
                .ledger(&victim, &self.running.operation)
                .await
                .ok()
                .flatten(),
            None => None,
        };
        let previous = self.previous();
        let rows = self.rows().await;
        Gathered {
            rows,
            ended: self.now(),
            clocks,
            missing,
            made: entry.and_then(|entry| Some((entry.accepted_at, entry.ended_at?))),
            previous,
            signer: String::new(),
            pace: self.looker.fleet.pace,
        }
    }

    /// The digest of the record before this one. One that does not count is not made good by being followed: there the chain breaks.
    fn previous(&self) -> String {
        let broken = |why: String| {
            tracing::error!(why, "the record before this one does not count: the chain breaks here");
            String::new()
        };
        match self.folder.last() {
            Ok(None) => String::new(),
            Ok(Some(last)) => match self.looker.seal.known(&self.audit).look(&last) {
                Signature::Fits | Signature::None => last.digest,
                Signature::Bad(why) => broken(why),
            },
            Err(error) => broken(sentence(&error)),
        }
    }

    async fn over(&mut self, record: &Record) {
        let what = What::EndDrill {
            number: record.number,
            outcome: record.verdict.outcome.as_str().to_owned(),
            digest: record.digest.clone(),
        };
        let act = Act::new(By::daemon(), what).in_cluster(&self.running.cluster);
        self.audit.mention(act).await;
        self.say(format!("the record is written: {}", record.verdict.outcome.as_str()));
    }
}
