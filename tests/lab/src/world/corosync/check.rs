//! What corosync finds wrong with a configuration, and how it says so.

use std::collections::{BTreeMap, BTreeSet};

use super::conf::Conf;

const PATH: &str = "/etc/corosync/corosync.conf";

impl Conf {
    /// Why corosync does not start with it.
    pub(crate) fn refuses_start(&self) -> Option<String> {
        if let Some(text) = self.unreadable() {
            return Some(text);
        }
        if let Some(id) = self.duplicate_id() {
            return Some(format!("Nodeid {id} appears twice in corosync.conf"));
        }
        self.uneven_links()
            .then(|| "parse error in config: Not all nodes have the same number of links".to_owned())
    }

    /// What a running corosync logs instead of taking it over; nothing if it takes it.
    pub(crate) fn refuses_reload(&self, running: &Self) -> Vec<String> {
        if let Some(text) = self.unreadable() {
            return vec![format!("  [CFG   ] Unable to reload config file: {text}")];
        }
        if self.uneven_links() {
            return vec![
                "  [CFG   ] Configuration is not valid: parse error in config: Not all nodes have the same number of links"
                    .to_owned(),
            ];
        }
        let mut lines = Vec::new();
        // A number that stands twice leads to the later of both.
        let after: BTreeMap<u32, _> = self.nodes.iter().map(|node| (node.id, &node.rings)).collect();
        for node in &running.nodes {
            for (link, old) in &node.rings {
                let Some(new) = after.get(&node.id).and_then(|rings| rings.get(link)) else {
                    continue;
                };
                if new != old {
                    lines.push(format!(
                        "  [TOTEM ] new config has different address for link {link} (addr changed from {old} to {new}). \
                         Internal value was NOT changed."
                    ));
                }
            }
        }
        if !lines.is_empty() {
            lines.push(
                "  [CFG   ] Cannot configure new interface definitions: To reconfigure an interface it must be deleted and \
                 recreated. A working interface needs to be available to corosync at all times"
                    .to_owned(),
            );
            lines.push("  [KNET  ] pmtud: MTU manually set to: 0".to_owned());
        }
        lines
    }

    fn unreadable(&self) -> Option<String> {
        self.fault
            .as_ref()
            .map(|fault| format!("parser error: {PATH}:{}: {}", fault.line, fault.corosync))
    }

    fn uneven_links(&self) -> bool {
        let counts: BTreeSet<usize> = self.nodes.iter().map(|node| node.rings.len()).collect();
        counts.len() > 1
    }

    /// What PVE finds wrong with it before it writes it anew.
    pub(crate) fn pve_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for node in &self.nodes {
            let name = &node.name;
            for link in &self.links {
                if !node.rings.contains_key(link) {
                    errors.push(format!("node '{name}' is missing address forinterface number {link}"));
                }
            }
            for ring in node.rings.keys().filter(|ring| !self.links.contains(ring)) {
                errors.push(format!(
                    "node '{name}' has 'ring{ring}_addr', but there is no interface number {ring} configured"
                ));
            }
        }
        errors
    }
}
