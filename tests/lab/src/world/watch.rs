//! Tells when something was written below a server's root that the model has to follow.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

/// Watches folders, each for one server.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// Nothing where the kernel gives none: then everything always counts as changed.
    inotify: Option<Inotify>,
    owners: HashMap<WatchDescriptor, Owner>,
    /// Folders that somebody made, and no look has found yet.
    made: BTreeSet<Folder>,
}

/// A watched folder's server, and its path below `/etc/pve` (empty, or ending in `/`), if it lies there.
type Owner = (usize, Option<String>);

/// A server's folder; its path ends in `/`.
type Folder = (usize, String);

/// What happened since the last time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Servers of whose folders something was written; all of them if that can't be told.
    pub(crate) servers: BTreeSet<usize>,
    /// Folders that were made and removed before any look could find them: locks, mostly.
    pub(crate) brief: Vec<Folder>,
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
            made: BTreeSet::new(),
        }
    }

    /// Watches a folder of a server, whose path on the disk is `place`; once is as good as often.
    pub(crate) fn folder(&mut self, place: &Path, (server, path): (usize, Option<&str>)) {
        let Some(inotify) = &self.inotify else { return };
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        // A folder that has gone meanwhile is seen to be gone by its own parent's watch.
        if let Ok(watch) = inotify.add_watch(place, mask) {
            self.owners.insert(watch, (server, path.map(str::to_owned)));
        }
    }

    /// What was written since the last time. Folders that the model has, because a look found them or because it made them itself, are
    /// `known`.
    pub(crate) fn changed(&mut self, servers: usize, known: impl Fn(usize, &str) -> bool) -> Changed {
        self.made.retain(|(server, path)| !known(*server, path));
        let mut changed = Changed::default();
        loop {
            let Some(inotify) = &self.inotify else {
                changed.servers.extend(0..servers);
                break;
            };
            match inotify.read_events() {
                Ok(events) => {
                    for event in events {
                        self.note(event, servers, &mut changed);
                    }
                }
                Err(Errno::EINTR) => {}
                // Usually there is just nothing more.
                Err(_) => break,
            }
        }
        self.made.retain(|(server, path)| !known(*server, path));
        changed
    }

    fn note(&mut self, event: InotifyEvent, servers: usize, changed: &mut Changed) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            changed.servers.extend(0..servers);
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.owners.remove(&event.wd);
            return;
        }
        let Some((server, path)) = self.owners.get(&event.wd) else {
            return;
        };
        changed.servers.insert(*server);
        let name = event.name.filter(|_| event.mask.contains(AddWatchFlags::IN_ISDIR));
        let (Some(path), Some(name)) = (path, name) else { return };
        let folder = (*server, format!("{path}{}/", name.to_string_lossy()));
        if event.mask.contains(AddWatchFlags::IN_CREATE) {
            self.made.insert(folder);
        } else if event.mask.contains(AddWatchFlags::IN_DELETE) && self.made.remove(&folder) {
            changed.brief.push(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_no_look_could_find_is_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new();
        watcher.folder(dir.path(), (3, Some("priv/lock/")));
        let place = |name: &str| dir.path().join(name);
        std::fs::create_dir(place("brief")).unwrap();
        std::fs::remove_dir(place("brief")).unwrap();
        // One that the model shows, as it made it itself: it goes when the model takes it away.
        std::fs::create_dir(place("own")).unwrap();
        // One that the next look finds.
        std::fs::create_dir(place("stays")).unwrap();
        let changed = watcher.changed(5, |_, path| path == "priv/lock/own/");
        let brief = |name: &str| vec![(3, format!("priv/lock/{name}/"))];
        assert_eq!((changed.servers, changed.brief), ([3].into(), brief("brief")));
        for name in ["own", "stays"] {
            std::fs::remove_dir(place(name)).unwrap();
        }
        let changed = watcher.changed(5, |_, path| path == "priv/lock/stays/");
        assert_eq!((changed.servers, changed.brief), ([3].into(), vec![]));
        // Between the two halves of a look it is there once, and gone before it is looked for.
        std::fs::create_dir(place("late")).unwrap();
        assert_eq!(watcher.changed(5, |_, _| false).brief, vec![]);
        std::fs::remove_dir(place("late")).unwrap();
        assert_eq!(watcher.changed(5, |_, _| false).brief, brief("late"));
    }
}
