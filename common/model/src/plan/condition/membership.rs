//! Who is in, by everybody's word.

use std::collections::BTreeSet;

use super::links::same_version;
use super::{Not, Verdict, on_each, row};
use crate::facet::UnknownKind;
use crate::ids::{ClusterName, NodeName};
use crate::observation::cluster::{Cluster, Member, Pmxcfs};
use crate::view::View;

pub(super) fn standalone(view: &View, node: &NodeName) -> Verdict {
    on_each(
        [node],
        || format!("{node} is in no cluster"),
        |node| {
            let cluster = view.cluster_of(node)?;
            if let Some(member) = cluster.member() {
                return Err(Not::Yet(format!("is in cluster {}", member.cluster)));
            }
            if cluster.authkey_present || cluster.local_config_present {
                return Err(Not::Yet("has files of an earlier cluster in /etc/corosync".to_owned()));
            }
            match cluster.pmxcfs {
                Pmxcfs::Writable => Ok(()),
                Pmxcfs::ReadOnly => Err(Not::Yet("has a read-only /etc/pve".to_owned())),
                Pmxcfs::NotMounted => Err(Not::Yet("has no /etc/pve mounted".to_owned())),
            }
        },
    )
}

pub(super) fn members(
    view: &View,
    cluster: &ClusterName,
    nodes: &BTreeSet<NodeName>,
    offline: &BTreeSet<NodeName>,
) -> Verdict {
    let evidence = || {
        let mut evidence = format!(
            "{} of {} members of {cluster} online and quorate, seen by each",
            nodes.len(),
            nodes.len() + offline.len()
        );
        if !offline.is_empty() {
            evidence.push_str(&format!("; offline: {}", row(offline)));
        }
        evidence
    };
    on_each(nodes, evidence, |node| {
        let seen = view.cluster_of(node)?;
        let member = member_of(seen, cluster)?;
        let online: BTreeSet<&str> = member.online().collect();
        if let Some(missing) = nodes.iter().find(|n| !online.contains(n.as_str())) {
            return Err(Not::Yet(format!("does not see {missing} in the membership")));
        }
        let wanted = |name: &str| nodes.iter().chain(offline).any(|n| n.as_str() == name);
        if let Some(extra) = member.nodes.iter().find(|n| !wanted(&n.name)) {
            return Err(Not::Yet(format!(
                "sees {} in the membership, which does not belong there",
                extra.name
            )));
        }
        if let Some(alive) = offline.iter().find(|n| online.contains(n.as_str())) {
            return Err(Not::Yet(format!("still sees {alive} online")));
        }
        let counted = |n: &&NodeName| !member.nodes.iter().any(|m| m.name == n.as_str());
        if let Some(gone) = offline.iter().find(counted) {
            return Err(Not::Yet(format!("does not count {gone} among the members")));
        }
        // An edit that corosync did not take over: the next change would be made on a file that nobody runs with.
        same_version(member)?;
        can_write(seen, member)
    })
}

pub(super) fn quorate(view: &View, cluster: &ClusterName, node: &NodeName) -> Verdict {
    on_each(
        [node],
        || format!("{node} is quorate in {cluster}"),
        |node| {
            let seen = view.cluster_of(node)?;
            let member = member_of(seen, cluster)?;
            can_write(seen, member)
        },
    )
}

pub(super) fn off(view: &View, cluster: &ClusterName, node: &NodeName, seen_by: &BTreeSet<NodeName>) -> Verdict {
    match view.cluster_of(node) {
        Ok(_) => return Verdict::NotYet(format!("{node} still answers")),
        Err(unknown) if unknown.kind == UnknownKind::Unreachable => {}
        Err(unknown) => return Verdict::Unknown(format!("{node}: {}", unknown.reason)),
    }
    let evidence = || format!("{node} does not answer; {} see it offline", row(seen_by));
    on_each(seen_by, evidence, |other| {
        let member = member_of(view.cluster_of(other)?, cluster)?;
        match member.nodes.iter().find(|n| n.name == node.as_str()) {
            Some(seen) if seen.online => Err(Not::Yet(format!("still sees {node} online"))),
            Some(_) | None => Ok(()),
        }
    })
}

pub(super) fn member_of<'c>(seen: &'c Cluster, cluster: &ClusterName) -> Result<&'c Member, Not> {
    let member = seen.member().ok_or_else(|| Not::Yet("is in no cluster".to_owned()))?;
    if member.cluster != cluster.as_str() {
        return Err(Not::Yet(format!("is in cluster {}", member.cluster)));
    }
    Ok(member)
}

fn can_write(seen: &Cluster, member: &Member) -> Result<(), Not> {
    if !member.quorate {
        return Err(Not::Yet("has no quorum".to_owned()));
    }
    if seen.pmxcfs != Pmxcfs::Writable {
        return Err(Not::Yet("can't write to /etc/pve yet".to_owned()));
    }
    Ok(())
}
