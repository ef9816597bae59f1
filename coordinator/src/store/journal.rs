//! The journal in a sled store: appends that are durable when they return, and an opening that notices every loss.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use quorate_engine::ports::JournalError;
use quorate_model::rollout::{Entry, Record};
use quorate_model::{FrameDigest, JournalAnchor, JournalId, RolloutId, Timestamp};

use super::crash::{Moment, here};
use super::frame::{Frame, GENESIS, Link};
use super::head::Head;

/// What sled may keep in memory, in bytes. A journal is read from end to end once, at start.
const CACHE: u64 = 4 * 1024 * 1024;

/// How long somebody else may have the store. A process that is just being started has a copy of every open file until its program runs, so
/// a store that was closed a moment ago may still be locked.
const HELD: Duration = Duration::from_secs(10);

/// The open journal. One thread owns it.
#[derive(Debug)]
pub(super) struct SledJournal {
    db: sled::Db,
    /// sled's `flush` hands pages to the kernel and no further: this is synced after it.
    file: File,
    blobs: Blobs,
    head_path: PathBuf,
    head: Head,
    /// Where each rollout's entries lie; rollouts in the order of their first entries.
    rollouts: Vec<RolloutId>,
    positions: BTreeMap<RolloutId, Vec<u64>>,
    /// After a failed append nobody knows what is on disk: nothing more is written until it was opened anew.
    failed: bool,
}

impl SledJournal {
    /// Opens the journal in `dir`, or makes one if there never was one. `expected`: there was one; its absence is damage.
    pub(super) fn open(dir: &Path, expected: bool) -> Result<Self, JournalError> {
        let (head_path, store) = (dir.join("head.json"), dir.join("store"));
        if !dir.exists() {
            if expected {
                return Err(JournalError::Damaged(format!("{} is gone", dir.display())));
            }
            DirBuilder::new()
                .mode(0o700)
                .create(dir)
                .and_then(|()| sync_dir(dir.parent().unwrap_or(dir)))
                .map_err(|error| JournalError::Write(error.to_string()))?;
        }
        let head = match Head::load(&head_path)? {
            Some(head) => head,
            None if store.exists() => return Err(JournalError::Damaged("its head file is missing".to_owned())),
            None => {
                // Before the store: from here on, a store without a head file is damage.
                let head = Head::new()?;
                head.save(&head_path)?;
                head
            }
        };
        if head.count > 0 && !store.join("db").exists() {
            return Err(JournalError::Damaged(format!("{} is gone", store.join("db").display())));
        }
        // sled checks some of its own format with assertions.
        catch_unwind(AssertUnwindSafe(|| Self::open_store(&store, head_path, head))).unwrap_or_else(|_| Err(broke()))
    }

    fn open_store(store: &Path, head_path: PathBuf, head: Head) -> Result<Self, JournalError> {
        until_released(&store.join("db"))?;
        let db = sled::Config::new()
            .path(store)
            .cache_capacity(CACHE)
            .flush_every_ms(None)
            .open()
            .map_err(|error| damage_or_read(&error))?;
        let file = File::open(store.join("db")).map_err(|error| JournalError::Read(error.to_string()))?;
        let mut journal = Self {
            db,
            file,
            blobs: Blobs::new(store)?,
            head_path,
            head: Head::EMPTY,
            rollouts: Vec::new(),
            positions: BTreeMap::new(),
            failed: false,
        };
        journal.verify(head)?;
        Ok(journal)
    }

