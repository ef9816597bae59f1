//! A drill in a terminal: the verdict, the figures, the phases as bars, what the probes saw as strips, predicted beside measured. It fits into a
//! hundred columns.

use quorate_model::drill::axis::span;
use quorate_model::drill::compare::{Compared, Difference};
use quorate_model::drill::phase::Phase;
use quorate_model::drill::record::Record;
use quorate_model::drill::verdict::Outcome;

use super::axis::{Axis, CHAIN, Seen, begins};
use super::gaps::gaps;
use super::{figures, title, what};
use crate::problems;
use crate::table::table;

const COLUMNS: usize = 100;
/// What stands left of a bar: a phase and its time.
const NAME: usize = 38;
/// A bar's length.
const BAR: usize = COLUMNS - NAME;

/// All of a drill.
#[must_use]
pub fn drill(record: &Record) -> String {
    let mut text = format!(
        "{}: {}\n{}\n",
        title(record),
        record.verdict.outcome.as_str(),
        what(record)
    );
    text.push_str(&wrapped(
        &format!("begun {} by {}, over {}", record.began, record.operator, record.ended),
        "",
    ));
    if let Some(aborted) = &record.aborted {
        text.push_str(&wrapped(&format!("broken off: {aborted}"), ""));
    }
    for reason in &record.verdict.reasons {
        let mark = match reason.outcome {
            Outcome::Passed => "  ok  ",
            Outcome::Undecided => "  ?   ",
            Outcome::Failed => "  NO  ",
        };
        text.push_str(&wrapped(&reason.text, mark));
    }
    text.push('\n');
    for figure in figures(record) {
        text.push_str(&wrapped(&format!("{:<26}{}", figure.name, figure.value), ""));
        text.push_str(&wrapped(&figure.why, "    "));
    }
    text.push('\n');
    text.push_str(&bars(record));
    for line in gaps(record) {
        text.push_str(&wrapped(&line, ""));
    }
    text.push('\n');
    text.push_str(&compared(&record.compared));
    let rest = rest(record);
    if !rest.is_empty() {
        text.push('\n');
        text.push_str(&rest);
    }
    if !record.findings.is_empty() {
        text.push('\n');
        text.push_str(&problems(&record.findings));
    }
    text
}

/// Phases and probes over one axis.
fn bars(record: &Record) -> String {
    let axis = Axis::of(record);
    let mut text = scale(&axis);
    for seen in &record.line.phases {
        let phase = seen.phase;
        let Some(at) = seen.at else {
            text.push_str(&format!(
                "{:<NAME$}{}\n",
                phase.as_str(),
                "?  not seen; why is said below"
            ));
            continue;
        };
        let end = column(&axis, at.best);
        let begin = begins(record, phase).map_or(end, |from| column(&axis, from)).min(end);
        let fill = if CHAIN.contains(&phase) { '#' } else { '-' };
        let mut cells: Vec<char> = vec![' '; BAR];
        for cell in cells.iter_mut().take(end).skip(begin) {
            *cell = fill;
        }
        if let Some(cell) = cells.get_mut(end) {
            *cell = '|';
        }
        let bar: String = cells.into_iter().collect();
        let since = record.line.since_fault(phase).filter(|_| phase != Phase::Fault);
        let when = since.map_or_else(String::new, |at| span(at.likely));
        text.push_str(&row(phase, &bar, &when));
    }
    for probe in &record.probes {
        let strip: String = (0..BAR)
            .map(|cell| {
                let edge = |cell: usize| moment(&axis, cell);
                match Axis::seen(probe, edge(cell), edge(cell + 1)) {
                    Some(Seen::All) => '=',
                    Some(Seen::Some) => '~',
                    Some(Seen::None) => '.',
                    None => ' ',
                }
            })
            .collect();
        let name = probe.name();
        if name.chars().count() < NAME {
            text.push_str(format!("{name:<NAME$}{strip}").trim_end());
        } else {
            text.push_str(format!("{name}\n{:<NAME$}{strip}", "").trim_end());
        }
        text.push('\n');
    }
    if !record.probes.is_empty() {
        text.push_str(&format!("{:<NAME$}= answers   . no answer   ~ some\n", ""));
    }
    text
}

/// A phase, when it began, and its bar.
fn row(phase: Phase, bar: &str, when: &str) -> String {
    format!("{:<26}{when:>11} {bar}", phase.as_str()).trim_end().to_owned() + "\n"
}

fn column(axis: &Axis, at: i64) -> usize {
    let last = i64::try_from(BAR - 1).unwrap_or(i64::MAX);
    usize::try_from(axis.part(at, last)).unwrap_or(0).min(BAR - 1)
}

/// Where a column begins.
fn moment(axis: &Axis, cell: usize) -> i64 {
    let (cell, whole) = (i64::try_from(cell).unwrap_or(0), i64::try_from(BAR).unwrap_or(1));
    axis.from
        .saturating_add(axis.to.saturating_sub(axis.from) / whole * cell)
}

fn scale(axis: &Axis) -> String {
    let mut line: Vec<char> = vec![' '; BAR];
    let mut free = 0;
    for (at, label) in axis.ticks() {
        let begin = column(axis, at);
        if begin < free || begin + label.chars().count() > BAR {
            continue;
        }
        for (cell, letter) in line.iter_mut().skip(begin).zip(label.chars()) {
            *cell = letter;
        }
        free = begin + label.chars().count() + 1;
    }
    let line: String = line.into_iter().collect();
    format!("{:<NAME$}{line}", "after the fault").trim_end().to_owned() + "\n"
}

fn compared(all: &[Compared]) -> String {
    let cell = |at: Option<quorate_model::drill::Range>, show: fn(quorate_model::drill::Range) -> String| {
        at.map_or_else(|| "-".to_owned(), show)
    };
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            vec![
                one.phase.as_str().to_owned(),
                cell(one.predicted, quorate_model::drill::Range::between),
                cell(one.measured, |at| span(at.likely)),
                match &one.finding {
                    Difference::None => "as expected",
                    Difference::Explained { .. } => "explained",
                    Difference::Flagged { .. } => "LOOK AT IT",
                    Difference::Open { .. } => "?",
                }
                .to_owned(),
            ]
        })
        .collect();
    let mut text = table(&["PHASE", "PREDICTED", "MEASURED", ""], &rows);
    for one in all {
        let why = match &one.finding {
            Difference::None => continue,
            Difference::Explained { why } | Difference::Open { why } => why,
            Difference::Flagged { what } => what,
        };
        text.push_str(&wrapped(&format!("{}: {why}", one.phase.as_str()), "  "));
    }
    text
}

/// What could not be told.
fn rest(record: &Record) -> String {
    let mut text = String::new();
    for seen in record.line.unknown() {
        text.push_str(&wrapped(&format!("{}: unknown: {}", seen.phase.as_str(), seen.by), ""));
    }
    for one in &record.line.untold {
        text.push_str(&wrapped(&format!("{}: {}", one.source, one.reason), ""));
    }
    for one in &record.line.contradictions {
        text.push_str(&wrapped(one, "! "));
    }
    text
}

/// Lines of at most a hundred columns, those after the first one indented as far as the first one's text.
pub(super) fn wrapped(text: &str, begin: &str) -> String {
    let hang = begin.chars().count().max(2);
    let mut out = begin.to_owned();
    let mut used = begin.chars().count();
    let mut fresh = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !fresh && used + 1 + length > COLUMNS {
            out.truncate(out.trim_end().len());
            out.push('\n');
            out.push_str(&" ".repeat(hang));
            used = hang;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
        fresh = false;
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
