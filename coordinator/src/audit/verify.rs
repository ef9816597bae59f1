//! Is the log as it was written? Everything is read again, and the chain followed from its first line to its head.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;

use super::log::{AuditError, GENESIS, Head, digest};

/// The first place at which the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The line in the file, from 1.
    pub(crate) line: u64,
    /// What is wrong there.
    pub(crate) why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken at line {}: {}", self.line, self.why)
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Lines in the file.
    pub(crate) lines: u64,
    /// `None`: everything agrees.
    pub(crate) broken: Option<Broken>,
}

/// Follows the chain line by line.
#[derive(Debug)]
pub(crate) struct Chain {
    lines: u64,
    expected: u64,
    previous: String,
    broken: Option<Broken>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self {
            lines: 0,
            expected: 0,
            previous: GENESIS.to_owned(),
            broken: None,
        }
    }

    /// Takes the next line, without its line break.
    pub(crate) fn take(&mut self, text: &str) {
        self.lines += 1;
        let complain = |why: String| Broken { line: self.lines, why };
        let line: Result<serde_json::Value, _> = serde_json::from_str(text);
        let broken = match &line {
            Err(error) => Some(complain(format!("it can't be read ({error})"))),
            Ok(line) if line["number"].as_u64() != Some(self.expected) => Some(complain(format!(
                "it has number {}, and {} is due",
                line["number"], self.expected
            ))),
            Ok(line) if line["previous"].as_str() != Some(&self.previous) => Some(complain(
                "it does not follow the line before it: one of the two was changed, or lines between them are missing"
                    .to_owned(),
            )),
            Ok(line) if line.pointer("/what/action").and_then(serde_json::Value::as_str) == Some("head_lost") => {
                Some(complain(
                    "the head file was gone or damaged when this line was written: lines before it may be missing"
                        .to_owned(),
                ))
            }
            Ok(_) => None,
        };
        self.broken = self.broken.take().or(broken);
        // From here on as the file has it: one change is told once.
        self.expected = line
            .ok()
            .and_then(|line| line.get("number").and_then(serde_json::Value::as_u64))
            .unwrap_or(self.expected)
            // After the largest number there is none; that line is broken anyway.
            .saturating_add(1);
        self.previous = digest(text);
    }

    /// Compares the end with what the head file says.
    pub(crate) fn end(self, head: Option<(u64, &str)>) -> Report {
        let Self {
            lines,
            expected,
            previous,
            broken,
        } = self;
        let after = |why: String| Broken { line: lines + 1, why };
        let broken = broken.or_else(|| match head {
            None if lines == 0 => None,
            None => Some(after(
                "the head file, which says how many lines there must be, is missing".to_owned(),
            )),
            Some((count, _)) if expected < count => {
                Some(after(format!("{} lines are missing at the end", count - expected)))
            }
            // One more: the process died between the line and the head file.
            Some((count, _)) if expected == count + 1 => None,
            Some((count, _)) if expected > count => Some(after(format!(
                "there are {} lines more than were written",
                expected - count
            ))),
            Some((_, last)) if last != previous => Some(Broken {
                line: lines,
                why: "it is not the line that was written last".to_owned(),
            }),
            Some(_) => None,
        });
        Report { lines, broken }
    }
}

/// Verifies a file.
pub(crate) fn file(path: &Path, head: Option<&Head>) -> Result<Report, AuditError> {
    let mut chain = Chain::new();
    each(path, |_, text| chain.take(text))?;
    Ok(chain.end(head.map(|head| (head.count, head.last.as_str()))))
}

/// Reads a log line by line; a missing one has none. What is no UTF-8 is shown as well as it goes, and breaks the chain.
pub(crate) fn each(path: &Path, mut take: impl FnMut(u64, &str)) -> Result<(), AuditError> {
    let failed = |source| AuditError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    for number in 0.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes));
        take(number, &text);
    }
    Ok(())
}
