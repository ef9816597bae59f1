//! What a drill comes to, told apart: six figures that are often taken for one another.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answers::{Answers, Gap, STEADY, deciding};
use super::axis::{Range, signed};
use super::phase::Phase;
use super::tally::{Lost, Tally};
use super::timeline::{Subject, Timeline, gap_of};
use super::timing::RESET;

/// A figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "figure")]
pub enum Figure {
    /// It was measured, or worked out, and lies between these ends.
    Known {
        /// The span.
        span: Range,
        /// From what to what.
        how: String,
    },
    /// There was nothing to measure: no gap, nothing recovered.
    Nothing {
        /// Why.
        why: String,
    },
    /// It can't be told.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl Figure {
    fn known(span: Range, how: impl Into<String>) -> Self {
        Self::Known { span, how: how.into() }
    }

    fn nothing(why: impl Into<String>) -> Self {
        Self::Nothing { why: why.into() }
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// The span, if there is one.
    #[must_use]
    pub fn span(&self) -> Option<Range> {
        match self {
            Self::Known { span, .. } => Some(*span),
            Self::Nothing { .. } | Self::Unknown { .. } => None,
        }
    }

    /// In a few words.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Known { span, .. } => span.told(),
            Self::Nothing { .. } => "none".to_owned(),
            Self::Unknown { .. } => "unknown".to_owned(),
        }
    }

    /// From what to what, or why there is none.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Known { how, .. } => how,
            Self::Nothing { why } => why,
            Self::Unknown { reason } => reason,
        }
    }
}

/// The copy that the guest was recovered from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "copy")]
pub enum CopyUsed {
    /// Its disks are shared: there is no copy.
    Shared,
    /// The last run that succeeded had begun so long before the fault.
    Copy {
        /// How long.
        age: Range,
        /// The oldest that the copy gets by its schedule, tick and run.
        promised: Option<Duration>,
    },
    /// It could not be found out.
    Unknown {
        /// Why.
        reason: String,
    },
    /// Nothing was recovered.
    None,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// How long clients were without the guest: from the last answer before the gap to the first of a steady run, of the probe that saw the
    /// longest; of the coordinator's own ones, if one of them was ever answered.
    pub client_outage: Figure,
    /// The same of every probe, by its name.
    pub outages: Vec<(String, Figure)>,
    /// From the fault to the first answer of the guest's new owner.
    pub service: Figure,
    /// From the fault until the last of the guests runs again.
    pub last_guest: Figure,
    /// Acknowledged writes that are gone.
    pub lost: Lost,
    /// How old the copy was that the guest was recovered from, in the moment of the fault.
    pub copy_age: Figure,
    /// The worst that schedule and fault allow.
    pub worst: Figure,
}

/// What the drill came to.
#[must_use]
pub fn figures(
    subject: &Subject,
    line: &Timeline,
    probes: &[Answers],
    tally: Option<&Tally>,
    copy: &CopyUsed,
) -> Figures {
    let each = |probe: &Answers| (probe.name(), outage(subject, line, probe));
    let decide: Vec<(String, Figure)> = deciding(probes).map(each).collect();
    Figures {
        client_outage: longest(&decide),
        outages: probes.iter().map(each).collect(),
        service: service(subject, line),
        last_guest: last_guest(subject, line),
        lost: tally.map_or_else(
            || Lost::Unknown {
                reason: "nothing numbered was written: a tally: or postgres: probe counts".to_owned(),
            },
            Tally::lost,
        ),
        copy_age: match copy {
            CopyUsed::Shared => Figure::nothing("its disks are shared: it goes on with what is written there"),
            CopyUsed::None => Figure::nothing("nothing was recovered"),
            CopyUsed::Copy { age, .. } => {
                Figure::known(*age, "from the beginning of the last run that succeeded to the fault")
            }
            CopyUsed::Unknown { reason } => Figure::unknown(reason.clone()),
        },
        worst: worst(subject, copy),
    }
}

fn outage(subject: &Subject, line: &Timeline, probe: &Answers) -> Figure {
    let start = line.at(Phase::GuestStarted);
    let fails = subject.fault.fails_guests() && line.at(Phase::Fault).is_some();
    let gap = if fails {
        gap_of(probe, line.at(Phase::Fault), start)
    } else {
        probe.longest()
    };
    let Some(gap) = gap else {
        let from = line.at(Phase::Fault).filter(|_| fails);
        if let Some(hole) = probe.blind_after(from) {
            let longest = signed(hole.to_ms.saturating_sub(hole.from_ms)).saturating_mul(1000);
            return Figure::unknown(format!(
                "{} saw no gap, but nobody called for {}: one that is no longer than that would not have been seen",
                probe.name(),
                super::axis::span(longest)
            ));
        }
        return Figure::nothing(format!(
            "every call was answered, one each {} ms: nothing shorter could be seen",
            probe.every_ms
        ));
    };
    match probe.length(gap) {
        Some(length) => {
            let more = match probe.gaps.len() {
                0 | 1 => String::new(),
                all => format!("; {} other gaps", all - 1),
            };
            let (length, unseen) = as_seen(subject, line, probe, gap, length);
            let how = format!(
                "last answer to the first of a steady run, by {}, ± one call of {} ms on either side{unseen}{more}",
                probe.name(),
                probe.every_ms
            );
            Figure::known(length, how)
        }
        None => Figure::unknown(format!(
            "{} had no steady answer until the end: longer than {}",
            probe.name(),
            super::axis::span(signed(probe.lasted_ms.saturating_sub(gap.from_ms)).saturating_mul(1000))
        )),
    }
}

