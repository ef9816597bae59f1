//! Plans of any shape, with failures, a cancel and a crash anywhere: the order holds, never two steps disturb the cluster at once,
//! and whatever may have been done for a time is taken back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_model::operation::{ActionKind, rules};
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::{Progress, StepState};

use super::corpus::Case;
use super::{Run, assert_clean};
use crate::memory::plans::{admit, create, install, plan, withdraw};
use crate::memory::{Conduct, CrashPoint, Done, Fault, World};

const SERVERS: [&str; 12] = [
    "prox1", "prox2", "prox3", "prox4", "prox5", "prox6", "prox7", "prox8", "prox9", "prox10", "prox11", "prox12",
];
/// How many random plans are tried.
const PLANS: u32 = 1500;

fn world() -> World {
    World::of(&SERVERS)
}

/// What a random step is made of: its kind, earlier steps that it needs, how its operation goes.
#[derive(Debug, Clone)]
struct Seed {
    kind: u8,
    needs: Vec<prop::sample::Index>,
    conduct: Option<Conduct>,
}

fn seed() -> impl Strategy<Value = Seed> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let conduct = prop::option::weighted(0.15, prop::sample::select(&Conduct::BAD[..]));
    (0u8..4, needs, conduct).prop_map(|(kind, needs, conduct)| Seed { kind, needs, conduct })
}

/// Steps that create clusters disturb, packages do not; keys are let in for a time, on one host of all, and go when all that
/// needs them, or half of that, is over.
fn steps(seeds: &[Seed]) -> (Vec<Step>, BTreeMap<String, Conduct>) {
    let mut steps: Vec<Step> = Vec::new();
    let mut conducts = BTreeMap::new();
    let mut admitted = Vec::new();
    for (number, seed) in seeds.iter().enumerate() {
        let names: Vec<String> = steps.iter().map(|s| s.id.to_string()).collect();
        let mut needs: Vec<&str> = match names.len() {
            0 => vec![],
            _ => seed.needs.iter().map(|index| index.get(&names).as_str()).collect(),
        };
        needs.sort_unstable();
        needs.dedup();
        let (cluster, server) = (format!("c{number}"), SERVERS[number]);
        let mut step = match seed.kind {
            0 | 1 => create(&cluster, server),
            2 => install(server, &[]),
            _ => {
                admitted.push(cluster.clone());
                admit(&cluster, "prox12", &[])
            }
        };
        step.needs = needs.iter().map(|n| n.parse().unwrap()).collect();
        if let Some(conduct) = seed.conduct {
            conducts.insert(step.id.to_string(), conduct);
        }
        steps.push(step);
    }
    for (cluster, seed) in admitted.iter().zip(seeds) {
        let opener = format!("admit/{cluster}");
        let users: Vec<String> = steps
            .iter()
            .filter(|s| leans(&steps, s, &opener))
            .map(|s| s.id.to_string())
            .collect();
        let mut needs: Vec<&str> = users.iter().map(String::as_str).chain([opener.as_str()]).collect();
        needs.sort_unstable();
        let withdraw = withdraw(cluster, "prox12", &needs);
        if let (Some(conduct), 3) = (seed.conduct, seed.kind) {
            conducts.insert(withdraw.id.to_string(), conduct);
        }
        steps.push(withdraw);
    }
    (steps, conducts)
}

fn leans(steps: &[Step], step: &Step, on: &str) -> bool {
    step.needs.iter().any(|need| {
        let earlier = steps.iter().find(|s| s.id == *need);
        need.as_str() == on || earlier.is_some_and(|s| leans(steps, s, on))
    })
}

/// The step that an operation is of, by its number in the id.
fn step_of<'p>(plan: &'p Plan, done: &Done) -> &'p Step {
    let number = done.operation.as_str().split(['.', '-']).nth(2).unwrap();
    &plan.steps[number.parse::<usize>().unwrap() - 1]
}

fn check_order(plan: &Plan, log: &[Done], what: &str) {
    for (at, done) in log.iter().enumerate().filter(|(_, done)| !done.whole) {
        let step = step_of(plan, done);
        for need in &step.needs {
            let of = |d: &&Done| step_of(plan, d).id == *need;
            let before = log[..at].iter().filter(of).any(|d| d.whole);
            let after = log[at..].iter().filter(of).count();
            assert!(
                before || step.restores.is_some(),
                "{what}: {} began before {need}",
                step.id
            );
            assert_eq!(after, 0, "{what}: {need} went on after {} began", step.id);
        }
    }
}

async fn try_it(plan: Plan, conducts: &BTreeMap<String, Conduct>, crash: Option<u64>, cancel: Option<u64>) {
    let case = Case {
        name: "a random plan",
        plan,
        world,
        becomes: &[],
    };
    let mut run = Run::of(&case);
    for step in &case.plan.steps {
        if let Some(conduct) = conducts.get(step.id.as_str()) {
            run.world.conduct_step(step, &[*conduct]);
        }
    }
    if let Some(at) = crash {
        run = run.with(at, Fault::Crash(CrashPoint::Later));
    }
    let mut listener = run.progress.subscribe();
    let cancelling = async {
        while let (Some(cancel), Ok(progress)) = (cancel, listener.recv().await) {
            if matches!(&progress, Progress::Entry(entry) if entry.sequence == cancel) {
                run.cancel.send_replace(Some("anna".to_owned()));
                return;
            }
        }
    };
    let ended = tokio::select! {
        ended = run.go() => ended,
        never = async { cancelling.await; std::future::pending().await } => never,
    };
    if ended.is_none() {
        run = Run::again(run.journal, run.world, 2);
        run.end().await;
    }
    run.world.idle().await;
    let what = format!("crash {crash:?}, cancel {cancel:?}: {:#?}", run.told());
    assert_clean(&case, &run, &what);
    check_order(&case.plan, &run.world.log(), &what);
    let mut open: Vec<&Done> = Vec::new();
    let log = run.world.log();
    for done in &log {
        open.retain(|d| d.operation != done.operation);
        if !done.whole && conducts.is_empty() {
            let others = open.iter().filter(|d| rules(d.kind).disruptive).count();
            assert!(!rules(done.kind).disruptive || others == 0, "{what}");
            open.push(done);
        }
    }
    // Whose taking back went well is gone.
    for (step, (_, state)) in case.plan.steps.iter().zip(run.states()) {
        if step.action.kind() == ActionKind::WithdrawKeys {
            let let_in = run.world.lets_in(step.id.as_str().trim_start_matches("withdraw/"));
            let gone = matches!(state, StepState::Verified | StepState::Skipped);
            assert!(!(gone && let_in), "{}: {what}", step.id);
            assert!(gone || conducts.contains_key(step.id.as_str()), "{}: {what}", step.id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: PLANS, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_holds_one_disturbs_at_a_time_and_all_is_taken_back(
        seeds in prop::collection::vec(seed(), 1..11),
        well in any::<bool>(),
        crash in prop::option::of(1u64..40),
        cancel in prop::option::weighted(0.3, 1u64..40),
    ) {
        let (steps, mut conducts) = steps(&seeds);
        if well {
            conducts.clear();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(try_it(plan(steps), &conducts, crash, cancel));
    }
}
