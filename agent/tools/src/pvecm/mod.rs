//! `pvecm` of pve-cluster: making a cluster and joining one. Its exit code tells nothing: a task that fails still ends
//! with 0. What it printed is evidence, and the truth is what an observation shows afterwards.

mod create;
mod delnode;
mod join;
mod trouble;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use quorate_exec::{Invocation, InvocationBuilder, SecretBytes, Stdin, Tools};
use quorate_model::ids::{ClusterName, NodeName};

pub use create::{CreateReport, CreateStage, read_create};
pub use delnode::{DelnodeSaid, read_delnode};
pub use join::{JoinReport, JoinStage, PeerChange, read_join};
pub use trouble::{Trouble, TroubleKind};

use crate::CallError;

/// Its name.
pub const NAME: &str = "pvecm";

/// Makes a cluster with this node as its only member: pve-cluster's `pvecm create`. Priorities are `knet_link_priority`: the higher
/// is preferred, whatever the tool's own help says.
///
/// # Errors
/// When pvecm is not installed.
pub fn create(
    tools: &Tools,
    cluster: &ClusterName,
    links: &BTreeMap<u8, IpAddr>,
    priorities: &BTreeMap<u8, u8>,
) -> Result<Invocation, CallError> {
    let mut call = tools.call(NAME)?.args(["create", cluster.as_str()]);
    for (number, address) in links {
        let value = match priorities.get(number) {
            Some(priority) => format!("{address},priority={priority}"),
            None => address.to_string(),
        };
        call = call.arg(format!("--link{number}")).arg(value);
    }
    Ok(call.build()?)
}

/// `pvecm expected N`: what is left of a cluster gets by with these votes, until the next change of corosync.conf.
///
/// # Errors
/// When pvecm is not installed.
pub fn expected(tools: &Tools, votes: u32) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.arg("expected").arg(votes.to_string()).build()?)
}

/// `pvecm delnode NODE`.
///
/// # Errors
/// When pvecm is not installed.
pub fn delnode(tools: &Tools, node: &NodeName) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["delnode", node.as_str()]).build()?)
}

/// `pvecm qdevice setup ADDRESS`. It logs in to the host with ssh-copy-id, which wants to know where root is at home. `force`: over
/// certificate stores that an earlier set-up left behind; a QDevice that is configured it still refuses.
///
/// # Errors
/// When pvecm is not installed.
pub fn qdevice_setup(tools: &Tools, address: IpAddr, force: bool) -> Result<Invocation, CallError> {
    let mut call = tools.call(NAME)?.args(["qdevice", "setup"]).arg(address.to_string());
    if force {
        call = call.args(["--force", "1"]);
    }
    Ok(call.env("HOME", "/root").build()?)
}

/// `pvecm qdevice remove`.
///
/// # Errors
/// When pvecm is not installed.
pub fn qdevice_remove(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["qdevice", "remove"])
        .env("HOME", "/root")
        .build()?)
}

/// `pvecm updatecerts`: this node's certificate and keys, as a member of the cluster that it is in.
///
/// # Errors
/// When pvecm is not installed.
pub fn updatecerts(tools: &Tools) -> Result<Invocation, CallError> {
    // Its own limit is 80 s.
    Ok(tools
        .call(NAME)?
        .arg("updatecerts")
        .deadline(Duration::from_secs(120))
        .build()?)
}

/// Joins the cluster of `member`: pve-cluster's `pvecm add`. Only the certificate with `fingerprint` is trusted. The
/// ticket, which PVE takes in the place of root's password, is the one line on stdin: without a terminal it is read
/// without a prompt.
///
/// # Errors
/// When pvecm is not installed.
pub fn add(
    tools: &Tools,
    member: IpAddr,
    fingerprint: &str,
    links: &BTreeMap<u8, IpAddr>,
    ticket: &SecretBytes,
) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .arg("add")
        .arg(member.to_string())
        .args(["--fingerprint", fingerprint]);
    let line = [ticket.expose(), b"\n"].concat();
    Ok(with_links(call, links).stdin(Stdin::bytes(line)).build()?)
}

fn with_links(mut call: InvocationBuilder, links: &BTreeMap<u8, IpAddr>) -> InvocationBuilder {
    for (number, address) in links {
        call = call.arg(format!("--link{number}")).arg(address.to_string());
    }
    call
}

#[cfg(test)]
mod tests;
