//! Calls that are written down as they end, one a line, so that they outlive whoever makes them. Who goes on after a restart begins a new part
//! in the same file; between two parts nobody called, and that is told.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate_clock::Clock;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::call::{Answered, Call, Miss, Told};
use super::gaps::Measured;
use super::place::{Patience, Place, Unable};
use super::schedule::{Calls, Home, keep_calling};
use super::target::Target;

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "line")]
enum Line {
    /// From here on times count from another beginning.
    Began {
        /// By this host's wall clock, in microseconds since 1970.
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
    },
}

/// What a numbered writer told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wrote {
    number: u64,
    time_ms: u64,
    resumed: u64,
    run: u64,
    host: String,
    boot: String,
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
    pub(crate) fn begin(target: Target, every: Duration, path: PathBuf, clock: Clock) -> Result<Self, Unable> {
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
                        let place = Place::find(&target).await?;
                        let file = Sheet::open(&path, every, clock.unix_micros()).map_err(Unable::Here)?;
                        Ok::<_, Unable>((place, file))
                    };
                    match ready.await {
                        Ok((place, file)) => {
                            drop(say.send(Ok(())));
                            let until = async {
                                // Nothing is ever sent: it ends when the other end is dropped.
                                drop(stopped.await);
                            };
                            listen(place, every, until, file).await;
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

async fn listen(place: Place, every: Duration, until: impl Future<Output = ()>, mut file: Sheet) {
    let homes: Arc<Mutex<BTreeMap<u64, Home>>> = Arc::default();
    let call = |number: u64| {
        let (place, homes) = (place.clone(), Arc::clone(&homes));
        async move {
            let outcome = place.call(number, Patience::Usual).await;
            if let Ok(Some(answer)) = &outcome {
                let home = || Home {
                    host: answer.host.clone(),
                    boot: answer.boot.clone(),
                };
                let mut homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
                homes.entry(answer.run).or_insert_with(home);
            }
            outcome
        }
    };
    let seen = |_: u64, call: &Call| {
        let told = call.told().map(|told| {
            let homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
            let home = homes.get(&told.run);
            Wrote {
                number: told.number,
                time_ms: told.time_ms,
                resumed: told.resumed,
                run: told.run,
                host: home.map(|home| home.host.clone()).unwrap_or_default(),
                boot: home.map(|home| home.boot.clone()).unwrap_or_default(),
            }
        });
        file.put(&Line::Call {
            at: micros(call.at),
            took: call.answered().map(|answered| micros(answered.saturating_sub(call.at))),
            told,
        });
    };
    drop(keep_calling(every, until, call, seen).await);
}

/// The file. What can't be written to it is told once, and missing later: then nobody called, as far as can be told.
#[derive(Debug)]
struct Sheet {
    file: std::fs::File,
    failed: bool,
}

impl Sheet {
    fn open(path: &Path, every: Duration, at: i64) -> std::io::Result<Self> {
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

/// What such a file tells.
#[derive(Debug)]
pub(crate) struct Listened {
    /// When its first part began, by the wall clock of whoever called, in microseconds since 1970.
    pub(crate) began: i64,
    /// From call to call.
    pub(crate) every: Duration,
    calls: Calls,
}

/// Reads it; `None`: nothing was begun. A line that makes no sense is one that was cut off.
pub(crate) fn read(text: &str) -> Option<Listened> {
    let mut began: Option<(i64, Duration)> = None;
    let mut offset = Duration::ZERO;
    let mut made: Vec<Call> = Vec::new();
    let mut homes: BTreeMap<u64, Home> = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        match line {
            Line::Began { at, every } => {
                let (first, _) = *began.get_or_insert((at, Duration::from_micros(every)));
                // A clock that was set back meanwhile puts nothing before what was earlier.
                let last = made.iter().map(|call| call.at).max().unwrap_or_default();
                offset = Duration::from_micros(u64::try_from(at.saturating_sub(first)).unwrap_or(0)).max(last);
            }
            Line::Call { at, took, told } => {
                let at = offset.saturating_add(Duration::from_micros(at));
                let told = told.map(|wrote| {
                    let told = Told {
                        number: wrote.number,
                        time_ms: wrote.time_ms,
                        resumed: wrote.resumed,
                        run: wrote.run,
                    };
                    homes.entry(wrote.run).or_insert(Home {
                        host: wrote.host,
                        boot: wrote.boot,
                    });
                    told
                });
                let outcome = match took {
                    Some(took) => Ok(Answered {
                        at: at.saturating_add(Duration::from_micros(took)),
                        told,
                    }),
                    None => Err(Miss::Silent),
                };
                made.push(Call { at, outcome });
            }
        }
    }
    let (began, every) = began?;
    made.sort_by_key(|call| call.at);
    Some(Listened {
        began,
        every,
        calls: Calls { made, homes },
    })
}

impl Listened {
    /// What it came to.
    pub(crate) fn measured(&self, target: &str) -> Measured {
        Measured::of(target.to_owned(), self.began / 1000, self.every, &self.calls)
    }

    /// How long it went on.
    pub(crate) fn lasted(&self) -> Duration {
        let last = self.calls.made.last();
        last.map_or(Duration::ZERO, |call| call.at.saturating_add(self.every))
    }

    /// Answers since a moment of it, and calls.
    pub(crate) fn answered_since(&self, from: Duration) -> (usize, usize) {
        let since = self.calls.made.iter().filter(|call| call.at >= from);
        let answered = since.clone().filter(|call| call.outcome.is_ok()).count();
        (answered, since.count())
    }

    /// Milliseconds between these two in which nobody called, beyond the pace.
    pub(crate) fn unwatched_ms(&self, from_ms: u64, to_ms: u64) -> u64 {
        let (from, to) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        let holes = self.calls.made.windows(2).filter_map(|pair| match pair {
            [before, after] if after.at.saturating_sub(before.at) > self.every.saturating_mul(2) => {
                Some(after.at.min(to).saturating_sub(before.at.max(from)))
            }
            _ => None,
        });
        holes
            .map(|hole| u64::try_from(hole.as_millis()).unwrap_or(u64::MAX))
            .sum()
    }

    /// Calls that should have been made and were not.
    pub(crate) fn not_made(&self) -> u64 {
        let every = self.every.as_micros().max(1);
        let missing = self.calls.made.windows(2).filter_map(|pair| match pair {
            [before, after] => {
                let steps = after.at.saturating_sub(before.at).as_micros() / every;
                u64::try_from(steps.saturating_sub(1)).ok()
            }
            _ => None,
        });
        missing.sum()
    }

    /// What a numbered writer told first, and last.
    pub(crate) fn ends(&self) -> Option<(Told, Told)> {
        let mut told = self.calls.made.iter().filter_map(Call::told);
        let first = told.next()?;
        let of_run = self.calls.made.iter().filter_map(Call::told);
        let before = of_run
            .filter(|told| told.run == first.run)
            .max_by_key(|told| told.number);
        let last = self.calls.made.iter().rev().find_map(Call::told);
        Some((before.unwrap_or(first), last.unwrap_or(first)))
    }

    /// Records a second that the writer made, from the longest run of it.
    pub(crate) fn a_second(&self) -> u32 {
        let mut runs: BTreeMap<u64, (Told, Told)> = BTreeMap::new();
        for told in self.calls.made.iter().filter_map(Call::told) {
            runs.entry(told.run).or_insert((told, told)).1 = told;
        }
        let rate = |(first, last): &(Told, Told)| {
            let records = last.number.checked_sub(first.number)?;
            let millis = last.time_ms.checked_sub(first.time_ms).filter(|millis| *millis > 0)?;
            Some((millis, records.saturating_mul(1000).saturating_add(millis / 2) / millis))
        };
        let longest = runs.values().filter_map(rate).max_by_key(|(millis, _)| *millis);
        longest.map_or(0, |(_, rate)| u32::try_from(rate).unwrap_or(u32::MAX))
    }

    /// The guest's own name in a run of its writer.
    pub(crate) fn host(&self, run: u64) -> String {
        self.calls
            .homes
            .get(&run)
            .map(|home| home.host.clone())
            .unwrap_or_default()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part with one call each 100 ms: `.` is answered after 2 ms, `x` is not.
    fn part(at: i64, pattern: &str) -> String {
        let mut text = format!(
            "{}\n",
            serde_json::to_string(&Line::Began { at, every: 100_000 }).unwrap()
        );
        for (number, answer) in pattern.chars().enumerate() {
            let line = Line::Call {
                at: u64::try_from(number).unwrap() * 100_000,
                took: (answer == '.').then_some(2000),
                told: None,
            };
            text.push_str(&format!("{}\n", serde_json::to_string(&line).unwrap()));
        }
        text
    }

    #[test]
    fn parts_are_put_together_and_what_lies_between_is_told() {
        // The guest goes while nobody calls, and comes back under the eyes of the second one.
        let text = [
            part(0, "......"),
            "{\"line\":\"ca".to_owned(),
            "\n".to_owned(),
            part(3_000_000, "xxxx......."),
        ]
        .concat();
        let listened = read(&text).unwrap();
        let measured = listened.measured("tcp:192.0.2.7:22");
        let gap = measured.gaps.first().unwrap();
        assert_eq!((gap.from_ms, gap.length_ms, gap.lost), (502, Some(2900), 4));
        // From the last call of the first part at 500 ms, which was answered at 502 ms, to the first of the second one at 3000 ms.
        assert_eq!(listened.unwatched_ms(502, 3402), 2498);
        assert_eq!(listened.not_made(), 24);
        assert_eq!(listened.lasted(), Duration::from_millis(4100));
        assert_eq!(listened.answered_since(Duration::from_millis(3000)), (7, 11));
    }

    #[test]
    fn a_clock_that_was_set_back_moves_nothing_back() {
        let listened = read(&[part(5_000_000, "....."), part(1_000_000, ".....")].concat()).unwrap();
        assert_eq!(listened.measured("t").calls, 10);
        assert!(listened.measured("t").gaps.is_empty());
    }

    #[test]
    fn nothing_begun_is_nothing() {
        assert!(read("").is_none() && read("{\"line\":\"began\"").is_none());
    }

    #[test]
    fn a_writers_rate_and_ends_are_told_by_its_runs() {
        let wrote = |number: u64, time_ms: u64, resumed: u64, run: u64| Line::Call {
            at: time_ms * 1000,
            took: Some(2000),
            told: Some(Wrote {
                number,
                time_ms,
                resumed,
                run,
                host: "canary".to_owned(),
                boot: "b".to_owned(),
            }),
        };
        let mut text = part(0, "");
        for line in [wrote(101, 0, 0, 1), wrote(111, 1000, 0, 1), wrote(106, 1100, 105, 2)] {
            text.push_str(&format!("{}\n", serde_json::to_string(&line).unwrap()));
        }
        let listened = read(&text).unwrap();
        let (before, last) = listened.ends().unwrap();
        assert_eq!((before.number, last.number, last.resumed), (111, 106, 105));
        assert_eq!((listened.a_second(), listened.host(2).as_str()), (10, "canary"));
    }
}
