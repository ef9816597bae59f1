//! Compares what the model does with what is expected: `log.expect` of a scenario.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::log::LogLine;
use crate::model::Seconds;
use crate::scenario::ScenarioError;

/// Something that happened to a node or a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// The virtual second.
    pub time: Seconds,
    /// Who did it, or saw it: `node1/crm`.
    pub by: String,
    /// To whom: `node3`, `vm:101`, or the daemon itself.
    pub whom: String,
    /// What: `started -> fence`, with where, if that was said.
    pub what: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, by, whom, what } = self;
        write!(f, "{time:>5} {by:>12}: {whom}: {what}")
    }
}

impl Event {
    /// The event a line tells of; most lines tell of none.
    #[must_use]
    pub fn of(line: &LogLine) -> Option<Self> {
        let (whom, what) = change(&line.text)
            .or_else(|| daemon_change(&line.text).map(|what| (line.source.clone(), what)))
            .or_else(|| guest_change(&line.text))?;
        Some(Self {
            time: line.time,
            by: line.source.clone(),
            whom,
            what,
        })
    }
}

/// `service 'vm:1': state changed from 'a' to 'b'  (node = n)`, `node 'n': state changed from 'a' => 'b'`.
fn change(text: &str) -> Option<(String, String)> {
    let (kind, rest) = text.split_once(" '")?;
    let (whom, rest) = rest.split_once("': state changed from '")?;
    let (before, rest) = rest.split_once('\'')?;
    let rest = rest.trim_start_matches(" to '").trim_start_matches(" => '");
    let (after, with) = rest.split_once('\'')?;
    let known = matches!(kind, "service" | "node");
    known.then(|| (whom.to_owned(), format!("{before} -> {after}{with}")))
}

/// `status change a => b`.
fn daemon_change(text: &str) -> Option<String> {
    text.strip_prefix("status change ")
        .map(|states| states.replace(" => ", " -> "))
}

/// What befalls the guest itself: it starts, stops or moves, or its server goes.
fn guest_change(text: &str) -> Option<(String, String)> {
    if let Some(rest) = text.strip_prefix("service status ") {
        return rest
            .split_once(' ')
            .map(|(sid, state)| (sid.to_owned(), state.to_owned()));
    }
    if let Some((sid, moved)) = text
        .strip_prefix("service ")
        .and_then(|rest| rest.split_once(" - end "))
    {
        return Some((sid.to_owned(), moved.to_owned()));
    }
    let server = text.strip_prefix("server '")?;
    server
        .split_once("' ")
        .map(|(node, what)| (node.to_owned(), what.to_owned()))
}

/// How far a log and what was expected agree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Events that were expected and came.
    pub agreed: usize,
    /// Events that were expected and did not come, in that second.
    pub missing: Vec<Event>,
    /// Events that came and were not expected.
    pub unexpected: Vec<Event>,
    /// Lines that were expected.
    pub lines: usize,
    /// The first line that is another one: its number from 1, what was expected, and what came.
    pub first_difference: Option<Difference>,
}

/// A line that is another one than expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its number, from 1.
    pub line: usize,
    /// What was expected; nothing after the end.
    pub expected: Option<String>,
    /// What came; nothing after the end.
    pub came: Option<String>,
}

impl Agreement {
    /// Do all changes of nodes and services agree: who, from, to, where, and when?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty()
    }

    /// Are even the logs the same, line by line?
    #[must_use]
    pub fn is_identical(&self) -> bool {
        self.first_difference.is_none()
    }

    /// Compares a log with the text of another one.
    #[must_use]
    pub fn between(log: &[LogLine], expected: &str) -> Self {
        let came: Vec<String> = log.iter().map(ToString::to_string).collect();
        let expected: Vec<&str> = expected.lines().collect();
        let longest = came.len().max(expected.len());
        let first_difference = (0..longest)
            .find(|at| came.get(*at).map(String::as_str) != expected.get(*at).copied())
            .map(|at| Difference {
                line: at + 1,
                expected: expected.get(at).map(|line| (*line).to_owned()),
                came: came.get(at).cloned(),
            });

        let mut counts: BTreeMap<Event, (usize, usize)> = BTreeMap::new();
        for event in log.iter().filter_map(Event::of) {
            counts.entry(event).or_default().0 += 1;
        }
        for event in expected.iter().filter_map(|line| Event::of(&LogLine::parse(line)?)) {
            counts.entry(event).or_default().1 += 1;
        }
        let mut agreement = Self {
            lines: expected.len(),
            first_difference,
            ..Self::default()
        };
        for (event, (came, expected)) in counts {
            agreement.agreed += came.min(expected);
            let missing = std::iter::repeat_n(event.clone(), expected.saturating_sub(came));
            agreement.missing.extend(missing);
            let unexpected = std::iter::repeat_n(event, came.saturating_sub(expected));
            agreement.unexpected.extend(unexpected);
        }
        agreement
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.agreed + self.missing.len();
        write!(f, "{} of {all} changes agree", self.agreed)?;
        if !self.unexpected.is_empty() {
            write!(f, ", {} more came", self.unexpected.len())?;
        }
        match &self.first_difference {
            None => write!(f, ", all {} lines are the same", self.lines)?,
            Some(difference) => {
                let line = |line: &Option<String>| line.clone().unwrap_or_else(|| "(the end)".to_owned());
                write!(
                    f,
                    "\n  line {}\n    expected {}\n    came     {}",
                    difference.line,
                    line(&difference.expected),
                    line(&difference.came)
                )?;
            }
        }
        for event in &self.missing {
            write!(f, "\n  - {event}")?;
        }
        for event in &self.unexpected {
            write!(f, "\n  + {event}")?;
        }
        Ok(())
    }
}

/// The text of a scenario's `log.expect`.
pub(crate) fn expected(dir: &Path) -> Result<String, ScenarioError> {
    let path = dir.join("log.expect");
    fs::read_to_string(&path).map_err(|source| ScenarioError::Unreadable { path, source })
}