/// Where nobody called at its beginning, the outage is as long as a gap at the most, and began when its cause did, if that was seen and lies there.
/// Says what was not seen.
fn as_seen(subject: &Subject, line: &Timeline, probe: &Answers, gap: &Gap, length: Range) -> (Range, String) {
    let micros = |ms: u64| signed(ms).saturating_mul(1000);
    let mut said = String::new();
    let mut likely = length.likely;
    // The error bars have an interval on either side anyway.
    let matters = |unseen: u64| unseen > probe.every_ms.saturating_mul(STEADY.into());
    if matters(gap.unseen_from_ms) {
        said.push_str(&format!(
            "; nobody called for {} at its beginning",
            super::axis::span(micros(gap.unseen_from_ms))
        ));
        let cause = if subject.fault.leads_to_reset() && subject.fault.guests_stay_reachable() {
            Phase::Reset
        } else {
            Phase::Fault
        };
        let since = line
            .at(cause)
            .zip(probe.place(gap.from_ms))
            .map(|(cause, from)| cause.best.saturating_sub(from.best));
        if let Some(later) = since.filter(|later| (1..=micros(gap.unseen_from_ms)).contains(later)) {
            likely = likely.saturating_sub(later).clamp(length.least, length.most);
            said.push_str(&format!(", which is taken for that of the {}", cause.as_str()));
        }
    }
    if matters(gap.unseen_to_ms) {
        said.push_str(&format!(
            "; nobody called for {} at its end",
            super::axis::span(micros(gap.unseen_to_ms))
        ));
    }
    (Range { likely, ..length }, said)
}

/// One that did not end is longer than any that did.
fn longest(outages: &[(String, Figure)]) -> Figure {
    if outages.is_empty() {
        return Figure::unknown("nobody asked: the drill has no probe");
    }
    let weight = |figure: &Figure| match figure {
        Figure::Nothing { .. } => (0, 0),
        Figure::Known { span, .. } => (1, span.likely),
        Figure::Unknown { .. } => (2, 0),
    };
    let worst = outages
        .iter()
        .map(|(_, figure)| figure)
        .max_by_key(|figure| weight(figure));
    worst.cloned().unwrap_or_else(|| Figure::unknown("nobody asked"))
}

fn service(subject: &Subject, line: &Timeline) -> Figure {
    if !Phase::expected(&subject.fault, subject.kind).contains(&Phase::GuestStarted) {
        return Figure::nothing("no guest was to be started elsewhere");
    }
    let missing = |phase: Phase| {
        let seen = line.phases.iter().find(|seen| seen.phase == phase);
        Figure::unknown(seen.map_or_else(|| format!("{} was not seen", phase.as_str()), |seen| seen.by.clone()))
    };
    match (
        line.since_fault(Phase::GuestStarted),
        line.since_fault(Phase::FirstAnswer),
    ) {
        (_, None) => missing(Phase::FirstAnswer),
        (None, Some(_)) => missing(Phase::GuestStarted),
        // An answer before anybody else has started it is the old owner's.
        (Some(started), Some(answered)) if answered.most < started.least => {
            Figure::unknown("the guest answered steadily before anybody else had started it: that was its old owner")
        }
        (Some(_), Some(answered)) => Figure::known(
            answered,
            "the fault to the first steady answer after the guest's start elsewhere",
        ),
    }
}

fn last_guest(subject: &Subject, line: &Timeline) -> Figure {
    if subject.recovered.is_empty() {
        return Figure::nothing("no guest was to be started elsewhere");
    }
    let count = subject.recovered.len();
    let how = if count == 1 {
        "the fault to the start of the one guest that was under HA".to_owned()
    } else {
        format!("the fault to the start of the last of {count} guests")
    };
    match (line.last_guest(subject), line.at(Phase::Fault)) {
        (Some(last), Some(fault)) => Figure::known(last.since(fault), how),
        (None, _) => Figure::unknown("not every guest was seen to start"),
        (_, None) => Figure::unknown("when the fault was made is not known"),
    }
}

fn worst(subject: &Subject, copy: &CopyUsed) -> Figure {
    match copy {
        CopyUsed::Shared | CopyUsed::None => Figure::nothing("nothing is recovered from a copy"),
        CopyUsed::Unknown { reason } => Figure::unknown(reason.clone()),
        CopyUsed::Copy { promised: None, .. } => Figure::unknown("its job's schedule does not repeat within a week"),
        CopyUsed::Copy {
            promised: Some(promised),
            ..
        } => {
            let promised = signed(u64::try_from(promised.as_micros()).unwrap_or(u64::MAX));
            let (more, how) = if subject.fault.leads_to_reset() && subject.fault.guests_stay_reachable() {
                (
                    RESET.most,
                    "schedule, scheduler's minute and run, and what the isolated copy accepts until its reset",
                )
            } else {
                (0, "schedule, scheduler's minute and run")
            };
            let all = promised.saturating_add(more);
            let span = Range {
                likely: all,
                least: all,
                most: all,
            };
            Figure::known(span, how)
        }
    }
}
