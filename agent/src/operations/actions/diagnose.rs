//! What can be seen when an operation takes too long.

use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::{Cluster, Member, Membership, Pmxcfs};
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
    said.extend(versions(member));
    match member.links.get() {
        Ok(links) => said.extend(links.iter().map(|link| {
            let state = if link.connected { "connected" } else { "not connected" };
            format!(
                "link {} to {} ({} -> {}): {state}",
                link.number,
                member.name_of(link.peer),
                link.local,
                link.remote
            )
        })),
        Err(unknown) => said.push(format!("links: {unknown}")),
    }
    said
}

/// With which version of corosync.conf every member runs, if that is not the file's everywhere.
fn versions(member: &Member) -> Option<String> {
    let running: Vec<(String, u64)> = match member.running_versions.get() {
        Ok(all) => all.iter().map(|r| (member.name_of(r.id), r.version)).collect(),
        Err(_) => vec![("the own corosync".to_owned(), member.running_version)],
    };
    if running.iter().all(|(_, version)| *version == member.file_version) {
        return None;
    }
    let each: Vec<String> = running
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    Some(format!(
        "corosync.conf has version {}, corosync runs with: {}",
        member.file_version,
        each.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;
    use quorate_model::facet::Facet;
    use quorate_model::observation::cluster::{MemberNode, RunningVersion};

    use super::*;

    #[test]
    fn an_edit_that_one_member_did_not_take_over_is_named() {
        let node = |id: u32| MemberNode {
            name: format!("prox{id}"),
            id,
            online: true,
            address: None,
        };
        let mut member = Member {
            cluster: "hk1".into(),
            running_version: 4,
            file_version: 4,
            quorate: true,
            nodes: (1..=3).map(node).collect(),
            configured: vec![],
            interfaces: [].into(),
            qdevice: None,
            running_versions: Facet::not_asked(),
            votes: Facet::not_asked(),
            links: Facet::not_asked(),
            latencies: Facet::not_asked(),
            totem: Facet::not_asked(),
        };
        assert_eq!(versions(&member), None);
        let running = |last| {
            (1..=3)
                .zip([4, 4, last])
                .map(|(id, version)| RunningVersion { id, version })
                .collect()
        };
        member.running_versions = Facet::known(running(4), Timestamp(0));
        assert_eq!(versions(&member), None);
        member.running_versions = Facet::known(running(3), Timestamp(0));
        let said = versions(&member).unwrap();
        assert_eq!(
            said,
            "corosync.conf has version 4, corosync runs with: prox1 4, prox2 4, prox3 3"
        );
    }
}
