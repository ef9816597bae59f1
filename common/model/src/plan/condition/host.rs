//! Packages, keys, firewall, and what a removed node leaves behind.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Not, Verdict, membership, on_each, row};
use crate::ids::{ClusterName, NodeName, SshPublicKey};
use crate::operation::Package;
use crate::passage::Passage;
use crate::release::Release;
use crate::time::Timestamp;
use crate::view::View;

/// A set-up of the QDevice may take two minutes (its deadline), and the gate of it some more.
const KEY_LASTS_MICROS: i64 = 180_000_000;

pub(super) fn agent_runs(view: &View, node: &NodeName, version: Release, cluster: Option<&ClusterName>) -> Verdict {
    let runs = on_each(
        [node],
        || format!("the agent of {node} is of version {version}"),
        |node| {
            let runs = &view.facet(node, |o| &o.system)?.agent.version;
            if runs.parse::<Release>() == Ok(version) {
                Ok(())
            } else {
                Err(Not::Yet(format!("has an agent of version {runs}")))
            }
        },
    );
    match (runs, cluster.map(|cluster| membership::quorate(view, cluster, node))) {
        (Verdict::Holds(runs), Some(Verdict::Holds(quorate))) => Verdict::Holds(format!("{runs}; {quorate}")),
        (Verdict::Holds(_), Some(other)) => other,
        (runs, _) => runs,
    }
}

pub(super) fn cleaned_up(view: &View, removed: &NodeName, on: &NodeName, keep_folder: bool) -> Verdict {
    let what = if keep_folder { "no key" } else { "no folder and no key" };
    on_each(
        [on],
        || format!("{what} of {removed} in /etc/pve"),
        |on| {
            let config = view.facet(on, |o| &o.config)?;
            if !keep_folder && config.node_folders.get()?.contains_key(removed.as_str()) {
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
                    // pvecm sets a QDevice up also where nobody answers, and says that it is done.
                    Some(_) if *package == Package::CorosyncQnetd && !qnetd_runs(view, node)? => {
                        return Err(Not::Yet(format!("has {package} installed, and it does not run")));
                    }
                    Some(_) => {}
                }
            }
            Ok(())
        },
    )
}

fn qnetd_runs(view: &View, node: &NodeName) -> Result<bool, Not> {
    let services = &view.facet(node, |o| &o.readiness)?.services;
    match services.get(Package::CorosyncQnetd.as_str()) {
        Some(state) => Ok(state.get()?.is_running()),
        None => Err(Not::Known("corosync-qnetd was not asked about".to_owned())),
    }
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
        let facet = &view.facet(node, |o| &o.readiness)?.admitted;
        let admitted = facet.get()?;
        // By the host's own clock, as sshd judges it. What is over soon would not last as long as a set-up may take.
        let seen = facet.collected_at().unwrap_or_default();
        let lasts = |until: Timestamp| until.0 >= seen.0.saturating_add(KEY_LASTS_MICROS);
        let ours = || admitted.iter().filter(|a| a.cluster == *cluster);
        let good: BTreeSet<&SshPublicKey> = ours().filter(|a| lasts(a.until)).map(|a| &a.key).collect();
        if keys.iter().any(|key| !good.contains(key)) {
            return Err(Not::Yet(format!("does not let {cluster}'s key in for long enough")));
        }
        // One that is over has to go as well.
        let there: BTreeSet<&SshPublicKey> = ours().map(|a| &a.key).collect();
        if there.len() > keys.len() {
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
