//! The journal's rules against a table that states them a second time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_model::Timestamp;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{Generation, OperationId, StepId};
use quorate_model::operation::Outcome;
use quorate_model::plan::Plan;
use quorate_model::rollout::{Entry, Record, RolloutResult, StopKind};

use super::{rollout, two_branches};
use crate::memory::{create, join, plan};
use crate::{RolloutState, operation_id, summary};

/// A record, without what is the same in all of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Created,
    Intended,
    /// An intent with a wrong number, an id that was used, or an old generation.
    IntendedWrongly(u8),
    Accepted,
    Done,
    Clean,
    Half,
    Unknown,
    Verified,
    Failed,
    Stuck,
    Held,
    Cancel,
    Finished(RolloutResult),
}

const WORDS: [Word; 18] = [
    Word::Created,
    Word::Intended,
    Word::IntendedWrongly(0),
    Word::IntendedWrongly(1),
    Word::IntendedWrongly(2),
    Word::Accepted,
    Word::Done,
    Word::Clean,
    Word::Half,
    Word::Unknown,
    Word::Verified,
    Word::Failed,
    Word::Stuck,
    Word::Held,
    Word::Cancel,
    Word::Finished(RolloutResult::Done),
    Word::Finished(RolloutResult::Failed),
    Word::Finished(RolloutResult::Cancelled),
];

/// Where a step stands, in the table's own words: `!` marks an end that allows another attempt.
const TABLE: &[(&str, Word, &str)] = &[
    ("waiting", Word::Intended, "intended"),
    ("waiting", Word::Verified, "verified"),
    ("waiting", Word::Held, "stopped"),
    ("intended", Word::Intended, "intended"),
    ("intended", Word::Accepted, "running"),
    ("intended", Word::Verified, "verified"),
    ("intended", Word::Failed, "stopped"),
    ("intended", Word::Stuck, "stopped"),
    ("running", Word::Done, "ended"),
    ("running", Word::Half, "ended"),
    ("running", Word::Clean, "ended!"),
    ("running", Word::Unknown, "ended!"),
    ("ended", Word::Verified, "verified"),
    ("ended", Word::Failed, "stopped"),
    ("ended", Word::Stuck, "stopped"),
    ("ended!", Word::Intended, "intended"),
    ("ended!", Word::Verified, "verified"),
    ("ended!", Word::Failed, "stopped"),
    ("ended!", Word::Stuck, "stopped"),
];

/// The rollout as the table sees it.
#[derive(Debug, Default)]
struct Model {
    steps: BTreeMap<usize, &'static str>,
    attempts: BTreeMap<usize, u32>,
    created: bool,
    cancelled: bool,
    finished: bool,
}

impl Model {
    /// Takes the word if it is legal.
    fn take(&mut self, plan: &Plan, step: usize, word: Word) -> bool {
        let state = |s: usize| self.steps.get(&s).copied().unwrap_or("waiting");
        let verified = |id: &StepId| {
            plan.steps
                .iter()
                .position(|s| s.id == *id)
                .is_some_and(|s| state(s) == "verified")
        };
        let active = |s: usize| !matches!(state(s), "waiting" | "verified" | "stopped");
        if self.finished || (word == Word::Created) == self.created {
            return false;
        }
        match word {
            Word::Created => self.created = true,
            Word::Cancel if self.cancelled => return false,
            Word::Cancel => self.cancelled = true,
            Word::Finished(result) => {
                let all = 0..plan.steps.len();
                let open = all
                    .clone()
                    .any(|s| state(s) == "waiting" && plan.steps[s].needs.iter().all(verified));
                let stopped = all.clone().any(|s| state(s) == "stopped");
                let done = all.clone().all(|s| state(s) == "verified");
                let due = if stopped {
                    RolloutResult::Failed
                } else if done {
                    RolloutResult::Done
                } else {
                    RolloutResult::Cancelled
                };
                if all.into_iter().any(active) || (open && !self.cancelled) || result != due {
                    return false;
                }
                self.finished = true;
            }
            _ => {
                let Some((.., next)) = TABLE.iter().find(|(from, w, _)| *from == state(step) && *w == word) else {
                    return false;
                };
                let ready = plan.steps[step].needs.iter().all(verified);
                let busy = (0..plan.steps.len())
                    .any(|s| s != step && active(s) && plan.steps[s].node == plan.steps[step].node);
                if !ready || (word == Word::Intended && (busy || self.cancelled)) {
                    return false;
                }
                if word == Word::Intended {
                    *self.attempts.entry(step).or_default() += 1;
                }
                self.steps.insert(step, next);
            }
        }
        true
    }

