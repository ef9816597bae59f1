//! What is said to the operator: typed items with stable codes, never loose strings.

mod catalogue;
mod known;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use catalogue::{CATALOGUE, Code, Entry};
pub use known::{KnownFinding, known, worse};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Should be looked at; nothing is held up by it.
    Warning,
    /// Nothing is changed until it is mended (or, where the catalogue allows, accepted by name).
    Refusal,
    /// Something is broken, or somebody attacks.
    Critical,
}

impl Severity {
    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Refusal => "refused",
            Self::Critical => "critical",
        }
    }
}

/// A place in a file that the operator wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file's name as the operator gave it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Byte offset of the span in the file.
    pub offset: u32,
    /// Length of the span in bytes.
    pub length: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One thing to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code; the findings page explains each.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// What it is about: a node, a disk, the cluster; empty: everything.
    pub subject: String,
    /// What is the case: a sentence with the names and figures in it.
    pub message: String,
    /// The next thing to do or type; empty: nothing to do.
    pub next: String,
    /// Where in the operator's file, if it is about that.
    pub place: Option<Place>,
}

impl Finding {
    /// A finding with the catalogue's severity.
    pub fn new(code: Code, subject: impl Into<String>, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.entry().severity,
            subject: subject.into(),
            message: message.into(),
            next: next.into(),
            place: None,
        }
    }

    /// The same, pointing into the operator's file.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// Does it hold up every change?
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.severity >= Severity::Refusal
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.code.as_str())?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        } else if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.message)
    }
}

/// Downgrades what the operator accepted by name to warnings; returns the codes that were accepted but may not be.
#[must_use]
pub fn accept(findings: &mut [Finding], accepted: &[Code]) -> Vec<Code> {
    for finding in findings.iter_mut() {
        if finding.refuses() && finding.code.entry().overridable && accepted.contains(&finding.code) {
            finding.severity = Severity::Warning;
        }
    }
    accepted
        .iter()
        .copied()
        .filter(|code| !code.entry().overridable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overridable_refusals_can_be_accepted() {
        let mut findings = vec![
            Finding::new(Code::VersionUntested, "prox1", "m", "n"),
            Finding::new(Code::NodeHasGuests, "prox2", "m", "n"),
        ];
        let not_allowed = accept(&mut findings, &[Code::VersionUntested, Code::NodeHasGuests]);
        assert_eq!(not_allowed, [Code::NodeHasGuests]);
        assert_eq!(findings[0].severity, Severity::Warning);
        assert_eq!(findings[1].severity, Severity::Refusal);
    }

    #[test]
    fn codes_are_unique_and_read_back() {
        for (index, entry) in CATALOGUE.iter().enumerate() {
            assert!(entry.text.starts_with("QRT-"), "{}", entry.text);
            assert!(
                !entry.meaning.is_empty() && entry.meaning.ends_with('.'),
                "{}",
                entry.text
            );
            assert!(
                CATALOGUE[index + 1..].iter().all(|e| e.text != entry.text),
                "{} twice",
                entry.text
            );
            assert_eq!(entry.text.parse::<Code>().unwrap(), entry.code);
        }
        assert!("QRT-NO-SUCH".parse::<Code>().is_err());
    }
}
