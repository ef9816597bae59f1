//! Lines of the log, in the form PVE's simulator prints them: `info     20    node1/crm: got lock 'ha_manager_lock'` (facts C.12).

use std::fmt;

use crate::model::Seconds;

/// How important a line is. Debug lines are not kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// In the ordinary course of things.
    Info,
    /// Worth a look.
    Notice,
    /// Something did not go as it should, and is dealt with.
    Warning,
    /// Something failed.
    Error,
    /// Mail to the administrator; only the subject is kept.
    Email,
}

impl Level {
    /// The four letters in front of the line.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "noti",
            Self::Warning => "warn",
            Self::Error => "err",
            Self::Email => "emai",
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        [Self::Info, Self::Notice, Self::Warning, Self::Error, Self::Email]
            .into_iter()
            .find(|level| level.tag() == tag)
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// When, by the clock of who says it.
    pub time: Seconds,
    /// Who says it: `node1/crm`, `node1/lrm`, `hardware`, `cmdlist`, `watchdog`, `shutdown`, `reboot`, `run-loop`.
    pub source: String,
    /// What is said.
    pub text: String,
}

impl LogLine {
    /// Reads a line as [`fmt::Display`] writes it; nothing for a line of another form.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (level, rest) = line.split_once(' ')?;
        let (time, rest) = rest.trim_start().split_once(' ')?;
        let (source, text) = rest.split_once(": ")?;
        Some(Self {
            level: Level::from_tag(level)?,
            time: time.parse().ok()?,
            source: source.trim_start().to_owned(),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            level,
            time,
            source,
            text,
        } = self;
        write!(f, "{:<5} {time:>5} {source:>12}: {text}", level.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_written() {
        for line in [
            "info      0     hardware: starting simulation",
            "emai    160    node1/crm: FENCE: Try to fence node 'node3'",
            "err     140    node1/crm: got unexpected error - cfs connection refused - not mounted?",
            "noti  10000    node1/crm: a: b",
        ] {
            assert_eq!(LogLine::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn another_form_is_no_line() {
        for line in ["", "info", "info 20", "info soon node1/crm: x", "loud 20 node1/crm: x"] {
            assert_eq!(LogLine::parse(line), None, "{line}");
        }
    }
}
