//! Rollouts: the list, one rollout, and the telling of what happens line by line.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::ids::StepId;
use quorate_model::operation::{OperationEventKind, Outcome};
use quorate_model::rollout::{Progress, Record, RolloutResult, StepState, StopKind, Summary};
use quorate_model::time::spoken;

use crate::findings::finding_line;
use crate::table::{indent, table};

/// All rollouts, newest first.
#[must_use]
pub fn rollouts(all: &[Summary]) -> String {
    if all.is_empty() {
        return "No rollouts yet.\n".to_owned();
    }
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|r| std::cmp::Reverse(r.created_at));
    let rows: Vec<Vec<String>> = sorted
        .into_iter()
        .map(|r| {
            let verified = r.steps.iter().filter(|(_, s)| *s == StepState::Verified).count();
            let took = r.finished_at.map_or_else(
                || "-".to_owned(),
                |end| {
                    spoken(Duration::from_micros(
                        u64::try_from(end.0.saturating_sub(r.created_at.0)).unwrap_or(0),
                    ))
                },
            );
            vec![
                r.id.to_string(),
                r.cluster.to_string(),
                r.created_at.to_string(),
                r.by.clone(),
                result(r.result).to_owned(),
                format!("{verified}/{}", r.steps.len()),
                took,
            ]
        })
        .collect();
    table(
        &["ROLLOUT", "CLUSTER", "STARTED", "BY", "STATE", "STEPS", "TOOK"],
        &rows,
    )
}

fn result(result: Option<RolloutResult>) -> &'static str {
    match result {
        None => "running",
        Some(RolloutResult::Done) => "done",
        Some(RolloutResult::Failed) => "FAILED",
        Some(RolloutResult::Cancelled) => "cancelled",
        Some(RolloutResult::Abandoned) => "ABANDONED",
    }
}

fn state(state: &StepState) -> &'static str {
    match state {
        StepState::Waiting => "waiting",
        StepState::Intended => "sent, not yet confirmed",
        StepState::Running => "running",
        StepState::Ended => "ended, being verified",
        StepState::Verified => "done",
        StepState::Skipped => "not needed",
        StepState::Stopped { kind: StopKind::Failed } => "FAILED",
        StepState::Stopped { kind: StopKind::Stuck } => "STUCK",
        StepState::Stopped { kind: StopKind::Held } => "held back",
    }
}

/// One rollout with its steps.
#[must_use]
pub fn rollout(one: &Summary) -> String {
    let rows: Vec<Vec<String>> = one
        .steps
        .iter()
        .map(|(id, s)| vec![id.to_string(), state(s).to_owned()])
        .collect();
    let ended = one.finished_at.map(|at| format!(", ended {at}")).unwrap_or_default();
    let mut text = format!(
        "Rollout {} of cluster {}, started {} by {}{ended}: {}\n\n{}",
        one.id,
        one.cluster,
        one.created_at,
        one.by,
        result(one.result),
        table(&["STEP", "STATE"], &rows)
    );
    if !one.not_restored.is_empty() {
        let steps: Vec<&str> = one.not_restored.iter().map(StepId::as_str).collect();
        text.push_str(&format!(
            "\nNOT TAKEN BACK: {}. What to type: quorate rollout watch {}\n",
            steps.join(", "),
            one.id
        ));
    }
    text
}

/// Tells a rollout as it goes: one line for each thing worth knowing, with the seconds since it was created.
#[derive(Debug, Default)]
pub struct Teller {
    started: Option<Timestamp>,
    latest: Timestamp,
    titles: BTreeMap<StepId, String>,
    positions: BTreeMap<StepId, usize>,
    done: usize,
    doing: Option<StepId>,
}

impl Teller {
    /// A teller that has heard nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to print for a piece of progress; empty: nothing.
    pub fn tell(&mut self, progress: &Progress) -> String {
        match progress {
            Progress::Entry(entry) => {
                self.latest = entry.at;
                self.record(&entry.record)
            }
            Progress::Agent { step, at, event } => {
                self.latest = *at;
                self.agent(step, event)
            }
            Progress::Waiting { step, reason } => self.line(step, &format!("waiting: {reason}")),
            Progress::Restoring { step, reason } => {
                self.line(step, &format!("taken back all the same, since {reason}"))
            }
        }
    }

