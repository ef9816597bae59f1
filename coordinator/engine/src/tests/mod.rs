//! Rollouts over a world in memory, with paused time: what an operator would see at the end, whatever went wrong on the way.

mod contact;
mod corpus;
mod crashes;
mod drivers;
mod endings;
mod leave;
mod legality;
mod looks;
mod off;
mod planned;
mod reboot;
mod restoring;
mod shapes;

use std::sync::Arc;
use std::time::Duration;

use quorate_model::finding::Severity;
use quorate_model::ids::{Generation, RolloutId};
use quorate_model::operation::{Action, ActionKind};
use quorate_model::plan::Step;
use quorate_model::rollout::{Entry, Progress, Record, RolloutResult, StepState, StopKind};
use tokio::sync::{broadcast, watch};

use crate::memory::{Fault, FaultyJournal, Gatekeeper, MemJournal, World};
use crate::{Patience, Ports, RolloutState, RunError, run_rollout, summary};
use corpus::{Case, corpus, everything, three};

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
    gatekeeper: Gatekeeper,
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
            gatekeeper: Gatekeeper::default(),
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
            clock: Arc::new(self.journal.clock()),
            permit: Arc::new(self.gatekeeper.clone()),
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
        // Of the world's time. Whoever waits longer waits for ever.
        let longest = Duration::from_secs(2 * 86_400);
        tokio::select! {
            biased;
            _ = crashed.wait_for(|crashed| *crashed) => None,
            result = running => Some(result),
            () = tokio::time::sleep(longest) => panic!("it waits for ever: {:#?}", self.told()),
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
            // What else is not begun stands there as a note.
            let telling = findings.iter().filter(|f| f.severity > Severity::Note);
            let codes: Vec<_> = telling.map(|f| f.code.as_str()).collect();
            format!("{step}: stopped {state:?} {}", codes.join(" "))
        }
        Record::Skipped { step, .. } => format!("{step}: skipped"),
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

/// Whatever else happened: nothing forbidden was done, a legal journal ended, no step is under way, every restoring step came
/// to an end of its own, and those that were carried out left the world as it was.
fn assert_clean(case: &Case, run: &Run, what: &str) {
    let told = run.told();
    let name = case.name;
    RolloutState::replay(&run.entries()).unwrap();
    assert_eq!(
        run.world.violations(),
        Vec::<String>::new(),
        "{name}: {what}: {told:#?}"
    );
    assert!(
        told.last().unwrap().starts_with("finished"),
        "{name}: {what}: {told:#?}"
    );
    for (step, (_, state)) in case.plan.steps.iter().zip(run.states()) {
        let over = matches!(
            state,
            StepState::Waiting | StepState::Verified | StepState::Skipped | StepState::Stopped { .. }
        );
        assert!(over, "{name}: {what}: {} is {state:?}", step.id);
        if step.restores.is_some() {
            assert_ne!(state, StepState::Waiting, "{name}: {what}: {}: {told:#?}", step.id);
        }
    }
}

/// Everything that was done for a time is taken back.
fn assert_restored(case: &Case, run: &Run, what: &str) {
    let states = run.states();
    let restorers = case
        .plan
        .steps
        .iter()
        .zip(&states)
        .filter(|(s, _)| s.restores.is_some());
    for (step, (_, state)) in restorers {
        let back = matches!(state, StepState::Verified | StepState::Skipped);
        assert!(
            back || held_by_its_gate(run, step, state),
            "{}: {what}: {} is {state:?}: {:#?}",
            case.name,
            step.id,
            run.told()
        );
    }
    let before = (case.world)();
    assert_eq!(
        run.world.is_guarded("hk1"),
        before.is_guarded("hk1"),
        "{}: {what}",
        case.name
    );
    let let_in = run.world.lets_somebody_in() && !before.lets_somebody_in();
    assert!(!let_in, "{}: {what}", case.name);
}

/// A third vote can't come back as long as not all whom the cluster counts are in: then its own gate holds it, and that is told.
fn held_by_its_gate(run: &Run, step: &Step, state: &StepState) -> bool {
    let mut gate = step.gate.iter();
    let held = *state == StepState::Stopped { kind: StopKind::Held };
    let third_vote = matches!(step.action, Action::SetUpQdevice { .. });
    held && third_vote && gate.any(|c| !c.judge(&run.world.seen(&c.needs())).holds())
}

/// A server that was to go off was not heard to have begun: it may only be cut off, so it is not removed, and somebody must look.
fn is_unheard(case: &Case, run: &Run) -> bool {
    let mut states = case.plan.steps.iter().zip(run.states());
    let unheard = states.any(|(step, (_, state))| {
        let kinds = [StopKind::Stuck, StopKind::Held].map(|kind| StepState::Stopped { kind });
        matches!(step.action, Action::PowerOff { .. }) && kinds.contains(&state)
    });
    if unheard {
        let removed = run.world.log().iter().any(|d| d.kind == ActionKind::RemoveMember);
        assert!(!removed, "{}: {:#?}", case.name, run.told());
        assert_clean(case, run, "unheard");
    }
    unheard
}

/// How the world of a case ends when nothing goes wrong.
async fn end_of(case: &Case) -> String {
    let run = Run::of(case);
    run.end().await;
    run.world.digest()
}
