//! The world's own log, as far as it is new. It grows by thousands of lines a minute, so what was read once is not read again.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use quorate_lab::Entry;

/// The log's file, read on and on.
#[derive(Debug)]
pub struct WorldLog {
    path: PathBuf,
    read: u64,
    rest: String,
    entries: Vec<Entry>,
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
    pub fn all(&mut self) -> &[Entry] {
        let mut file = File::open(&self.path).expect("the world's log is there");
        file.seek(SeekFrom::Start(self.read)).expect("the log can be sought in");
        let mut bytes = Vec::new();
        let count = file.read_to_end(&mut bytes).expect("the log can be read");
        self.read += u64::try_from(count).unwrap_or(0);
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let end = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let whole: String = self.rest.drain(..end).collect();
        for line in whole.lines() {
            let entry = serde_json::from_str(line).unwrap_or_else(|why| panic!("the world's log: {why}: {line}"));
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

    use quorate_lab::What;

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
        assert_eq!(
            (cut.what, cut.node.as_deref(), cut.ms),
            (What::Cut, Some("prox1"), 1_136_549)
        );
        assert_eq!(
            (called.what, called.argv.join(" ").as_str()),
            (What::ToolCalled, "qm start 900")
        );
    }
}
