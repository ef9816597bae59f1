//! Changing files of the host: whole or not at all, and below the host's root only. For tasks, which are processes of their own: a
//! write to /etc/pve may block for as long as the membership is undecided.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::root::{HostRoot, ReadError};

/// A file of the host could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("{path} could not be {what}")]
pub struct WriteError {
    /// The path on the host.
    pub path: String,
    /// What was tried.
    pub what: &'static str,
    /// Why not.
    #[source]
    pub source: io::Error,
}

fn failed(path: &str, what: &'static str) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_owned();
    move |source| WriteError { path, what, source }
}

fn unresolved(path: &str, what: &'static str) -> impl FnOnce(ReadError) -> WriteError {
    let path = path.to_owned();
    move |error| WriteError {
        path,
        what,
        source: io::Error::other(error.to_string()),
    }
}

/// Where something is written.
struct Target {
    path: PathBuf,
    /// Below /etc/pve: the mount, by which the path goes. It is held open until the write is over.
    _mount: Option<File>,
}

impl HostRoot {
    /// Makes sure that what is written below /etc/pve goes to pmxcfs and never to the bare folder that it is mounted on: with a file in
    /// that, pmxcfs does not start any more. So the path goes by an open handle in which pmxcfs was seen.
    fn mounted(&self, place: PathBuf, path: &str, what: &'static str) -> Result<Target, WriteError> {
        let mount = self.pmxcfs();
        let Ok(inside) = place.strip_prefix(&mount) else {
            return Ok(Target {
                path: place,
                _mount: None,
            });
        };
        let handle = File::open(&mount).map_err(failed(path, what))?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        // A link that only pmxcfs shows.
        match fs::symlink_metadata(root.join("local")) {
            Ok(_) => Ok(Target {
                path: root.join(inside),
                _mount: Some(handle),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(failed(path, what)(io::Error::other("/etc/pve is not mounted")))
            }
            Err(error) => Err(failed(path, what)(error)),
        }
    }

    /// Where a file of the host is or would be on this machine: its folder exists, and lies within the root.
    fn target(&self, path: &str, what: &'static str) -> Result<Target, WriteError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.is_empty() || name == ".." || name == "." {
            return Err(failed(path, what)(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        let place = self.resolve(folder).map_err(unresolved(path, what))?.join(name);
        self.mounted(place, path, what)
    }

    /// Gives a file another name in the same file system, if there is such a file.
    ///
    /// # Errors
    /// It has its old name then.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), WriteError> {
        const WHAT: &str = "renamed";
        let (old, new) = (self.target(from, WHAT)?, self.target(to, WHAT)?);
        absent_is_fine(fs::rename(&old.path, &new.path)).map_err(failed(from, WHAT))
    }

    /// Puts a text in the place of a file, by a rename: whoever reads sees the old one or the new one. A link is followed, so that
    /// root's authorized_keys stays the link into /etc/pve that PVE has made of it. pmxcfs gives files its own mode.
    ///
    /// # Errors
    /// Nothing was changed then.
    pub fn replace(&self, path: &str, text: &str, mode: u32) -> Result<(), WriteError> {
        const WHAT: &str = "written";
        let target = match self.resolve(path) {
            Ok(existing) => self.mounted(existing, path, WHAT)?,
            Err(ReadError::NotFound { .. }) => self.target(path, WHAT)?,
            Err(error) => return Err(unresolved(path, WHAT)(error)),
        };
        // pmxcfs: two nodes that use one name for what is not yet whole take it away from each other.
        let unique = format!("{}.quorate.{}", std::process::id(), rand::random::<u32>());
        let mut name = target.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".tmp.{unique}"));
        let temporary = target.path.with_file_name(name);
        let written = write_whole(&temporary, text, mode).and_then(|()| fs::rename(&temporary, &target.path));
        if written.is_err() {
            // What is not whole must not stay; that it could not even be made is no further trouble.
            drop(fs::remove_file(&temporary));
        }
        written.map_err(failed(path, WHAT))
    }

