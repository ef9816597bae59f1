//! What can go wrong before a tool runs, and after it has spoken.

use std::fmt;

use quorate_exec::{InvalidCommand, ToolMissing};

/// A tool cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It is not installed.
    #[error(transparent)]
    Missing(#[from] ToolMissing),
    /// Its arguments cannot be passed to any program.
    #[error(transparent)]
    Invalid(#[from] InvalidCommand),
}

/// How much of a line is shown: enough to recognise it, and no flood when a tool prints one endless line.
const SHOWN: usize = 160;

/// What a tool printed, or a file held, could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The tool or file, as an administrator knows it.
    pub source_name: &'static str,
    /// What was expected: a lower-case fragment.
    pub reason: String,
    /// The offending line, shortened where it is long; `None` where something is missing, or where it may be secret.
    pub line: Option<String>,
}

impl ParseError {
    /// Something on a line is wrong.
    pub fn at(source_name: &'static str, line: &str, reason: impl Into<String>) -> Self {
        Self {
            source_name,
            reason: reason.into(),
            line: Some(shorten(line.trim_end())),
        }
    }

    /// Something is missing.
    pub fn missing(source_name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            source_name,
            reason: reason.into(),
            line: None,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source_name, self.reason)?;
        match &self.line {
            Some(line) => write!(f, ": `{line}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

fn shorten(line: &str) -> String {
    let mut shown: String = line
        .chars()
        .take(SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if line.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offending_line_is_shown_and_kept_short() {
        let error = ParseError::at("lsblk", "what\x1b[2J\n", "is no JSON");
        assert_eq!(error.to_string(), "lsblk: is no JSON: `what\u{fffd}[2J`");
        let long = ParseError::at("ip", &"x".repeat(1000), "is no JSON");
        assert!(long.to_string().chars().count() < 200);
        assert_eq!(ParseError::missing("ip", "nothing").to_string(), "ip: nothing");
    }
}
