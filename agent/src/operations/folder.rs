//! An operation's folder: what passes between the agent and the supervisor of a tool, and what both leave behind.
//!
//! | file | written by | what |
//! |---|---|---|
//! | `request.json` | agent | the tool to run, before the supervisor is started |
//! | `claim.json` | supervisor | who runs it; whoever makes this file first decides that the tool runs, or never will |
//! | `secret` | agent | a FIFO: what the tool reads passes through and is never on disk |
//! | `stdout`, `stderr` | tool | what it prints |
//! | `task.json` | agent | the operation, where the tool is a task of ours |
//! | `given` | agent | what was passed for a task and is no secret |
//! | `status.json` | supervisor | how far it is; in the end how it ended |
//! | `events.jsonl` | agent | what was told about the operation |

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::Mode;
use quorate_exec::{CommandLine, Exit, InvalidCommand, ProcessIdentity};
use quorate_identity::{FileError, create_private_dir, write_private_file, write_secret_file};
use quorate_model::ids::{NodeName, OperationId};
use quorate_model::operation::Operation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The folder of one operation.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
}

/// A tool to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its arguments; never a secret among them.
    pub args: Vec<String>,
    /// Variables beside the fixed ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Milliseconds that the supervisor waits for what the tool is to read; `None`: it reads nothing.
    pub secret_within_ms: Option<u64>,
}

/// A process, so that it can be told from a later one that has the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Process id and start time.
    pub identity: ProcessIdentity,
    /// The boot during which the two mean something.
    pub boot_id: String,
}

/// Who decides whether the tool runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", deny_unknown_fields)]
pub enum Claim {
    /// A supervisor has begun.
    Supervisor {
        /// The supervisor.
        process: Process,
    },
    /// The agent has given it up before any supervisor began.
    Abandoned {
        /// Why.
        reason: String,
    },
}

/// How far a tool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is", deny_unknown_fields)]
pub enum Status {
    /// It was started.
    Running {
        /// The tool.
        process: Process,
    },
    /// It ended.
    Ended {
        /// The tool.
        process: Process,
        /// How.
        exit: Exit,
        /// Milliseconds that it ran.
        milliseconds: u64,
    },
    /// It was never started.
    NotStarted {
        /// Why.
        reason: String,
    },
}

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file can't be made, read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is there and makes no sense.
    #[error("{} can't be understood", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An argument can't be kept as text.
    #[error("an argument of {} is not UTF-8", .0.display())]
    NotText(PathBuf),
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FileError::Io { what, path, source }.into()
}

/// What a task of ours is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// The operation.
    pub operation: Operation,
    /// The name under which this node is enrolled.
    pub node: NodeName,
}

impl Request {
    /// The request for a command line.
    ///
    /// # Errors
    /// An argument is not UTF-8.
    pub fn of(command: &CommandLine, secret_within_ms: Option<u64>) -> Result<Self, FolderError> {
        let program = command.program().to_owned();
        let text = |arg: &std::ffi::OsStr| arg.to_str().map(str::to_owned);
        let args = command.args().map(text).collect::<Option<Vec<_>>>();
        let args = args.ok_or_else(|| FolderError::NotText(program.clone()))?;
        Ok(Self {
            program,
            args,
            env: command.env().clone(),
            secret_within_ms,
        })
    }

    /// What is to be started.
    ///
    /// # Errors
    /// It could not be started so.
    pub fn command(&self) -> Result<CommandLine, InvalidCommand> {
        let mut command = CommandLine::new(&self.program, self.args.iter().map(String::as_str))?;
        for (name, value) in &self.env {
            command = command.with_env(name, value)?;
        }
        Ok(command)
    }

    /// As an administrator would type it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.command()
            .map_or_else(|error| error.to_string(), |command| command.to_string())
    }
}

impl Process {
    /// This process.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn this() -> io::Result<Self> {
        let pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let identity = ProcessIdentity::of(pid)?.ok_or_else(|| io::Error::other("this process is missing in /proc"))?;
        Self::now(identity)
    }

    /// A process of the present boot.
    ///
    /// # Errors
    /// `/proc` can't be read.
    pub fn now(identity: ProcessIdentity) -> io::Result<Self> {
        Ok(Self {
            identity,
            boot_id: boot_id()?,
        })
    }

    /// Was it started since the machine was?
    ///
    /// # Errors
    /// `/proc` can't be read: nothing is known.
    pub fn is_of_this_boot(&self) -> io::Result<bool> {
        Ok(boot_id()? == self.boot_id)
    }

    /// Does it still run?
    ///
    /// # Errors
    /// `/proc` can't be read: nothing is known.
    pub fn is_alive(&self) -> io::Result<bool> {
        Ok(self.is_of_this_boot()? && self.identity.is_alive()?)
    }
}

/// The boot of the real machine, whose processes we look for; a simulated server has none of its own.
fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

impl Folder {
    /// The folder of an operation below the agent's state directory.
    #[must_use]
    pub fn of(state_dir: &Path, id: &OperationId) -> Self {
        Self {
            dir: state_dir.join("operations").join(id.as_str()),
        }
    }

