//! Whether the servers know each other's names.

use quorate_model::finding::{Code, Finding};
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// One finding for each server that finds another elsewhere than the file says, or not at all.
pub(super) fn of_others(file: &ClusterFile, view: &View, report: &mut Report) {
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
            if resolved.usable() == Some(wanted) {
                continue;
            }
            wrong.push(if resolved.addresses.is_empty() {
                format!("{other} to nothing")
            } else {
                format!("{other} to {} (the file has {wanted})", in_a_row(&resolved.addresses))
            });
            lines.push(format!("{wanted} {other}"));
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
}
