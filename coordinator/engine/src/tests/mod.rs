//! Rollouts over a world in memory, with paused time: what an operator would see at the end, whatever went wrong on the way.

mod crashes;
mod endings;
mod legality;
mod troubles;

use std::sync::Arc;

use quorate_model::ids::{Generation, RolloutId};
use quorate_model::plan::Plan;
use quorate_model::rollout::{Entry, Progress, Record, RolloutResult, StepState};
use tokio::sync::{broadcast, watch};

use crate::memory::{Fault, FaultyJournal, MemJournal, TokioClock, World, create, join, plan};
use crate::{Patience, Ports, RunError, run_rollout, summary};

/// A plan with the world that it begins in, and how its clusters look when all went well.
struct Case {
    name: &'static str,
    plan: Plan,
    world: fn() -> World,
    becomes: &'static [&'static str],
}

fn bare() -> World {
    World::of(&["prox1", "prox2", "prox3", "prox4", "prox5", "prox6"])
}

fn three() -> Case {
    Case {
        name: "three bare servers",
        plan: plan(vec![
            create("hk1", "prox1"),
            join("hk1", "prox2", &["prox1"], &["create/hk1"]),
            join("hk1", "prox3", &["prox1", "prox2"], &["join/prox2"]),
        ]),
        world: bare,
        becomes: &["hk1: prox1 prox2 prox3"],
    }
}

/// Two clusters that have nothing to do with each other, beside each other.
fn two_branches() -> Case {
    Case {
        name: "two clusters beside each other",
        plan: plan(vec![
            create("hk1", "prox1"),
            join("hk1", "prox2", &["prox1"], &["create/hk1"]),
            create("hk2", "prox3"),
            join("hk2", "prox4", &["prox3"], &["create/hk2"]),
        ]),
        world: bare,
        becomes: &["hk1: prox1 prox2", "hk2: prox3 prox4"],
    }
}

fn corpus() -> Vec<Case> {
    vec![
        Case {
            name: "nothing to do",
            plan: plan(vec![]),
            world: bare,
            becomes: &[],
        },
        Case {
            name: "one server",
            plan: plan(vec![create("hk1", "prox1")]),
            world: bare,
            becomes: &["hk1: prox1"],
        },
        Case {
            name: "two servers",
            plan: plan(vec![
                create("hk1", "prox1"),
                join("hk1", "prox2", &["prox1"], &["create/hk1"]),
            ]),
            world: bare,
            becomes: &["hk1: prox1 prox2"],
        },
        three(),
        Case {
            name: "one of three is in",
            plan: plan(vec![
                join("hk1", "prox1", &["prox2"], &[]),
                join("hk1", "prox3", &["prox1", "prox2"], &["join/prox1"]),
            ]),
            world: || bare().with_cluster("hk1", &["prox2"]),
            becomes: &["hk1: prox1 prox2 prox3"],
        },
        two_branches(),
        Case {
            name: "both clusters first, then two joins that wait for both",
            plan: plan(vec![
                create("hk1", "prox1"),
                create("hk2", "prox2"),
                join("hk1", "prox3", &["prox1"], &["create/hk1", "create/hk2"]),
                join("hk2", "prox4", &["prox2"], &["create/hk1", "create/hk2"]),
            ]),
            world: bare,
            becomes: &["hk1: prox1 prox3", "hk2: prox2 prox4"],
        },
    ]
}

fn rollout() -> RolloutId {
    RolloutId::new("hk1-7").unwrap()
}

/// One coordinator's life with a rollout.
struct Run {
    journal: MemJournal,
    world: World,
    fault: Option<(u64, Fault)>,
    generation: u64,
    cancel: watch::Sender<Option<String>>,
    progress: broadcast::Sender<Progress>,
    patience: Patience,
}

impl Run {
    fn of(case: &Case) -> Self {
        Self::again(MemJournal::with(&rollout(), case.plan.clone()), (case.world)(), 1)
    }

    fn again(journal: MemJournal, world: World, generation: u64) -> Self {
        let (cancel, progress) = (watch::Sender::new(None), broadcast::Sender::new(4096));
        Self {
            journal,
            world,
            fault: None,
            generation,
            cancel,
            progress,
            patience: Patience::default(),
        }
    }

    fn with(mut self, at: u64, fault: Fault) -> Self {
        self.fault = Some((at, fault));
        self
    }

    /// Runs until it ends, or until the fault kills it (`None`).
    async fn go(&self) -> Option<Result<RolloutResult, RunError>> {
        let journal = FaultyJournal::new(self.journal.clone(), self.world.clone(), self.fault);
        let mut crashed = journal.crashed();
        let ports = Ports {
            journal: Arc::new(journal),
            agents: Arc::new(self.world.clone()),
            clock: Arc::new(TokioClock::default()),
            patience: self.patience.clone(),
        };
        let id = rollout();
        let running = run_rollout(
            &ports,
            &id,
            Generation(self.generation),
            self.progress.clone(),
            self.cancel.subscribe(),
        );
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => None,
            result = running => Some(result),
        }
    }

    /// Runs to an end that is none of a crash.
    async fn end(&self) -> RolloutResult {
        self.go().await.expect("it does not crash").expect("it comes to an end")
    }

    fn entries(&self) -> Vec<Entry> {
        self.journal.entries(&rollout())
    }

    /// The journal in words: `join/prox2: accepted`.
    fn told(&self) -> Vec<String> {
        self.entries().iter().map(|e| in_words(&e.record)).collect()
    }

    fn states(&self) -> Vec<(String, StepState)> {
        let summary = summary(&rollout(), &self.entries()).unwrap().unwrap();
        summary
            .steps
            .into_iter()
            .map(|(id, state)| (id.to_string(), state))
            .collect()
    }
}

fn in_words(record: &Record) -> String {
    match record {
        Record::Created { .. } => "created".to_owned(),
        Record::Intended { step, operation, .. } => format!("{step}: intended {operation}"),
        Record::Accepted { step } => format!("{step}: accepted"),
        Record::Ended { step, outcome } => format!("{step}: ended {}", outcome_in_words(outcome)),
        Record::Verified { step, .. } => format!("{step}: verified"),
        Record::Stopped { step, state, findings } => {
            let codes: Vec<_> = findings.iter().map(|f| f.code.as_str()).collect();
            format!("{step}: stopped {state:?} {}", codes.join(" "))
        }
        Record::CancelRequested { by } => format!("cancelled by {by}"),
        Record::Finished { result } => format!("finished {result:?}"),
    }
}

fn outcome_in_words(outcome: &quorate_model::operation::Outcome) -> &'static str {
    use quorate_model::operation::Outcome;
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { unchanged: true, .. } => "failed without a trace",
        Outcome::Failed { .. } => "failed",
        Outcome::Unknown { .. } => "unknown",
    }
}

/// Everything that was said while it ran.
fn heard(mut receiver: broadcast::Receiver<Progress>) -> Vec<Progress> {
    let mut all = Vec::new();
    while let Ok(progress) = receiver.try_recv() {
        all.push(progress);
    }
    all
}

/// The world is as the plan wants it, each change was made once, and nothing forbidden happened.
fn assert_right(case: &Case, run: &Run, what: &str) {
    assert_eq!(run.world.violations(), Vec::<String>::new(), "{}: {what}", case.name);
    assert_eq!(run.world.clusters(), case.becomes, "{}: {what}", case.name);
    assert_eq!(
        run.world.effects().len(),
        case.plan.steps.len(),
        "{}: {what}: {:?}",
        case.name,
        run.world.effects()
    );
}
