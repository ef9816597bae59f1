//! A cluster's key in and out of root's authorized_keys, marked as ours, and good for minutes by sshd's own clock.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::Timestamp;
use quorate_model::ids::{ClusterName, SshPublicKey};
use quorate_tools::authorized_keys;

use super::{CHANGING, Stopped, Task, say};

const FILE: &str = "/root/.ssh/authorized_keys";

pub(super) fn admit(
    task: &Task<'_>,
    cluster: &ClusterName,
    keys: &BTreeSet<SshPublicKey>,
    from: &BTreeSet<IpAddr>,
    minutes: u32,
) -> Result<(), Stopped> {
    let until = Timestamp(task.host.now().0 + i64::from(minutes) * 60_000_000);
    task.host.root().make_folder("/root/.ssh", 0o700)?;
    let text = present(task)?;
    let mut text = authorized_keys::without_cluster(&text, cluster);
    for key in keys {
        text = authorized_keys::with_admitted(&text, cluster, key, from, until);
    }
    say(CHANGING);
    task.host.root().replace(FILE, &text, 0o600)?;
    say(&format!("the key of {cluster} may log in as root until {until}"));
    Ok(())
}

pub(super) fn withdraw(task: &Task<'_>, cluster: &ClusterName) -> Result<(), Stopped> {
    let text = present(task)?;
    let without = authorized_keys::without_cluster(&text, cluster);
    if without != text {
        say(CHANGING);
        task.host.root().replace(FILE, &without, 0o600)?;
    }
    say(&format!("no key of {cluster} may log in"));
    Ok(())
}

fn present(task: &Task<'_>) -> Result<String, Stopped> {
    match task.host.root().read_text(FILE) {
        Ok(text) => Ok(text),
        Err(crate::host::ReadError::NotFound { .. }) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}
