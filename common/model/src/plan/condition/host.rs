//! Packages, keys, firewall, and what a removed node leaves behind.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Not, Verdict, on_each, row};
use crate::ids::{ClusterName, NodeName, SshPublicKey};
use crate::operation::Package;
use crate::passage::Passage;
use crate::view::View;

pub(super) fn cleaned_up(view: &View, removed: &NodeName, on: &NodeName) -> Verdict {
    on_each(
        [on],
        || format!("no folder and no key of {removed} in /etc/pve"),
        |on| {
            let config = view.facet(on, |o| &o.config)?;
            if config.node_folders.get()?.contains_key(removed.as_str()) {
                return Err(Not::Yet(format!("still has /etc/pve/nodes/{removed}")));
            }
            let own = format!("root@{removed}");
            if config.authorized_keys.get()?.iter().any(|key| key.name == own) {
                return Err(Not::Yet(format!("still lets the key {own} in")));
            }
            Ok(())
        },
    )
}

pub(super) fn installed(view: &View, node: &NodeName, packages: &BTreeSet<Package>) -> Verdict {
    on_each(
        [node],
        || format!("{} installed", row(packages)),
        |node| {
            let known = view.facet(node, |o| &o.readiness)?.packages.get()?;
            for package in packages {
                match known.get(package.as_str()) {
                    None => return Err(Not::Known(format!("{package} was not asked about"))),
                    Some(state) if state.installed.is_none() => {
                        return Err(Not::Yet(format!("does not have {package} installed")));
                    }
                    Some(_) => {}
                }
            }
            Ok(())
        },
    )
}

pub(super) fn keys_admitted(
    view: &View,
    node: &NodeName,
    cluster: &ClusterName,
    keys: &BTreeSet<SshPublicKey>,
) -> Verdict {
    let evidence = || match keys.len() {
        0 => format!("no key of {cluster} may log in"),
        _ => format!("{cluster}'s key may log in"),
    };
    on_each([node], evidence, |node| {
        let admitted = view.facet(node, |o| &o.readiness)?.admitted.get()?;
        let now: BTreeSet<&SshPublicKey> = admitted
            .iter()
            .filter(|a| a.cluster == *cluster)
            .map(|a| &a.key)
            .collect();
        if keys.iter().any(|key| !now.contains(key)) {
            return Err(Not::Yet(format!("does not let {cluster}'s key in")));
        }
        if now.len() > keys.len() {
            return Err(Not::Yet(format!("still lets a key of {cluster} in")));
        }
        Ok(())
    })
}

pub(super) fn agents_allowed(
    view: &View,
    node: &NodeName,
    passages: &BTreeSet<Passage>,
    from: &BTreeSet<IpAddr>,
) -> Verdict {
    on_each(
        [node],
        || {
            format!(
                "the firewall lets {} addresses through to {}",
                from.len(),
                row(passages)
            )
        },
        |node| {
            let firewall = view.facet(node, |o| &o.config)?.firewall.get()?;
            for passage in passages {
                let kept_out: Vec<&IpAddr> = from
                    .iter()
                    .filter(|address| !firewall.lets(*passage, **address))
                    .collect();
                if !kept_out.is_empty() {
                    return Err(Not::Yet(format!("may keep {} from {passage}", row(kept_out))));
                }
            }
            Ok(())
        },
    )
}
