//! Every time without answers of a probe that had more than one: the figures name one of them.

use quorate_model::drill::answers::{Answers, Gap};
use quorate_model::drill::axis::span;
use quorate_model::drill::phase::Phase;
use quorate_model::drill::record::Record;

/// So many are told of each probe; a network that is always bad would fill pages.
const SHOWN: usize = 20;

/// A line for each probe, unwrapped.
pub(super) fn gaps(record: &Record) -> Vec<String> {
    let fault = record.line.at(Phase::Fault).map(|at| at.best);
    let several = record.probes.iter().filter(|probe| probe.gaps.len() > 1);
    several.map(|probe| of(probe, fault)).collect()
}

fn of(probe: &Answers, fault: Option<i64>) -> String {
    let mut told: Vec<String> = probe
        .gaps
        .iter()
        .take(SHOWN)
        .map(|gap| one(probe, gap, fault))
        .collect();
    let more = probe.gaps.len().saturating_sub(SHOWN);
    if more > 0 {
        told.push(format!("{more} more, which the record has"));
    }
    let (name, times) = (probe.name(), probe.gaps.len());
    format!("{name} had no answer {times} times: {}", told.join("; "))
}

fn one(probe: &Answers, gap: &Gap, fault: Option<i64>) -> String {
    let length = gap.to_ms.map_or_else(
        || "to the end".to_owned(),
        |to| span(micros(to.saturating_sub(gap.from_ms))),
    );
    let begun = match fault.zip(probe.place(gap.from_ms)) {
        Some((fault, at)) if at.best < fault => format!("{} before the fault", span(fault.saturating_sub(at.best))),
        Some((fault, at)) => format!("{} after the fault", span(at.best.saturating_sub(fault))),
        None => format!("{} after its first call", span(micros(gap.from_ms))),
    };
    let unseen = match gap.unwatched_ms {
        0 => String::new(),
        ms => format!(", {} of it unwatched", span(micros(ms))),
    };
    format!("{length} from {begun} on ({} calls{unseen})", gap.lost)
}

fn micros(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000)
}
