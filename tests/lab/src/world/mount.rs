//! Puts a server's `/etc/pve` and `/etc/corosync` on the disk as the model has them, writing only what changed.

mod scan;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use self::scan::Look;
pub(crate) use self::scan::{Changes, Etc};
use super::corosync::conf::Conf;
use super::pmxcfs::{PveFile, Stamp};
use super::watch::Watcher;

/// What lies on the disk at present.
#[derive(Debug)]
pub(crate) struct Mount {
    /// `/etc/pve`.
    point: PathBuf,
    /// Swapped with the mount point while unmounted.
    aside: PathBuf,
    mounted: bool,
    writable: bool,
    written: BTreeMap<String, PveFile>,
    /// How each file looked when it was last read or written.
    looks: BTreeMap<String, Look>,
    server: usize,
    corosync: PathBuf,
    corosync_written: (Option<Conf>, Option<u64>),
    stamp: Option<Stamp>,
}

impl Mount {
    pub(crate) fn new(server: usize, point: PathBuf, aside: PathBuf, corosync: PathBuf) -> Self {
        Self {
            point,
            aside,
            mounted: false,
            writable: true,
            written: BTreeMap::new(),
            looks: BTreeMap::new(),
            server,
            corosync,
            corosync_written: (None, None),
            stamp: None,
        }
    }

    /// Brings `/etc/pve` to `tree`, or unmounts it for `None`.
    pub(crate) fn show(
        &mut self,
        tree: Option<(&BTreeMap<String, PveFile>, bool)>,
        nodename: &str,
        watcher: &mut Watcher,
    ) -> io::Result<()> {
        match tree {
            None if self.mounted => {
                // The kernel moves a folder only if its owner may write it.
                chmod(&self.point, 0o755)?;
                self.swap()?;
                self.mounted = false;
                empty(&self.aside)?;
                self.written.clear();
                self.looks.clear();
                self.writable = true;
                Ok(())
            }
            None => Ok(()),
            Some((tree, writable)) => {
                let place = if self.mounted {
                    self.point.clone()
                } else {
                    self.aside.clone()
                };
                watcher.folder(&place, (self.server, Some("")));
                self.fill(&place, tree, nodename, watcher)?;
                if self.writable != writable || !self.mounted {
                    self.writable = writable;
                    for (path, file) in tree {
                        chmod(&place.join(path), mode(path, file.private, writable))?;
                    }
                    chmod(&place, if writable || !self.mounted { 0o755 } else { 0o555 })?;
                }
                if !self.mounted {
                    self.swap()?;
                    self.mounted = true;
                    chmod(&self.point, if writable { 0o755 } else { 0o555 })?;
                }
                Ok(())
            }
        }
    }

    /// Does the model have this file, or folder (its path ends in `/`)?
    pub(crate) fn has(&self, path: &str) -> bool {
        self.written.contains_key(path)
    }

    /// Has anything changed since the last time?
    pub(crate) fn is_new(&self, stamp: &Stamp) -> bool {
        self.stamp.as_ref() != Some(stamp)
    }

    /// This is on the disk now.
    pub(crate) fn shown(&mut self, stamp: Stamp) {
        self.stamp = Some(stamp);
    }

    /// Brings `/etc/corosync` to the given file and key.
    pub(crate) fn show_corosync(&mut self, conf: Option<&Conf>, key: Option<u64>, nodename: &str) -> io::Result<()> {
        if self.corosync_written.0.as_ref() != conf {
            let text = conf.map(Conf::render);
            replace_or_remove(&self.corosync.join("corosync.conf"), text.as_deref(), 0o644)?;
            self.corosync_written.0 = conf.cloned();
        }
        if self.corosync_written.1 != key {
            let text = key.map(key_text);
            // The creator's key is private; a joined node's is not.
            let creator = conf
                .and_then(|conf| conf.named(nodename))
                .is_none_or(|node| node.id == 1);
            let mode = if creator { 0o400 } else { 0o644 };
            replace_or_remove(&self.corosync.join("authkey"), text.as_deref(), mode)?;
            self.corosync_written.1 = key;
        }
        Ok(())
    }

    fn swap(&self) -> io::Result<()> {
        renameat2(
            AT_FDCWD,
            &self.aside,
            AT_FDCWD,
            &self.point,
            RenameFlags::RENAME_EXCHANGE,
        )
        .map_err(io::Error::from)
    }

    fn fill(
        &mut self,
        place: &Path,
        tree: &BTreeMap<String, PveFile>,
        nodename: &str,
        watcher: &mut Watcher,
    ) -> io::Result<()> {
        if *tree == self.written {
            return Ok(());
        }
        let gone: Vec<String> = self
            .written
            .keys()
            .filter(|path| !tree.contains_key(*path))
            .cloned()
            .collect();
        for path in gone.iter().rev() {
            let full = place.join(path);
            writable_parent(&full, || {
                let removed = if path.ends_with('/') {
                    make_removable(&full).and_then(|()| fs::remove_dir_all(&full))
                } else {
                    fs::remove_file(&full)
                };
                // Somebody else may have been quicker.
                removed.or_else(missing_is_fine)
            })?;
        }
        for (path, file) in tree {
            if self.written.get(path) == Some(file) {
                continue;
            }
            let full = place.join(path);
            let mode = mode(path, file.private, self.writable);
            if path.ends_with('/') {
                if !full.is_dir() {
                    writable_parent(&full, || fs::create_dir(&full))?;
                }
                watcher.folder(&full, (self.server, Some(path)));
                chmod(&full, mode)?;
            } else {
                writable_parent(&full, || write_atomic(&full, &file.text, mode))?;
            }
        }
        if self.written.is_empty() {
            let local = format!("nodes/{nodename}");
            for (link, target) in [
                ("local", local.clone()),
                ("qemu-server", format!("{local}/qemu-server")),
                ("lxc", format!("{local}/lxc")),
                ("openvz", format!("{local}/openvz")),
            ] {
                let full = place.join(link);
                if full.symlink_metadata().is_err() {
                    writable_parent(&full, || symlink(&target, &full))?;
                }
            }
        }
        self.written = tree.clone();
        Ok(())
    }
}

/// `authkey` of a cluster.
fn key_text(key: u64) -> String {
    format!("{key:016x}").repeat(16)
}

fn mode(path: &str, private: bool, writable: bool) -> u32 {
    let mode = match (path.ends_with('/'), private) {
        (true, false) => 0o755,
        (true, true) => 0o700,
        (false, false) => 0o640,
        (false, true) => 0o600,
    };
    if writable { mode } else { mode & 0o555 }
}

fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}

fn missing_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// The world writes where the server itself may not, as an ordinary user too.
fn writable_parent(path: &Path, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(parent) = path.parent() else { return act() };
    let before = fs::metadata(parent)?.permissions();
    if before.mode() & 0o200 != 0 {
        return act();
    }
    chmod(parent, before.mode() | 0o200)?;
    let result = act();
    fs::set_permissions(parent, before)?;
    result
}

fn write_atomic(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp.lab");
    let temporary = path.with_file_name(name);
    fs::write(&temporary, text)?;
    chmod(&temporary, mode)?;
    fs::rename(&temporary, path)
}

fn replace_or_remove(path: &Path, text: Option<&str>, mode: u32) -> io::Result<()> {
    match text {
        Some(text) => write_atomic(path, text, mode),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    make_removable(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    Ok(())
}

/// Gives the owner all rights to every folder below, so that it can be removed.
pub(crate) fn make_removable(folder: &Path) -> io::Result<()> {
    chmod(folder, 0o755)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_removable(&entry.path())?;
        }
    }
    Ok(())
}
