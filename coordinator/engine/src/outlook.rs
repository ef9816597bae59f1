//! What can still come of a plan's steps: which may begin, which never will, and when what was done for a time only is to be
//! taken back.

use std::collections::BTreeMap;

use quorate_model::StepId;
use quorate_model::operation::rules;
use quorate_model::plan::{Plan, Step};
use quorate_model::rollout::{StepState, StopKind};

/// A plan's steps by number, with what each leans on. Made once for a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    index: BTreeMap<StepId, usize>,
    steps: Vec<Leans>,
    /// Each step after all that it needs. Steps that wait for each other in a circle are not in it: they never begin.
    order: Vec<usize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Leans {
    /// What must come before; for a restoring step also what it restores.
    needs: Vec<usize>,
    /// It takes something back.
    restoring: bool,
    /// What it takes back, if the plan has it.
    restores: Option<usize>,
    /// Who takes back what it does.
    restored_by: Vec<usize>,
    /// It touches what runs: never two at once.
    disruptive: bool,
    /// It needs something that the plan does not have.
    broken: bool,
    /// It needs itself, by some way round.
    circular: bool,
}

impl Shape {
    pub(crate) fn of(plan: &Plan) -> Self {
        let index: BTreeMap<StepId, usize> = plan.steps.iter().map(|s| s.id.clone()).zip(0..).collect();
        let mut steps: Vec<Leans> = plan.steps.iter().map(|step| leans(step, &index)).collect();
        for restorer in 0..steps.len() {
            let restored = steps.get(restorer).and_then(|s| s.restores);
            if let Some(restored) = restored.and_then(|number| steps.get_mut(number)) {
                restored.restored_by.push(restorer);
            }
        }
        let order = order(&steps);
        for &number in &order {
            if let Some(step) = steps.get_mut(number) {
                step.circular = false;
            }
        }
        Self { index, steps, order }
    }

    pub(crate) fn number(&self, step: &StepId) -> Option<usize> {
        self.index.get(step).copied()
    }

    /// Does it take back what another step did for a time?
    pub(crate) fn is_restoring(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|s| s.restoring)
    }

    /// What it takes back.
    pub(crate) fn restored(&self, step: usize) -> Option<usize> {
        self.steps.get(step).and_then(|s| s.restores)
    }

    pub(crate) fn is_disruptive(&self, step: usize) -> bool {
        self.steps.get(step).is_some_and(|s| s.disruptive)
    }

    /// Does it begin only where disruptive steps may? What is done for a time only is done for a disruptive step: done while that
    /// one must wait, HA would be disarmed until the next maintenance window.
    pub(crate) fn asks_leave(&self, step: usize) -> bool {
        self.steps
            .get(step)
            .is_some_and(|s| !s.restoring && (s.disruptive || !s.restored_by.is_empty()))
    }

    fn needs(&self, step: usize) -> impl Iterator<Item = usize> {
        self.steps.get(step).into_iter().flat_map(|s| s.needs.iter().copied())
    }
}

fn leans(step: &Step, index: &BTreeMap<StepId, usize>) -> Leans {
    let restores = step.restores.as_ref().and_then(|id| index.get(id).copied());
    let mut needs: Vec<usize> = step.needs.iter().filter_map(|id| index.get(id).copied()).collect();
    let broken = needs.len() < step.needs.len();
    needs.extend(restores);
    Leans {
        needs,
        restoring: step.restores.is_some(),
        restores,
        restored_by: vec![],
        disruptive: rules(step.action.kind()).disruptive,
        broken,
        circular: true,
    }
}

fn order(steps: &[Leans]) -> Vec<usize> {
    let mut missing: Vec<usize> = steps.iter().map(|s| s.needs.len()).collect();
    let mut needed_by = vec![Vec::new(); steps.len()];
    for (number, step) in steps.iter().enumerate() {
        for need in &step.needs {
            if let Some(list) = needed_by.get_mut(*need) {
                list.push(number);
            }
        }
    }
    let mut order: Vec<usize> = (0..steps.len()).filter(|n| missing.get(*n) == Some(&0)).collect();
    let mut done = 0;
    while let Some(number) = order.get(done).copied() {
        done += 1;
        for dependent in needed_by.get(number).into_iter().flatten() {
            if let Some(left) = missing.get_mut(*dependent) {
                *left -= 1;
                if *left == 0 {
                    order.push(*dependent);
                }
            }
        }
    }
    order
}

/// What a step is worth to those that need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prospect {
    /// It is verified, and so is all that it needed.
    Met,
    /// It may still come to be.
    Open,
    /// It never will.
    Never,
}

/// How every step stands, given the states of all. One pass over the plan.
#[derive(Debug)]
pub(crate) struct Outlook<'s> {
    shape: &'s Shape,
    prospects: Vec<Prospect>,
    /// Neither it nor anything that it needs runs, or can run any more.
    quiet: Vec<bool>,
}

