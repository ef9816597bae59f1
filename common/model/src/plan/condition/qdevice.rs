//! A third vote. `pvecm status` keeps traces of a QDevice that was removed: only corosync.conf says whether there is one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::membership::member_of;
use super::{Not, Verdict, ha, host, membership, on_each};
use crate::ids::{ClusterName, NodeName};
use crate::observation::cluster::Member;
use crate::operation::Package;
use crate::view::View;

pub(super) fn is(view: &View, cluster: &ClusterName, nodes: &BTreeSet<NodeName>, host: Option<IpAddr>) -> Verdict {
    let evidence = || match host {
        Some(host) => format!("the QDevice at {host} gives its vote, seen by {} members", nodes.len()),
        None => "no QDevice is configured".to_owned(),
    };
    on_each(nodes, evidence, |node| {
        let member = member_of(view.cluster_of(node)?, cluster)?;
        let Some(host) = host else {
            return match &member.qdevice {
                None => Ok(()),
                Some(device) => Err(Not::Yet(format!("has a QDevice at {} in corosync.conf", device.host))),
            };
        };
        match &member.qdevice {
            None => return Err(Not::Yet("has no QDevice in corosync.conf".to_owned())),
            Some(device) if device.host.parse() != Ok(host) => {
                return Err(Not::Yet(format!("has a QDevice at {} in corosync.conf", device.host)));
            }
            Some(_) => {}
        }
        let votes = member.votes.get()?;
        for name in nodes {
            let id = member.configured.iter().find(|n| n.name == name.as_str()).map(|n| n.id);
            let row = votes.rows.iter().find(|row| Some(row.id) == id);
            let state = row.and_then(|row| row.qdevice.as_deref()).unwrap_or("nothing");
            // "A,V,NMW": alive, votes, not a master-wins vote.
            if !state.starts_with("A,V") {
                return Err(Not::Yet(format!("sees {state} of the QDevice for {name}")));
            }
        }
        match votes.device {
            Some(given) if given > 0 => Ok(()),
            _ => Err(Not::Yet("gets no vote from the QDevice".to_owned())),
        }
    })
}

/// Everybody whom this member counts, by its own corosync.conf.
fn counted(view: &View, cluster: &ClusterName, via: &NodeName) -> Result<BTreeSet<NodeName>, Verdict> {
    let member = view
        .cluster_of(via)
        .map_err(Not::from)
        .and_then(|seen| member_of(seen, cluster));
    match member {
        Ok(member) => Ok(names(member)),
        Err(Not::Yet(why)) => Err(Verdict::NotYet(format!("{via} {why}"))),
        Err(Not::Known(why)) => Err(Verdict::Unknown(format!("{via}: {why}"))),
    }
}

fn names(member: &Member) -> BTreeSet<NodeName> {
    let names = member.configured.iter();
    names.filter_map(|n| NodeName::new(n.name.as_str()).ok()).collect()
}

/// `pvecm qdevice setup` refuses an odd number of servers, and wants all of them online.
pub(super) fn due(view: &View, cluster: &ClusterName, via: &NodeName) -> Verdict {
    let all = match counted(view, cluster, via) {
        Ok(all) => all,
        Err(verdict) => return verdict,
    };
    let packages = BTreeSet::from([Package::CorosyncQdevice]);
    let installed = all.iter().map(|node| host::installed(view, node, &packages));
    let mut verdicts = vec![
        membership::members(view, cluster, &all, &BTreeSet::new()),
        is(view, cluster, &all, None),
        ha::disarmed(view, &all),
    ];
    verdicts.extend(installed);
    let worse = |verdict: &Verdict| match verdict {
        Verdict::Unknown(_) => 0,
        Verdict::NotYet(_) => 1,
        Verdict::Holds(_) => 2,
    };
    match verdicts.into_iter().min_by_key(worse) {
        Some(verdict) if !verdict.holds() => verdict,
        _ => Verdict::Holds(format!("{} members, ready for a QDevice", all.len())),
    }
}

pub(super) fn back(view: &View, cluster: &ClusterName, via: &NodeName, host: IpAddr) -> Verdict {
    match counted(view, cluster, via) {
        Err(verdict) => verdict,
        Ok(all) if all.len().is_multiple_of(2) => is(view, cluster, &all, Some(host)),
        Ok(all) => Verdict::Holds(format!(
            "{} servers are in {cluster}: an odd number needs no QDevice",
            all.len()
        )),
    }
}

/// A node that is in no cluster, or in another one, does not hang on this one's votes.
pub(super) fn not_two_votes(view: &View, cluster: &ClusterName, node: &NodeName) -> Verdict {
    let evidence = || format!("{cluster} does not hang on two votes");
    on_each([node], evidence, |node| {
        let seen = view.cluster_of(node)?;
        let Some(member) = seen.member().filter(|m| m.cluster == cluster.as_str()) else {
            return Ok(());
        };
        let votes: u32 = member.configured.iter().map(|n| n.votes).sum();
        if votes != 2 {
            return Ok(());
        }
        let given = match &member.qdevice {
            Some(_) => member.votes.get()?.device.unwrap_or(0),
            None => 0,
        };
        if given > 0 {
            return Ok(());
        }
        Err(Not::Yet(
            "has two votes and no third: with HA armed, it would reset itself when the other server fails".to_owned(),
        ))
    })
}
