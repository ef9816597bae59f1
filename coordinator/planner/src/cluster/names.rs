//! Whether the servers know each other's names.

use std::collections::BTreeMap;

use quorate_model::facet::UnknownKind;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::network::NameResolution;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::Changes;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

impl Report {
    /// Does the other's address lead back to its name? Logs, rules and access lists that go by names rely on it.
    fn back(&mut self, node: &NodeName, other: &NodeName, resolved: &NameResolution) {
        let Some(address) = resolved.usable() else { return };
        match resolved.back.get() {
            Ok(names) => {
                let own = |name: &String| name.split('.').next() == Some(other.as_str());
                if !names.is_empty() && !names.iter().any(own) {
                    self.tell(Finding::new(
                        Code::NameResolvesElsewhere,
                        node.as_str(),
                        format!("on {node}, {address} leads back to {}, and not to {other}", in_a_row(names)),
                        format!("in /etc/hosts on {node}, have one line: {address} {other}; or mend its PTR record in the DNS"),
                    ));
                }
            }
            Err(unknown) if unknown.kind == UnknownKind::NotAsked => {}
            Err(unknown) => {
                let what = format!("what {address} leads back to");
                self.weigh(Weight::Told, facet_unknown(node, FacetName::Network, &what, unknown));
            }
        }
    }
}

/// One finding for each server that finds another elsewhere than the file says; and one for all that don't know the others by name, which
/// is usual: a join does not tell them.
pub(super) fn of_others(file: &ClusterFile, view: &View, changes: Changes, report: &mut Report) {
    let mut not_known: BTreeMap<&NodeName, Vec<String>> = BTreeMap::new();
    for (node, _) in file.members() {
        // That the network can't be seen has been told; a name that was not asked about is nobody's concern.
        let Ok(network) = view.facet(node, |o| &o.network) else {
            continue;
        };
        let mut wrong: Vec<String> = Vec::new();
        let mut lines: Vec<String> = Vec::new();
        for (other, spec) in file.nodes.iter().filter(|(other, _)| *other != node) {
            let resolved = match network.names.get(other.as_str()).map(|facet| facet.get()) {
                None => continue,
                Some(Err(unknown)) => {
                    let what = format!("what {other} resolves to");
                    report.weigh(Weight::Told, facet_unknown(node, FacetName::Network, &what, unknown));
                    continue;
                }
                Some(Ok(resolved)) => resolved,
            };
            let wanted = spec.address.value;
            // A name may have an address of each family, in an order of the resolver's.
            if resolved.addresses.contains(&wanted) {
                report.back(node, other, resolved);
                continue;
            }
            let line = format!("{wanted} {other}");
            if resolved.addresses.is_empty() {
                not_known.entry(node).or_default().push(line);
                continue;
            }
            wrong.push(format!(
                "{other} to {} (the file has {wanted})",
                in_a_row(&resolved.addresses)
            ));
            lines.push(line);
        }
        if !wrong.is_empty() {
            report.tell(Finding::new(
                Code::NameResolvesElsewhere,
                node.as_str(),
                format!("{node} resolves {}", in_a_row(&wrong)),
                format!("in /etc/hosts on {node}, one line each: {}", lines.join("; ")),
            ));
        }
    }
    if let (true, Some((first, lines))) = (changes.membership(), not_known.first_key_value()) {
        report.tell(Finding::new(
            Code::NameNotKnown,
            file.cluster.name.value.as_str(),
            format!(
                "{} do not resolve the names of all others; PVE finds members without, scripts and people do not",
                in_a_row(not_known.keys())
            ),
            format!("to have it, in /etc/hosts on each, as on {first}: {}", lines.join("; ")),
        ));
    }
}
