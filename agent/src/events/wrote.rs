//! What the numbered writer in a guest of this server has on its disk, asked over the server's own bridge: that still carries when the server
//! is cut off. So the server alone can tell what its guest wrote until the watchdog reset both.
//!
//! A thread of its own asks: it must not wait for tools. Each answer is on this server's disk before the next question; after a reset the last
//! one counts, and what it may lack is what fits between two questions.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::drill::{Event, What};
use serde::{Deserialize, Serialize};

use super::order::TallyAt;
use crate::host::Host;

/// From one question to the next.
const EVERY: Duration = Duration::from_millis(100);

/// No lab asks faster: each answer is written to a disk.
const EVERY_LEAST: Duration = Duration::from_millis(10);

/// A guest on the own bridge answers in less than a millisecond; one that stands still is asked again.
const WITHIN: Duration = Duration::from_millis(500);

/// While the same run of the writer answers, its number is told so often: each answer would fill the watch.
const TOLD_EVERY: Duration = Duration::from_secs(30);

/// A place for an answer in the file. No larger than a sector, so that a loss of power leaves the old content or the new one.
const PLACE: usize = 512;

/// Answers take turns in so many places: while one is written, the other one is whole.
const PLACES: u64 = 2;

/// The last answer, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    /// Counts what was written; the highest is the newest.
    turn: u64,
    /// Which start of the kernel it was.
    boot: String,
    guest: u32,
    run: String,
    number: u64,
    /// When it was asked, by this node's clock.
    at: Timestamp,
    /// From the answer before that.
    within_micros: u64,
    /// For how long it was asked in vain since.
    silent_micros: u64,
    /// The same as at the beginning: if they differ, it was cut off.
    end: u64,
}

impl Reading {
    fn event(&self) -> Event {
        Event {
            at: self.at,
            within_micros: self.within_micros,
            what: What::Wrote {
                guest: self.guest,
                run: self.run.clone(),
                number: self.number,
                silent_micros: self.silent_micros,
            },
        }
    }
}

/// What asker and watch share.
#[derive(Debug, Default)]
struct Shared {
    /// The guest runs here, as far as was seen.
    here: AtomicBool,
    /// Nobody wants to know any more.
    over: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    last: Option<Reading>,
    /// The last answers of earlier runs of the writer.
    ended: Vec<Reading>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of one guest's writer.
#[derive(Debug)]
pub(super) struct Wrote {
    shared: Arc<Shared>,
    guest: u32,
    /// The run and number that were told last, and when.
    told: Option<(String, u64, Duration)>,
}

impl Wrote {
    /// Goes on with what is kept at `path`. The first of the pair is what an agent before this one had kept; it is to be told before
    /// anything else. Nobody is asked any more after a reset: what the guest wrote here is over with it.
    pub(super) fn begin(host: &Arc<Host>, tally: TallyAt, path: PathBuf, boot: &str) -> (Option<Event>, Option<Self>) {
        let kept = newest(&path);
        let told = kept.as_ref().map(Reading::event);
        if kept.as_ref().is_some_and(|kept| kept.boot != boot) {
            return (told, None);
        }
        // In a lab something else stands for the guest on this server's own bridge.
        let Some(real) = host.links().real(tally.at.ip()) else {
            tracing::warn!(at = %tally.at, "nothing in this lab stands for the guest: what it writes will not be known");
            return (told, None);
        };
        let tally = TallyAt {
            at: SocketAddr::new(real, tally.at.port()),
            ..tally
        };
        let shared = Arc::new(Shared::default());
        let asker = Asker {
            host: Arc::clone(host),
            shared: Arc::clone(&shared),
            tally,
            boot: boot.to_owned(),
            turn: kept.as_ref().map_or(0, |kept| kept.turn),
            answered: None,
        };
        let this = Self {
            shared,
            guest: tally.guest,
            told: kept.map(|kept| (kept.run, kept.number, host.clock().monotonic())),
        };
        let thread = std::thread::Builder::new()
            .name("guest-writer".to_owned())
            .spawn(move || asker.run(&path));
        if let Err(error) = thread {
            tracing::warn!(%error, "no thread to ask a guest's writer: what it writes while this server is cut off will not be known");
            return (told, None);
        }
        (told, Some(this))
    }

    /// What is new and is to be told. `running`: the guests that run here, as far as was seen.
    pub(super) fn look(&mut self, host: &Host, running: impl Fn(u32) -> bool) -> Vec<Event> {
        self.shared.here.store(running(self.guest), Ordering::Relaxed);
        self.due(host, host.pace().of(TOLD_EVERY))
    }

    /// The watch is over: what was not told yet.
    pub(super) fn end(&mut self, host: &Host) -> Vec<Event> {
        self.shared.over.store(true, Ordering::Relaxed);
        self.due(host, Duration::ZERO)
    }

