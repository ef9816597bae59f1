//! One call, and what came of it; and all of a measurement.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_model::drill::rows::Sent;
use quorate_probe::{Ended, Miss};
use quorate_tally::Answer;
use serde::{Deserialize, Serialize, Serializer};

/// One call. Times are from the beginning of the measurement, by this host's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// When it was made.
    pub(crate) at: Duration,
    /// What came of it.
    pub(crate) outcome: Result<Answered, Miss>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    /// When it was there.
    pub(crate) at: Duration,
    /// What a numbered writer told.
    pub(crate) told: Option<Told>,
}

/// What a numbered writer told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Its last record.
    pub(crate) number: u64,
    /// The time of that record by the guest's clock, in milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// The record after which this run of the writer went on.
    pub(crate) resumed: u64,
    /// This run of the writer.
    #[serde(serialize_with = "hex")]
    pub(crate) run: u64,
}

impl From<&Answer> for Told {
    fn from(answer: &Answer) -> Self {
        Self {
            number: answer.number,
            time_ms: answer.time_ms,
            resumed: answer.resumed,
            run: answer.run,
        }
    }
}

/// A run of a writer as the writer itself names it.
pub(crate) fn hex<S: Serializer>(run: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{run:016x}"))
}

impl Call {
    /// When it was answered.
    pub(crate) fn answered(&self) -> Option<Duration> {
        self.outcome.ok().map(|answered| answered.at)
    }

    /// What a numbered writer told.
    pub(crate) fn told(&self) -> Option<Told> {
        self.outcome.ok()?.told
    }
}

/// What a call came to, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether it was answered, and what a numbered writer told.
    pub(crate) answer: Result<Option<Answer>, Miss>,
    /// The row that was sent to a database; `None`: none left.
    pub(crate) row: Option<Row>,
}

impl Outcome {
    /// Not answered, and nothing was sent.
    pub(crate) fn missed(miss: Miss) -> Self {
        Self {
            answer: Err(miss),
            row: None,
        }
    }
}

/// A numbered row that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The run of the prober.
    pub(crate) run: u64,
    /// Its number.
    pub(crate) number: u64,
    /// Its commit was acknowledged; else nobody knows what became of it.
    pub(crate) sure: bool,
}

/// The guest in which a run of a numbered writer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    /// The guest's name for itself.
    pub(crate) host: String,
    /// The start of the guest.
    pub(crate) boot: String,
}

/// All calls of a measurement.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// In the order in which they were made.
    pub(crate) made: Vec<Call>,
    /// Where each run of a numbered writer was.
    pub(crate) homes: BTreeMap<u64, Home>,
    /// Rows that were sent to a database, by the run of the prober.
    pub(crate) rows: BTreeMap<u64, Sent>,
}

/// Calls as they end, in any order.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    ended: BTreeMap<u64, Call>,
    calls: Calls,
}

impl Gathering {
    /// Takes one.
    pub(crate) fn take(&mut self, number: u64, ended: Ended<Outcome>) -> Call {
        let Outcome { answer, row } = ended.outcome;
        if let Some(row) = row {
            self.calls.sent(row);
        }
        let homes = &mut self.calls.homes;
        let outcome = answer.map(|answer| Answered {
            at: ended.ended,
            told: answer.map(|answer| {
                let told = Told::from(&answer);
                let Answer { run, host, boot, .. } = answer;
                homes.entry(run).or_insert(Home { host, boot });
                told
            }),
        });
        let call = Call { at: ended.at, outcome };
        self.ended.insert(number, call);
        call
    }

    /// All of them, in the order in which they were made.
    pub(crate) fn calls(self) -> Calls {
        Calls {
            made: self.ended.into_values().collect(),
            ..self.calls
        }
    }
}

impl Calls {
    /// Notes a row that was sent.
    pub(crate) fn sent(&mut self, row: Row) {
        let sent = self.rows.entry(row.run).or_default();
        let of = if row.sure {
            &mut sent.acknowledged
        } else {
            &mut sent.unsure
        };
        of.insert(row.number);
    }
}
