//! `journalctl -o json` of systemd: what units have logged, with the time at which the journal took it.

use quorate_exec::{Invocation, Tools};
use quorate_model::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::{CallError, ParseError, json, lenient};

/// Its name.
pub const NAME: &str = "journalctl";

/// Where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With what was logged from this second on.
    Second(i64),
    /// Behind this entry.
    Cursor(String),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands in the journal (`__CURSOR`).
    pub cursor: String,
    /// When the journal took it (`__REALTIME_TIMESTAMP`, microseconds).
    pub at: Timestamp,
    /// Who logged: the program's name (`SYSLOG_IDENTIFIER`); empty where it gave none.
    pub program: String,
    /// What (`MESSAGE`). Bytes that are no text are replaced; empty where the journal keeps none of it.
    pub message: String,
}

/// Asks for what these units have logged. Nothing of what an entry carries is asked for but who, when and what.
///
/// # Errors
/// When journalctl is not installed.
pub fn read_units(tools: &Tools, units: &[&str], from: &From) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args([
        "--output=json",
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER",
        "--no-pager",
        "--quiet",
    ]);
    let call = match from {
        From::Second(second) => call.arg(format!("--since=@{second}")),
        From::Cursor(cursor) => call.arg(format!("--after-cursor={cursor}")),
    };
    Ok(call.args(units.iter().map(|unit| format!("--unit={unit}"))).build()?)
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "__CURSOR")]
    cursor: String,
    #[serde(rename = "__REALTIME_TIMESTAMP", deserialize_with = "lenient::u64")]
    at: u64,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    program: Value,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
}

/// Reads the answer: one entry a line, oldest first; nothing where nothing was logged.
///
/// # Errors
/// A line is no JSON, or has no cursor or no time.
pub fn read(text: &str) -> Result<Vec<Entry>, ParseError> {
    text.lines().filter(|line| !line.trim().is_empty()).map(entry).collect()
}

fn entry(line: &str) -> Result<Entry, ParseError> {
    let raw: Raw = json::read(NAME, line)?;
    let at = i64::try_from(raw.at).map_err(|_| ParseError::at(NAME, line, "the time is out of range"))?;
    Ok(Entry {
        cursor: raw.cursor,
        at: Timestamp(at),
        program: words(&raw.program),
        message: words(&raw.message),
    })
}

/// A field's value. journalctl(1): a text; where that is no UTF-8, a list of bytes; where a field stands twice, a list of these; null where
/// it is very long.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
            match list.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => list.iter().map(words).collect::<Vec<_>>().join("\n"),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_their_times() {
        let entries = read(fixture!("journalctl/252/units.out")).unwrap();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| (entry.program.as_str(), entry.message.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("corosync", "  [KNET  ] link: host: 3 link: 0 is down"),
                ("corosync", "  [QUORUM] Sync left[1]: 3"),
                ("pve-ha-crm", "fencing: acknowledged - got agent lock for node 'prox3'"),
                ("corosync", "  \u{fffd}\u{fffd} not a text"),
            ]
        );
        assert_eq!(entries[0].at.0, 1_795_863_660_123_456);
        assert!(entries.iter().all(|entry| entry.cursor.starts_with("s=")));
    }

    #[test]
    fn nothing_was_logged() {
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn a_field_that_stands_twice_or_is_too_long() {
        let line = r#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"5","MESSAGE":["one",[116,119,111]]}"#;
        assert_eq!(read(line).unwrap()[0].message, "one\ntwo");
        let line = r#"{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"5","MESSAGE":null,"NEW":{}}"#;
        assert_eq!(read(line).unwrap()[0].message, "");
    }

    #[test]
    fn without_a_time_it_is_no_entry() {
        assert!(read(r#"{"__CURSOR":"s=1","MESSAGE":"x"}"#).is_err());
        assert!(read("-- No entries --\n").is_err());
    }
}
