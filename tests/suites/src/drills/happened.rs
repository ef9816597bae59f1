//! The world's own log, as far as it is new. It grows by thousands of lines a minute, so what was read once is not read again.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// One thing that happened in the world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Happened {
    /// True wall time in microseconds since 1970; the log has it to the millisecond, or closer.
    pub at: i64,
    /// Simulated milliseconds since the world began.
    pub ms: u64,
    /// The server.
    pub node: String,
    /// What, as the log calls it: `guest-started`.
    pub what: String,
    /// What else there is to say; of a tool its arguments.
    pub detail: String,
}

impl Happened {
    /// Reads a line of the log.
    ///
    /// # Errors
    /// In words: why it is none.
    pub fn read(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let at: jiff::Timestamp = text("at").parse().map_err(|error| format!("{error}: {line}"))?;
        let argv = value["argv"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let argv: Vec<&str> = argv.collect();
        Ok(Self {
            at: at.as_microsecond(),
            ms: value["ms"].as_u64().ok_or_else(|| format!("no ms: {line}"))?,
            node: text("node"),
            what: text("what"),
            detail: if argv.is_empty() {
                text("detail")
            } else {
                argv.join(" ")
            },
        })
    }

    /// Is it this, on this server?
    #[must_use]
    pub fn is(&self, what: &str, node: &str) -> bool {
        self.what == what && self.node == node
    }
}

/// The log's file, read on and on.
#[derive(Debug)]
pub struct WorldLog {
    path: PathBuf,
    read: u64,
    rest: String,
    entries: Vec<Happened>,
}

impl WorldLog {
    /// From its beginning.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: 0,
            rest: String::new(),
            entries: Vec::new(),
        }
    }

    /// All of it, with what came since.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn all(&mut self) -> &[Happened] {
        let mut file = File::open(&self.path).expect("the world's log is there");
        file.seek(SeekFrom::Start(self.read)).expect("the log can be sought in");
        let mut bytes = Vec::new();
        let count = file.read_to_end(&mut bytes).expect("the log can be read");
        self.read += u64::try_from(count).unwrap_or(0);
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let end = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let whole: String = self.rest.drain(..end).collect();
        for line in whole.lines() {
            let entry = Happened::read(line).unwrap_or_else(|why| panic!("the world's log: {why}"));
            self.entries.push(entry);
        }
        &self.entries
    }

    /// How many there are by now: what comes later is after this.
    pub fn length(&mut self) -> usize {
        self.all().len()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_line_that_is_still_being_written_is_left_for_the_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut file = File::create(&path).unwrap();
        let line = r#"{"at":"2026-11-28T07:14:02.738Z","ms":1136549,"node":"prox1","what":"cut","detail":"eno1"}"#;
        write!(file, "{line}\n{{\"at\":\"2026-").unwrap();
        let mut log = WorldLog::new(path);
        assert_eq!(log.length(), 1);
        let rest = r#"11-28T07:14:02.739001Z","ms":1136550,"node":"prox2","what":"tool-called","argv":["qm","start","900"],"detail":""}"#;
        writeln!(file, "{rest}").unwrap();
        let [cut, called] = log.all() else { panic!() };
        assert_eq!((cut.at, cut.ms), (1_795_850_042_738_000, 1_136_549));
        assert!(cut.is("cut", "prox1") && !cut.is("cut", "prox2"));
        assert_eq!((called.at - cut.at, called.detail.as_str()), (1001, "qm start 900"));
    }
}
