//! What another node needs to join through this one: a short-lived ticket, and what the cluster looks like from here.

use std::fmt::Display;
use std::net::IpAddr;

use quorate_exec::SecretBytes;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::{Code, Finding};
use quorate_tools::perl;
use quorate_tools::pvesh::{self, JoinInfo};

use crate::host::Host;
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

/// Makes a ticket, if this is a member of a quorate cluster whose clock can be trusted that far.
///
/// # Errors
/// Why not.
pub async fn join_ticket(host: &Host, node: &NodeName) -> Result<JoinTicket, Box<Finding>> {
    // Side by side, for a cluster of thirty servers waits for this thirty times: pvesh alone takes half a second.
    let (ticket, info) = tokio::join!(ticket(host, node), join_information(host, node));
    // The first reason comes first: who is in no cluster has no join information either.
    let ((cluster, password), info) = (ticket?, info?);
    let own = info.nodes.iter().find(|member| member.name == node.as_str());
    let own = own.ok_or_else(|| failed(node, &"pvesh names every member but this one"))?;
    let address = own
        .address
        .ok_or_else(|| failed(node, &"pvesh does not say where this node's API is called"))?;
    if info.cluster != cluster {
        return Err(failed(
            node,
            &format!("pvesh speaks of cluster {}, pmxcfs of {cluster}", info.cluster),
        ));
    }
    Ok(JoinTicket {
        password,
        fingerprint: own.fingerprint.clone(),
        address,
        links: info.links.clone(),
        cluster,
    })
}

async fn join_information(host: &Host, node: &NodeName) -> Result<JoinInfo, Box<Finding>> {
    let answer = host.ask(pvesh::get_join(host.tools())).await;
    let answer = answer.map_err(|unknown| failed(node, &unknown.reason))?;
    pvesh::read_join(&answer).map_err(|error| failed(node, &error))
}

/// The cluster's name and a ticket. What may keep it from being made is looked at first.
async fn ticket(host: &Host, node: &NodeName) -> Result<(String, SecretBytes), Box<Finding>> {
    let cluster = quorate_cluster(host, node).await?;
    check_clock(host, node).await?;
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
    let password = perl::read_ticket(&finished.stdout).map_err(|error| failed(node, &error))?;
    Ok((cluster, password))
}

async fn quorate_cluster(host: &Host, node: &NodeName) -> Result<String, Box<Finding>> {
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
        Some(member) => Ok(member.cluster.clone()),
    }
}

/// On a node whose clock is behind the time at which the cluster's key was made, making a ticket rotates that key.
async fn check_clock(host: &Host, node: &NodeName) -> Result<(), Box<Finding>> {
    let made = host.modified(AUTHKEY).await;
    let made = made.map_err(|error| failed(node, &crate::host::unreadable(error).reason))?;
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
        format!("look on {node}: pvesh get /cluster/config/join"),
    ))
}
