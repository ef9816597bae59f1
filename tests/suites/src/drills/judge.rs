//! Is what a record says true? Held against the world's own log. Pure.
//!
//! What it says must be right, or be said to be unknown. Unknown alone is no fault where somebody was killed or a tool was slow; where nothing
//! of that kind was done, it is one. What is off by no more than this machine was late in that very moment is told apart: it is neither right
//! nor held against the product.

use std::time::Duration;

use super::noise::Noise;
use super::record::{Phase, Record, Said};
use super::scenario::Scenario;
use super::truth::{Moment, Silence, Truth};

/// A measured outage may be off by so many intervals of its probe: one on either side.
const INTERVALS: i64 = 2;

/// The world looks around so often, in simulated milliseconds: what happens between two looks is seen at the second.
const LOOKS: i64 = 100;

/// A fault is gone within its time and this, in simulated milliseconds.
const GONE_WITHIN: u64 = 5000;

/// What a judge needs.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What was to happen.
    pub scenario: &'a Scenario,
    /// What the record says; in words why there is none.
    pub record: Result<&'a Record, &'a str>,
    /// What happened.
    pub truth: &'a Truth,
    /// How late this machine was.
    pub noise: &'a Noise,
    /// What was not as before when all was over, by the world's own word.
    pub left: &'a [String],
    /// The lab's speed.
    pub speed: f64,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is not true, or must not be.
    pub wrong: Vec<String>,
    /// What is off by no more than this machine was late.
    pub noisy: Vec<String>,
    /// What the record does not know, and says so.
    pub unknown: Vec<String>,
    /// By how much the outage was off, in microseconds, if somebody saw all of it.
    pub outage_off: Option<i64>,
    /// How wide the error bars of phases were, in microseconds.
    pub widths: Vec<i64>,
    /// Figures and phases that were held against the truth.
    pub held: usize,
}

impl Judgement {
    /// Does the drill count as right?
    #[must_use]
    pub fn is_right(&self, scenario: &Scenario) -> bool {
        self.wrong.is_empty() && (self.unknown.is_empty() || scenario.is_disturbed())
    }

    fn off(&mut self, by: i64, noise: i64, text: String) {
        if by <= 0 {
            return;
        }
        if by <= noise {
            self.noisy
                .push(format!("{text}; this machine was {} late then", ms(noise)));
        } else {
            self.wrong
                .push(format!("{text}; this machine was {} late then", ms(noise)));
        }
    }
}

/// In milliseconds.
fn ms(micros: i64) -> String {
    format!("{}.{} ms", micros / 1000, (micros % 1000).abs() / 100)
}

/// By how much a span of the truth lies beside what was said.
fn beside(truth: (i64, i64), least: i64, most: i64) -> i64 {
    (least - truth.1).max(truth.0 - most).max(0)
}

/// Judges a drill.
#[must_use]
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut found = Judgement::default();
    world(case, &mut found);
    let record = match case.record {
        Ok(record) => record,
        Err(why) => {
            found.wrong.push(format!("there is no record: {why}"));
            return found;
        }
    };
    found.wrong.extend(record.contradictions.iter().cloned());
    let Some(fault) = case.truth.fault else {
        never_made(record, &mut found);
        return found;
    };
    if let Some(why) = &record.aborted {
        // It ended early though something was broken: that is told, and is nothing that was measured wrongly.
        found.unknown.push(format!("it ended before its end: {why}"));
    }
    outage(case, record, &mut found);
    service(case, record, fault, &mut found);
    phases(case, record, &mut found);
    lost(case, record, &mut found);
    found
}

/// What the world alone tells.
fn world(case: &Case<'_>, found: &mut Judgement) {
    found.wrong.extend(
        case.truth
            .twice
            .iter()
            .map(|text| format!("the guest ran twice: {text}")),
    );
    for call in case.truth.unknown.iter().take(3) {
        found.wrong.push(format!("a call that no server knows: {call}"));
    }
    found
        .wrong
        .extend(case.left.iter().map(|text| format!("at the end: {text}")));
    let (Some(made), Some(lasts)) = (case.truth.fault_ms, case.scenario.lasts) else {
        return;
    };
    let latest = made + lasts * 1000 + GONE_WITHIN;
    match case.truth.gone {
        None => found.wrong.push("the fault was never gone".to_owned()),
        Some((at, gone)) if gone > latest => {
            // Simulated milliseconds that this machine was late, as real microseconds.
            let by = i64::try_from(gone - latest).unwrap_or(i64::MAX).saturating_mul(1000);
            let late = simulated(case.noise.near(at.0), case.speed);
            let text = format!("the fault of {lasts} s was gone {} ms after it was made", gone - made);
            found.off(by, late, text);
        }
        Some(_) => found.held += 1,
    }
}

