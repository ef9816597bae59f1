//! What `delnode` leaves to the administrator: the removed node's folder, its key, and its host key.

use quorate_model::ids::NodeName;
use quorate_tools::{authorized_keys, known_hosts};

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::host::ReadError;

const KEYS: &str = "/etc/pve/priv/authorized_keys";
/// PVE's own list of the members' host keys.
const KNOWN: &str = "/etc/pve/priv/known_hosts";

pub(super) fn run(task: &Task<'_>, removed: &NodeName, keep_folder: bool) -> Result<(), Stopped> {
    let root = task.host.root();
    let folder = format!("/etc/pve/nodes/{removed}");
    let text = root.read_text(KEYS)?;
    let without = authorized_keys::without_comment(&text, &format!("root@{removed}"));
    let has_folder = !keep_folder && root.exists(&folder)?;
    if has_folder {
        for kind in ["qemu-server", "lxc"] {
            let guests = format!("{folder}/{kind}");
            if root.exists(&guests)? && root.read_dir(&guests)?.iter().any(|name| name.ends_with(".conf")) {
                return stopped(format!(
                    "there is a guest's configuration in {guests}: nothing was removed"
                ));
            }
        }
        let aside = task.aside(removed.as_str());
        root.copy_out(&folder, &aside)?;
        say(&format!("{folder} is kept in {}", aside.display()));
    }
    let known = match root.read_text(KNOWN) {
        Ok(known) => known,
        Err(ReadError::NotFound { .. }) => String::new(),
        Err(error) => return Err(error.into()),
    };
    let forgotten = known_hosts::without_host(&known, removed.as_str());
    if has_folder || without != text || forgotten != known {
        say(CHANGING);
    }
    if forgotten != known {
        root.replace(KNOWN, &forgotten, 0o600)?;
        say(&format!("{removed}'s host key is no longer known to the cluster"));
    }
    if has_folder {
        root.remove_tree(&folder)?;
    }
    if without != text {
        root.replace(KEYS, &without, 0o600)?;
        say(&format!(
            "the key of root@{removed} is no longer let in anywhere in the cluster"
        ));
    }
    Ok(())
}
