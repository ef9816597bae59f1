//! Did it come up to what was expected?

use serde::{Deserialize, Serialize};

use super::axis::Range;
use super::compare::Compared;
use super::figures::{Figure, Figures};
use super::lasting::{DrillKind, Lasting};
use super::phase::Phase;
use super::timeline::{Subject, Timeline};
use crate::failure::ExitCode;

/// What was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expectation {
    /// The longest that clients may be without the guest.
    pub rto: Option<Lasting>,
    /// The oldest that what it is recovered from may be.
    pub rpo: Option<Lasting>,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In a word.
    pub outcome: Outcome,
    /// Why: one sentence for each thing that was judged.
    pub reasons: Vec<Reason>,
}

/// In a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that was expected was seen.
    Passed,
    /// Something that decides could not be seen, or lies within what can't be told apart.
    Undecided,
    /// Something was seen not to be as expected.
    Failed,
}

impl Outcome {
    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Undecided => "undecided",
            Self::Failed => "FAILED",
        }
    }

    /// With which code the command ends.
    #[must_use]
    pub fn exit(self) -> ExitCode {
        match self {
            Self::Passed => ExitCode::Done,
            Self::Undecided | Self::Failed => ExitCode::Degraded,
        }
    }
}

/// One thing that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it means for the whole.
    pub outcome: Outcome,
    /// A sentence.
    pub text: String,
}

/// What is said where nobody saw all return.
const NOT_NORMAL: &str = "it was not seen that all is as it should be again";

impl Verdict {
    /// All has returned but for what waits for somebody's word, as was wanted of it: that is no fault of what was tried. `what` it is, in words.
    #[must_use]
    pub fn normal_but_for(mut self, what: &[String]) -> Self {
        for reason in self.reasons.iter_mut().filter(|reason| reason.text == NOT_NORMAL) {
            reason.outcome = Outcome::Passed;
            reason.text = format!("all is normal but for what waits for your word: {}", what.join("; "));
        }
        self.outcome = worst(&self.reasons);
        self
    }
}

fn worst(reasons: &[Reason]) -> Outcome {
    let outcomes = reasons.iter().map(|reason| reason.outcome);
    outcomes.max().unwrap_or(Outcome::Undecided)
}

/// Judges a drill.
#[must_use]
pub fn judge(
    subject: &Subject,
    expected: Expectation,
    line: &Timeline,
    figures: &Figures,
    compared: &[Compared],
) -> Verdict {
    let mut reasons = Vec::new();
    let mut say = |outcome, text: String| reasons.push(Reason { outcome, text });
    if let Some(rto) = expected.rto {
        let (outcome, text) = against("clients were without the guest for", &figures.client_outage, rto, "rto");
        say(outcome, text);
    }
    if let Some(rpo) = expected.rpo {
        let (outcome, text) = against(
            "the copy that it was recovered from was as old as",
            &figures.copy_age,
            rpo,
            "rpo",
        );
        say(outcome, text);
    }
    if subject.kind == DrillKind::Blip || !subject.fault.fails_guests() {
        let moved = [Phase::Reset, Phase::FenceDecided, Phase::LockTaken, Phase::GuestStarted];
        for phase in moved.into_iter().filter(|phase| line.at(*phase).is_some()) {
            say(
                Outcome::Failed,
                format!("{} was not to come of it, and did", phase.as_str()),
            );
        }
    } else {
        match line.at(Phase::GuestStarted) {
            Some(_) => say(Outcome::Passed, "the guest was started again".to_owned()),
            None if line.stayed(subject).is_some() => say(
                Outcome::Undecided,
                format!(
                    "{} was back before another server was to take its guests over, and started the guest itself: nothing is shown of a failover",
                    subject.victim
                ),
            ),
            None => say(Outcome::Undecided, "nobody saw the guest start again".to_owned()),
        }
    }
    for guest in line.events.iter().filter_map(|event| match event.what {
        super::event::What::GuestTwice { guest } => Some(guest),
        _ => None,
    }) {
        say(Outcome::Failed, format!("guest {guest} ran on two servers"));
    }
    match line.at(Phase::Normal) {
        Some(_) => say(Outcome::Passed, "all is as it should be again".to_owned()),
        None => say(Outcome::Undecided, NOT_NORMAL.to_owned()),
    }
    for text in &line.contradictions {
        say(Outcome::Undecided, text.clone());
    }
    for one in compared.iter().filter(|one| one.finding.is_flagged()) {
        if let super::compare::Difference::Flagged { what } = &one.finding {
            // Worth a look; what is expected in figures decides.
            say(
                Outcome::Passed,
                format!("to be looked at: {}: {what}", one.phase.as_str()),
            );
        }
    }
    Verdict {
        outcome: worst(&reasons),
        reasons,
    }
}

fn against(what: &str, figure: &Figure, limit: Lasting, name: &str) -> (Outcome, String) {
    let micros = i64::try_from(limit.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    match figure {
        Figure::Known { span, .. } => {
            let told = format!("{what} {}, {name} is {limit}", span.told());
            (within(*span, micros), told)
        }
        Figure::Nothing { why } => (Outcome::Passed, format!("{name} {limit}: {why}")),
        Figure::Unknown { reason } => (Outcome::Undecided, format!("{name} {limit}: {reason}")),
    }
}

/// Where the limit lies within the error bar, nobody can tell.
fn within(span: Range, limit: i64) -> Outcome {
    if span.most <= limit {
        Outcome::Passed
    } else if span.least > limit {
        Outcome::Failed
    } else {
        Outcome::Undecided
    }
}
