//! A measurement as a terminal shows it, while it runs and afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate_model::drill::Rows;

use super::call::Call;
use super::gaps::{Gap, Measured, millis};
use super::records::{Across, Records};

impl fmt::Display for Measured {
    /// The pause, how exact that is, every gap, and what became of records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match self.longest() {
            _ if self.answered == 0 => writeln!(f, "Pause: not known. {target} never answered.")?,
            _ if self.still_away() => writeln!(f, "Pause: not over. {target} does not answer steadily yet.")?,
            None => writeln!(
                f,
                "Pause: none seen. Every call was answered, the slowest after {} ms.",
                self.slowest_ms
            )?,
            Some(gap) => {
                let longest = gap.length_ms.unwrap_or_default();
                // Between the last answer and the first call without one, and again at its end, nobody looked.
                let either = longest.saturating_sub(gap.at_least_ms) / 2;
                writeln!(
                    f,
                    "Pause: {} ± {either} ms, which is {longest} ms from the last answer to the first of a steady run.",
                    longest.saturating_sub(either)
                )?;
            }
        }
        let from = self.from.as_deref().unwrap_or("this host");
        writeln!(
            f,
            "Measured from {from} at {target}: {} calls, one each {} ms, so that nothing shorter can be told.",
            self.calls, self.every_ms
        )?;
        for gap in &self.gaps {
            show_gap(gap, f)?;
        }
        if self.late > 0 {
            writeln!(
                f,
                "  {} calls were late, since {from} was busy: a gap there is not the guest's alone",
                self.late
            )?;
        }
        if let Some(records) = &self.records {
            show_records(records, from, f)?;
        }
        match &self.rows {
            Some(rows) => show_rows(rows, f),
            None => Ok(()),
        }
    }
}

fn show_gap(gap: &Gap, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let why: Vec<String> = gap.why.iter().map(|(why, count)| format!("{count} {why}")).collect();
    let (from, lost, why) = (gap.from_ms, gap.lost, why.join(", "));
    match gap.length_ms {
        Some(length) => writeln!(
            f,
            "  after {from} ms: {length} ms without an answer, {lost} calls lost ({why})"
        )?,
        None => writeln!(
            f,
            "  after {from} ms: no steady answer any more, {lost} calls lost ({why})"
        )?,
    }
    let Some(Across { before, after, .. }) = gap.records else {
        return Ok(());
    };
    let number =
        |told: Option<super::call::Told>| told.map_or_else(|| "none".to_owned(), |told| told.number.to_string());
    write!(
        f,
        "    record told last before it: {}; first after it: {}",
        number(before),
        number(after)
    )?;
    match (gap.records.and_then(|across| across.new_run), after) {
        (Some(true), Some(after)) => writeln!(f, ", by a new run that went on after record {}", after.resumed),
        (Some(false), _) => writeln!(f, ", by the same run"),
        _ => writeln!(f),
    }
}

fn show_rows(rows: &Rows, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match rows {
        Rows::Counted {
            acknowledged,
            missing,
            not_known,
            durability,
        } => {
            match missing {
                0 => writeln!(f, "No row that was acknowledged is missing, of {acknowledged}.")?,
                missing => writeln!(
                    f,
                    "{missing} rows that were acknowledged are MISSING, of {acknowledged}."
                )?,
            }
            if *not_known > 0 {
                writeln!(
                    f,
                    "  {not_known} more were sent and never acknowledged: whether they are there is not known, and says nothing"
                )?;
            }
            writeln!(f, "What an acknowledgement is worth there: {durability}.")
        }
        Rows::Unknown { reason } => writeln!(f, "How many rows are missing is not known: {reason}."),
    }
}

