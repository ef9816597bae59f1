//! `cargo xtask record`: asks the tools of this machine anew, as the agent would, and shows what differs from what is kept.
//!
//! Only reads are made, and changes of files in a folder of its own. Machines differ in their numbers and names, so what is compared is
//! the shape: figures count as figures, and of JSON the fields and their kinds.
#![expect(clippy::print_stdout, reason = "it shows what differs, tool by tool")]

mod clean;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_clock::Clock;
use quorate_exec::{Exit, OsRunner, Runner as _, Tools};
use similar::{ChangeTag, TextDiff};

use self::table::{Ask, RECORDINGS, Recording};
use crate::report::{Report, Stop};

pub(crate) const USAGE: &str = "\
usage: cargo xtask record [--write] [FIXTURE…]

  --write   keep what is new where it differs (normalised); without, only show it
  FIXTURE   only these, as tests/fixtures/tools.toml names them: df/9.1/one";

/// The folder that recordings may change files in.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A file in it.
    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

/// What a recording printed, normalised.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    stdout: String,
    stderr: String,
    exit: Option<i32>,
}

enum Outcome {
    Same,
    Differs(String),
    NotHere(String),
}

pub(crate) fn run(root: &Path, args: &[&str]) -> Result<Report, Stop> {
    let write = args.contains(&"--write");
    let names: BTreeSet<&str> = args.iter().copied().filter(|arg| *arg != "--write").collect();
    if names.iter().any(|name| name.starts_with('-')) {
        return Err(Stop::Usage(USAGE));
    }
    let folder = root.join("tests/fixtures");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Stop::Failed(format!("no runtime: {error}")))?;
    let (mut same, mut differ, mut not_here) = (0, 0, 0);
    for recording in RECORDINGS
        .iter()
        .filter(|r| names.is_empty() || names.contains(r.fixture))
    {
        // Each in a folder of its own: one recording's wiping is not another one's blank disk.
        let scratch = tempfile::tempdir().map_err(Stop::file(std::env::temp_dir()))?;
        let scratch = Scratch(scratch.path().to_owned()).prepared()?;
        match runtime.block_on(ask(recording, &scratch, &folder, write))? {
            Outcome::Same => same += 1,
            Outcome::NotHere(why) => {
                not_here += 1;
                println!("{}: not on this machine: {why}", recording.fixture);
            }
            Outcome::Differs(how) => {
                differ += 1;
                let kept = if write { "written" } else { "kept as it was" };
                println!("{}: differs, {kept}\n{how}", recording.fixture);
            }
        }
    }
    Ok(Report {
        name: "record",
        checked: format!("{same} as they are kept, {differ} that differ, {not_here} not on this machine"),
        ..Report::default()
    })
}

impl Scratch {
    /// With the files that are asked about.
    fn prepared(self) -> Result<Self, Stop> {
        fs::create_dir_all(&self.0).map_err(Stop::file(&self.0))?;
        for (name, bytes) in [("blank", vec![0; 1 << 20]), ("swap", clean::swap_signature())] {
            let path = self.0.join(name);
            fs::write(&path, bytes).map_err(Stop::file(&path))?;
        }
        Ok(self)
    }
}

async fn ask(recording: &Recording, scratch: &Scratch, folder: &Path, write: bool) -> Result<Outcome, Stop> {
    if let Some(why) = (recording.not_here)() {
        return Ok(Outcome::NotHere(why));
    }
    let printed = match recording.ask {
        Ask::File(path) => match fs::read_to_string(path) {
            Ok(text) => Printed {
                stdout: text,
                stderr: String::new(),
                exit: None,
            },
            Err(error) => return Ok(Outcome::NotHere(format!("{path}: {error}"))),
        },
        Ask::Tool(call) => {
            let call = match call(&Tools::system(), scratch) {
                Ok(call) => call,
                Err(error) => return Ok(Outcome::NotHere(error.to_string())),
            };
            let finished = OsRunner::new(Clock::system()).run(&call).await;
            let finished = finished.map_err(|error| Stop::Failed(format!("{}: {error}", recording.fixture)))?;
            Printed {
                stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
                exit: match finished.exit {
                    Exit::Code(code) => Some(code),
                    Exit::Signal(_) => None,
                },
            }
        }
    };
    let printed = Printed {
        stdout: clean::text(&printed.stdout, &scratch.0),
        stderr: clean::text(&printed.stderr, &scratch.0),
        exit: printed.exit,
    };
    compare(recording, &printed, folder, write)
}

fn compare(recording: &Recording, printed: &Printed, folder: &Path, write: bool) -> Result<Outcome, Stop> {
    let mut told = String::new();
    if recording.exit != printed.exit {
        told.push_str(&format!("  exit: {:?}, kept is {:?}\n", printed.exit, recording.exit));
    }
    for (ending, text) in [(recording.ending, &printed.stdout), ("err", &printed.stderr)] {
        let path = folder.join(format!("{}.{ending}", recording.fixture));
        // An empty stream has no file.
        let kept = match fs::read_to_string(&path) {
            Ok(kept) => kept,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Stop::file(&path)(error)),
        };
        let (before, after) = (clean::shape(&kept, ending), clean::shape(text, ending));
        if before == after {
            continue;
        }
        told.push_str(&difference(&before, &after));
        if write && !text.is_empty() {
            fs::write(&path, text).map_err(Stop::file(&path))?;
        } else if write {
            fs::remove_file(&path).map_err(Stop::file(&path))?;
        }
    }
    Ok(if told.is_empty() {
        Outcome::Same
    } else {
        Outcome::Differs(told)
    })
}

fn difference(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let changes = diff
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal);
    changes
        .map(|change| format!("  {} {}\n", change.tag(), change.value().trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DF: Recording = Recording {
        fixture: "df/9.1/one",
        ending: "out",
        exit: Some(0),
        ask: Ask::File("/nonexistent"),
        not_here: table::always,
    };

    fn printed(stdout: &str) -> Printed {
        Printed {
            stdout: stdout.to_owned(),
            stderr: String::new(),
            exit: Some(0),
        }
    }

    #[test]
    fn other_figures_are_no_difference_and_another_shape_is_written_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("df/9.1/one.out");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "Avail 1B-blocks\n  123 456\n").unwrap();
        let seen = |text: &str, write| compare(&DF, &printed(text), folder.path(), write).unwrap();
        assert!(matches!(seen("Avail 1B-blocks\n  9 10\n", true), Outcome::Same));
        let Outcome::Differs(how) = seen("Avail Size\n  9 10\n", false) else {
            panic!("another heading is a difference")
        };
        assert!(
            how.contains("- Avail 0B-blocks") && how.contains("+ Avail Size"),
            "{how}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "Avail 1B-blocks\n  123 456\n");
        assert!(matches!(seen("Avail Size\n  9 10\n", true), Outcome::Differs(_)));
        assert_eq!(fs::read_to_string(&path).unwrap(), "Avail Size\n  9 10\n");
    }

    #[test]
    fn what_is_recorded_is_listed_as_captured() {
        let list = crate::fixtures::read(include_str!("../../../tests/fixtures/tools.toml")).unwrap();
        for recording in RECORDINGS {
            let exit = list.captured(recording.fixture);
            assert_eq!(exit, Some(recording.exit), "{}", recording.fixture);
        }
    }
}
