//! Turns what a tool writes into its files into lines, again and again, without missing or repeating one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// Longer lines are cut. No tool prints them; garbage does.
const LONGEST: usize = 4096;

/// More lines than this are in the file, but no longer told.
const MOST: usize = 2000;

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// One output file of a tool.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end has not come yet; cut like a line.
    begun: Vec<u8>,
    lines: usize,
    /// Lines that were told before.
    skip: usize,
}

impl Tail {
    /// Of a file that may not exist yet, of which `told` lines were told before.
    pub(super) fn new(path: PathBuf, told: usize) -> Self {
        Self {
            path,
            file: None,
            begun: Vec::new(),
            lines: 0,
            skip: told,
        }
    }

    /// The whole lines that have come since; with `end`, what is left without a line feed too.
    pub(super) fn read(&mut self, end: bool) -> io::Result<Vec<String>> {
        let mut told = Vec::new();
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(told),
                Err(error) => return Err(error),
            }
        }
        let mut chunk = vec![0; CHUNK];
        while let Some(file) = &mut self.file {
            let count = file.read(&mut chunk)?;
            for byte in chunk.iter().take(count) {
                match byte {
                    b'\n' => self.line(&mut told),
                    _ if self.begun.len() < LONGEST => self.begun.push(*byte),
                    _ => {}
                }
            }
            if count == 0 {
                break;
            }
        }
        if end && !self.begun.is_empty() {
            self.line(&mut told);
        }
        Ok(told)
    }

    fn line(&mut self, told: &mut Vec<String>) {
        let bytes = std::mem::take(&mut self.begun);
        self.lines += 1;
        if self.lines <= self.skip {
            return;
        }
        if self.lines < MOST {
            told.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        } else if self.lines == MOST {
            told.push(format!("(more lines are in {})", self.path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_come_whole_and_once_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        let mut tail = Tail::new(path.clone(), 0);
        assert!(
            tail.read(false).unwrap().is_empty(),
            "a file that is not there yet has no lines"
        );
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.read(false).unwrap(), ["one"]);
        file.write_all(b"o\r\n\nrest").unwrap();
        assert_eq!(tail.read(false).unwrap(), ["two", ""]);
        assert_eq!(tail.read(true).unwrap(), ["rest"]);
        assert!(tail.read(true).unwrap().is_empty());

        assert_eq!(Tail::new(path, 2).read(true).unwrap(), ["", "rest"]);
    }

    #[test]
    fn a_flood_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        std::fs::write(
            &path,
            format!("{}\n{}", "x".repeat(10 * LONGEST), "y\n".repeat(3 * MOST)),
        )
        .unwrap();
        let lines = Tail::new(path.clone(), 0).read(true).unwrap();
        assert_eq!((lines.len(), lines[0].len()), (MOST, LONGEST));
        assert!(lines[MOST - 1].starts_with("(more lines"));
        assert!(Tail::new(path, MOST).read(true).unwrap().is_empty());
    }
}
