//! `pvecm` of pve-cluster: making a cluster and joining one. Its exit code tells nothing: a task that fails still ends
//! with 0. What it printed is evidence, and the truth is what an observation shows afterwards.

mod create;
mod join;
mod trouble;

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_exec::{Invocation, InvocationBuilder, SecretBytes, Stdin, Tools};
use quorate_model::ids::ClusterName;

pub use create::{CreateReport, CreateStage, read_create};
pub use join::{JoinReport, JoinStage, PeerChange, read_join};
pub use trouble::{Trouble, TroubleKind};

use crate::CallError;

/// Its name.
pub const NAME: &str = "pvecm";

/// Makes a cluster with this node as its only member: pve-cluster's `pvecm create`.
///
/// # Errors
/// When pvecm is not installed.
pub fn create(tools: &Tools, cluster: &ClusterName, links: &BTreeMap<u8, IpAddr>) -> Result<Invocation, CallError> {
    Ok(with_links(tools.call(NAME)?.args(["create", cluster.as_str()]), links).build()?)
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