    fn due(&mut self, host: &Host, every: Duration) -> Vec<Event> {
        let (ended, last) = {
            let mut seen = self.shared.seen();
            (std::mem::take(&mut seen.ended), seen.last.clone())
        };
        let mut new: Vec<Event> = ended.iter().map(Reading::event).collect();
        let Some(last) = last else { return new };
        let now = host.clock().monotonic();
        let is_due = match &self.told {
            Some((run, number, at)) => {
                let is_late = now.saturating_sub(*at) >= every;
                *run != last.run || (*number != last.number && is_late)
            }
            None => true,
        };
        if is_due {
            new.push(last.event());
            self.told = Some((last.run, last.number, now));
        }
        new
    }
}

impl Drop for Wrote {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

/// Asks, until nobody wants to know any more.
struct Asker {
    host: Arc<Host>,
    shared: Arc<Shared>,
    tally: TallyAt,
    boot: String,
    turn: u64,
    /// When the last answer was asked for, by the monotonic clock.
    answered: Option<Duration>,
}

impl Asker {
    fn run(mut self, path: &Path) {
        let file = match open(path) {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what a guest writes can't be kept, and will not be known");
                return;
            }
        };
        let mut said = false;
        while !self.shared.over.load(Ordering::Relaxed) {
            let began = self.host.clock().monotonic();
            if self.shared.here.load(Ordering::Relaxed)
                && let Some(reading) = self.ask(began)
            {
                match keep(&file, &reading) {
                    // What is not on the disk is not told.
                    Ok(()) => self.publish(reading),
                    Err(error) if !std::mem::replace(&mut said, true) => {
                        tracing::warn!(%error, "what a guest writes can't be kept");
                    }
                    Err(_) => {}
                }
            }
            let every = self.host.pace().of(EVERY).max(EVERY_LEAST);
            std::thread::sleep(every.saturating_sub(self.host.clock().since(began)));
        }
    }

    /// The answer, or the last one with the time for which there was none since; `None`: there was none at all.
    fn ask(&mut self, began: Duration) -> Option<Reading> {
        let at = self.host.now();
        let last = self.shared.seen().last.clone();
        self.turn = self.turn.saturating_add(1);
        let reading = match quorate_tally::ask(self.tally.at, self.host.pace().of(WITHIN).max(EVERY)) {
            Ok(answer) => {
                let before = self.answered.replace(began);
                let within = before.map_or(EVERY, |before| began.saturating_sub(before));
                Reading {
                    turn: self.turn,
                    boot: self.boot.clone(),
                    guest: self.tally.guest,
                    run: format!("{:016x}", answer.run),
                    number: answer.number,
                    at,
                    within_micros: micros(within),
                    silent_micros: 0,
                    end: self.turn,
                }
            }
            Err(_) => Reading {
                turn: self.turn,
                silent_micros: micros(began.saturating_sub(self.answered?)),
                end: self.turn,
                ..last?
            },
        };
        Some(reading)
    }

    fn publish(&self, reading: Reading) {
        let mut seen = self.shared.seen();
        let before = seen.last.replace(reading.clone());
        if let Some(before) = before.filter(|before| before.run != reading.run) {
            seen.ended.push(before);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The file with its places, and its name on the disk: later writes change nothing but their content.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let whole = PLACES.saturating_mul(u64::try_from(PLACE).unwrap_or_default());
    if file.metadata()?.len() < whole {
        file.set_len(whole)?;
    }
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

/// Writes one over the older of those that are kept. It is on the disk when this returns.
fn keep(file: &File, reading: &Reading) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(reading).map_err(io::Error::other)?;
    if bytes.len() >= PLACE {
        return Err(io::Error::other("an answer of this length is none of the writer's"));
    }
    bytes.resize(PLACE - 1, b' ');
    bytes.push(b'\n');
    let offset = reading.turn % PLACES * u64::try_from(PLACE).unwrap_or_default();
    file.write_all_at(&bytes, offset)?;
    file.sync_data()
}

/// The newest that is kept whole; `None`: there is none, or it can't be read, which is the same for whoever asks.
fn newest(path: &Path) -> Option<Reading> {
    let bytes = std::fs::read(path).ok()?;
    let read = |place: &[u8]| serde_json::from_slice::<Reading>(place).ok();
    let whole = bytes
        .chunks(PLACE)
        .filter_map(read)
        .filter(|kept| kept.turn == kept.end);
    whole.max_by_key(|kept| kept.turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(turn: u64, number: u64) -> Reading {
        Reading {
            turn,
            boot: "first".to_owned(),
            guest: 100,
            run: "9f8e7d6c5b4a3928".to_owned(),
            number,
            at: Timestamp::from_seconds(100),
            within_micros: 100_000,
            silent_micros: 0,
            end: turn,
        }
    }

    #[test]
    fn the_newest_answer_is_kept_and_a_torn_one_gives_way_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wrote");
        assert_eq!(newest(&path), None);
        let file = open(&path).unwrap();
        for turn in 1..=7 {
            keep(&file, &reading(turn, 4710 + turn)).unwrap();
        }
        assert_eq!(newest(&path), Some(reading(7, 4717)));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1024, "it does not grow");

        // The loss of power while the eighth was written, which goes over the sixth.
        file.write_all_at(&[0; 100], 0).unwrap();
        assert_eq!(newest(&path), Some(reading(7, 4717)));
        file.write_all_at(b"{\"turn\":9", 512).unwrap();
        assert_eq!(newest(&path), None, "turns that differ are a mixture of two");
    }

    #[test]
    fn a_longer_answer_than_there_is_room_for_is_refused_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wrote");
        let file = open(&path).unwrap();
        keep(&file, &reading(1, 4711)).unwrap();
        let long = Reading {
            boot: "b".repeat(600),
            ..reading(3, 4713)
        };
        assert!(keep(&file, &long).is_err());
        assert_eq!(newest(&path), Some(reading(1, 4711)));
    }
}
