//! `pvecm qdevice setup`, with what it takes for granted: that root knows the host's key. (That the host lets root in, the host's own
//! agent has seen to.)

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::ids::SshPublicKey;
use quorate_tools::pvecm;

use super::{CHANGING, Stopped, Task, say};
use crate::host::ReadError;

const KNOWN: &str = "/root/.ssh/known_hosts";
/// The certificate store that a set-up makes first: there without a QDevice, it was left by one that failed.
const STORE: &str = "/etc/corosync/qdevice/net/nssdb";
/// What the nodes fetch their certificate from, with its private key. pvecm removes it at its end.
const KEY: &str = "/etc/pve/qdevice-net-node.p12";
/// What marks our lines. known_hosts ignores it.
const MARK: &str = "quorate";

pub(super) async fn set_up(task: &Task<'_>, address: IpAddr, keys: &BTreeSet<SshPublicKey>) -> Result<(), Stopped> {
    let root = task.host.root();
    let force = root.exists(STORE)?;
    if force {
        say(&format!("{STORE} is left from an earlier set-up, and made anew"));
    }
    say(CHANGING);
    let before = known_hosts(task)?;
    let ours: String = keys.iter().map(|key| format!("{address} {key} {MARK}\n")).collect();
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    root.replace(KNOWN, &format!("{before}{gap}{ours}"), 0o600)?;
    let set_up = task
        .change(pvecm::qdevice_setup(task.host.tools(), address, force))
        .await;
    let forgotten = forget(task, address);
    let cleared = if set_up.is_err() { no_key_left(task) } else { Ok(()) };
    set_up.and(forgotten).and(cleared)
}

/// A set-up that breaks off leaves the QDevice's certificate and private key where every node can read them.
fn no_key_left(task: &Task<'_>) -> Result<(), Stopped> {
    let root = task.host.root();
    if root.exists(KEY)? {
        root.remove(KEY)?;
        say(&format!("{KEY}, with a private key in it, is removed again"));
    }
    Ok(())
}

fn known_hosts(task: &Task<'_>) -> Result<String, Stopped> {
    match task.host.root().read_text(KNOWN) {
        Ok(text) => Ok(text),
        Err(ReadError::NotFound { .. }) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// Takes our lines out again, and leaves what ssh or others added meanwhile.
fn forget(task: &Task<'_>, address: IpAddr) -> Result<(), Stopped> {
    let text = known_hosts(task)?;
    let own = |line: &&str| !(line.starts_with(&format!("{address} ")) && line.ends_with(&format!(" {MARK}")));
    let kept: String = text.lines().filter(own).map(|line| format!("{line}\n")).collect();
    Ok(task.host.root().replace(KNOWN, &kept, 0o600)?)
}
