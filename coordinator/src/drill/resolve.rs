//! After a failover the copy of our canary on the victim is held, as of any guest: what a server wrote last and never copied is kept until somebody
//! decides. Of a canary nobody needs that, and who agreed to the drill has agreed to this: it is overwritten once the victim is back and all that it
//! saw was told. A customer's guest is left to its owner. What the victim keeps of our canary's disc for cloud-init is freed as well: it would be in the
//! way when the canary comes back.

use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::held::GuestVolume;
use quorate_model::ids::{NodeName, RolloutId};
use quorate_model::moves::Moves;
use quorate_model::plan::{Condition, Plan, Step, Verdict};
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

/// What is let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letting {
    /// What the victim wrote to the canary and never copied.
    Copy,
    /// What the victim keeps of its disc for cloud-init.
    Disc,
}

impl Letting {
    /// What was consented to, as it is typed elsewhere.
    fn consent(self, guest: u32) -> String {
        match self {
            Self::Copy => format!("replication resolve {guest} --discard"),
            Self::Disc => format!("guest clear-canary {guest}"),
        }
    }

    fn what(self, guest: u32) -> String {
        match self {
            Self::Copy => format!("the copy of the canary {guest}"),
            Self::Disc => format!("the disc for cloud-init of the canary {guest}"),
        }
    }
}

impl Course {
    /// Lets go of the canary's copy on the victim, and of what that keeps of its disc for cloud-init. Also where the drill was ended early: nobody else
    /// clears up after our canary.
    pub(super) async fn let_go(&mut self) -> Ended {
        let (copy, disc) = (self.running.discards, self.running.leaves.clone());
        let mut waited = Duration::ZERO;
        let mut ended = Ended::Done;
        if let Some(guest) = copy {
            ended = self.let_go_of(Letting::Copy, guest, &mut waited).await;
        }
        // One does not hang on the other.
        if let Some(disc) = disc
            && self.let_go_of(Letting::Disc, disc.guest(), &mut waited).await != Ended::Done
        {
            ended = Ended::Failed;
        }
        ended
    }

    /// The rollout that does it.
    fn rollout_of(&mut self, letting: Letting) -> &mut Option<RolloutId> {
        match letting {
            Letting::Copy => &mut self.running.moves.resolved,
            Letting::Disc => &mut self.running.moves.cleared,
        }
    }

    async fn let_go_of(&mut self, letting: Letting, guest: u32, waited: &mut Duration) -> Ended {
        let rollouts = self.looker.rollouts.clone();
        if self.rollout_of(letting).is_none() && self.resumed {
            match moves::begun_before(&rollouts, &self.running).await {
                Ok(found) => *self.rollout_of(letting) = found,
                Err(failure) => return self.stays(letting, guest, &failure.to_string()),
            }
        }
        let id = match self.rollout_of(letting).clone() {
            Some(id) => id,
            None => match self.begin_to_let_go(letting, guest, waited).await {
                Ok(Some(id)) => id,
                Ok(None) => return Ended::Done,
                Err(why) => return self.stays(letting, guest, &why),
            },
        };
        *self.rollout_of(letting) = Some(id.clone());
        self.durable().await;
        let followed = moves::follow(&rollouts, &id, |text| self.say(text)).await;
        match followed {
            Ok(RolloutResult::Done) => Ended::Done,
            Ok(_) => self.stays(letting, guest, &format!("rollout {id} did not come to its end")),
            Err(failure) => self.stays(letting, guest, &failure.to_string()),
        }
    }

    /// Once the victim is back. `None`: nothing is held, or left.
    ///
    /// # Errors
    /// In words: why nothing was begun.
    async fn begin_to_let_go(
        &mut self,
        letting: Letting,
        guest: u32,
        waited: &mut Duration,
    ) -> Result<Option<RolloutId>, String> {
        let spec = &self.running.spec;
        let file = ClusterFile::parse(&spec.name, &spec.text)
            .map_err(|_| "the cluster file of the drill can't be read any more".to_owned())?;
        let mut told = None;
        loop {
            let why = match self.look_to_let_go(letting, guest, &file).await {
                Next::Nothing => return Ok(None),
                Next::Steps(steps) => {
                    let node = &self.running.order.node;
                    self.say(match letting {
                        Letting::Copy => {
                            format!("what {node} wrote to the canary {guest} and never copied is overwritten")
                        }
                        Letting::Disc => {
                            format!("what {node} keeps of the canary {guest}'s disc for cloud-init is freed")
                        }
                    });
                    let rollouts = self.looker.rollouts.clone();
                    let given = (steps, vec![letting.consent(guest)]);
                    let begun = moves::begin(&rollouts, &self.running, given).await;
                    return begun.map(Some).map_err(|failure| failure.to_string());
                }
                Next::NotYet(why) => why,
            };
            if *waited >= BACK_WITHIN {
                return Err(why);
            }
            if told.as_ref() != Some(&why) {
                self.say(format!("{} is not let go of yet: {why}", letting.what(guest)));
                told = Some(why);
            }
            self.wait(LOOK_EVERY).await;
            *waited = waited.saturating_add(LOOK_EVERY);
        }
    }

