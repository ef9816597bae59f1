//! The network for migration and replication: one property of datacenter.cfg, of which the rest is kept.

use std::collections::BTreeSet;

use ipnet::IpNet;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::{FacetName, PveConfig};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::TAKES;
use crate::report::{Report, Weight, facet_unknown};

pub(super) fn plan(
    file: &ClusterFile,
    view: &View,
    steps: &[Step],
    (speaker, config): (&NodeName, &PveConfig),
    report: &mut Report,
) -> Vec<Step> {
    let Some(network) = &file.cluster.migration_network else {
        return Vec::new();
    };
    let settings = match config.datacenter.get() {
        Ok(settings) => settings,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Config, "datacenter.cfg", unknown);
            report.weigh(Weight::Told, finding);
            return Vec::new();
        }
    };
    let before = settings.get("migration");
    let wanted = with_network(before.map_or("", String::as_str), network.value);
    if before.is_some_and(|before| network_of(before).is_some_and(|there| there == network.value)) {
        return Vec::new();
    }
    let mut without = false;
    for (node, _) in file.members() {
        let Ok(seen) = view.facet(node, |o| &o.network) else {
            continue;
        };
        if !seen.addresses().any(|(_, own)| network.value.contains(&own.address)) {
            let message = format!(
                "{node} has no address in {}, the migration network: nothing could be moved or copied to it",
                network.value
            );
            let next = format!("give {node} an address there, or name another network");
            let finding = Finding::new(Code::NoAddressInNetwork, node.as_str(), message, next);
            report.weigh(Weight::Told, finding.at(Some(network.place.clone())));
            without = true;
        }
    }
    let cluster = file.cluster.name.value.clone();
    let Ok(id) = StepId::new(format!("options.migration/{cluster}")) else {
        return Vec::new();
    };
    if without {
        return Vec::new();
    }
    let founds = |step: &&Step| matches!(step.action, Action::CreateCluster { .. }) && step.node == *speaker;
    let undo = match before {
        Some(before) => format!("on {speaker}: pvesh set /cluster/options --migration {before}"),
        None => format!("on {speaker}: pvesh set /cluster/options --delete migration"),
    };
    let there = before.map_or("none is set".to_owned(), |before| format!("it is {before}"));
    let mut why = vec![format!("the file names a migration network, and {there}")];
    let title = match of_copies(config) {
        // Source: pve-guest-common PVE/Replication.pm (`replicate`): that of migration counts only where there is none for replication.
        Some(own) => {
            why.push(format!(
                "copies do not go over it: datacenter.cfg has a setting of their own (replication: {own}), which is left alone"
            ));
            format!("move guests over {}", network.value)
        }
        None => format!("move and copy guests over {}", network.value),
    };
    vec![Step {
        id,
        node: speaker.clone(),
        title,
        why,
        needs: steps.iter().filter(founds).map(|step| step.id.clone()).collect(),
        gate: vec![Condition::Quorate {
            cluster: cluster.clone(),
            node: speaker.clone(),
        }],
        done_when: Condition::MigrationSet {
            node: speaker.clone(),
            migration: wanted.clone(),
        },
        action: Action::SetMigrationNetwork {
            cluster,
            migration: wanted,
            before: before.cloned(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: TAKES,
        undo: Undo::Operator { how: undo },
        restores: None,
    }]
}

/// What copies go by, if not by what migrations do.
pub(super) fn of_copies(config: &PveConfig) -> Option<&str> {
    config.datacenter.get().ok()?.get("replication").map(String::as_str)
}

/// The property with this network, and all else that stands in it. The type, which PVE takes as the property's first word, must be there.
fn with_network(property: &str, network: IpNet) -> String {
    let parts = property.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<String> = parts
        .filter(|part| !part.starts_with("network="))
        .map(|part| {
            if part.contains('=') {
                part.to_owned()
            } else {
                format!("type={part}")
            }
        })
        .collect();
    let has_type = parts.iter().any(|part| part.starts_with("type="));
    let ahead = (!has_type).then(|| "type=secure".to_owned());
    let all: Vec<String> = ahead
        .into_iter()
        .chain(parts)
        .chain([format!("network={network}")])
        .collect();
    all.join(",")
}

fn network_of(property: &str) -> Option<IpNet> {
    let written = property
        .split(',')
        .find_map(|part| part.trim().strip_prefix("network="))?;
    written.parse::<IpNet>().ok().map(|network| network.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_else_stands_there_is_kept() {
        let network: IpNet = "10.10.10.0/24".parse().unwrap();
        for (before, after) in [
            ("", "type=secure,network=10.10.10.0/24"),
            ("insecure", "type=insecure,network=10.10.10.0/24"),
            (
                "type=insecure,network=10.0.0.0/8",
                "type=insecure,network=10.10.10.0/24",
            ),
            ("network=10.0.0.0/8,type=secure", "type=secure,network=10.10.10.0/24"),
        ] {
            assert_eq!(with_network(before, network), after, "{before}");
        }
        assert_eq!(network_of("secure,network=10.10.10.7/24"), Some(network));
    }
}
