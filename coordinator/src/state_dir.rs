//! The state directory: whose it must be, who holds it, and what lies where in it.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use quorate_identity::{CoordinatorStore, check_custody};
use quorate_model::failure::{ExitCode, Failure};

/// A state directory that was found to be ours alone.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// Held as long as the daemon lives: two daemons on one state would each be the other's second driver.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: Flock<fs::File>,
}

impl StateDir {
    /// Makes the directory if there is none; one that exists must be as if we had made it.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| {
                Failure::new(
                    ExitCode::Failed,
                    format!("can't make the state directory {}", path.display()),
                )
                .because(&error)
            })?;
        Self::open(path)
    }

    /// Takes an existing directory, if owner and mode keep everybody else out.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let refused = |message: String| Failure::new(ExitCode::Refused, message);
        let meta = fs::symlink_metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(ExitCode::NotFound, format!("there is no fleet at {shown}"))
                .hint("make one: quorate init --advertise ADDRESS"),
            _ => Failure::new(ExitCode::Failed, format!("can't look at the state directory {shown}")).because(&error),
        })?;
        if !meta.is_dir() {
            return Err(refused(format!("the state directory {shown} is no directory")));
        }
        let ours = nix::unistd::geteuid().as_raw();
        if meta.uid() != ours {
            return Err(refused(format!(
                "the state directory {shown} belongs to user id {}, but this program runs as user id {ours}",
                meta.uid()
            ))
            .hint(match nix::unistd::User::from_uid(meta.uid().into()) {
                Ok(Some(owner)) => format!("run it as that user: runuser -u {} -- quorate …", owner.name),
                _ => {
                    "run it as that user; or, if the directory is really ours, correct the owner with chown".to_owned()
                }
            }));
        }
        let mode = meta.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(refused(format!(
                "the state directory {shown} holds the fleet's keys, but its mode {mode:04o} lets others in"
            ))
            .hint(format!("find out who has been there; then: chmod 0700 {shown}")));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Is everything in it ours alone? Looked at before anything is believed of what stands there.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        check_custody(&self.path).map_err(|error| {
            Failure::new(ExitCode::Refused, "the coordinator does not believe its own state")
                .because(&error)
                .hint("find out who has changed what; if nobody has, type what stands behind each file, and start it again")
        })
    }

    /// Takes the directory for this process.
    pub(crate) fn lock(&self) -> Result<StateLock, Failure> {
        let path = self.path.join("lock");
        let unusable = || {
            Failure::new(
                ExitCode::Failed,
                format!("can't lock the state directory {}", self.path.display()),
            )
        };
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| unusable().because(&error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(StateLock { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(Failure::new(
                ExitCode::Refused,
                format!("another coordinator runs on {}", self.path.display()),
            )
            .hint("look at it: systemctl status quorate")),
            Err((_, errno)) => Err(unusable().because(&errno)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// CA and the coordinator's own identity.
    pub(crate) fn identity(&self) -> CoordinatorStore {
        CoordinatorStore::new(&self.path)
    }

    /// The fleet's name and where it is reached.
    pub(crate) fn fleet(&self) -> PathBuf {
        self.path.join("fleet.json")
    }

    /// The nodes with their invitations and certificates.
    pub(crate) fn nodes(&self) -> PathBuf {
        self.path.join("nodes.json")
    }

    /// Generation, and whether another coordinator has taken over.
    pub(crate) fn driver(&self) -> PathBuf {
        self.path.join("driver.json")
    }

    /// Revoked certificates.
    pub(crate) fn revocations(&self) -> PathBuf {
        self.path.join("revocations.json")
    }

    /// The certificates of operators and viewers.
    pub(crate) fn operators(&self) -> PathBuf {
        self.path.join("operators.json")
    }

    /// How far the exchange of the CA is.
    pub(crate) fn exchange(&self) -> PathBuf {
        self.path.join("exchange.json")
    }

    /// Held while they are changed: `operator add` is a process of its own.
    pub(crate) fn operators_lock(&self) -> PathBuf {
        self.path.join("operators.lock")
    }

    /// The cluster files as they were last applied, one each cluster.
    pub(crate) fn specs(&self) -> PathBuf {
        self.path.join("specs")
    }

    /// What servers' files were before each rollout.
    pub(crate) fn before(&self) -> PathBuf {
        self.path.join("before")
    }

    /// The audit log.
    pub(crate) fn audit(&self) -> PathBuf {
        self.path.join("audit.jsonl")
    }

    /// How the audit log ends.
    pub(crate) fn audit_head(&self) -> PathBuf {
        self.path.join("audit.head.json")
    }

    /// What was lost with a journal, and what is known of it.
    pub(crate) fn recovery(&self) -> PathBuf {
        self.path.join("recovery.json")
    }

    /// When the last backup was made, and of what.
    pub(crate) fn backup(&self) -> PathBuf {
        self.path.join("backup.json")
    }

    /// Has a coordinator run on this state before? Any trace counts: the one that is missing may be what was lost.
    pub(crate) fn used_before(&self) -> bool {
        let started = |text: String| text.contains("\"action\":\"start\"");
        self.journal().exists() || fs::read_to_string(self.audit()).is_ok_and(started)
    }

    /// What canaries have shown.
    pub(crate) fn reach(&self) -> PathBuf {
        self.path.join("reach.json")
    }

    /// Drills, by cluster and number.
    pub(crate) fn drills(&self) -> PathBuf {
        self.path.join("drills")
    }

    /// Packages that agents are upgraded with.
    pub(crate) fn packages(&self) -> PathBuf {
        self.path.join("packages")
    }

    /// Which disks the servers had.
    pub(crate) fn disks(&self) -> PathBuf {
        self.path.join("disks.json")
    }

    /// Since when guests are known.
    pub(crate) fn guests(&self) -> PathBuf {
        self.path.join("guests.json")
    }

    /// The rollout journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused_with_the_remedy() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state");
        let state = StateDir::create(&path).unwrap();
        assert_eq!(fs::metadata(state.path()).unwrap().mode() & 0o777, 0o700);
        for mode in [0o750, 0o701, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let failure = StateDir::open(&path).unwrap_err();
            assert_eq!(failure.exit, ExitCode::Refused);
            assert!(failure.message.contains(&format!("{mode:04o}")), "{failure}");
            assert!(
                failure.hints.iter().any(|hint| hint.contains("chmod 0700")),
                "{:?}",
                failure.hints
            );
        }
    }

    #[test]
    fn a_missing_one_says_how_to_begin_and_a_file_or_link_is_none() {
        let home = tempfile::tempdir().unwrap();
        let failure = StateDir::open(&home.path().join("none")).unwrap_err();
        assert_eq!(failure.exit, ExitCode::NotFound);
        assert!(failure.hints[0].contains("quorate init"));
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        assert!(StateDir::open(&link).unwrap_err().message.contains("no directory"));
    }

    #[test]
    fn only_one_process_holds_it() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::create(&home.path().join("state")).unwrap();
        let held = state.lock().unwrap();
        assert!(state.lock().unwrap_err().message.contains("another coordinator"));
        drop(held);
        state.lock().unwrap();
    }
}
