//! What can be seen when an operation takes too long.

use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Membership, Pmxcfs};
use quorate_tools::systemctl;

use crate::host::Host;
use crate::observe::observe;
use crate::operations::context::Context;
use crate::operations::follow;
use crate::operations::redact::redact;

/// The services that a membership stands on.
const SERVICES: [&str; 2] = ["corosync", "pve-cluster"];

/// How many of the tool's last lines are shown.
const LAST_LINES: usize = 3;

/// What can be seen, line by line.
pub(in crate::operations) async fn diagnose(ctx: &Context<'_>) -> Vec<String> {
    let mut said = Vec::new();
    if let Ok(output) = follow::output(ctx) {
        said.push(format!("the tool is at: {}", super::read(ctx, &output).stage));
        for text in [&output.stdout, &output.stderr] {
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
            said.extend(last.map(|line| format!("the tool's last lines: {}", redact(line, ctx.secret.as_ref()))));
        }
    }
    for service in SERVICES {
        said.push(format!("{service}: {}", unit(ctx.host, service).await));
    }
    let observation = observe(ctx.host, &[FacetName::Cluster]).await;
    match observation.cluster.get() {
        Ok(cluster) => said.extend(describe(cluster)),
        Err(unknown) => said.push(format!("cluster: {unknown}")),
    }
    said
}

async fn unit(host: &Host, service: &str) -> String {
    let asked = match systemctl::show(host.tools(), service) {
        Ok(invocation) => host.runner().run(&invocation).await,
        Err(error) => return format!("unknown: {error}"),
    };
    match asked {
        Err(error) => format!("unknown: {error}"),
        Ok(finished) => match finished.stdout_text().map(systemctl::read) {
            Ok(Ok(state)) => format!("{} ({})", state.active, state.sub),
            Ok(Err(error)) => format!("unknown: {error}"),
            Err(error) => format!("unknown: {error}"),
        },
    }
}

fn describe(cluster: &Cluster) -> Vec<String> {
    let pmxcfs = match cluster.pmxcfs {
        Pmxcfs::Writable => "mounted and writable",
        Pmxcfs::ReadOnly => "mounted read-only (no quorum)",
        Pmxcfs::NotMounted => "not mounted",
    };
    let mut said = vec![format!("/etc/pve: {pmxcfs}")];
    let member = match &cluster.membership {
        Membership::Standalone => {
            said.push("membership: in no cluster".to_owned());
            return said;
        }
        Membership::Member(member) => member,
    };
    let state = |online| if online { "online" } else { "offline" };
    let nodes: Vec<String> = member
        .nodes
        .iter()
        .map(|n| format!("{} {}", n.name, state(n.online)))
        .collect();
    let quorate = if member.quorate { "quorate" } else { "not quorate" };
    said.push(format!(
        "membership: cluster {}, {quorate}: {}",
        member.cluster,
        nodes.join(", ")
    ));
    if member.running_version != member.file_version {
        said.push(format!(
            "corosync runs with configuration version {}, the file has {}",
            member.running_version, member.file_version
        ));
    }
    match member.links.get() {
        Ok(links) => said.extend(links.iter().map(|link| {
            let state = if link.connected { "connected" } else { "not connected" };
            format!(
                "link {} to node id {} ({} -> {}): {state}",
                link.number, link.peer, link.local, link.remote
            )
        })),
        Err(unknown) => said.push(format!("links: {unknown}")),
    }
    said
}
