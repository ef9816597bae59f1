//! Tells when something was written below a server's root that the model has to follow.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// Watches folders, each for one server.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Nothing where the kernel gives none: then everything always counts as changed.
    inotify: Option<Inotify>,
    owners: HashMap<WatchDescriptor, usize>,
}

impl Watcher {
    pub(crate) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        if let Err(error) = &inotify {
            super::complain(&format!(
                "no inotify, so every look at the servers' files is a full one: {error}"
            ));
        }
        Self {
            inotify: inotify.ok(),
            owners: HashMap::new(),
        }
    }

    /// Watches a folder; once is as good as often.
    pub(crate) fn folder(&mut self, path: &Path, server: usize) {
        let Some(inotify) = &self.inotify else { return };
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        // A folder that has gone meanwhile is seen to be gone by its own parent's watch.
        if let Ok(watch) = inotify.add_watch(path, mask) {
            self.owners.insert(watch, server);
        }
    }

    /// The servers of whose folders something was written since the last time; all of them if that can't be told.
    pub(crate) fn changed(&mut self, servers: usize) -> BTreeSet<usize> {
        let Some(inotify) = &self.inotify else {
            return (0..servers).collect();
        };
        let mut changed = BTreeSet::new();
        loop {
            match inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                            changed.extend(0..servers);
                        }
                        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                            self.owners.remove(&event.wd);
                        } else if let Some(server) = self.owners.get(&event.wd) {
                            changed.insert(*server);
                        }
                    }
                }
                Err(Errno::EINTR) => {}
                // Usually there is just nothing more.
                Err(_) => return changed,
            }
        }
    }
}
