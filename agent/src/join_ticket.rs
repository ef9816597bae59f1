//! What another node needs to join through this one: a short-lived ticket, and what the cluster looks like from here.

use std::fmt::Display;
use std::net::IpAddr;

use quorate_exec::SecretBytes;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Member, Pmxcfs};
use quorate_model::{Code, Finding};
use quorate_tools::perl;
use quorate_tools::pve_config::certificate;

use crate::host::{Host, unreadable};
use crate::observe::observe;

/// The public half of the key that signs tickets. Source: PVE::AccessControl.
const AUTHKEY: &str = "/etc/pve/authkey.pub";

/// What a joining node needs.
#[derive(Debug)]
pub struct JoinTicket {
    /// The ticket.
    pub password: SecretBytes,
    /// SHA-256 of this member's API certificate.
    pub fingerprint: String,
    /// Where its API is called.
    pub address: IpAddr,
    /// Links that every node must have an address on.
    pub links: Vec<u8>,
    /// The cluster.
    pub cluster: String,
}

/// Makes a ticket, if this is a member of a quorate cluster whose clock can be trusted that far. All the rest is what PVE's join
/// information says, from the files that it is read from: asking PVE for it takes half a second, thirty times for a cluster of thirty
/// servers.
///
/// # Errors
/// Why not.
pub async fn join_ticket(host: &Host, node: &NodeName) -> Result<JoinTicket, Box<Finding>> {
    let member = quorate_member(host, node).await?;
    let own = member.nodes.iter().find(|member| member.name == node.as_str());
    let address = own.and_then(|own| own.address);
    let address = address.ok_or_else(|| failed(node, &"pmxcfs does not say yet where this node's API is called"))?;
    let fingerprint = fingerprint(host, node).await?;
    check_clock(host, node).await?;
    Ok(JoinTicket {
        password: ticket(host, node).await?,
        fingerprint,
        address,
        links: member.interfaces.into_keys().collect(),
        cluster: member.cluster,
    })
}

async fn fingerprint(host: &Host, node: &NodeName) -> Result<String, Box<Finding>> {
    for name in certificate::FILES {
        let path = format!("/etc/pve/nodes/{node}/{name}");
        let read = host.read_if_there(&path).await;
        if let Some(pem) = read.map_err(|error| failed(node, &unreadable(error).reason))? {
            return certificate::fingerprint(&pem).map_err(|error| failed(node, &format!("{path}: {}", error.reason)));
        }
    }
    Err(failed(node, &"its API has no certificate; pvecm updatecerts makes one"))
}

async fn ticket(host: &Host, node: &NodeName) -> Result<SecretBytes, Box<Finding>> {
    let finished = host
        .run(perl::assemble_ticket(host.tools()))
        .await
        .map_err(|unknown| failed(node, &unknown.reason))?;
    if perl::rotated_key(&finished.stderr_text()) {
        return Err(Box::new(Finding::new(
            Code::ClockSkew,
            node.as_str(),
            "its clock is behind the cluster's, and making a ticket has rotated the cluster's key: all tickets are void",
            format!("set the clock on {node} right (chronyc makestep); whoever is logged in has to log in again"),
        )));
    }
    if !finished.exit.is_success() {
        return Err(failed(node, &format!("making a ticket failed ({})", finished.exit)));
    }
    perl::read_ticket(&finished.stdout).map_err(|error| failed(node, &error))
}

async fn quorate_member(host: &Host, node: &NodeName) -> Result<Member, Box<Finding>> {
    let observation = observe(host, &[FacetName::Cluster]).await;
    let cluster = observation
        .cluster
        .get()
        .map_err(|unknown| failed(node, &unknown.reason))?;
    let not_quorate = |message: &str| {
        let next = format!("look on {node}: pvecm status, systemctl status corosync pve-cluster");
        Box::new(Finding::new(Code::ClusterNotQuorate, node.as_str(), message, next))
    };
    match cluster.member() {
        None => Err(not_quorate("it is in no cluster, so nobody can join through it")),
        Some(member) if !member.quorate => {
            Err(not_quorate("its cluster is not quorate, so nobody can join through it"))
        }
        Some(_) if cluster.pmxcfs != Pmxcfs::Writable => Err(not_quorate("its /etc/pve can't be written")),
        Some(member) => Ok(member.clone()),
    }
}

/// On a node whose clock is behind the time at which the cluster's key was made, making a ticket rotates that key.
async fn check_clock(host: &Host, node: &NodeName) -> Result<(), Box<Finding>> {
    let made = host.modified(AUTHKEY).await;
    let made = made.map_err(|error| failed(node, &unreadable(error).reason))?;
    // Where there is no key yet, PVE makes one with the ticket.
    match made.map(|made| made.saturating_sub(host.now().seconds())) {
        Some(ahead) if ahead > 0 => Err(Box::new(Finding::new(
            Code::ClockSkew,
            node.as_str(),
            format!("its clock is at least {ahead} s behind: the cluster's key was made in its future"),
            format!("set the clock on {node} right (chronyc makestep), then apply again"),
        ))),
        _ => Ok(()),
    }
}

fn failed(node: &NodeName, why: &dyn Display) -> Box<Finding> {
    Box::new(Finding::new(
        Code::StepFailed,
        node.as_str(),
        format!("no join ticket could be made: {why}"),
        format!("look on {node}: pvesh get /cluster/config/join, which reads the same files"),
    ))
}
