//! PVE's own lock on corosync.conf: whoever changes the file by other means holds it as well.

use std::time::Duration;

use super::{Stopped, Task, say, stopped};

/// The lock of corosync.conf in pmxcfs. Source: PVE::Cluster's `cfs_lock_file('corosync.conf')`.
const LOCK: &str = "/etc/pve/priv/lock/file-corosync_conf";

/// How long it is tried. Ten seconds is what PVE's own commands give it; a lock that was left behind expires after 120.
const WITHIN: Duration = Duration::from_secs(130);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A lock that is held. Let go by [`Held::release`], or by pmxcfs itself two minutes after we died.
pub(super) struct Held<'t, 'h>(&'t Task<'h>);

/// Takes the lock.
pub(super) async fn take<'t, 'h>(task: &'t Task<'h>) -> Result<Held<'t, 'h>, Stopped> {
    let root = task.host.root();
    let clock = task.host.clock();
    let began = clock.monotonic();
    let mut told = false;
    loop {
        if root.take_folder(LOCK)? {
            return Ok(Held(task));
        }
        if !told {
            say("waits for the lock on corosync.conf, which another command holds or has left behind");
            told = true;
        }
        if clock.since(began) >= task.pace.of(WITHIN) {
            return stopped("the lock on corosync.conf was not to be had; nothing was changed");
        }
        // Only asks; pmxcfs lets go of it if it has expired.
        if let Err(error) = root.ask_to_unlock(LOCK) {
            tracing::debug!(%error, "pmxcfs could not be asked to let go of the lock");
        }
        task.pause(AGAIN_AFTER).await;
    }
}

impl Held<'_, '_> {
    /// Lets go of it.
    pub(super) fn release(self) -> Result<(), Stopped> {
        Ok(self.0.host.root().remove_folder(LOCK)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use quorate_clock::Clock;
    use quorate_exec::Tools;
    use quorate_exec::scripted::Scripted;
    use quorate_model::operation::{Action, Operation};

    use super::*;
    use crate::host::{Host, HostRoot};
    use crate::operations::folder::Folder;
    use crate::pace::Pace;

    struct Server {
        host: Host,
        dir: tempfile::TempDir,
    }

    impl Server {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("root/etc/pve/priv/lock")).unwrap();
            // By this it is seen that pmxcfs is mounted there.
            std::os::unix::fs::symlink("nodes/prox1", dir.path().join("root/etc/pve/local")).unwrap();
            let root = HostRoot::lab(&dir.path().join("root")).unwrap();
            let runner = Arc::new(Scripted::new([]));
            let host = Host::new(root, Tools::imagined(), runner, Clock::system());
            Self { host, dir }
        }

        fn lock(&self) -> PathBuf {
            self.dir.path().join("root").join(LOCK.trim_start_matches('/'))
        }

        /// At this pace the lock is tried for 1.3 s.
        fn task(&self) -> Task<'_> {
            let id = "op-1".parse().unwrap();
            Task {
                host: &self.host,
                folder: Folder::of(self.dir.path(), &id),
                operation: Operation {
                    id,
                    action: Action::WithdrawKeys {
                        cluster: "hk1".parse().unwrap(),
                    },
                },
                node: "prox1".parse().unwrap(),
                pace: Pace::try_from(100.0).unwrap(),
                state_dir: self.dir.path().to_owned(),
            }
        }
    }

    /// What pmxcfs does with a lock that has expired, when somebody asks for it.
    async fn break_when_asked(lock: &Path) {
        let asked = async {
            while std::fs::metadata(lock).unwrap().mtime() != 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap();
        std::fs::remove_dir(lock).unwrap();
    }

    #[tokio::test]
    async fn a_free_lock_is_taken_and_let_go_of() {
        let server = Server::new();
        let task = server.task();
        let held = take(&task).await.unwrap();
        assert!(server.lock().is_dir());
        held.release().unwrap();
        assert!(!server.lock().exists());
    }

    #[tokio::test]
    async fn one_that_was_left_behind_is_asked_for_until_pmxcfs_breaks_it() {
        let server = Server::new();
        std::fs::create_dir(server.lock()).unwrap();
        let (task, lock) = (server.task(), server.lock());
        let (held, ()) = tokio::join!(take(&task), break_when_asked(&lock));
        held.unwrap().release().unwrap();
        assert!(!server.lock().exists());
    }

    #[tokio::test]
    async fn one_that_somebody_holds_is_waited_for_and_not_taken_away() {
        let server = Server::new();
        std::fs::create_dir(server.lock()).unwrap();
        let task = server.task();
        let Err(Stopped(why)) = take(&task).await else {
            panic!("it was taken")
        };
        assert_eq!(why, "the lock on corosync.conf was not to be had; nothing was changed");
        assert!(server.lock().is_dir(), "it is not ours to remove");
    }
}
