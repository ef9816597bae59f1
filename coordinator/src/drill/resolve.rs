//! After a failover the copy of our canary on the victim is held, as of any guest: what a server wrote last and never copied is kept until somebody
//! decides. Of a canary nobody needs that, and who agreed to the drill has agreed to this: it is overwritten once the victim is back and all that it
//! saw was told. A customer's guest is left to its owner.

use std::time::Duration;

use quorate_model::Wish;
use quorate_model::finding::Code;
use quorate_model::ids::RolloutId;
use quorate_model::moves::Moves;
use quorate_model::plan::Step;
use quorate_model::rollout::RolloutResult;
use quorate_model::spec::ClusterFile;

use super::copies;
use super::course::Course;
use super::fault::Looked;
use super::moves;
use super::stage::Ended;
use super::watches;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A server boots within some minutes; what takes longer is told with what has not returned.
const BACK_WITHIN: Duration = Duration::from_secs(1200);

/// What a look came to.
enum Next {
    /// There is nothing to let go of.
    Nothing,
    /// It can't be done yet, and why.
    NotYet(String),
    /// These steps do it.
    Steps(Vec<Step>),
}

impl Course {
    /// Lets go of the canary's copy on the victim.
    pub(super) async fn let_go(&mut self) -> Ended {
        let Some(guest) = self.running.discards else {
            return Ended::Done;
        };
        let rollouts = self.looker.rollouts.clone();
        if self.running.moves.resolved.is_none() && self.resumed {
            match moves::begun_before(&rollouts, &self.running).await {
                Ok(found) => self.running.moves.resolved = found,
                Err(failure) => return self.stays_held(guest, &failure.to_string()),
            }
        }
        let id = match self.running.moves.resolved.clone() {
            Some(id) => id,
            None => match self.begin_to_let_go(guest).await {
                Ok(Some(id)) => id,
                Ok(None) => return Ended::Done,
                Err(why) => return self.stays_held(guest, &why),
            },
        };
        self.running.moves.resolved = Some(id.clone());
        self.durable().await;
        let followed = moves::follow(&rollouts, &id, |text| self.say(text)).await;
        match followed {
            Ok(RolloutResult::Done) => Ended::Done,
            Ok(_) => self.stays_held(guest, &format!("rollout {id} did not come to its end")),
            Err(failure) => self.stays_held(guest, &failure.to_string()),
        }
    }

    /// Once the victim is back. `None`: nothing is held.
    ///
    /// # Errors
    /// In words: why nothing was begun.
    async fn begin_to_let_go(&mut self, guest: u32) -> Result<Option<RolloutId>, String> {
        let spec = &self.running.spec;
        let file = ClusterFile::parse(&spec.name, &spec.text)
            .map_err(|_| "the cluster file of the drill can't be read any more".to_owned())?;
        let (mut waited, mut told) = (Duration::ZERO, None);
        loop {
            let why = match self.look_to_let_go(guest, &file).await {
                Next::Nothing => return Ok(None),
                Next::Steps(steps) => {
                    self.say(format!(
                        "what {} wrote to the canary {guest} and never copied is overwritten",
                        self.running.order.node
                    ));
                    let consent = format!("replication resolve {guest} --discard");
                    let rollouts = self.looker.rollouts.clone();
                    let begun = moves::begin(&rollouts, &self.running, (steps, vec![consent])).await;
                    return begun.map(Some).map_err(|failure| failure.to_string());
                }
                Next::NotYet(why) => why,
            };
            if waited >= BACK_WITHIN {
                return Err(why);
            }
            if told.as_ref() != Some(&why) {
                self.say(format!("the canary's copy is not let go of yet: {why}"));
                told = Some(why);
            }
            self.wait(LOOK_EVERY).await;
            waited = waited.saturating_add(LOOK_EVERY);
        }
    }

    async fn look_to_let_go(&mut self, guest: u32, file: &ClusterFile) -> Next {
        let victim = self.running.order.node.clone();
        if self.look_at_fault("timer").await != Looked::Gone {
            return Next::NotYet(format!("the fault on {victim} was not seen to be gone"));
        }
        let cluster = self.running.cluster.clone();
        let view = self.looker.view(&cluster).await;
        match moves::owner(&view, guest) {
            None => return Next::NotYet(format!("whose guest {guest} is can't be seen")),
            // It never left, or is back: nothing of it is held there.
            Some(owner) if owner == victim => return Next::Nothing,
            Some(_) => {}
        }
        let mut held = false;
        let mut amiss = Vec::new();
        copies::amiss(&view, guest, &mut |code, message, _| {
            held |= code == Code::CopyHeld;
            amiss.push(message);
        });
        if !held {
            // The new owner's agent holds it within seconds, and long before PVE copies: until all is in sync it may still come.
            return match amiss.is_empty() {
                true => Next::Nothing,
                false => Next::NotYet(amiss.join("; ")),
            };
        }
        match watches::all_heard(&self.agents, &victim, &self.watch(), &self.dir).await {
            Ok(true) => {}
            Ok(false) => return Next::NotYet(format!("{victim} has not told all that it saw")),
            Err(why) => return Next::NotYet(format!("what {victim} saw can't be had: {why}")),
        }
        let wish = Wish {
            moves: Some(Moves::Resolve {
                guest,
                node: Some(victim),
                keep: false,
            }),
            ..Wish::default()
        };
        let plan = quorate_planner::plan(file, &wish, &view);
        let refusing: Vec<String> = plan
            .findings
            .iter()
            .filter(|finding| finding.refuses())
            .map(ToString::to_string)
            .collect();
        match (refusing.is_empty(), plan.steps.is_empty()) {
            (true, false) => Next::Steps(plan.steps),
            (true, true) => Next::Nothing,
            (false, _) => Next::NotYet(refusing.join("; ")),
        }
    }

    /// What has not returned tells of it, with what to type.
    fn stays_held(&self, guest: u32, why: &str) -> Ended {
        self.say(format!("the copy of the canary {guest} stays held: {why}"));
        Ended::Failed
    }
}