    async fn look_to_let_go(&mut self, letting: Letting, guest: u32, file: &ClusterFile) -> Next {
        let victim = self.running.order.node.clone();
        if self.look_at_fault("timer").await != Looked::Gone {
            return Next::NotYet(format!("the fault on {victim} was not seen to be gone"));
        }
        let cluster = self.running.cluster.clone();
        let view = self.looker.view(&cluster).await;
        let next = match (letting, &self.running.leaves) {
            (Letting::Copy, _) => next(file, &view, guest, &victim),
            (Letting::Disc, Some(disc)) => next_disc(file, &view, disc, &victim),
            (Letting::Disc, None) => Next::Nothing,
        };
        // What it saw is not to be lost with what is overwritten; a disc for cloud-init tells nothing.
        if !matches!(next, Next::Steps(_)) || letting == Letting::Disc {
            return next;
        }
        match watches::all_heard(&self.agents, &victim, &self.watch(), &self.dir).await {
            Ok(true) => next,
            Ok(false) => Next::NotYet(format!("{victim} has not told all that it saw")),
            Err(why) => Next::NotYet(format!("what {victim} saw can't be had: {why}")),
        }
    }

    /// What has not returned tells of it, with what to type.
    fn stays(&self, letting: Letting, guest: u32, why: &str) -> Ended {
        self.say(format!("{} was not let go of: {why}", letting.what(guest)));
        Ended::Failed
    }
}

/// What is to be done about what the victim keeps of the canary's disc for cloud-init, by a look at the cluster.
fn next_disc(file: &ClusterFile, view: &View, disc: &GuestVolume, victim: &NodeName) -> Next {
    let guest = disc.guest();
    match moves::owner(view, guest) {
        None => return Next::NotYet(format!("whose guest {guest} is can't be seen")),
        // It never left, or is back: the disc is its own.
        Some(owner) if owner == *victim => return Next::Nothing,
        Some(_) => {}
    }
    let gone = Condition::VolumeGone {
        node: victim.clone(),
        volume: disc.clone(),
    };
    match gone.judge(view) {
        Verdict::Holds(_) => return Next::Nothing,
        Verdict::Unknown(why) => return Next::NotYet(why),
        Verdict::NotYet(_) => {}
    }
    let wish = Wish {
        moves: Some(Moves::ClearCanary { guest }),
        ..Wish::default()
    };
    let plan = quorate_planner::plan(file, &wish, view);
    let refusing = refusals(&plan);
    // What lies on other servers was not shown with this drill.
    let mut steps = plan.steps;
    steps.retain(|step| step.node == *victim);
    for step in &mut steps {
        step.needs.clear();
    }
    match (refusing.is_empty(), steps.is_empty()) {
        (true, false) => Next::Steps(steps),
        (true, true) => Next::NotYet(format!("{disc} on {victim} is not seen to be left of it")),
        (false, _) => Next::NotYet(refusing.join("; ")),
    }
}

fn refusals(plan: &Plan) -> Vec<String> {
    let refusing = plan.findings.iter().filter(|finding| finding.refuses());
    refusing.map(ToString::to_string).collect()
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
    let refusing = refusals(&plan);
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
    use quorate_planner::testkit::{self as kit, NOW, Servers, Vm, guest, job, name};

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

    /// The same canary on prox2, and what prox1 has in its pool.
    fn left(on: &str, volumes: Facet<Vec<String>>) -> Servers {
        let mut vm = Vm::running(100, on);
        vm.config.tags = vec![quorate_model::canary::TAG.to_owned()];
        Servers::bare(3)
            .members("hk1", &ALL, LINKS)
            .housing(&[vm])
            .keeping("prox1", volumes)
    }

    fn of_disc(servers: &Servers) -> Next {
        let disc = "data_zfs/vm-100-cloudinit".parse().unwrap();
        next_disc(&kit::file(3, LINKS), &servers.view, &disc, &name("prox1"))
    }

    fn names(all: &[&str]) -> Facet<Vec<String>> {
        Facet::known(all.iter().map(|name| (*name).to_owned()).collect(), NOW)
    }

    #[test]
    fn what_the_victim_keeps_of_the_canary_s_disc_is_freed() {
        let there = left("prox2", names(&["data_zfs/vm-100-cloudinit", "data_zfs/vm-100-disk-0"]));
        let Next::Steps(steps) = of_disc(&there) else {
            panic!("it is left");
        };
        let [step] = steps.as_slice() else { panic!("{steps:?}") };
        assert!(
            step.node == name("prox1") && matches!(&step.action, Action::FreeCanaryDisc { guest: 100, .. }),
            "{step:?}"
        );
        assert!(step.needs.is_empty() && !step.destroys.is_empty(), "{step:?}");
    }

    #[test]
    fn nothing_is_freed_where_it_is_the_guest_s_own_or_can_not_be_seen() {
        let volumes = ["data_zfs/vm-100-cloudinit"];
        assert!(
            matches!(of_disc(&left("prox1", names(&volumes))), Next::Nothing),
            "its own"
        );
        assert!(matches!(of_disc(&left("prox2", names(&[]))), Next::Nothing), "gone");
        let away = left("prox2", names(&volumes)).offline("prox1").unreachable("prox1");
        assert!(matches!(of_disc(&away), Next::NotYet(_)));
        let hangs = Facet::unknown(quorate_model::UnknownKind::TimedOut, "it hangs");
        let Next::NotYet(why) = of_disc(&left("prox2", hangs)) else {
            panic!("unknown is not gone");
        };
        assert!(why.contains("it hangs"), "{why}");
        let still = left("prox2", names(&volumes)).stopped(100);
        assert!(matches!(of_disc(&still), Next::NotYet(_)), "it has to run elsewhere");
    }
}
