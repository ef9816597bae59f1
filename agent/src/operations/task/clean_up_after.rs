//! What `delnode` leaves to the administrator: the removed node's folder and its key.

use quorate_model::ids::NodeName;
use quorate_tools::authorized_keys;

use super::{CHANGING, Stopped, Task, say, stopped};

const KEYS: &str = "/etc/pve/priv/authorized_keys";

pub(super) fn run(task: &Task<'_>, removed: &NodeName) -> Result<(), Stopped> {
    let root = task.host.root();
    let folder = format!("/etc/pve/nodes/{removed}");
    let text = root.read_text(KEYS)?;
    let without = authorized_keys::without_comment(&text, &format!("root@{removed}"));
    let has_folder = root.exists(&folder)?;
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
    if has_folder || without != text {
        say(CHANGING);
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
