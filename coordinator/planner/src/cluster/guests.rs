//! Which host is a guest of the cluster?

use std::collections::BTreeSet;

use quorate_model::ids::NodeName;
use quorate_model::{Unknown, View};

/// A server that knows a guest with one of these MAC addresses (in lower case); else one that could not say. What the host `asked_of`
/// itself says does not count.
///
/// A host that is a guest has the MAC address that its configuration gives it, wherever it runs, and whether or not it runs. Every member
/// knows all of them. Only behind a router of its own would one not be seen.
pub(super) fn knows_guest<'v>(
    view: &'v View,
    macs: &BTreeSet<String>,
    asked_of: Option<&NodeName>,
) -> Result<Option<&'v NodeName>, (&'v NodeName, &'v Unknown)> {
    let mut unseen = None;
    for (node, seen) in view.nodes.iter().filter(|(node, _)| Some(*node) != asked_of) {
        let Ok(observation) = &seen.observation else { continue };
        let known = match observation.config.get() {
            Ok(config) => config.guest_macs.get(),
            Err(unknown) => Err(unknown),
        };
        match known {
            Ok(known) if known.iter().any(|mac| macs.contains(mac)) => return Ok(Some(node)),
            Ok(_) => {}
            Err(unknown) => {
                unseen.get_or_insert((node, unknown));
            }
        }
    }
    unseen.map_or(Ok(None), Err)
}
