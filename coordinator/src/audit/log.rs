//! The two files: the log, and its head. Several processes may append: each under the log's lock, from what the head file
//! says.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use quorate_identity::FileError;
use quorate_model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::line::{Act, By, Line, What};
use crate::documents::{self, DocumentError};

/// Another process holds the lock for one append.
const LOCK: Duration = Duration::from_secs(10);

/// `previous` of the first line.
pub(super) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why the log can't be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The system refuses.
    #[error("can't {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The head file can't be used.
    #[error(transparent)]
    Head(#[from] DocumentError),
    /// A line can't be put into words; a bug.
    #[error("a line can't be written down")]
    Encoding(#[from] serde_json::Error),
}

/// How the log ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Lines.
    pub(crate) count: u64,
    /// SHA-256 of the last.
    pub(crate) last: String,
    /// Bytes.
    pub(crate) length: u64,
}

impl Head {
    fn empty() -> Self {
        Self {
            count: 0,
            last: GENESIS.to_owned(),
            length: 0,
        }
    }

    fn after(&self, text: &str) -> Self {
        Self {
            count: self.count + 1,
            last: digest(text),
            length: self.length + text.len() as u64 + 1,
        }
    }
}

pub(super) fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// How the log is found before something is appended.
struct Settled {
    head: Head,
    /// There is a head file that can be read.
    known: bool,
    /// The head file is gone or damaged: nobody knows how many lines there were.
    lost: bool,
    /// So many bytes of a torn line were cut off.
    cut: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    head_path: PathBuf,
    /// Where it is, a log was begun before.
    fleet: PathBuf,
    turn: Mutex<()>,
}

impl Log {
    pub(super) fn new(path: PathBuf, head_path: PathBuf, fleet: PathBuf) -> Self {
        let turn = Mutex::default();
        Self {
            path,
            head_path,
            fleet,
            turn,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head(&self) -> Result<Option<Head>, AuditError> {
        Ok(documents::load(&self.head_path)?)
    }

    pub(super) fn append(&self, at: Timestamp, act: Act) -> Result<(), AuditError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(|error| self.failed("open", error))?;
        let file = self.lock(file)?;
        let Settled {
            mut head,
            known,
            lost,
            cut,
        } = self.settle(&file)?;
        if !known {
            // Before the line: from here on, a log without a head file is a loss, and no crash.
            documents::save(&self.head_path, &head)?;
        }
        let begins = matches!(act.what, What::Init { .. } | What::Restore { .. });
        let said = [
            // For good: whoever took the head file away could take lines away, too.
            (lost && !begins).then_some(What::HeadLost { lines: head.count }),
            cut.map(|bytes| What::CutTornLine { bytes }),
        ];
        for what in said.into_iter().flatten() {
            head = self.write(&file, &head, at, Act::new(By::daemon(), what))?;
        }
        self.write(&file, &head, at, act).map(drop)
    }

    /// Both files, while nobody writes.
    pub(super) fn whole(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, AuditError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&self.path) {
            Ok(file) => Some(self.lock(file)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.failed("open", error)),
        };
        let mut both = Vec::new();
        for path in [&self.path, &self.head_path] {
            match std::fs::read(path) {
                Ok(bytes) => both.push((path.clone(), bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed("read", error)),
            }
        }
        drop(file);
        Ok(both)
    }

    /// Where the log ends, whatever the last process that wrote to it lived to do. A line that was whole counts; a torn one
    /// is cut off, since whoever wrote it never went on to do what it says.
    fn settle(&self, mut file: &File) -> Result<Settled, AuditError> {
        let length = file.metadata().map_err(|error| self.failed("read", error))?.len();
        let head = match self.head() {
            Ok(head) => head,
            // Counted anew below, which is said in a line of its own.
            Err(AuditError::Head(DocumentError::Damaged { .. } | DocumentError::File(FileError::NotText { .. }))) => {
                None
            }
            Err(error) => return Err(error),
        };
        // Without a line yet there need be no head; but a fleet that is there began with a line.
        let known = head.is_some();
        let lost = !known && (length > 0 || self.fleet.exists());
        let settled = |head, cut| Settled { head, known, lost, cut };
        let mut head = match head {
            Some(head) if head.length == length => return Ok(settled(head, None)),
            // Lines are missing: the chain goes on from what was last, and the gap shows to whoever verifies.
            Some(head) if head.length > length => return Ok(settled(Head { length, ..head }, None)),
            Some(head) => head,
            None => Head::empty(),
        };
        let mut rest = Vec::new();
        file.seek(SeekFrom::Start(head.length))
            .and_then(|_| file.read_to_end(&mut rest))
            .map_err(|error| self.failed("read", error))?;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            let whole = line.strip_suffix(b"\n").map(String::from_utf8_lossy);
            let Some(text) = whole else {
                file.set_len(head.length)
                    .map_err(|error| self.failed("shorten", error))?;
                return Ok(settled(head, Some(line.len() as u64)));
            };
            head = Head {
                length: head.length + line.len() as u64,
                ..head.after(&text)
            };
        }
        Ok(settled(head, None))
    }

    fn write(&self, mut file: &File, head: &Head, at: Timestamp, act: Act) -> Result<Head, AuditError> {
        let line = Line {
            number: head.count,
            previous: head.last.clone(),
            at: at.to_string(),
            by: act.by,
            cluster: act.cluster,
            what: act.what,
            accepted: act.accepted,
            consents: act.consents,
        };
        let text = serde_json::to_string(&line)?;
        // A log whose last line break was lost gets it back, or two lines would be one.
        let broken = head.length > 0 && self.last_byte(file, head.length)? != b'\n';
        let bytes = if broken {
            format!("\n{text}\n")
        } else {
            format!("{text}\n")
        };
        let written = file.write_all(bytes.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a line must not stay. If that fails too, the next one who appends does it.
            drop(file.set_len(head.length));
            return Err(self.failed("write", error));
        }
        let mut next = head.after(&text);
        next.length += u64::from(broken);
        documents::save(&self.head_path, &next)?;
        Ok(next)
    }

    fn last_byte(&self, file: &File, length: u64) -> Result<u8, AuditError> {
        let mut last = [0];
        file.read_exact_at(&mut last, length - 1)
            .map_err(|error| self.failed("read", error))?;
        Ok(last[0])
    }

    fn lock(&self, mut file: File) -> Result<Flock<File>, AuditError> {
        let end = Instant::now() + LOCK;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(locked),
                Err((back, Errno::EWOULDBLOCK)) if Instant::now() < end => {
                    file = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((_, errno)) => return Err(self.failed("lock", errno.into())),
            }
        }
    }

    fn failed(&self, what: &'static str, source: io::Error) -> AuditError {
        AuditError::Io {
            what,
            path: self.path.clone(),
            source,
        }
    }
}