    /// Walks the whole chain and compares its end with the head file.
    fn verify(&mut self, head: Head) -> Result<(), JournalError> {
        let damaged = |position: u64, what: &str| JournalError::Damaged(format!("record {position}: {what}"));
        self.head.journal = head.journal.clone();
        let mut head_seen = (head.count == 0).then_some(GENESIS);
        for item in self.db.iter() {
            let (key, bytes) = item.map_err(|error| damage_or_read(&error))?;
            let (position, previous) = (self.head.count, self.head.last);
            let (frame, link) = Frame::decode(&bytes).map_err(|error| error.of(position))?;
            if key.as_ref() != position.to_be_bytes() || frame.position != position {
                return Err(damaged(position, "it is missing"));
            }
            if frame.previous != previous {
                return Err(damaged(position, "it does not follow the one before it"));
            }
            let of_rollout = self.positions.entry(frame.rollout.clone()).or_default();
            if frame.entry.sequence != of_rollout.len() as u64 {
                return Err(damaged(position, "entries of its rollout are missing before it"));
            }
            if of_rollout.is_empty() {
                self.rollouts.push(frame.rollout);
            }
            of_rollout.push(position);
            (self.head.count, self.head.last) = (position + 1, link);
            if self.head.count == head.count {
                head_seen = Some(link);
            }
        }
        if self.head.count < head.count || head_seen != Some(head.last) {
            let message = format!(
                "{} of {} records are there, or the last is not the one it was",
                self.head.count, head.count
            );
            return Err(JournalError::Damaged(message));
        }
        // One more is an append that was durable when the process died, before it could say so.
        match self.head.count - head.count {
            0 => Ok(()),
            1 => self.head.save(&self.head_path),
            _ => Err(JournalError::Damaged(format!(
                "there are more records than the {} that were written",
                head.count
            ))),
        }
    }

    /// Appends an entry to a rollout. When this returns, it is on disk.
    pub(super) fn append(&mut self, rollout: &RolloutId, at: Timestamp, record: Record) -> Result<Entry, JournalError> {
        if self.failed {
            let message = "an earlier write failed; the coordinator has to be started again";
            return Err(JournalError::Write(message.to_owned()));
        }
        let known = self.positions.get(rollout);
        let sequence = known.map_or(0, |positions| positions.len() as u64);
        let frame = Frame {
            position: self.head.count,
            previous: self.head.last,
            rollout: rollout.clone(),
            entry: Entry { sequence, at, record },
        };
        let (bytes, link) = frame.encode().map_err(JournalError::Write)?;
        self.failed = true;
        self.write(&frame, bytes, link)?;
        self.failed = false;
        let positions = self.positions.entry(rollout.clone()).or_default();
        if positions.is_empty() {
            self.rollouts.push(rollout.clone());
        }
        positions.push(frame.position);
        Ok(frame.entry)
    }

    fn write(&mut self, frame: &Frame, bytes: Vec<u8>, link: Link) -> Result<(), JournalError> {
        let write = |error: String| JournalError::Write(error);
        let (position, record) = (frame.position, &frame.entry.record);
        here(record, Moment::Before);
        self.db
            .insert(position.to_be_bytes(), bytes)
            .map_err(|error| write(error.to_string()))?;
        here(record, Moment::Unflushed);
        self.db.flush().map_err(|error| write(error.to_string()))?;
        // What the file points at is on disk before the file is.
        self.blobs.sync().map_err(|error| write(error.to_string()))?;
        self.file.sync_all().map_err(|error| write(error.to_string()))?;
        here(record, Moment::Unheaded);
        let head = Head {
            count: position + 1,
            last: link,
            ..self.head.clone()
        };
        head.save(&self.head_path)?;
        here(record, Moment::After);
        self.head = head;
        Ok(())
    }

    /// A rollout's entries, in order; of an unknown one, none.
    pub(super) fn load(&self, rollout: &RolloutId) -> Result<Vec<Entry>, JournalError> {
        let positions = self.positions.get(rollout).map_or(&[][..], Vec::as_slice);
        positions.iter().map(|position| self.entry(*position)).collect()
    }

    fn entry(&self, position: u64) -> Result<Entry, JournalError> {
        self.frame(position).map(|(frame, _)| frame.entry)
    }

    /// A record's bytes, as sled has them.
    #[cfg(test)]
    pub(super) fn raw(&self, position: u64) -> Option<Vec<u8>> {
        self.db
            .get(position.to_be_bytes())
            .ok()
            .flatten()
            .map(|bytes| bytes.to_vec())
    }

    fn frame(&self, position: u64) -> Result<(Frame, Link), JournalError> {
        let missing = || JournalError::Damaged(format!("record {position}: it is missing"));
        let bytes = self
            .db
            .get(position.to_be_bytes())
            .map_err(|error| damage_or_read(&error))?;
        let bytes = bytes.ok_or_else(missing)?;
        Frame::decode(&bytes).map_err(|error| error.of(position))
    }

