//! Volumes of a guest that another server owns get other names. Nothing of it may be in use: a machine that runs goes on writing into a volume that
//! is called otherwise.

use std::collections::BTreeSet;

use quorate_model::Timestamp;
use quorate_model::facet::Unknown;
use quorate_model::held::GuestVolume;
use quorate_tools::zfs_list;

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::host::HostRoot;
use crate::observe::processes;

pub(super) async fn run(
    task: &Task<'_>,
    guest: u32,
    volumes: &BTreeSet<GuestVolume>,
    since: Timestamp,
) -> Result<(), Stopped> {
    let seen = task.look_again().await?;
    let pools = seen.pools.get().map_err(|unknown| Stopped(unknown.reason.clone()))?;
    let there = |name: &str| {
        let mut all = pools.iter().filter_map(|pool| pool.volumes.get().ok()).flatten();
        all.any(|one| one == name)
    };
    nothing_runs(task.host.root(), guest)?;
    say(CHANGING);
    for volume in volumes {
        let kept = volume.kept(since);
        if there(&kept) {
            say(&format!("{kept} is there already"));
            continue;
        }
        task.change(zfs_list::rename(task.host.tools(), volume, &kept)).await?;
    }
    Ok(())
}

/// Its processes tell: PVE speaks only of guests that are a server's own.
pub(super) fn nothing_runs(root: &HostRoot, guest: u32) -> Result<(), Stopped> {
    let untold = |unknown: Unknown| {
        let why = unknown.reason;
        Stopped(format!("whether guest {guest} runs here can't be told: {why}"))
    };
    if let Some(pid) = processes::machine(root, guest).map_err(untold)? {
        return stopped(format!("guest {guest} runs here, as process {pid}"));
    }
    if processes::containers(root).map_err(untold)?.contains(&guest) {
        return stopped(format!("guest {guest} runs here, as a container"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_guest_that_runs_here_is_seen_by_its_processes() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let place = dir.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        };
        let root = HostRoot::lab(dir.path()).unwrap();
        let said = || nothing_runs(&root, 100).map_err(|Stopped(why)| why);
        assert_eq!(said(), Ok(()));
        put("run/qemu-server/100.pid", "4711\n");
        assert_eq!(said(), Ok(()), "the process is gone");
        put("proc/4711/cmdline", "/usr/bin/less\0");
        assert_eq!(said(), Ok(()), "its number is another's by now");
        put(
            "proc/4711/cmdline",
            "/usr/bin/kvm\0-id\x00100\0-pidfile\0/var/run/qemu-server/100.pid\0",
        );
        assert_eq!(said(), Err("guest 100 runs here, as process 4711".to_owned()));
        put("run/qemu-server/100.pid", "");
        assert!(said().is_err(), "what can't be told is not that it does not run");
        fs::remove_file(dir.path().join("run/qemu-server/100.pid")).unwrap();
        let sockets = |path: &str| {
            format!(
                "Num       RefCount Protocol Flags    Type St Inode Path\n00000000e3c2a1b4: 00000002 00000000 00010000 0001 01 34712 {path}\n"
            )
        };
        put("proc/net/unix", &sockets("@/var/lib/lxc/101/command"));
        assert_eq!(said(), Ok(()));
        put("proc/net/unix", &sockets("@/var/lib/lxc/100/command"));
        assert_eq!(said(), Err("guest 100 runs here, as a container".to_owned()));
        put("proc/net/unix", "");
        assert!(said().is_err());
    }
}
