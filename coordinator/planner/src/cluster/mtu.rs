//! Whether all ends of a link have the same MTU: small packets pass where large ones vanish.

use std::collections::BTreeMap;

use quorate_model::finding::{Code, Finding};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::links;
use super::speed::carrier;
use crate::report::{Report, in_a_row};

/// Those that are seen are compared, also where others are not.
pub(super) fn compare(file: &ClusterFile, view: &View, report: &mut Report) {
    for number in 0..links::count(file) {
        let mut ends: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for (node, _) in file.members() {
            // A network facet that is unknown has been told.
            let Ok(network) = view.facet(node, |o| &o.network) else {
                continue;
            };
            let candidates = links::candidates(file, node, network, number);
            let address = candidates.first().filter(|_| candidates.len() == 1);
            if let Some(interface) = address.and_then(|address| carrier(network, *address)) {
                ends.entry(interface.mtu)
                    .or_default()
                    .push(format!("{node} ({})", interface.name));
            }
        }
        if ends.len() > 1 {
            let groups: Vec<String> = ends
                .iter()
                .map(|(mtu, nodes)| format!("{mtu} on {}", in_a_row(nodes)))
                .collect();
            report.tell(Finding::new(
                Code::MtuDiffers,
                file.cluster.name.value.as_str(),
                format!("link {number} has different MTUs: {}", groups.join("; ")),
                "set one MTU on all of them, in /etc/network/interfaces and on the switch; then: ifreload -a",
            ));
        }
    }
}
