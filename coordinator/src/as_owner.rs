//! Root works on the coordinator's state as the user that it belongs to.
//!
//! The daemon has a user of its own. What root's `quorate init`, `backup`, `renew` or `operator add` wrote as root, the daemon could not
//! read or replace. So for as long as the state is worked on the process acts as its owner; files that root named, such as a passphrase's or
//! a backup's, are read and written by root.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, getegid, geteuid, initgroups, setegid, seteuid, setgid, setuid};
use quorate_model::failure::{ExitCode, Failure};

/// As long as this lives, we are the owner. Only one may live at a time: ids are the process's.
#[derive(Debug)]
#[must_use = "the work is done as the owner only as long as this lives"]
pub(crate) struct AsOwner {
    /// Root's own group, if we were root and are not now.
    back: Option<Gid>,
}

impl AsOwner {
    /// Becomes the owner of this directory, if we are root and it is somebody else's. Where there is none, root goes on as root.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn of(directory: &Path) -> Result<Self, Failure> {
        let Some((user, group)) = other_owner(directory) else {
            return Ok(Self { back: None });
        };
        let back = getegid();
        // The group first: who is no longer root may not change it.
        setegid(group).map_err(|errno| refused(directory, user, &errno))?;
        let owner = Self { back: Some(back) };
        seteuid(user).map_err(|errno| refused(directory, user, &errno))?;
        Ok(owner)
    }
}

impl Drop for AsOwner {
    fn drop(&mut self) {
        if let Some(group) = self.back {
            // It was ours a moment ago; should the kernel refuse all the same, what follows fails for lack of rights, and does no harm.
            let returned = seteuid(Uid::from_raw(0)).and_then(|()| setegid(group));
            if let Err(errno) = returned {
                tracing::error!(%errno, "can't act as root again");
            }
        }
    }
}

/// Becomes the owner of this directory for good, if we are root and it is somebody else's: a daemon that root starts by hand is the same
/// as the one that systemd starts.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn become_owner(directory: &Path) -> Result<(), Failure> {
    let Some((user, group)) = other_owner(directory) else {
        return Ok(());
    };
    let name = User::from_uid(user)
        .ok()
        .flatten()
        .and_then(|user| CString::new(user.name).ok());
    let groups = match name {
        Some(name) => initgroups(&name, group),
        None => nix::unistd::setgroups(&[group]),
    };
    groups
        .and_then(|()| setgid(group))
        .and_then(|()| setuid(user))
        .map_err(|errno| refused(directory, user, &errno))
}

/// Whose it is, if we are root and it is not root's.
fn other_owner(directory: &Path) -> Option<(Uid, Gid)> {
    // A link is no state directory, and is refused by who opens it.
    let meta = fs::symlink_metadata(directory).ok().filter(fs::Metadata::is_dir)?;
    let others = geteuid().is_root() && meta.uid() != 0;
    others.then(|| (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid())))
}

fn refused(directory: &Path, user: Uid, errno: &nix::errno::Errno) -> Failure {
    let message = format!("can't act as user id {user}, to whom {} belongs", directory.display());
    Failure::new(ExitCode::Failed, message).because(errno)
}
