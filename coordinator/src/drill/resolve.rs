//! After a failover the copy of our canary on the victim is held, as of any guest: what a server wrote last and never copied is kept until somebody
//! decides. Of a canary nobody needs that, and who agreed to the drill has agreed to this: it is overwritten once the victim is back and all that it
//! saw was told. A customer's guest is left to its owner.

use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::ids::{NodeName, RolloutId};
use quorate_model::moves::Moves;
use quorate_model::plan::Step;
use quorate_model::rollout::RolloutResult;
use quorate_model::spec::ClusterFile;
use quorate_model::{View, Wish};

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
        let next = next(file, &view, guest, &victim);
        if !matches!(next, Next::Steps(_)) {
            return next;
        }
        match watches::all_heard(&self.agents, &victim, &self.watch(), &self.dir).await {
            Ok(true) => next,
            Ok(false) => Next::NotYet(format!("{victim} has not told all that it saw")),
            Err(why) => Next::NotYet(format!("what {victim} saw can't be had: {why}")),
        }
    }

    /// What has not returned tells of it, with what to type.
    fn stays_held(&self, guest: u32, why: &str) -> Ended {
        self.say(format!("the copy of the canary {guest} was not let go of: {why}"));
        Ended::Failed
    }
}

/// What is to be done about the canary's copy on the victim, by a look at the cluster.
fn next(file: &ClusterFile, view: &View, guest: u32, victim: &NodeName) -> Next {
    match moves::owner(view, guest) {
        None => return Next::NotYet(format!("whose guest {guest} is can't be seen")),
        // It never left, or is back: nothing of it is held there.
        Some(owner) if owner == *victim => return Next::Nothing,
        Some(_) => {}
    }
    let mut held = false;
    let mut amiss = Vec::new();
    copies::amiss(view, guest, &mut |code, message, _| {
        held |= code == Code::CopyHeld;
        amiss.push(message);
    });
    if !held {
        // The new owner's agent holds it within seconds, and long before PVE copies: until all is in sync it may still come.
        return if amiss.is_empty() {
            Next::Nothing
        } else {
            Next::NotYet(amiss.join("; "))
        };
    }
    let wish = Wish {
        moves: Some(Moves::Resolve {
            guest,
            node: Some(victim.clone()),
            keep: false,
        }),
        ..Wish::default()
    };
    let plan = quorate_planner::plan(file, &wish, view);
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

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::facet::Facet;
    use quorate_model::held::Held;
    use quorate_model::observation::ReplicationJob;
    use quorate_model::operation::Action;
    use quorate_planner::testkit::{self as kit, NOW, Servers, guest, job, name};

    use super::*;

    const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];
    const LINKS: &[&str] = &["10.10.10.0/24"];

    /// Guest 100 was recovered on prox2; its job back to prox1 is held, or is not.
    fn recovered(on: &str, held: bool) -> Servers {
        let comment = Held {
            node: "prox1".to_owned(),
            since: Timestamp(NOW.0 - 600_000_000),
        };
        let back = ReplicationJob {
            comment: Some(comment.comment()).filter(|_| held),
            disabled: held,
            ..job("100-0", "prox2", "prox1")
        };
        let guests = [guest(100, on, "data_zfs")];
        Servers::bare(3)
            .members("hk1", &ALL, LINKS)
            .with_guests(&guests)
            .with_each(|seen| seen.guests = Facet::known(guests.iter().map(|one| one.guest.clone()).collect(), NOW))
            .with_jobs(&[back, job("100-1", "prox2", "prox3")])
    }

    fn of(servers: &Servers) -> Next {
        next(&kit::file(3, LINKS), &servers.view, 100, &name("prox1"))
    }

    #[test]
    fn what_is_held_on_a_victim_that_is_back_is_copied_over() {
        let Next::Steps(steps) = of(&recovered("prox2", true)) else {
            panic!("it is held");
        };
        let [step] = steps.as_slice() else { panic!("{steps:?}") };
        let resumes = |action: &Action| match action {
            Action::ChangeReplication { job, other, enable, .. } => {
                (job.to_string(), other.to_string(), *enable) == ("100-0".to_owned(), "prox1".to_owned(), true)
            }
            _ => false,
        };
        assert!(step.node == name("prox2") && resumes(&step.action), "{step:?}");
        assert!(!step.destroys.is_empty(), "what is overwritten is said");
    }

    #[test]
    fn nothing_is_let_go_of_before_the_victim_is_back_or_where_nothing_is_held() {
        let away = recovered("prox2", true).offline("prox1").unreachable("prox1");
        let Next::NotYet(why) = of(&away) else {
            panic!("the victim is away");
        };
        assert!(why.contains("prox1"), "{why}");
        assert!(matches!(of(&recovered("prox2", false)), Next::Nothing));
        assert!(matches!(of(&recovered("prox1", true)), Next::Nothing), "it never left");
        let blind = Servers::bare(3)
            .unreachable("prox1")
            .unreachable("prox2")
            .unreachable("prox3");
        assert!(matches!(of(&blind), Next::NotYet(_)));
    }
}