    /// What is being done now: the running step's title.
    #[must_use]
    pub fn doing(&self) -> Option<String> {
        self.doing.as_ref().map(|step| self.title(step))
    }

    fn line(&self, step: &StepId, text: &str) -> String {
        let seconds = self
            .started
            .map_or(0, |s| self.latest.0.saturating_sub(s.0) / 1_000_000);
        let number = self.positions.get(step).copied().unwrap_or(0);
        format!("{seconds:>5} s  {number}/{}  {text}\n", self.positions.len())
    }

    fn title(&self, step: &StepId) -> String {
        self.titles.get(step).cloned().unwrap_or_else(|| step.to_string())
    }

    fn record(&mut self, record: &Record) -> String {
        match record {
            Record::Created { plan, .. } => {
                self.started = Some(self.latest);
                for (index, step) in plan.steps.iter().enumerate() {
                    self.titles.insert(step.id.clone(), step.title.clone());
                    self.positions.insert(step.id.clone(), index + 1);
                }
                String::new()
            }
            Record::Intended { step, attempt, .. } => {
                self.doing = Some(step.clone());
                let again = if *attempt > 1 {
                    format!(" (attempt {attempt})")
                } else {
                    String::new()
                };
                self.line(step, &format!("{}{again}", self.title(step)))
            }
            Record::Accepted { .. } => String::new(),
            Record::Ended { step, outcome } => match outcome {
                Outcome::Done { .. } => String::new(),
                Outcome::Failed { findings, unchanged } => {
                    let left = if *unchanged {
                        "nothing was changed"
                    } else {
                        "something may have been changed"
                    };
                    let mut text = self.line(step, &format!("the agent reports: failed, {left}"));
                    for finding in findings {
                        text.push_str(&indent(&finding_line(finding), 14));
                    }
                    text
                }
                Outcome::Unknown { reason, .. } => self.line(step, &format!("the outcome is not known: {reason}")),
            },
            Record::Verified { step, evidence } => {
                self.done += 1;
                self.line(step, &format!("done, seen: {evidence}"))
            }
            Record::Stopped { step, state, findings } => {
                let word = match state {
                    StopKind::Failed => "FAILED",
                    StopKind::Stuck => "STUCK",
                    StopKind::Held => "held back",
                };
                let mut text = self.line(step, &format!("{word}: {}", self.title(step)));
                for finding in findings {
                    text.push_str(&indent(&finding_line(finding), 14));
                }
                text
            }
            Record::Skipped { step, reason } => self.line(step, &format!("not needed: {reason}")),
            Record::CancelRequested { by } => format!("cancelled by {by}: no further step is started\n"),
            Record::Finished { result } => {
                let total = self.positions.len();
                let seconds = self
                    .started
                    .map_or(0, |s| self.latest.0.saturating_sub(s.0) / 1_000_000);
                match result {
                    RolloutResult::Done => format!("Done: {total} of {total} steps verified in {seconds} s.\n"),
                    RolloutResult::Failed => format!(
                        "FAILED: {} of {total} steps verified. See above for what to do.\n",
                        self.done
                    ),
                    RolloutResult::Abandoned => "Abandoned: its journal was lost, or contradicts itself.\n".to_owned(),
                    RolloutResult::Cancelled => format!("Cancelled: {} of {total} steps verified.\n", self.done),
                }
            }
        }
    }

    fn agent(&mut self, step: &StepId, event: &OperationEventKind) -> String {
        match event {
            OperationEventKind::ToolStarted { command, .. } => self.line(step, &format!("  $ {command}")),
            OperationEventKind::Line { text, stderr } => {
                self.line(step, &format!("  {}{text}", if *stderr { "! " } else { "| " }))
            }
            OperationEventKind::Verifying { waiting_for } => self.line(step, &format!("  waiting until {waiting_for}")),
            OperationEventKind::Overdue { diagnosis } => {
                let mut text = self.line(
                    step,
                    "  takes longer than it should; it is not stopped half-way. What can be seen:",
                );
                text.push_str(&indent(&diagnosis.join("\n"), 18));
                text
            }
            OperationEventKind::Accepted | OperationEventKind::ToolEnded { .. } | OperationEventKind::Ended(_) => {
                String::new()
            }
        }
    }
}