    /// Writes to a file that is there, as it is: one of the kernel's switches.
    ///
    /// # Errors
    /// It is not there, or the kernel refuses.
    pub fn poke(&self, path: &str, text: &str) -> Result<(), WriteError> {
        const WHAT: &str = "written to";
        let place = self.resolve(path).map_err(unresolved(path, WHAT))?;
        let opened = OpenOptions::new().write(true).open(place);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed(path, WHAT))
    }

    /// Opens a file that is only there to be locked, and makes it if there is none.
    ///
    /// # Errors
    /// It can't be opened.
    pub fn open_lock(&self, path: &str) -> Result<fs::File, WriteError> {
        const WHAT: &str = "opened";
        let target = self.target(path, WHAT)?;
        let opened = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .open(&target.path);
        opened.map_err(failed(path, WHAT))
    }

    /// Makes a folder, if there is none.
    ///
    /// # Errors
    /// It can't be made.
    pub fn make_folder(&self, path: &str, mode: u32) -> Result<(), WriteError> {
        const WHAT: &str = "made";
        match fs::DirBuilder::new().mode(mode).create(&self.target(path, WHAT)?.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, WHAT)(error)),
            _ => Ok(()),
        }
    }

    /// Makes a folder that must not be there yet; `false`: it is. How pmxcfs' locks are taken.
    ///
    /// # Errors
    /// It can't be made.
    pub fn take_folder(&self, path: &str) -> Result<bool, WriteError> {
        const WHAT: &str = "made";
        match fs::create_dir(&self.target(path, WHAT)?.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed(path, WHAT)(error)),
        }
    }

    /// Removes a file, if there is one. A link is removed itself.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self, path: &str) -> Result<(), WriteError> {
        absent_is_fine(fs::remove_file(&self.target(path, "removed")?.path)).map_err(failed(path, "removed"))
    }

    /// Removes an empty folder, if there is one.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove_folder(&self, path: &str) -> Result<(), WriteError> {
        absent_is_fine(fs::remove_dir(&self.target(path, "removed")?.path)).map_err(failed(path, "removed"))
    }

    /// Copies a folder of the host and everything in it to a folder of this machine, outside of what is the host's. When this returns, the
    /// copy is on disk: the originals may be removed.
    ///
    /// # Errors
    /// Not everything is copied then.
    pub fn copy_out(&self, path: &str, to: &Path) -> Result<(), WriteError> {
        let from = self.resolve(path).map_err(unresolved(path, "copied"))?;
        copy(&from, to)
            .and_then(|()| sync_dir(to.parent().unwrap_or(to)))
            .map_err(failed(path, "copied"))
    }

    /// Removes a folder with everything in it, links not followed.
    ///
    /// # Errors
    /// Something of it is still there.
    pub fn remove_tree(&self, path: &str) -> Result<(), WriteError> {
        absent_is_fine(fs::remove_dir_all(&self.target(path, "removed")?.path)).map_err(failed(path, "removed"))
    }

    /// Asks pmxcfs to let go of a lock that has expired: PVE does so by setting its times to zero.
    ///
    /// # Errors
    /// It can't be asked.
    pub fn ask_to_unlock(&self, path: &str) -> Result<(), WriteError> {
        const WHAT: &str = "unlocked";
        let zero = nix::sys::time::TimeVal::new(0, 0);
        let place = self.target(path, WHAT)?;
        nix::sys::stat::utimes(&place.path, &zero, &zero).map_err(|errno| failed(path, WHAT)(io::Error::from(errno)))
    }
}

fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
            // What lies in priv must not become readable by being kept.
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600))?;
            fs::File::open(&target)?.sync_all()?;
        }
    }
    sync_dir(to)
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn lab() -> (tempfile::TempDir, HostRoot) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/etc/pve/priv")).unwrap();
        fs::create_dir_all(dir.path().join("root/root/.ssh")).unwrap();
        fs::write(dir.path().join("outside"), "outside").unwrap();
        symlink("nodes/prox1", dir.path().join("root/etc/pve/local")).unwrap();
        let root = HostRoot::lab(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    #[test]
    fn nothing_is_written_below_a_folder_that_pmxcfs_is_not_mounted_on() {
        let (dir, root) = lab();
        fs::write(dir.path().join("root/etc/pve/priv/authorized_keys"), "old").unwrap();
        fs::create_dir_all(dir.path().join("root/etc/pve/nodes/prox9")).unwrap();
        let keys = dir.path().join("root/root/.ssh/authorized_keys");
        symlink("../../etc/pve/priv/authorized_keys", keys).unwrap();
        fs::remove_file(dir.path().join("root/etc/pve/local")).unwrap();
        let whys = [
            root.replace("/etc/pve/a", "one", 0o640),
            root.replace("/root/.ssh/authorized_keys", "new", 0o600),
            root.make_folder("/etc/pve/quorate", 0o755),
            root.take_folder("/etc/pve/priv/lock").map(drop),
            root.remove("/etc/pve/priv/authorized_keys"),
            root.remove_folder("/etc/pve/nodes/prox9"),
            root.remove_tree("/etc/pve/nodes/prox9"),
            root.ask_to_unlock("/etc/pve/priv/lock"),
            root.rename("/etc/pve/priv", "/etc/pve/x"),
        ];
        for why in whys {
            let error = why.unwrap_err();
            assert_eq!(error.source.to_string(), "/etc/pve is not mounted", "{error}");
        }
        assert_eq!(root.read_text("/etc/pve/priv/authorized_keys").unwrap(), "old");
        assert_eq!(root.read_dir("/etc/pve").unwrap(), ["nodes", "priv"]);
        root.replace("/root/.ssh/config", "elsewhere", 0o600).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let (dir, root) = lab();
        root.replace("/etc/pve/a", "one", 0o640).unwrap();
        root.replace("/etc/pve/a", "two", 0o640).unwrap();
        assert_eq!(root.read_text("/etc/pve/a").unwrap(), "two");
        assert_eq!(root.read_dir("/etc/pve").unwrap(), ["a", "local", "priv"]);
        // A folder can't be replaced by a file; what was begun is cleared away.
        fs::create_dir(dir.path().join("root/etc/pve/b")).unwrap();
        fs::write(dir.path().join("root/etc/pve/b/x"), "").unwrap();
        assert!(root.replace("/etc/pve/b", "three", 0o640).is_err());
        assert_eq!(root.read_dir("/etc/pve").unwrap(), ["a", "b", "local", "priv"]);
    }

    #[test]
    fn a_link_stays_a_link_and_never_leads_out() {
        let (dir, root) = lab();
        fs::write(dir.path().join("root/etc/pve/priv/authorized_keys"), "old").unwrap();
        symlink(
            "../../etc/pve/priv/authorized_keys",
            dir.path().join("root/root/.ssh/authorized_keys"),
        )
        .unwrap();
        root.replace("/root/.ssh/authorized_keys", "new", 0o600).unwrap();
        assert_eq!(root.read_text("/etc/pve/priv/authorized_keys").unwrap(), "new");
        assert!(root.read_link("/root/.ssh/authorized_keys").is_ok());

        symlink("../../../outside", dir.path().join("root/root/.ssh/up")).unwrap();
        assert!(root.replace("/root/.ssh/up", "gone", 0o600).is_err());
        assert!(root.replace("/../outside", "gone", 0o600).is_err());
        assert!(root.remove("/../outside").is_err());
        assert!(root.remove_tree("/root/../../root").is_err());
        assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "outside");
    }

    #[test]
    fn a_switch_is_only_thrown_where_it_is() {
        let (dir, root) = lab();
        assert!(root.poke("/proc/sysrq-trigger", "b").is_err());
        assert!(!dir.path().join("root/proc").exists());
        fs::write(dir.path().join("root/switch"), "").unwrap();
        root.poke("/switch", "b").unwrap();
        assert_eq!(root.read_text("/switch").unwrap(), "b");
        symlink("/proc/self/comm", dir.path().join("root/out")).unwrap();
        assert!(
            root.poke("/out", "b").is_err(),
            "a lab's switch never leads to this machine's"
        );
    }

    #[test]
    fn a_lock_is_taken_once() {
        let (_dir, root) = lab();
        assert!(root.take_folder("/etc/pve/priv/lock").unwrap());
        assert!(!root.take_folder("/etc/pve/priv/lock").unwrap());
        root.remove_folder("/etc/pve/priv/lock").unwrap();
        assert!(root.take_folder("/etc/pve/priv/lock").unwrap());
    }

    #[test]
    fn a_tree_is_kept_before_it_goes() {
        let (dir, root) = lab();
        fs::create_dir_all(dir.path().join("root/etc/pve/nodes/prox9/priv")).unwrap();
        fs::write(dir.path().join("root/etc/pve/nodes/prox9/priv/key"), "k").unwrap();
        let kept = dir.path().join("kept");
        root.copy_out("/etc/pve/nodes/prox9", &kept).unwrap();
        root.remove_tree("/etc/pve/nodes/prox9").unwrap();
        assert_eq!(fs::read_to_string(kept.join("priv/key")).unwrap(), "k");
        assert!(!root.exists("/etc/pve/nodes/prox9").unwrap());
        root.remove_tree("/etc/pve/nodes/prox9").unwrap();
    }
}
