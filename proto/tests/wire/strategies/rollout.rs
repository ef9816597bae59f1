//! Journals and what watchers are told.

use proptest::prelude::*;
use quorate_model::ids::RolloutId;
use quorate_model::rollout::{Entry, Progress, Record, RolloutResult, StepState, StopKind, Summary};

use super::operation::{event_kind, outcome};
use super::plan::plan;
use super::types::{cluster, finding, generation, operation_id, rollout_id, step_id, time};
use super::{maybe, one_of, some, text};

fn stop_kind() -> impl Strategy<Value = StopKind> {
    one_of([StopKind::Failed, StopKind::Stuck, StopKind::Held])
}

fn result() -> impl Strategy<Value = RolloutResult> {
    one_of([
        RolloutResult::Done,
        RolloutResult::Failed,
        RolloutResult::Cancelled,
        RolloutResult::Abandoned,
    ])
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (plan(), text()).prop_map(|(plan, by)| Record::Created {
            plan: Box::new(plan),
            by
        }),
        (step_id(), operation_id(), any::<u32>(), generation()).prop_map(|(step, operation, attempt, generation)| {
            Record::Intended {
                step,
                operation,
                attempt,
                generation,
            }
        }),
        step_id().prop_map(|step| Record::Accepted { step }),
        (step_id(), outcome()).prop_map(|(step, outcome)| Record::Ended { step, outcome }),
        (step_id(), text()).prop_map(|(step, evidence)| Record::Verified { step, evidence }),
        (step_id(), stop_kind(), some(finding())).prop_map(|(step, state, findings)| Record::Stopped {
            step,
            state,
            findings
        }),
        (step_id(), text()).prop_map(|(step, reason)| Record::Skipped { step, reason }),
        text().prop_map(|by| Record::CancelRequested { by }),
        result().prop_map(|result| Record::Finished { result }),
    ]
}

prop_compose! {
    pub(crate) fn entry()(sequence: u64, at in time(), record in record()) -> Entry {
        Entry { sequence, at, record }
    }
}

fn step_state() -> impl Strategy<Value = StepState> {
    prop_oneof![
        one_of([
            StepState::Waiting,
            StepState::Intended,
            StepState::Running,
            StepState::Ended,
            StepState::Verified,
            StepState::Skipped
        ]),
        stop_kind().prop_map(|kind| StepState::Stopped { kind }),
    ]
}

prop_compose! {
    pub(crate) fn summary()(
        id in rollout_id(),
        cluster in cluster(),
        created_at in time(),
        by in text(),
        result in maybe(result()),
        finished_at in maybe(time()),
        steps in some((step_id(), step_state())),
        not_restored in some(step_id()),
    ) -> Summary {
        Summary { id, cluster, created_at, by, result, finished_at, steps, not_restored }
    }
}

pub(crate) fn progress() -> impl Strategy<Value = (RolloutId, Progress)> {
    let progress = prop_oneof![
        entry().prop_map(|entry| Progress::Entry(Box::new(entry))),
        (step_id(), time(), event_kind()).prop_map(|(step, at, event)| Progress::Agent { step, at, event }),
        (step_id(), text()).prop_map(|(step, reason)| Progress::Waiting { step, reason }),
        (step_id(), text()).prop_map(|(step, reason)| Progress::Restoring { step, reason }),
    ];
    (rollout_id(), progress)
}