    fn record(&self, plan: &Plan, step: usize, word: Word) -> Record {
        let id = plan.steps[step].id.clone();
        let attempts = self.attempts.get(&step).copied().unwrap_or(0);
        let intended = |attempt: u32, operation: u32, generation: u64| Record::Intended {
            step: id.clone(),
            operation: operation_id(&rollout(), plan, &plan.steps[step], operation).unwrap(),
            attempt,
            generation: Generation(generation),
        };
        let stopped = |state| Record::Stopped {
            step: id.clone(),
            state,
            findings: vec![],
        };
        let ended = |outcome| Record::Ended {
            step: id.clone(),
            outcome,
        };
        match word {
            Word::Created => Record::Created {
                plan: Box::new(plan.clone()),
                by: "root".into(),
            },
            Word::Intended => intended(attempts + 1, attempts + 1, 5),
            Word::IntendedWrongly(0) => intended(attempts + 2, attempts + 2, 5),
            // An operation that was used, or (before any was) an attempt that is none.
            Word::IntendedWrongly(1) if attempts > 0 => intended(attempts + 1, attempts, 5),
            Word::IntendedWrongly(1) => intended(0, 1, 5),
            Word::IntendedWrongly(_) if self.attempts.is_empty() => intended(7, 1, 4),
            Word::IntendedWrongly(_) => intended(attempts + 1, attempts + 1, 4),
            Word::Accepted => Record::Accepted { step: id },
            Word::Done => ended(Outcome::Done { evidence: "e".into() }),
            Word::Clean => ended(Outcome::Failed {
                findings: vec![],
                unchanged: true,
            }),
            Word::Half => ended(Outcome::Failed {
                findings: vec![Finding::new(Code::StepFailed, "", "m", "")],
                unchanged: false,
            }),
            Word::Unknown => ended(Outcome::Unknown { reason: "r".into() }),
            Word::Verified => Record::Verified {
                step: id,
                evidence: "e".into(),
            },
            Word::Failed => stopped(StopKind::Failed),
            Word::Stuck => stopped(StopKind::Stuck),
            Word::Held => stopped(StopKind::Held),
            Word::Cancel => Record::CancelRequested { by: "anna".into() },
            Word::Finished(result) => Record::Finished { result },
        }
    }
}

/// Two chains, and two steps on one node.
fn tested_plan() -> Plan {
    plan(vec![
        create("hk1", "prox1"),
        join("hk1", "prox2", &["prox1"], &["create/hk1"]),
        create("hk2", "prox3"),
        create("hk3", "prox3"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random words; three in four are ones that the table allows at that point, so that long legal journals occur.
    #[test]
    fn the_log_accepts_what_the_table_accepts(words in prop::collection::vec((0usize..4, 0usize..18, 0u8..4), 1..60)) {
        let plan = tested_plan();
        let mut model = Model::default();
        let mut state = RolloutState::default();
        let mut journal = Vec::new();
        for (step, word, luck) in words {
            let mut chosen = (step, WORDS[word]);
            if luck > 0 {
                let legal = (0..4 * WORDS.len()).map(|i| (word * 4 + step + i) % (4 * WORDS.len())).map(|i| (i % 4, WORDS[i / 4]));
                let may = |(s, w): &(usize, Word)| {
                    let mut tried = Model { steps: model.steps.clone(), attempts: model.attempts.clone(), ..model };
                    !matches!(w, Word::Finished(_)) && tried.take(&plan, *s, *w)
                };
                chosen = legal.into_iter().find(may).unwrap_or(chosen);
            }
            let (step, word) = chosen;
            let record = model.record(&plan, step, word);
            let entry = Entry { sequence: state.next_sequence(), at: Timestamp(0), record };
            let before = format!("{state:?}");
            let accepted = state.apply(&entry);
            let expected = model.take(&plan, step, word);
            prop_assert_eq!(accepted.is_ok(), expected, "{:?} on step {}: {:?}", word, step, accepted);
            if accepted.is_ok() {
                journal.push(entry);
            } else {
                prop_assert_eq!(before, format!("{state:?}"), "a refused record leaves no trace");
            }
        }
        // What was accepted one by one can be replayed.
        let replayed = RolloutState::replay(&journal).unwrap();
        prop_assert_eq!(format!("{replayed:?}"), format!("{state:?}"));
    }
}

#[test]
fn numbers_have_no_gaps() {
    let mut state = RolloutState::default();
    let record = Record::Created {
        plan: Box::new(tested_plan()),
        by: "root".into(),
    };
    let error = state
        .apply(&Entry {
            sequence: 3,
            at: Timestamp(0),
            record,
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "record 3 of the rollout is not legal: record 0 is due"
    );
}

#[test]
fn a_step_that_the_plan_does_not_have_is_illegal() {
    let created = Record::Created {
        plan: Box::new(tested_plan()),
        by: "root".into(),
    };
    let unknown = Record::Accepted {
        step: StepId::new("join/prox9").unwrap(),
    };
    let entries: Vec<_> = [created, unknown]
        .into_iter()
        .zip(0..)
        .map(|(record, sequence)| Entry {
            sequence,
            at: Timestamp(0),
            record,
        })
        .collect();
    assert!(
        RolloutState::replay(&entries)
            .unwrap_err()
            .why
            .contains("no step join/prox9")
    );
}

#[test]
fn operations_of_different_steps_and_attempts_never_share_an_id() {
    let mut plan = two_branches().plan;
    plan.steps[0].id = StepId::new("a/b").unwrap();
    plan.steps[1].id = StepId::new("a-b").unwrap();
    plan.steps[2].id = StepId::new("x".repeat(128)).unwrap();
    plan.steps[3].id = StepId::new(format!("{}y", "x".repeat(127))).unwrap();
    let ids: std::collections::BTreeSet<OperationId> = plan
        .steps
        .iter()
        .flat_map(|s| [1, 2, u32::MAX].map(|attempt| operation_id(&rollout(), &plan, s, attempt).unwrap()))
        .collect();
    assert_eq!(ids.len(), 12);
    assert!(ids.iter().all(|id| !id.as_str().contains('/')));
}

#[test]
fn the_summary_of_nothing_is_nothing() {
    assert_eq!(summary(&rollout(), &[]).unwrap(), None);
}
