//! What joining takes from a server, by name: its /etc/pve is replaced by that of the cluster.

use std::collections::BTreeSet;

use quorate_model::facet::Facet;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, SshPublicKey};
use quorate_model::observation::FacetName;
use quorate_model::observation::config::{PveConfig, PveFile, RootKey, Storage};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links::joining;
use super::members::Standing;
use super::preflight::Founder;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

pub(super) fn by_joins(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    via: Option<&NodeName>,
    founder: Option<Founder<'_>>,
    report: &mut Report,
) {
    let joiners: Vec<&NodeName> = joining(standing)
        .into_iter()
        .filter(|node| !founder.is_some_and(|f| f.is(node)))
        .collect();
    if joiners.is_empty() {
        return;
    }
    let kept = via.and_then(|via| report.facet(view, via, FacetName::Config, Weight::Needed, |o| &o.config));
    if let (Some(via), Some(config)) = (via, kept) {
        second_factor(via, config, report);
    }
    for node in joiners {
        let Some(config) = report.facet(view, node, FacetName::Config, Weight::Needed, |o| &o.config) else {
            continue;
        };
        let own_key = view.facet(node, |o| &o.readiness).ok();
        let own_key = own_key.and_then(|readiness| readiness.root_key.get().ok()?.as_ref());
        let lost = names((node, own_key), config, kept, report);
        if !lost.is_empty() {
            report.tell(Finding::new(
                Code::JoinOverwrites,
                node.as_str(),
                format!("by joining {}, {node} loses: {}", file.cluster.name.value, lost.join("; ")),
                format!("keep what you need: on {node}, tar czf /root/pve-{node}.tgz /etc/pve; add it again on a member after the join"),
            ));
        }
        if let (Ok(own), Some(Ok(theirs))) = (config.storages.get(), kept.map(|k| k.storages.get())) {
            for storage in own.iter().filter(|s| !theirs.iter().any(|t| t.id == s.id)) {
                report.tell(dropped(node, storage));
            }
        }
    }
}

/// All that a join drops or replaces, in words, kind by kind. What can't be seen is refused: nobody could be told of its loss.
fn names(
    (node, own_key): (&NodeName, Option<&SshPublicKey>),
    config: &PveConfig,
    kept: Option<&PveConfig>,
    report: &mut Report,
) -> Vec<String> {
    let mut lost = Vec::new();
    let list = |what: &str, facet: Result<Vec<String>, &quorate_model::Unknown>, report: &mut Report| match facet {
        Ok(names) if names.is_empty() => None,
        Ok(mut names) => {
            names.sort();
            Some(format!("{what} {}", in_a_row(names)))
        }
        Err(unknown) => {
            report.weigh(Weight::Needed, facet_unknown(node, FacetName::Config, what, unknown));
            None
        }
    };
    // What the cluster defines in the same way is not missed: every fresh server has `local`.
    let theirs = kept.and_then(|k| k.storages.get().ok());
    let also_there = |own: &Storage| theirs.is_some_and(|all| all.contains(own));
    let storages = config.storages.get().map(|all| {
        let gone = all.iter().filter(|storage| !also_there(storage));
        gone.map(|storage| storage.id.clone()).collect()
    });
    lost.extend(list("the storage definitions", storages, report));
    lost.extend(list("the users", owned(&config.users), report));
    lost.extend(list("the API tokens", owned(&config.tokens), report));
    if config.own_certificate {
        lost.push("its own certificate for the web interface (pveproxy-ssl.pem)".to_owned());
    }
    // A comment is no proof: two keys may have the same.
    let other: BTreeSet<&str> = kept
        .and_then(|k| k.authorized_keys.get().ok())
        .into_iter()
        .flatten()
        .map(|key| key.digest.as_str())
        .collect();
    // Its own key comes back with the join. One that only bears its name does not.
    let own = |key: &RootKey| own_key.is_some_and(|own| key.is(own));
    let keys = config.authorized_keys.get().map(|all| {
        let gone = all
            .iter()
            .filter(|key| !other.contains(key.digest.as_str()) && !own(key));
        gone.map(|key| key.name.clone()).collect()
    });
    lost.extend(list("the keys in root's authorized_keys", keys, report));
    let rules = config.firewall.get().map(|firewall| {
        let rules = firewall.rules.iter().chain(&firewall.host_rules);
        rules.map(|rule| format!("`{}`", rule.text.trim())).collect()
    });
    lost.extend(list("the firewall rules", rules, report));
    let jobs = config
        .replication
        .get()
        .map(|jobs| jobs.iter().map(|j| j.id.clone()).collect());
    lost.extend(list("the replication jobs", jobs, report));
    let there = kept.and_then(|k| k.files.get().ok());
    let also_there = |own: &PveFile| own.digest.is_some() && there.is_some_and(|all| all.contains(own));
    let files = config.files.get().map(|all| {
        let gone = all.iter().filter(|file| !also_there(file));
        gone.map(|file| file.path.clone()).collect()
    });
    lost.extend(list("the files of /etc/pve", files, report));
    lost
}

fn owned(facet: &Facet<Vec<String>>) -> Result<Vec<String>, &quorate_model::Unknown> {
    facet.get().cloned()
}

fn dropped(node: &NodeName, storage: &Storage) -> Finding {
    Finding::new(
        Code::JoinDropsStorage,
        node.as_str(),
        format!(
            "the storage {} ({}) is defined on {node} only; its definition goes with the join, its data stays",
            storage.id, storage.kind
        ),
        format!(
            "after the join, with the options from {node}'s old storage.cfg: pvesm add {} {} --nodes {node} …",
            storage.kind, storage.id
        ),
    )
}

/// A ticket is taken where a password is, and is not asked for a second factor.
fn second_factor(via: &NodeName, config: &PveConfig, report: &mut Report) {
    match config.root_tfa.get() {
        Ok(false) => {}
        Ok(true) => report.tell(Finding::new(
            Code::RootTfa,
            via.as_str(),
            format!("root@pam has a second factor on {via}: pvecm add with a password would fail without a terminal"),
            "nothing for joins by Quorate, which use a ticket; don't pass a password",
        )),
        Err(unknown) => {
            let finding = facet_unknown(via, FacetName::Config, "second factor of root@pam", unknown);
            report.weigh(Weight::Told, finding);
        }
    }
}