fn show_records(records: &Records, from: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for new in &records.new_runs {
        let whose = if new.new_boot {
            "the guest was started anew and its writer"
        } else {
            "the writer alone was started anew: it"
        };
        writeln!(
            f,
            "  after {} ms: {whose} went on after record {}; {} had been told",
            new.at_ms, new.resumed, new.before
        )?;
    }
    if records.two_at_a_time {
        writeln!(
            f,
            "  two copies of the guest answered at a time: runs of its writer took turns"
        )?;
    }
    match records.lost {
        0 => writeln!(
            f,
            "No record that was told is lost. {} told {} last.",
            records.host, records.last.number
        )?,
        lost => writeln!(
            f,
            "{lost} records that were told are lost. {} told {} last.",
            records.host, records.last.number
        )?,
    }
    if let Some(clock) = records.clock {
        let (by, which) = (
            clock.ahead_ms.unsigned_abs(),
            if clock.ahead_ms < 0 { "behind" } else { "ahead of" },
        );
        writeln!(
            f,
            "The guest's clock is {by} ± {} ms {which} that of {from}.",
            clock.within_ms
        )?;
    }
    Ok(())
}

/// Answers as they come: a `.` for each, an `x` for each that did not.
#[derive(Debug, Default)]
pub(crate) struct Strip {
    /// The next call to be shown.
    next: u64,
    /// Those that ended before one that was made earlier.
    early: BTreeMap<u64, (Duration, bool)>,
}

/// Calls on a line.
const LINE: u64 = 50;

impl Strip {
    /// What is to be printed now that this call has ended.
    pub(crate) fn takes(&mut self, number: u64, call: &Call) -> String {
        self.early.insert(number, (call.at, call.outcome.is_ok()));
        let mut text = String::new();
        while let Some((at, answered)) = self.early.remove(&self.next) {
            if self.next.is_multiple_of(LINE) {
                let tenths = millis(at) / 100;
                text.push_str(&format!("{:>6}.{} s  ", tenths / 10, tenths % 10));
            }
            text.push(if answered { '.' } else { 'x' });
            self.next = self.next.saturating_add(1);
            if self.next.is_multiple_of(LINE) {
                text.push('\n');
            }
        }
        text
    }

    /// What ends the line that was begun.
    pub(crate) fn ends(&self) -> &'static str {
        if self.next.is_multiple_of(LINE) { "" } else { "\n" }
    }
}

#[cfg(test)]
mod tests {
    use quorate_probe::Miss;

    use super::super::call::{Answered, Calls};
    use super::*;

    #[test]
    fn calls_are_shown_in_the_order_in_which_they_were_made() {
        let call = |number: u64, answered: bool| {
            let at = Duration::from_millis(number * 100);
            let answer = Answered { at, told: None };
            let outcome = if answered { Ok(answer) } else { Err(Miss::Silent) };
            Call { at, outcome }
        };
        let mut strip = Strip::default();
        assert_eq!(strip.takes(1, &call(1, true)), "");
        assert_eq!(strip.takes(0, &call(0, false)), "     0.0 s  x.");
        assert_eq!(strip.ends(), "\n");
        let rest: String = (2..50).map(|number| strip.takes(number, &call(number, true))).collect();
        assert_eq!(rest, format!("{}\n", ".".repeat(48)));
        assert_eq!(strip.ends(), "");
        assert_eq!(strip.takes(50, &call(50, true)), "     5.0 s  .");
    }

    #[test]
    fn rows_that_are_missing_and_those_that_nobody_knows_of_are_told_apart() {
        let shown = |rows| {
            let nothing = Measured::of(
                "postgres://drill@db/drill".to_owned(),
                0,
                Duration::ZERO,
                &Calls::default(),
            );
            Measured {
                rows: Some(rows),
                from: Some("hk1/prox2".to_owned()),
                ..nothing
            }
        };
        let counted = |missing| Rows::Counted {
            acknowledged: 100,
            missing,
            not_known: 3,
            durability: "synchronous_commit on, fsync on".to_owned(),
        };
        let lost = shown(counted(7));
        let text = lost.to_string();
        assert!(
            lost.lost() && text.contains("7 rows that were acknowledged are MISSING, of 100"),
            "{text}"
        );
        assert!(text.contains("3 more were sent and never acknowledged"), "{text}");
        assert!(text.contains("Measured from hk1/prox2 at"), "{text}");
        assert!(!shown(counted(0)).lost());
        let unknown = shown(Rows::Unknown {
            reason: "it is off".to_owned(),
        });
        assert!(unknown.lost() && unknown.to_string().contains("is not known: it is off"));
    }
}
