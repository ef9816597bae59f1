//! The file of records: how one comes to be on the disk, and how the file stays small without ever losing the highest number.
//!
//! Two files: the one that is written, and beside it, with `.old` behind its name, the one before. A full one is renamed to the old one, over
//! an older one; the highest number is at every instant in one of the two. Both are read when a run begins.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::record::{self, Contents, HIGHEST, LENGTH, Record};

/// A file that is larger was not written by us: no more is read of it.
const MOST_BYTES: u64 = 256 << 20;

/// The records of a guest.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    old: PathBuf,
    folder: PathBuf,
    /// Open for writing, unless the last attempt failed.
    file: Option<File>,
    /// Where the next record goes.
    end: u64,
    /// How long the file may become.
    most: u64,
    last: Record,
    /// A name in the folder is not on the disk for certain.
    folder_changed: bool,
    /// Held for as long as this lives; `None`: nothing can be written there, by anybody.
    _lock: Option<Flock<File>>,
}

/// What was found when a run began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The highest record; number 0: none.
    pub last: Record,
    /// Bytes of a torn record that are dropped.
    pub torn: usize,
    /// Places without a record between others: the disk has damaged them.
    pub damaged: usize,
    /// Why nothing can be written for now; what was found can be served all the same.
    pub unwritable: Option<String>,
}

/// Why there can be no run.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The path names no file in a folder.
    #[error("{} names no file", .0.display())]
    NoFile(PathBuf),
    /// Another run has the records.
    #[error("another quorate-tally writes to {}", .0.display())]
    Taken(PathBuf),
    /// The file is not ours.
    #[error("{} holds something else than records of quorate-tally: name another file", .0.display())]
    Foreign(PathBuf),
    /// What is there can't be known.
    #[error("{} can't be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// What was read may not be on the disk.
    #[error("it can't be made certain that {} is on the disk", .0.display())]
    Sync(PathBuf, #[source] io::Error),
    /// The folder is not there, and can't be made.
    #[error("the folder {} can't be made", .0.display())]
    Folder(PathBuf, #[source] io::Error),
}

impl Store {
    /// Opens the records at `path`, of which one file holds at most `most`. What it finds is on the disk when it returns.
    ///
    /// # Errors
    /// What is there can't be known, is not ours, or is written by another run.
    pub fn open(path: &Path, most: u64) -> Result<(Self, Found), StoreError> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(StoreError::NoFile(path.to_owned()));
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        fs::create_dir_all(folder).map_err(|error| StoreError::Folder(folder.to_owned(), error))?;
        let beside = |ending: &str| {
            let mut name = name.to_owned();
            name.push(ending);
            folder.join(name)
        };
        let lock = lock(&beside(".lock"), path)?;
        let old = beside(".old");
        let before = contents(&old)?;
        let current = contents(path)?;
        sync_folder(folder).map_err(|error| StoreError::Sync(folder.to_owned(), error))?;
        let last = [before.highest, current.highest]
            .into_iter()
            .flatten()
            .max_by_key(|record| record.number)
            .unwrap_or_default();
        let mut store = Self {
            path: path.to_owned(),
            old,
            folder: folder.to_owned(),
            file: None,
            end: as_u64(current.end),
            most: most.max(1).saturating_mul(as_u64(LENGTH)),
            last,
            folder_changed: false,
            _lock: lock,
        };
        let unwritable = store.write_last_again(current.highest).err();
        let found = Found {
            last,
            torn: current.torn,
            damaged: before.damaged + current.damaged,
            unwritable: unwritable.map(|error| error.to_string()),
        };
        Ok((store, found))
    }

    /// The last record that is on the disk.
    #[must_use]
    pub fn last(&self) -> Record {
        self.last
    }

    /// Writes the next record; when this returns, it is on the disk.
    ///
    /// # Errors
    /// It is not for certain. Nothing is counted; the next attempt writes the same number at the same place.
    pub fn append(&mut self, time_ms: u64, run: u64) -> io::Result<Record> {
        let number = self.last.number.saturating_add(1);
        if number > HIGHEST {
            return Err(io::Error::other("there is no higher number"));
        }
        let record = Record { number, time_ms, run };
        if self.end >= self.most {
            self.begin_anew()?;
        }
        self.put(&record, self.end)?;
        self.end = self.end.saturating_add(as_u64(LENGTH));
        self.last = record;
        Ok(record)
    }

    /// Writes at a place, and waits for the disk. After a failure the file is opened again: what the disk has made of it shows then.
    fn put(&mut self, record: &Record, place: u64) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open_to_write()?,
        };
        file.write_all_at(record.encode().as_bytes(), place)?;
        file.sync_all()?;
        if self.folder_changed {
            sync_folder(&self.folder)?;
            self.folder_changed = false;
        }
        self.file = Some(file);
        Ok(())
    }

    fn open_to_write(&mut self) -> io::Result<File> {
        let mut how = OpenOptions::new();
        how.write(true);
        let file = match how.open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.folder_changed = true;
                how.create_new(true).open(&self.path)?
            }
            opened => opened?,
        };
        // What was torn goes. Zeros in its place would look like damage later.
        file.set_len(self.end)?;
        Ok(file)
    }

    /// The full file becomes the old one.
    fn begin_anew(&mut self) -> io::Result<()> {
        self.file = None;
        fs::rename(&self.path, &self.old)?;
        self.folder_changed = true;
        self.end = 0;
        Ok(())
    }

    /// A record whose fsync failed, and whose writer was then ended, may be what this run was shown: the kernel keeps it in memory and takes it for
    /// written. Only writing it once more brings it onto the disk. At most the last one can be such.
    fn write_last_again(&mut self, highest: Option<Record>) -> io::Result<()> {
        let place = self.end.checked_sub(as_u64(LENGTH));
        match (highest, place) {
            (Some(highest), Some(place)) if highest == self.last => self.put(&highest, place),
            // It is in the old file, which was full and synced record by record; whether the other can be written shows with the first one.
            _ => Ok(()),
        }
    }
}

