//! How a drill was before: one row for each record, and whether the last one is worse.

use serde::{Deserialize, Serialize};

use super::axis::span;
use super::figures::Figure;
use super::lasting::DrillKind;
use super::record::Record;
use super::tally::Lost;
use super::verdict::Outcome;
use crate::fault::Fault;
use crate::finding::{Code, Finding};
use crate::ids::{DrillName, NodeName};
use crate::time::Timestamp;

/// A record in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendRow {
    /// Its number.
    pub number: u64,
    /// When it began.
    pub at: Timestamp,
    /// The drill of the cluster file, if it was one.
    pub drill: Option<DrillName>,
    /// What was broken.
    #[serde(with = "crate::fault::text")]
    pub fault: Fault,
    /// What was to be shown.
    pub kind: DrillKind,
    /// On which server.
    pub victim: NodeName,
    /// Was it HA's master? `None`: not known.
    pub master: Option<bool>,
    /// The guest.
    pub guest: u32,
    /// How long clients were without it.
    pub outage: Figure,
    /// How old its copy was.
    pub copy_age: Figure,
    /// What was lost.
    pub lost: Lost,
    /// The verdict.
    pub outcome: Outcome,
}

impl From<&Record> for TrendRow {
    fn from(record: &Record) -> Self {
        Self {
            number: record.number,
            at: record.began,
            drill: record.drill.clone(),
            fault: record.fault.clone(),
            kind: record.kind,
            victim: record.victim.clone(),
            master: record.circumstances.master,
            guest: record.guest,
            outage: record.figures.client_outage.clone(),
            copy_age: record.figures.copy_age.clone(),
            lost: record.figures.lost.clone(),
            outcome: record.verdict.outcome,
        }
    }
}

impl TrendRow {
    /// Can the two be held against one another? The master's loss takes a minute more, and another guest boots otherwise.
    fn is_like(&self, other: &Self) -> bool {
        (&self.fault, self.kind, self.guest, self.master) == (&other.fault, other.kind, other.guest, other.master)
    }
}

/// HA's rounds alone make one failover up to 40 s longer than another one: so much, at the least, it has to be worse.
const NOISE: i64 = 40_000_000;
/// Of that many earlier ones the middle is taken.
const LOOK_BACK: usize = 5;

/// Is the last drill of each kind worse than those like it before it? One of another kind that came after it makes it no better. Rows from the
/// oldest to the newest.
#[must_use]
pub fn worse(rows: &[TrendRow]) -> Vec<Finding> {
    let mut rest = rows;
    let mut found = Vec::new();
    while let Some((last, before)) = rest.split_last() {
        let later = rows.get(rest.len()..).unwrap_or_default();
        if !later.iter().any(|row| row.is_like(last)) {
            let alike: Vec<&TrendRow> = before.iter().filter(|row| row.is_like(last)).collect();
            found.push(worse_than(last, &alike));
        }
        rest = before;
    }
    // The oldest first, as the rows are.
    found.into_iter().rev().flatten().collect()
}

fn worse_than(last: &TrendRow, alike: &[&TrendRow]) -> Vec<Finding> {
    let subject = last
        .drill
        .as_ref()
        .map_or_else(|| format!("{} on {}", last.fault, last.victim), ToString::to_string);
    let mut found = Vec::new();
    let mut told = |what: &str, now: i64, middle: i64, count: usize| {
        let message = format!(
            "{what} {}; the middle of {} like it before was {}",
            span(now),
            if count == 1 {
                "the one drill".to_owned()
            } else {
                format!("{count} drills")
            },
            span(middle)
        );
        let next = format!("quorate drill show {}", last.number);
        found.push(Finding::new(Code::DrillWorse, subject.clone(), message, next));
    };
    let outages = spans(alike, |row| &row.outage);
    if let (Some(now), Some(middle)) = (last.outage.span(), middle(&outages)) {
        let most = outages.iter().copied().max().unwrap_or(middle);
        if is_worse(now.least, middle, most, NOISE) {
            told("clients were without the guest for", now.likely, middle, outages.len());
        }
    }
    let ages = spans(alike, |row| &row.copy_age);
    if let (Some(now), Some(middle)) = (last.copy_age.span(), middle(&ages)) {
        let most = ages.iter().copied().max().unwrap_or(middle);
        // Where in its interval a copy is hit is chance: only one that is twice as old as any before says something.
        if is_worse(now.least, middle, most.saturating_mul(2), NOISE) {
            told("the copy that was used was as old as", now.likely, middle, ages.len());
        }
    }
    if last.outcome == Outcome::Failed && alike.last().is_some_and(|before| before.outcome == Outcome::Passed) {
        let message = "it failed, and the one like it before had passed".to_owned();
        let next = format!("quorate drill show {}", last.number);
        found.push(Finding::new(Code::DrillWorse, subject, message, next));
    }
    found
}

fn spans<'r>(rows: &[&'r TrendRow], pick: impl Fn(&'r TrendRow) -> &'r Figure) -> Vec<i64> {
    let newest = rows.iter().rev().take(LOOK_BACK);
    newest.filter_map(|row| Some(pick(row).span()?.likely)).collect()
}

fn middle(all: &[i64]) -> Option<i64> {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// By more than a fifth, by more than chance, and beyond all that there was.
fn is_worse(now: i64, middle: i64, most: i64, noise: i64) -> bool {
    let off = now.saturating_sub(middle);
    off > middle / 5 && off > noise && now > most
}
