//! What is left here of a canary's disc for cloud-init goes. `pvesm free` asks nobody: that the guest is ours and another server's, that nothing of it
//! runs here, and that no guest of this server has the disc in its configuration is looked at in the instant before.

use quorate_model::canary_discs::disc_name;
use quorate_model::held::GuestVolume;
use quorate_model::ids::{NodeName, StorageName};
use quorate_model::observation::GuestKind;
use quorate_tools::pvesm;

use super::keep_volumes::nothing_runs;
use super::{CHANGING, Stopped, Task, canary, say, stopped};
use crate::host::{HostRoot, ReadError};

/// Where the configurations of a server's own guests lie, below its folder.
const FOLDERS: [&str; 2] = ["qemu-server", "lxc"];

pub(super) async fn run(
    task: &Task<'_>,
    guest: u32,
    owner: &NodeName,
    (storage, volume): (&StorageName, &GuestVolume),
) -> Result<(), Stopped> {
    task.look_again().await?;
    canary::described(task, owner, GuestKind::Vm, guest).await?;
    nothing_runs(task.host.root(), guest)?;
    nobody_names_it(task.host.root(), &task.node, guest)?;
    say(CHANGING);
    say(&format!("{volume} is freed"));
    task.change(pvesm::free(task.host.tools(), storage, &disc_name(guest)))
        .await
}

/// Not one of the guests whose configurations lie with this server has it: neither now, nor in a snapshot, nor as a change that is still to come.
fn nobody_names_it(root: &HostRoot, node: &NodeName, guest: u32) -> Result<(), Stopped> {
    let name = disc_name(guest);
    for folder in FOLDERS {
        let folder = format!("/etc/pve/nodes/{node}/{folder}");
        let files = match root.read_dir(&folder) {
            Err(ReadError::NotFound { .. }) => continue,
            read => read?,
        };
        for file in files.iter().filter(|file| file.ends_with(".conf")) {
            let text = root.read_text(&format!("{folder}/{file}"))?;
            if text.contains(&name) {
                return stopped(format!("{folder}/{file} names {name}: it is in use here"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_a_guest_of_this_server_names_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let place = dir.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        };
        let root = HostRoot::lab(dir.path()).unwrap();
        let node = "prox1".parse().unwrap();
        let said = || nobody_names_it(&root, &node, 900).map_err(|Stopped(why)| why);
        assert_eq!(said(), Ok(()), "it has no guests");
        put(
            "etc/pve/nodes/prox1/qemu-server/101.conf",
            "scsi0: data_zfs:vm-101-disk-0\n",
        );
        put(
            "etc/pve/nodes/prox2/qemu-server/900.conf",
            "ide2: data_zfs:vm-900-cloudinit,media=cdrom\n",
        );
        assert_eq!(said(), Ok(()), "by the same name the owner has its own");
        put(
            "etc/pve/nodes/prox1/qemu-server/101.conf",
            "scsi0: data_zfs:vm-101-disk-0\n\n[before]\nide2: data_zfs:vm-900-cloudinit,media=cdrom\n",
        );
        assert_eq!(
            said(),
            Err("/etc/pve/nodes/prox1/qemu-server/101.conf names vm-900-cloudinit: it is in use here".to_owned())
        );
        fs::remove_file(dir.path().join("etc/pve/nodes/prox1/qemu-server/101.conf")).unwrap();
        put("etc/pve/nodes/prox1/lxc/102.conf/x", "");
        assert!(said().is_err(), "what can't be read is not that it does not name it");
    }
}