/// What is in a file, once it is certain that this is on the disk.
fn contents(path: &Path) -> Result<Contents, StoreError> {
    let failed = |error| StoreError::Read(path.to_owned(), error);
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    let contents = record::read(&bytes);
    if contents.foreign || as_u64(bytes.len()) > MOST_BYTES {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    // A run that was killed may have written it, and not have waited for the disk.
    file.sync_all()
        .map_err(|error| StoreError::Sync(path.to_owned(), error))?;
    Ok(contents)
}

/// One run at a time. Where nothing can be written, there is nothing to keep apart.
fn lock(lock: &Path, path: &Path) -> Result<Option<Flock<File>>, StoreError> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(lock);
    let Ok(file) = opened.or_else(|_| File::open(lock)) else {
        return Ok(None);
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(Some(held)),
        Err((_, Errno::EWOULDBLOCK)) => Err(StoreError::Taken(path.to_owned())),
        Err((_, error)) => Err(StoreError::Read(lock.to_owned(), error.into())),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(path: &Path) -> Vec<u64> {
        let bytes = fs::read(path).unwrap();
        let records = bytes.chunks(LENGTH).map(|bytes| Record::decode(bytes).unwrap().number);
        records.collect()
    }

    /// A writer that counts up, ended and begun again after each of these many records.
    fn runs(path: &Path, most: u64, lengths: &[u64]) -> Vec<Found> {
        let mut seen = Vec::new();
        for length in lengths {
            let (mut store, found) = Store::open(path, most).unwrap();
            for _ in 0..*length {
                store.append(1000, 7).unwrap();
            }
            seen.push(found);
        }
        seen
    }

    #[test]
    fn a_run_goes_on_after_the_last_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/records");
        let seen = runs(&path, 100, &[3, 2, 0]);
        let resumed: Vec<u64> = seen.iter().map(|found| found.last.number).collect();
        assert_eq!(resumed, [0, 3, 5]);
        assert_eq!(numbers(&path), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn two_files_stay_small_and_keep_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        for round in 0..20_u64 {
            let seen = runs(&path, 4, &[1]);
            assert_eq!(seen[0].last.number, round);
        }
        assert_eq!(numbers(&path), [17, 18, 19, 20]);
        assert_eq!(numbers(&folder.path().join("records.old")), [13, 14, 15, 16]);
        // The guest was cut off between renaming the full file and the first record of the new one.
        runs(&path, 4, &[1]);
        fs::write(&path, "").unwrap();
        assert_eq!(runs(&path, 4, &[1])[0].last.number, 20);
        fs::remove_file(&path).unwrap();
        assert_eq!(runs(&path, 4, &[1])[0].last.number, 20);
    }

    #[test]
    fn a_torn_record_is_dropped_and_its_number_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        runs(&path, 100, &[5]);
        for torn in [1, 40, 63] {
            let length = fs::metadata(&path).unwrap().len();
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length - 64 + torn).unwrap();
            let found = runs(&path, 100, &[1]).remove(0);
            assert_eq!((found.last.number, found.torn), (4, usize::try_from(torn).unwrap()));
            assert_eq!(numbers(&path), [1, 2, 3, 4, 5]);
        }
        let mut zeros = fs::read(&path).unwrap();
        zeros.extend([0; 500]);
        fs::write(&path, zeros).unwrap();
        let found = runs(&path, 100, &[1]).remove(0);
        assert_eq!((found.last.number, found.torn), (5, 500));
        assert_eq!(numbers(&path), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        fs::write(&path, "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        let error = Store::open(&path, 100).unwrap_err();
        assert!(matches!(error, StoreError::Foreign(_)), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "root:x:0:0:root:/root:/bin/bash\n");
        assert!(matches!(Store::open(Path::new("/"), 1), Err(StoreError::NoFile(_))));
    }

    #[test]
    fn one_run_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let first = Store::open(&path, 100).unwrap();
        assert!(matches!(Store::open(&path, 100), Err(StoreError::Taken(_))));
        drop(first);
        assert!(Store::open(&path, 100).is_ok());
    }

    #[test]
    fn what_could_not_be_written_is_not_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let (mut store, _) = Store::open(&path, 4).unwrap();
        for _ in 0..4 {
            store.append(1000, 7).unwrap();
        }
        // The next one needs a new file, and there is a folder in the old one's place.
        let old = folder.path().join("records.old");
        fs::create_dir(&old).unwrap();
        for _ in 0..3 {
            assert!(store.append(1000, 7).is_err());
            assert_eq!(store.last().number, 4);
        }
        fs::remove_dir(&old).unwrap();
        assert_eq!(store.append(1000, 7).unwrap().number, 5);
        assert_eq!((numbers(&old), numbers(&path)), (vec![1, 2, 3, 4], vec![5]));
    }
}