impl<'s> Outlook<'s> {
    pub(crate) fn new<'l>(shape: &'s Shape, state: impl Fn(usize) -> &'l StepState, cancelled: bool) -> Self {
        let mut outlook = Self {
            shape,
            prospects: vec![Prospect::Open; shape.steps.len()],
            quiet: vec![false; shape.steps.len()],
        };
        for &step in &shape.order {
            let restoring = shape.is_restoring(step);
            let broken = shape.steps.get(step).is_some_and(|s| s.broken);
            let worst = shape.needs(step).map(|n| outlook.prospect(n)).max();
            let worst = if broken {
                Prospect::Never
            } else {
                worst.unwrap_or(Prospect::Met)
            };
            let prospect = match state(step) {
                StepState::Stopped { .. } | StepState::Skipped => Prospect::Never,
                // It was carried out although what lies before it failed: who needs it needs that as well.
                _ if restoring && worst == Prospect::Never => Prospect::Never,
                StepState::Verified => Prospect::Met,
                StepState::Waiting if !restoring && (cancelled || worst == Prospect::Never) => Prospect::Never,
                StepState::Waiting | StepState::Intended | StepState::Running | StepState::Ended => Prospect::Open,
            };
            let over = match state(step) {
                StepState::Stopped { .. } | StepState::Skipped | StepState::Verified => true,
                StepState::Waiting => !restoring && prospect == Prospect::Never,
                StepState::Intended | StepState::Running | StepState::Ended => false,
            };
            let quiet = over && shape.needs(step).all(|n| outlook.is_quiet(n));
            if let (Some(p), Some(q)) = (outlook.prospects.get_mut(step), outlook.quiet.get_mut(step)) {
                (*p, *q) = (prospect, quiet);
            }
        }
        outlook
    }

    fn prospect(&self, step: usize) -> Prospect {
        self.prospects.get(step).copied().unwrap_or(Prospect::Open)
    }

    fn is_quiet(&self, step: usize) -> bool {
        self.quiet.get(step).copied().unwrap_or(false)
    }

    /// The first thing that keeps a step from being due, if there is one. An ordinary step is due when all that it needs is
    /// verified; a restoring one when none of it can run any more.
    pub(crate) fn lacks(&self, step: usize) -> Option<usize> {
        let missing = |need: &usize| {
            if self.shape.is_restoring(step) {
                !self.is_quiet(*need)
            } else {
                self.prospect(*need) != Prospect::Met
            }
        };
        self.shape.needs(step).find(missing)
    }

    /// Does it need what the plan does not have, or itself?
    pub(crate) fn is_impossible(&self, step: usize) -> bool {
        let step = self.shape.steps.get(step);
        step.is_none_or(|s| s.circular || (s.broken && !s.restoring))
    }

    /// May what a restoring step takes back have happened? Where the plan does not have that step, nobody can tell, so: yes.
    pub(crate) fn may_have_begun<'l>(&self, restorer: usize, state: impl Fn(usize) -> &'l StepState) -> bool {
        self.shape.restored(restorer).is_none_or(|s| began(state(s)))
    }

    /// Has it certainly not happened, and never will?
    pub(crate) fn never_begins<'l>(&self, restorer: usize, state: impl Fn(usize) -> &'l StepState) -> bool {
        self.shape.restored(restorer).is_some_and(|s| match state(s) {
            StepState::Waiting => !self.shape.is_restoring(s) && self.prospect(s) == Prospect::Never,
            other => !began(other),
        })
    }

    /// Who takes back what this step does.
    pub(crate) fn restorers(&self, step: usize) -> impl Iterator<Item = usize> {
        let list = self.shape.steps.get(step).into_iter();
        list.flat_map(|s| s.restored_by.iter().copied())
    }

    /// Of all that a step needs, directly or not, the first that stopped.
    pub(crate) fn broken_before<'l>(&self, step: usize, state: impl Fn(usize) -> &'l StepState) -> Option<usize> {
        let mut seen = vec![false; self.shape.steps.len()];
        let mut open = vec![step];
        while let Some(next) = open.pop() {
            for need in self.shape.needs(next) {
                if matches!(state(need), StepState::Stopped { .. }) {
                    return Some(need);
                }
                if let Some(seen) = seen.get_mut(need)
                    && !*seen
                {
                    *seen = true;
                    open.push(need);
                }
            }
        }
        None
    }
}

/// Whatever is recorded of it, other than that it was not begun.
fn began(state: &StepState) -> bool {
    !matches!(
        state,
        StepState::Waiting | StepState::Skipped | StepState::Stopped { kind: StopKind::Held }
    )
}
