//! The journal's rules against a table that states them a second time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_model::Timestamp;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{Generation, OperationId, StepId};
use quorate_model::operation::{Outcome, rules};
use quorate_model::plan::Plan;
use quorate_model::rollout::{Entry, Record, RolloutResult, StopKind};

use super::rollout;
use crate::memory::plans::{admit, create, install, join, plan, withdraw};
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
    /// Unknown, and its tool may still run.
    Running,
    Verified,
    Failed,
    Stuck,
    Held,
    Skipped,
    Cancel,
    Finished(RolloutResult),
}

const WORDS: [Word; 20] = [
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
    Word::Running,
    Word::Verified,
    Word::Failed,
    Word::Stuck,
    Word::Held,
    Word::Skipped,
    Word::Cancel,
    Word::Finished(RolloutResult::Done),
    Word::Finished(RolloutResult::Failed),
    Word::Finished(RolloutResult::Cancelled),
];

/// Where a step stands, in the table's own words: `!` marks an end that allows another attempt.
const TABLE: &[(&str, Word, &str)] = &[
    ("waiting", Word::Intended, "intended"),
    ("waiting", Word::Verified, "verified"),
    ("waiting", Word::Held, "held"),
    ("waiting", Word::Skipped, "skipped"),
    ("intended", Word::Intended, "intended"),
    ("intended", Word::Accepted, "running"),
    ("intended", Word::Verified, "verified"),
    ("intended", Word::Failed, "stopped"),
    ("intended", Word::Stuck, "stopped"),
    ("running", Word::Done, "ended"),
    ("running", Word::Half, "ended"),
    ("running", Word::Running, "ended"),
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
    fn state(&self, step: usize) -> &'static str {
        self.steps.get(&step).copied().unwrap_or("waiting")
    }

    /// Everything that a step needs, directly or not, and what it takes back with all that needs.
    fn before(plan: &Plan, step: usize) -> Vec<usize> {
        let number = |id: &StepId| plan.steps.iter().position(|s| s.id == *id).unwrap();
        let step = &plan.steps[step];
        let direct: Vec<usize> = step.needs.iter().chain(&step.restores).map(number).collect();
        let further = direct.iter().flat_map(|s| Self::before(plan, *s));
        further.chain(direct.iter().copied()).collect()
    }

    /// It will never be begun: it waits, and cannot.
    fn hopeless(&self, plan: &Plan, step: usize) -> bool {
        let broken = |s: &usize| matches!(self.state(*s), "stopped" | "held" | "skipped");
        plan.steps[step].restores.is_none()
            && self.state(step) == "waiting"
            && (self.cancelled || Self::before(plan, step).iter().any(broken))
    }

    fn restored(plan: &Plan, step: usize) -> Option<usize> {
        let id = plan.steps[step].restores.as_ref()?;
        plan.steps.iter().position(|s| s.id == *id)
    }

    /// May it come now, as far as other steps are concerned?
    fn due(&self, plan: &Plan, step: usize) -> bool {
        let before = Self::before(plan, step);
        let Some(restored) = Self::restored(plan, step) else {
            let restorers = (0..plan.steps.len()).filter(|s| Self::restored(plan, *s) == Some(step));
            return before.iter().all(|s| self.state(*s) == "verified")
                && restorers.into_iter().all(|s| self.state(s) != "skipped");
        };
        let over = |s: usize| matches!(self.state(s), "verified" | "stopped" | "held" | "skipped");
        before.into_iter().all(|s| over(s) || self.hopeless(plan, s)) && !self.never(plan, restored)
    }

    /// It certainly never happened.
    fn never(&self, plan: &Plan, step: usize) -> bool {
        matches!(self.state(step), "held" | "skipped") || self.hopeless(plan, step) || self.state(step) == "waiting"
    }

    fn active(&self, step: usize) -> bool {
        matches!(self.state(step), "intended" | "running" | "ended" | "ended!")
    }

    /// Takes the word if it is legal.
    fn take(&mut self, plan: &Plan, step: usize, word: Word) -> bool {
        let all = 0..plan.steps.len();
        if self.finished || (word == Word::Created) == self.created {
            return false;
        }
        match word {
            Word::Created => self.created = true,
            Word::Cancel if self.cancelled => return false,
            Word::Cancel => self.cancelled = true,
            Word::Finished(result) => {
                let can = |s: usize| plan.steps[s].restores.is_some() || (!self.cancelled && self.due(plan, s));
                let open = all.clone().any(|s| self.state(s) == "waiting" && can(s));
                let due = if all.clone().any(|s| matches!(self.state(s), "stopped" | "held")) {
                    RolloutResult::Failed
                } else if all.clone().all(|s| self.state(s) == "verified") {
                    RolloutResult::Done
                } else {
                    RolloutResult::Cancelled
                };
                if all.into_iter().any(|s| self.active(s)) || open || result != due {
                    return false;
                }
                self.finished = true;
            }
            _ => {
                let from = self.state(step);
                let Some((.., next)) = TABLE.iter().find(|(f, w, _)| *f == from && *w == word) else {
                    return false;
                };
                let kind = |s: usize| rules(plan.steps[s].action.kind());
                let restored = Self::restored(plan, step);
                let legal = match word {
                    Word::Skipped => {
                        restored.is_some_and(|s| matches!(self.state(s), "held" | "skipped") || self.hopeless(plan, s))
                    }
                    Word::Intended => {
                        let beside = |s: usize| {
                            plan.steps[s].node == plan.steps[step].node || (kind(s).disruptive && kind(step).disruptive)
                        };
                        let busy = all.into_iter().any(|s| s != step && self.active(s) && beside(s));
                        self.due(plan, step) && !busy && (!self.cancelled || restored.is_some())
                    }
                    _ if from == "waiting" => self.due(plan, step),
                    _ => true,
                };
                if !legal {
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
            Word::Unknown | Word::Running => ended(Outcome::Unknown {
                reason: "r".into(),
                over: word == Word::Unknown,
            }),
            Word::Verified => Record::Verified {
                step: id,
                evidence: "e".into(),
            },
            Word::Failed => stopped(StopKind::Failed),
            Word::Stuck => stopped(StopKind::Stuck),
            Word::Held => stopped(StopKind::Held),
            Word::Skipped => Record::Skipped {
                step: id,
                reason: "r".into(),
            },
            Word::Cancel => Record::CancelRequested { by: "anna".into() },
            Word::Finished(result) => Record::Finished { result },
        }
    }
}

/// Two chains, two steps on one node, something that is done for a time and taken back, and what comes after that.
fn tested_plan() -> Plan {
    plan(vec![
        create("hk1", "prox1"),
        join("hk1", "prox2", &["prox1"], &["create/hk1"]),
        admit("hk1", "prox3", &["create/hk1"]),
        create("hk3", "prox3"),
        join("hk3", "prox4", &["prox3"], &["create/hk3", "admit/hk1"]),
        withdraw("hk1", "prox3", &["join/prox4"]),
        install("prox5", &["withdraw/hk1"]),
    ])
}

const STEPS: usize = 7;

/// How many journals were tried.
const JOURNALS: u32 = 3000;

proptest! {
    #![proptest_config(ProptestConfig { cases: JOURNALS, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random words; three in four are ones that the table allows at that point, so that long legal journals occur.
    #[test]
    fn the_log_accepts_what_the_table_accepts(words in prop::collection::vec((0usize..STEPS, 0usize..WORDS.len(), 0u8..4), 1..90)) {
        let plan = tested_plan();
        let mut model = Model::default();
        let mut state = RolloutState::default();
        let mut journal = Vec::new();
        for (step, word, luck) in words {
            let mut chosen = (step, WORDS[word]);
            if luck > 0 {
                let all = STEPS * WORDS.len();
                let legal = (0..all).map(|i| (word * STEPS + step + i * 5) % all).map(|i| (i % STEPS, WORDS[i / STEPS]));
                let may = |(s, w): &(usize, Word)| {
                    let mut tried = Model { steps: model.steps.clone(), attempts: model.attempts.clone(), ..model };
                    !matches!(w, Word::Finished(_)) && tried.take(&plan, *s, *w)
                };
                chosen = legal.into_iter().find(may).unwrap_or(chosen);
            }
            let (step, word) = chosen;
            let record = model.record(&plan, step, word);
            let entry = Entry { sequence: state.next_sequence(), at: Timestamp(0), record };
            let before = state.clone();
            let accepted = state.apply(&entry);
            let expected = model.take(&plan, step, word);
            prop_assert_eq!(accepted.is_ok(), expected, "{:?} on step {}: {:?} {:?}", word, step, accepted, model.steps);
            if accepted.is_ok() {
                journal.push(entry);
            } else {
                prop_assert!(before == state, "a refused record leaves no trace");
            }
        }
        // What was accepted one by one can be replayed.
        let replayed = RolloutState::replay(&journal).unwrap();
        prop_assert!(replayed == state);
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
    let mut plan = tested_plan();
    plan.steps.truncate(4);
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
