//! Volumes of a guest that another server owns get other names. Nothing of it may be in use: a machine that runs goes on writing into a volume that
//! is called otherwise.

use std::collections::BTreeSet;

use quorate_model::Timestamp;
use quorate_model::held::GuestVolume;
use quorate_tools::zfs_list;

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::host::{HostRoot, ReadError};

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

/// QEMU writes its process id there (qemu-server PVE/QemuServer/Helpers.pm, `vm_pidfile_name`); a container's processes have a group of their own
/// below `lxc` (pve-container, `lxc.cgroup.dir.container`).
fn nothing_runs(root: &HostRoot, guest: u32) -> Result<(), Stopped> {
    let file = format!("/run/qemu-server/{guest}.pid");
    match root.read_text(&file) {
        Err(ReadError::NotFound { .. }) => {}
        text => {
            let text = text?;
            let pid = text.trim();
            if pid.is_empty() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
                return stopped(format!(
                    "{file} has no process's number: whether guest {guest} runs here can't be told"
                ));
            }
            // One that ended without taking its file away is no process any more.
            if root.exists(&format!("/proc/{pid}"))? {
                return stopped(format!("guest {guest} runs here, as process {pid}"));
            }
        }
    }
    let group = format!("/sys/fs/cgroup/lxc/{guest}/cgroup.procs");
    match root.read_text(&group) {
        Err(ReadError::NotFound { .. }) => Ok(()),
        text => {
            if text?.trim().is_empty() {
                Ok(())
            } else {
                stopped(format!("guest {guest} runs here: {group} names processes"))
            }
        }
    }
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
        put("proc/4711/stat", "4711 (kvm) S");
        assert_eq!(said(), Err("guest 100 runs here, as process 4711".to_owned()));
        put("run/qemu-server/100.pid", "");
        assert!(said().is_err(), "what can't be told is not that it does not run");
        fs::remove_file(dir.path().join("run/qemu-server/100.pid")).unwrap();
        put("sys/fs/cgroup/lxc/100/cgroup.procs", "");
        assert_eq!(said(), Ok(()));
        put("sys/fs/cgroup/lxc/100/cgroup.procs", "4712\n");
        assert!(said().is_err());
    }
}