    /// Makes the folder, if it isn't there.
    ///
    /// # Errors
    /// It can't be made, or others may write to it.
    pub fn create(&self) -> Result<(), FolderError> {
        Ok(create_private_dir(&self.dir)?)
    }

    /// Does it exist?
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.dir.is_dir()
    }

    /// Removes it with all that is in it.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self) -> Result<(), FolderError> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &self.dir)(error)),
            _ => Ok(()),
        }
    }

    /// Where a file of it lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Keeps what is to be run.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_request(&self, request: &Request) -> Result<(), FolderError> {
        self.write("request.json", request)
    }

    /// What is to be run; `None`: the agent has not come that far.
    ///
    /// # Errors
    /// The file can't be read or understood.
    pub fn request(&self) -> Result<Option<Request>, FolderError> {
        self.read("request.json")
    }

    /// Says what a task of ours is to do, and with what.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write_task(&self, operation: &Operation, node: &NodeName, given: Option<&[u8]>) -> Result<(), FolderError> {
        if let Some(bytes) = given {
            write_private_file(&self.path("given"), bytes)?;
        }
        let task = TaskFile {
            operation: operation.clone(),
            node: node.clone(),
        };
        self.write("task.json", &task)
    }

    /// What a task of ours is to do; `None`: nobody said.
    ///
    /// # Errors
    /// The file can't be read or understood.
    pub fn task(&self) -> Result<Option<TaskFile>, FolderError> {
        self.read("task.json")
    }

    /// Decides whether the tool runs. `false`: it was decided before.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn claim(&self, claim: &Claim) -> Result<bool, FolderError> {
        // Written beside and linked to its name: the link is made once, and shows a whole file.
        let path = self.path("claim.json");
        let draft = self.path(&format!("claim.{}.draft", std::process::id()));
        write_secret_file(&draft, &encode(claim, &draft)?)?;
        let linked = fs::hard_link(&draft, &path);
        fs::remove_file(&draft).map_err(failed("remove", &draft))?;
        match linked {
            Ok(()) => {
                File::open(&self.dir)
                    .and_then(|dir| dir.sync_all())
                    .map_err(failed("write", &path))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed("create", &path)(error)),
        }
    }

    /// Who has decided whether the tool runs; `None`: nobody yet.
    ///
    /// # Errors
    /// The file can't be read or understood.
    pub fn claimed(&self) -> Result<Option<Claim>, FolderError> {
        self.read("claim.json")
    }

    /// Keeps how far the tool is.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write_status(&self, status: &Status) -> Result<(), FolderError> {
        self.write("status.json", status)
    }

    /// How far the tool is; `None`: its supervisor has not said anything yet.
    ///
    /// # Errors
    /// The file can't be read or understood.
    pub fn status(&self) -> Result<Option<Status>, FolderError> {
        self.read("status.json")
    }

    /// Makes the FIFO that a secret passes through.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make_fifo(&self) -> Result<(), FolderError> {
        let path = self.path("secret");
        match nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) | Err(Errno::EEXIST) => Ok(()),
            Err(error) => Err(failed("create", &path)(error.into())),
        }
    }

    /// Opens a file that grows.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn append(&self, name: &str) -> Result<File, FolderError> {
        let path = self.path(name);
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open", &path))
    }

    fn write(&self, name: &str, value: &impl Serialize) -> Result<(), FolderError> {
        let path = self.path(name);
        Ok(write_secret_file(&path, &encode(value, &path)?)?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, FolderError> {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| FolderError::Damaged { path, source })
    }
}

fn encode(value: &impl Serialize, path: &Path) -> Result<String, FolderError> {
    serde_json::to_string(value).map_err(|source| FolderError::Damaged {
        path: path.to_owned(),
        source,
    })
}

/// Appends a line and hands it to the kernel; it survives our death, though not a power cut.
pub(super) fn append_line(file: &mut File, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(dir: &Path) -> Folder {
        let folder = Folder::of(dir, &"op-1".parse().unwrap());
        folder.create().unwrap();
        folder
    }

    #[test]
    fn a_claim_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let mine = Claim::Supervisor {
            process: Process::this().unwrap(),
        };
        assert!(folder.claim(&mine).unwrap());
        assert!(!folder.claim(&Claim::Abandoned { reason: "late".into() }).unwrap());
        assert_eq!(folder.claimed().unwrap(), Some(mine));
    }

    #[test]
    fn a_process_of_another_boot_is_dead() {
        let mut process = Process::this().unwrap();
        assert!(process.is_alive().unwrap());
        process.boot_id = "another".into();
        assert!(!process.is_alive().unwrap());
    }

    #[test]
    fn garbage_is_not_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        assert_eq!(folder.status().unwrap(), None);
        fs::write(folder.path("status.json"), "{\"is\":\"asleep\"}").unwrap();
        assert!(
            folder
                .status()
                .unwrap_err()
                .to_string()
                .ends_with("can't be understood")
        );
    }
}
