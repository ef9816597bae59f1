//! What others wrote into `/etc/pve` and `/etc/corosync` of a server, beside what the world put there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Mount, chmod, mode};
use crate::world::corosync::conf::Conf;
use crate::world::pmxcfs::PveFile;
use crate::world::watch::Watcher;

/// pmxcfs holds no longer file.
const LIMIT: usize = 1 << 20;

/// Links that pmxcfs itself shows.
const LINKS: [&str; 4] = ["local", "lxc", "openvz", "qemu-server"];

/// Files whose content the world alone makes.
const MADE: [&str; 3] = [".members", ".vmlist", ".version"];

/// A file's place and times: another look means that somebody touched it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// What others changed, by path below `/etc/pve`; folders end in `/`.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) removed: Vec<String>,
    /// Text of a file; folders have none.
    pub(crate) put: Vec<(String, String)>,
    /// Something was done that pmxcfs does not allow: it must be undone.
    pub(crate) odd: bool,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.put.is_empty() && !self.odd
    }
}

/// `/etc/corosync` as it lies there.
#[derive(Debug)]
pub(crate) struct Etc {
    pub(crate) conf: Option<Conf>,
    pub(crate) key: Option<u64>,
}

impl Mount {
    /// What others changed in `/etc/pve` since the last time. From now on it counts as put there by the world.
    pub(crate) fn scan(&mut self, watcher: &mut Watcher) -> io::Result<Changes> {
        let mut changes = Changes::default();
        if !self.mounted {
            return Ok(changes);
        }
        let mut seen = BTreeMap::new();
        self.look_around("", watcher, &mut seen, &mut changes)?;
        changes.removed = self
            .written
            .keys()
            .filter(|path| !seen.contains_key(*path))
            .cloned()
            .collect();
        for path in &changes.removed {
            self.written.remove(path);
        }
        self.looks = seen;
        changes.odd |= changes.removed.iter().any(|path| MADE.contains(&path.as_str()));
        Ok(changes)
    }

    fn look_around(
        &mut self,
        folder: &str,
        watcher: &mut Watcher,
        seen: &mut BTreeMap<String, Look>,
        changes: &mut Changes,
    ) -> io::Result<()> {
        let place = self.point.join(folder);
        let Some(entries) = there(fs::read_dir(&place))? else {
            return Ok(());
        };
        for entry in entries {
            let entry = entry?;
            let Some(data) = there(entry.metadata())? else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            let look = Look {
                inode: data.ino(),
                size: data.size(),
                changed: (data.ctime(), data.ctime_nsec()),
            };
            if data.is_dir() {
                let path = format!("{folder}{name}/");
                seen.insert(path.clone(), look);
                if !self.written.contains_key(&path) {
                    watcher.folder(&entry.path(), (self.server, Some(&path)));
                    self.take(&path, String::new(), changes);
                }
                self.look_around(&path, watcher, seen, changes)?;
            } else if data.is_file() {
                let path = format!("{folder}{name}");
                seen.insert(path.clone(), look);
                if self.looks.get(&path) != Some(&look) {
                    self.read(&path, &entry.path(), changes)?;
                }
            } else if !(folder.is_empty() && LINKS.contains(&name.as_str())) {
                // A link, a pipe: pmxcfs knows none.
                there(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    fn read(&mut self, path: &str, full: &Path, changes: &mut Changes) -> io::Result<()> {
        let Some(mut bytes) = there(fs::read(full))? else {
            return Ok(());
        };
        if bytes.len() > LIMIT {
            // The writer would have been told; the first part stays.
            bytes.truncate(LIMIT);
            fs::write(full, &bytes)?;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if self.written.get(path).is_none_or(|file| file.text != text) {
            self.take(path, text, changes);
        }
        Ok(())
    }

    fn take(&mut self, path: &str, text: String, changes: &mut Changes) {
        let file = PveFile::new(path, text.clone());
        // Gone again meanwhile: the next look will show it.
        chmod(&self.point.join(path), mode(path, file.private, self.writable)).ok();
        self.written.insert(path.to_owned(), file);
        if MADE.contains(&path) {
            changes.odd = true;
        } else {
            changes.put.push((path.to_owned(), text));
        }
    }

    /// Puts the whole content there again at the next occasion.
    pub(crate) fn undo(&mut self) {
        self.stamp = None;
    }

    /// Is something else mounted over, or written into the empty mount point?
    pub(crate) fn is_blocked(&self) -> bool {
        !self.mounted && fs::read_dir(&self.point).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// `/etc/corosync`, if others changed it since the last time.
    pub(crate) fn scan_corosync(&mut self) -> io::Result<Option<Etc>> {
        let text = there(fs::read_to_string(self.corosync.join("corosync.conf")))?;
        let key = there(fs::read(self.corosync.join("authkey")))?.map(|bytes| key_of(&bytes));
        let (conf_before, key_before) = &self.corosync_written;
        if text == conf_before.as_ref().map(Conf::render) && key == *key_before {
            return Ok(None);
        }
        let conf = text.as_deref().map(Conf::parse);
        self.corosync_written = (conf.clone(), key);
        Ok(Some(Etc { conf, key }))
    }
}

/// The number whose hexadecimal digits fill the file; of another file's bytes some number of its own.
fn key_of(bytes: &[u8]) -> u64 {
    let digits = bytes.get(..16).and_then(|digits| std::str::from_utf8(digits).ok());
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .filter(|number| bytes == super::key_text(*number).as_bytes())
        .unwrap_or_else(|| {
            bytes
                .iter()
                .fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
        })
}

/// Nothing for what has gone meanwhile.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
