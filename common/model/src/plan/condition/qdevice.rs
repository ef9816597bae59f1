//! A third vote. `pvecm status` keeps traces of a QDevice that was removed: only corosync.conf says whether there is one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::membership::member_of;
use super::{Not, Verdict, on_each};
use crate::ids::{ClusterName, NodeName};
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