fn simulated(real: i64, speed: f64) -> i64 {
    micros(span(real).mul_f64(speed))
}

fn real(simulated: i64, speed: f64) -> i64 {
    micros(span(simulated).div_f64(speed))
}

fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn never_made(record: &Record, found: &mut Judgement) {
    if let Some(Phase::Seen(..)) = record.phases.get("fault") {
        found
            .wrong
            .push("the record has a fault that was never made".to_owned());
    }
    match &record.aborted {
        Some(why) => found.unknown.push(format!("nothing was broken: {why}")),
        None => found
            .wrong
            .push("nothing was broken, and the record does not say why".to_owned()),
    }
}

/// The silence that clients noticed: the longest one.
fn longest(silences: &[Silence]) -> Option<&Silence> {
    let length = |silence: &&Silence| silence.length().map_or(i64::MAX, |length| length.1);
    silences.iter().max_by_key(length)
}

fn outage(case: &Case<'_>, record: &Record, found: &mut Judgement) {
    let allowed = INTERVALS * record.every;
    match (&record.outage, longest(&case.truth.silences)) {
        (Said::Unknown(why), _) => found.unknown.push(format!("client outage: {why}")),
        (Said::Nothing, None) => found.held += 1,
        (Said::Nothing, Some(silence)) => {
            let length = silence.length().map_or(i64::MAX, |length| length.0);
            let noise = case.noise.near(silence.from.0);
            found.held += 1;
            found.off(
                length.saturating_sub(allowed),
                noise,
                format!(
                    "nobody missed the guest, says the record, and it was silent for {}",
                    ms(length)
                ),
            );
        }
        (Said::Span(span), None) => {
            found.held += 1;
            found.off(
                span.likely - allowed,
                case.noise.most(),
                format!("an outage of {}, and the guest was never silent", ms(span.likely)),
            );
        }
        (Said::Span(span), Some(silence)) => {
            let Some(truth) = silence.length() else {
                found.wrong.push(format!(
                    "an outage of {}, and the guest is still silent",
                    ms(span.likely)
                ));
                return;
            };
            found.held += 1;
            let noise = case.noise.near(silence.from.0) + silence.to.map_or(0, |to| case.noise.near(to.0));
            let off = beside(truth, span.likely, span.likely);
            let text = format!("an outage of {}, which was {}", ms(span.likely), ms(truth.1));
            let bars = beside(truth, span.least, span.most);
            // Where nobody called, as the coordinator was dead, no single figure is true. The record says so by its bars, which have to hold it.
            let blind = span.most - span.least - allowed;
            if off > allowed && bars == 0 && blind > 0 && off - allowed > noise {
                found.unknown.push(format!(
                    "client outage: {text}; it is told as {} to {}, since nobody called for {}",
                    ms(span.least),
                    ms(span.most),
                    ms(blind)
                ));
                return;
            }
            found.outage_off = Some(off);
            found.off(off - allowed, noise, text.clone());
            found.off(
                bars,
                noise,
                format!(
                    "{text}, beside its error bars ({} to {})",
                    ms(span.least),
                    ms(span.most)
                ),
            );
        }
    }
}

fn service(case: &Case<'_>, record: &Record, fault: Moment, found: &mut Judgement) {
    let answered = case.truth.phases.get("first_answer");
    match (&record.service, answered) {
        (Said::Unknown(why), Some(_)) if case.truth.phases.contains_key("guest_started") => {
            found.unknown.push(format!("fault to service: {why}"));
        }
        (Said::Unknown(_) | Said::Nothing, _) => {}
        (Said::Span(span), None) => found.wrong.push(format!(
            "service after {}, and nobody else has started the guest",
            ms(span.likely)
        )),
        (Said::Span(span), Some(answered)) => {
            found.held += 1;
            let truth = (answered.0 - fault.1, answered.1 - fault.0);
            let noise = case.noise.near(fault.0) + case.noise.near(answered.0);
            // The first call after it may come an interval later.
            let by = beside(truth, span.least - record.every, span.most);
            found.off(
                by,
                noise,
                format!(
                    "fault to service {} ({} to {}), which was {}",
                    ms(span.likely),
                    ms(span.least),
                    ms(span.most),
                    ms(truth.1)
                ),
            );
        }
    }
}

/// What can't be unless the world has seen it.
const CERTAIN: [&str; 9] = [
    "fence_decided",
    "lock_taken",
    "first_answer",
    "link_lost",
    "membership_lost",
    "reset",
    "guest_started",
    "node_back",
    "fault_gone",
];

