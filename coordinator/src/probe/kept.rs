//! Calls that are written down as they end, one a line, so that they outlive whoever makes them. Who goes on after a restart begins a new part
//! in the same file; between two parts nobody called, and that is told.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_clock::Clock;
use quorate_probe::{Ended, Patience, Unable, keep_calling};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::call::{Outcome, Row};
use super::callee::Callee;
use super::database::Password;
use super::target::Target;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub(super) enum Line {
    /// From here on times count from another beginning.
    Began {
        /// By the wall clock of the host that calls, in microseconds since 1970.
        at: i64,
        /// Microseconds from call to call.
        every: u64,
    },
    /// A call, as it ended; calls end in any order.
    Call {
        /// Microseconds from the beginning.
        at: u64,
        /// Microseconds until it was answered; missing: it was not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took: Option<u64>,
        /// What a numbered writer told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        told: Option<Wrote>,
        /// The row that was sent to a database.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        row: Option<Row>,
    },
}

/// What a numbered writer told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wrote {
    pub(super) number: u64,
    pub(super) time_ms: u64,
    pub(super) resumed: u64,
    pub(super) run: u64,
    pub(super) host: String,
    pub(super) boot: String,
}

/// Calls until it is told to stop, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Dropped, it tells the thread to end.
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Begins, or goes on, in this file.
    ///
    /// # Errors
    /// Nobody can be called there at all, or the file can't be written.
    pub(crate) fn begin(
        (target, password): (Target, Option<Password>),
        every: Duration,
        path: PathBuf,
        clock: Clock,
    ) -> Result<Self, Unable> {
        let (stop, stopped) = oneshot::channel();
        let (say, begun) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("drill-probe".to_owned())
            .spawn(move || {
                let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(say.send(Err(Unable::Here(error)))),
                };
                runtime.block_on(async {
                    let ready = async {
                        let callee = Callee::find(&target, password).await?;
                        let file = Sheet::open(&path, every, clock.unix_micros()).map_err(Unable::Here)?;
                        Ok::<_, Unable>((callee, file))
                    };
                    match ready.await {
                        Ok((callee, mut file)) => {
                            drop(say.send(Ok(())));
                            let until = async {
                                // Nothing is ever sent: it ends when the other end is dropped.
                                drop(stopped.await);
                            };
                            let calling = |number| callee.clone().call(number, Patience::Usual);
                            keep_calling(every, until, calling, |_, ended| file.call(ended)).await;
                        }
                        Err(unable) => drop(say.send(Err(unable))),
                    }
                });
            })
            .map_err(Unable::Here)?;
        match begun.recv() {
            Ok(Ok(())) => Ok(Self { stop, thread }),
            Ok(Err(unable)) => Err(unable),
            Err(_) => Err(Unable::Here(std::io::Error::other("the thread is gone"))),
        }
    }

    /// Ends. All that was called is in the file when this returns.
    pub(crate) fn end(self) {
        let Self { stop, thread } = self;
        drop(stop);
        if thread.join().is_err() {
            tracing::warn!("a probe broke off");
        }
    }
}

/// The file. What can't be written to it is told once, and missing later: then nobody called, as far as can be told.
#[derive(Debug)]
pub(crate) struct Sheet {
    file: std::fs::File,
    failed: bool,
}

impl Sheet {
    /// Begins a new part of it: calls' times count from `at`.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn open(path: &Path, every: Duration, at: i64) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let mut sheet = Self { file, failed: false };
        // What was being written when an earlier one was killed is no line, and ends here.
        sheet.file.write_all(b"\n")?;
        sheet.put(&Line::Began {
            at,
            every: micros(every),
        });
        Ok(sheet)
    }

    /// Writes down a call that has ended.
    pub(crate) fn call(&mut self, ended: Ended<Outcome>) {
        let Ended {
            at,
            ended,
            outcome: Outcome { answer, row },
        } = ended;
        let (took, answer) = match answer {
            Ok(answer) => (Some(micros(ended.saturating_sub(at))), answer),
            Err(_) => (None, None),
        };
        let told = answer.map(|answer| Wrote {
            number: answer.number,
            time_ms: answer.time_ms,
            resumed: answer.resumed,
            run: answer.run,
            host: answer.host,
            boot: answer.boot,
        });
        self.put(&Line::Call {
            at: micros(at),
            took,
            told,
            row,
        });
    }

    fn put(&mut self, line: &Line) {
        let written = serde_json::to_string(line)
            .map_err(std::io::Error::other)
            .and_then(|text| self.file.write_all(format!("{text}\n").as_bytes()));
        if let Err(error) = written
            && !self.failed
        {
            self.failed = true;
            tracing::error!(%error, "a probe's calls can't be written down");
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
