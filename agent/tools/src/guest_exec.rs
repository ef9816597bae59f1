//! What `qm guest exec` prints: how a program inside of a machine ended. qm itself ends with 0 whatever became of it.

use serde::Deserialize;

use crate::{ParseError, json};

/// For messages.
const NAME: &str = "qm guest exec";

/// How a program inside ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// `exitcode`; `None`: it was killed, or is not over (`exited` is 0 or missing: qm waits only so long).
    pub code: Option<i64>,
    /// `out-data`.
    pub out: String,
    /// `err-data`.
    pub err: String,
}

impl Ran {
    /// In a line: what it complained about, or how it ended.
    #[must_use]
    pub fn complaint(&self) -> String {
        let words = self.err.lines().map(str::trim).find(|line| !line.is_empty());
        match (words, self.code) {
            (Some(words), _) => words.to_owned(),
            (None, Some(code)) => format!("it ended with exit code {code}"),
            (None, None) => "it was killed, or is not over".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    exited: i64,
    exitcode: Option<i64>,
    #[serde(default, rename = "out-data")]
    out: String,
    #[serde(default, rename = "err-data")]
    err: String,
}

/// Reads it.
///
/// # Errors
/// When it is no such answer.
pub fn read(text: &str) -> Result<Ran, ParseError> {
    let raw: Raw = json::read(NAME, text)?;
    Ok(Ran {
        code: raw.exitcode.filter(|_| raw.exited == 1),
        out: raw.out,
        err: raw.err,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_ended_stands_in_the_answer_alone() {
        let well = read(fixture!("guest-exec/pve-9/well.out")).unwrap();
        assert_eq!((well.code, well.out.len(), well.err.as_str()), (Some(0), 95, ""));
        let badly = read(fixture!("guest-exec/pve-9/badly.out")).unwrap();
        assert_eq!(badly.code, Some(1));
        assert!(badly.complaint().contains("does not exist"), "{}", badly.complaint());
        let still = read(fixture!("guest-exec/pve-9/still.out")).unwrap();
        assert_eq!(
            (still.code, still.complaint()),
            (None, "it was killed, or is not over".to_owned())
        );
        assert!(read("timeout reached, returning pid\n").is_err());
    }
}