/// The world would have told of it.
fn never_was(case: &Case<'_>, name: &str) -> bool {
    (CERTAIN.contains(&name) && !case.truth.phases.contains_key(name))
        || (matches!(name, "in_sync" | "steady") && !case.truth.not_before.contains_key(name))
}

fn phases(case: &Case<'_>, record: &Record, found: &mut Judgement) {
    let looks = real(LOOKS * 1000, case.speed);
    for (name, phase) in &record.phases {
        let (earliest, latest) = match phase {
            Phase::Seen(earliest, latest) => (*earliest, *latest),
            // What never was can't be told.
            Phase::Unknown(_) if never_was(case, name) => {
                found.held += 1;
                continue;
            }
            Phase::Unknown(why) => {
                found.unknown.push(format!("{name}: {why}"));
                continue;
            }
        };
        found.widths.push(latest - earliest);
        if let Some(truth) = case.truth.phases.get(name.as_str()) {
            found.held += 1;
            // A probe hears what was there one call later.
            let heard = if name == "first_answer" { record.every } else { looks };
            let by = beside(*truth, earliest - heard, latest + looks);
            let text = format!(
                "{name} told {} to {} after it really was",
                ms(earliest - truth.1),
                ms(latest - truth.0)
            );
            found.off(by, case.noise.near(truth.0), text);
        } else if never_was(case, name) {
            found.wrong.push(format!("{name} is told, and never was"));
        }
        if let Some(first) = case.truth.not_before.get(name.as_str()) {
            found.held += 1;
            let by = first - (latest + looks);
            let text = format!("{name} is told {} before it can have been", ms(by));
            found.off(by, case.noise.near(*first), text);
        }
    }
    in_order(record, found);
}

/// Those that follow one another whatever the fault is.
const ORDER: [&str; 9] = [
    "fault",
    "membership_lost",
    "fence_decided",
    "lock_taken",
    "guest_started",
    "first_answer",
    "steady",
    "in_sync",
    "normal",
];

fn in_order(record: &Record, found: &mut Judgement) {
    let mut before: Option<(&str, i64)> = None;
    for name in ORDER {
        let Some(Phase::Seen(earliest, latest)) = record.phases.get(name) else {
            continue;
        };
        if let Some((earlier, from)) = before.filter(|(_, from)| latest < from) {
            found
                .wrong
                .push(format!("{name} is told {} before {earlier}", ms(from - latest)));
        }
        before = Some((name, *earliest));
    }
}

fn lost(case: &Case<'_>, record: &Record, found: &mut Judgement) {
    let (told, resumed) = (case.truth.told, case.truth.resumed);
    let lost = match &record.lost {
        Ok(lost) => *lost,
        Err(why) => {
            found.unknown.push(format!("lost writes: {why}"));
            return;
        }
    };
    match (lost, resumed) {
        (None, None) => found.held += 1,
        (None, Some(resumed)) => found.wrong.push(format!(
            "nothing was started anew, says the record, and a run began at {resumed}"
        )),
        (Some(lost), None) => found.wrong.push(format!(
            "{lost} writes are told lost, and the guest was not started anew"
        )),
        (Some(lost), Some(resumed)) => {
            found.held += 1;
            let (before, after) = record.numbers;
            if after != Some(resumed) {
                found.wrong.push(format!(
                    "the new run found {after:?}, says the record, and {resumed} it was"
                ));
            }
            let Some(told) = told else { return };
            let really = told.saturating_sub(resumed);
            if lost == really {
                return;
            }
            let text = format!(
                "{lost} writes are told lost, and {really} are: up to {told} it had told, and went on from {resumed}"
            );
            // What the world told in the very moment of the cut may not have arrived, or was not asked while the coordinator was away.
            let last = before.map_or(i64::MAX, |before| {
                i64::try_from(told.abs_diff(before)).unwrap_or(i64::MAX)
            });
            let a_call = simulated(record.every, case.speed) / 100_000 + 1;
            if before <= Some(told) && last <= a_call {
                found.noisy.push(format!("{text}; its last word may not have arrived"));
            } else {
                found.wrong.push(text);
            }
        }
    }
    if let (Some(isolated), Some(written), Some(resumed)) = (record.isolated, case.truth.written, resumed) {
        let promised = record.numbers.0.unwrap_or(0).max(resumed);
        let most = written.saturating_sub(promised);
        if isolated > most {
            found.wrong.push(format!(
                "the isolated copy wrote {isolated} more, and {most} at most it can have been"
            ));
        }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