    /// Has it any record of this rollout?
    pub(super) fn has(&self, rollout: &RolloutId) -> bool {
        self.positions.contains_key(rollout)
    }

    /// The journal's name.
    pub(super) fn name(&self) -> Option<&JournalId> {
        self.head.journal.as_ref()
    }

    /// What agents are told of a record; `None`: there is no such record.
    pub(super) fn anchor(&self, position: u64) -> Result<Option<JournalAnchor>, JournalError> {
        let Some(journal) = self.head.journal.clone().filter(|_| position < self.head.count) else {
            return Ok(None);
        };
        let (frame, link) = self.frame(position)?;
        let digest = FrameDigest::new(HEXLOWER.encode(&link)).map_err(|error| JournalError::Read(error.to_string()))?;
        Ok(Some(JournalAnchor {
            journal,
            position,
            digest,
            rollout: frame.rollout,
            sequence: frame.entry.sequence,
        }))
    }

    /// What agents are told of the newest record; `None`: there is none yet.
    pub(super) fn newest(&self) -> Result<Option<JournalAnchor>, JournalError> {
        self.head
            .count
            .checked_sub(1)
            .map_or(Ok(None), |position| self.anchor(position))
    }

    /// All rollouts, oldest first.
    pub(super) fn rollouts(&self) -> &[RolloutId] {
        &self.rollouts
    }
}

/// Waits until nobody has the store. sled does not wait, and its refusal looks like damage.
fn until_released(db: &Path) -> Result<(), JournalError> {
    let read = |error: std::io::Error| JournalError::Read(format!("{}: {error}", db.display()));
    let file = match File::open(db) {
        Ok(file) => file,
        // There is no store yet, or what it is made of is damaged: sled says which.
        Err(error) if damage(error.kind()) => return Ok(()),
        Err(error) => return Err(read(error)),
    };
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            // By name, not by closing: a process that is just being started may have a copy of this one, too.
            Ok(()) => return file.unlock().map_err(read),
            Err(TryLockError::WouldBlock) if begun.elapsed() < HELD => std::thread::sleep(HELD / 1000),
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another process", db.display());
                return Err(JournalError::Read(message));
            }
            Err(TryLockError::Error(error)) => return Err(read(error)),
        }
    }
}

fn damage(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::IsADirectory | ErrorKind::NotADirectory
    )
}

/// sled puts a large record into a file of its own, and never syncs it.
#[derive(Debug)]
struct Blobs {
    dir: PathBuf,
    /// Those that are on disk. A name is never used twice.
    synced: BTreeSet<OsString>,
}

impl Blobs {
    fn new(store: &Path) -> Result<Self, JournalError> {
        let failed = |error: std::io::Error| JournalError::Read(error.to_string());
        let mut blobs = Self {
            dir: store.join("blobs"),
            synced: BTreeSet::new(),
        };
        // The folders may just have been made; and what an earlier process did not come to sync counts from now on.
        blobs.sync().map_err(failed)?;
        sync_dir(store).map_err(failed)?;
        sync_dir(store.parent().unwrap_or(store)).map_err(failed)?;
        Ok(blobs)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut new = false;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            if !self.synced.contains(&name) {
                File::open(entry.path())?.sync_all()?;
                self.synced.insert(name);
                new = true;
            }
        }
        if new { sync_dir(&self.dir) } else { Ok(()) }
    }
}

fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// sled broke off.
pub(super) fn broke() -> JournalError {
    JournalError::Damaged("the store's own checks failed".to_owned())
}

/// What the system refuses is no damage, and nothing is moved aside for it: a full disk, a wrong owner, too many open files, a disk that
/// does not answer. Damage is what sled itself does not understand, a file that is missing or too short, a place that no file has.
fn damage_or_read(error: &sled::Error) -> JournalError {
    match error {
        sled::Error::Io(io) if io.raw_os_error().is_some() && !damage(io.kind()) => {
            JournalError::Read(error.to_string())
        }
        _ => JournalError::Damaged(error.to_string()),
    }
}
