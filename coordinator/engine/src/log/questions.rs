//! What is asked of a rollout's state: what runs, what may begin, what is to be taken back.

use quorate_model::StepId;
use quorate_model::plan::Step;
use quorate_model::rollout::StepState;

use super::RolloutState;

impl RolloutState {
    pub(super) fn active_numbers(&self) -> impl Iterator<Item = usize> {
        let under_way = |s: &StepState| matches!(s, StepState::Intended | StepState::Running | StepState::Ended);
        let all = self.steps.iter().enumerate();
        all.filter(move |(_, log)| under_way(&log.state))
            .map(|(number, _)| number)
    }

    /// Steps that were begun and not brought to an end.
    pub fn active(&self) -> impl Iterator<Item = &StepId> {
        self.active_numbers().filter_map(|n| self.step(n)).map(|s| &s.id)
    }

    /// Steps that were not begun and now may be: restoring ones first, which also a cancel does not keep from it.
    #[must_use]
    pub fn runnable(&self) -> Vec<&StepId> {
        let outlook = self.outlook();
        let may_begin = |n: &usize| {
            *self.state(*n) == StepState::Waiting
                && !outlook.is_impossible(*n)
                && outlook.lacks(*n).is_none()
                && if self.shape.is_restoring(*n) {
                    outlook.may_have_begun(*n, |n| self.state(n))
                } else {
                    self.cancelled_by.is_none()
                }
        };
        let (restoring, ordinary): (Vec<usize>, Vec<usize>) = (0..self.steps.len())
            .filter(may_begin)
            .partition(|n| self.shape.is_restoring(*n));
        let all = restoring.into_iter().chain(ordinary);
        all.filter_map(|n| self.step(n)).map(|s| &s.id).collect()
    }

    /// Restoring steps that have nothing to take back and never will, with the step that never began, and why it did not.
    #[must_use]
    pub fn skippable(&self) -> Vec<(&StepId, &StepId, String)> {
        let outlook = self.outlook();
        let mut all = Vec::new();
        for number in 0..self.steps.len() {
            let waits = *self.state(number) == StepState::Waiting && self.shape.is_restoring(number);
            if !waits || !outlook.never_begins(number, |n| self.state(n)) {
                continue;
            }
            let restored = self.shape.restored(number);
            if let (Some(step), Some(restored)) = (self.step(number), restored.and_then(|r| self.step(r))) {
                let why = self.why_not_begun(restored);
                all.push((&step.id, &restored.id, why));
            }
        }
        all
    }

    fn why_not_begun(&self, step: &Step) -> String {
        let number = self.shape.number(&step.id).unwrap_or_default();
        let before = self.outlook().broken_before(number, |n| self.state(n));
        let why = match (self.state(number), before, &self.cancelled_by) {
            (StepState::Stopped { .. }, ..) => "it was held back".to_owned(),
            (_, Some(before), _) => format!("{} stopped", self.id(before)),
            (_, None, Some(by)) => format!("cancelled by {by}"),
            (_, None, None) => "what it takes back was not needed".to_owned(),
        };
        format!("{} was never begun ({why})", step.id)
    }

    /// Why a restoring step is carried out although not all went well before it; `None`: all did.
    #[must_use]
    pub fn why_restoring(&self, step: &StepId) -> Option<String> {
        let number = self.shape.number(step).filter(|n| self.shape.is_restoring(*n))?;
        match (
            self.outlook().broken_before(number, |n| self.state(n)),
            &self.cancelled_by,
        ) {
            (Some(before), _) => Some(format!("{} stopped", self.id(before))),
            (None, Some(by)) => Some(format!("{by} cancelled the rollout")),
            (None, None) => None,
        }
    }

    /// Restoring steps that stopped: somebody must do by hand what they should have done.
    pub fn not_restored(&self) -> impl Iterator<Item = &StepId> {
        let stopped = |n: &usize| self.shape.is_restoring(*n) && matches!(self.state(*n), StepState::Stopped { .. });
        let all = (0..self.steps.len()).filter(stopped);
        all.filter_map(|n| self.step(n)).map(|s| &s.id)
    }

    /// What was done for a time only and is not taken back yet.
    pub fn not_yet_restored(&self) -> impl Iterator<Item = &StepId> {
        let outlook = self.outlook();
        let open = move |n: &usize| {
            let over = matches!(self.state(*n), StepState::Verified | StepState::Skipped);
            self.shape.is_restoring(*n) && !over && outlook.may_have_begun(*n, |n| self.state(n))
        };
        let all = (0..self.steps.len()).filter(open);
        all.filter_map(|n| self.shape.restored(n))
            .filter_map(|n| self.step(n))
            .map(|s| &s.id)
    }
}
