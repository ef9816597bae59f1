//! What the files of /etc/pve (and root's ssh files) say: what a join would overwrite, and what still leans on a node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::time::Timestamp;

/// The node's configuration, as far as changes of the cluster touch it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PveConfig {
    /// Storages. Source: /etc/pve/storage.cfg; without the file PVE has its built-in `local`, which is not listed.
    pub storages: Facet<Vec<Storage>>,
    /// Users but root@pam. Source: `user:` lines of /etc/pve/user.cfg.
    pub users: Facet<Vec<String>>,
    /// API tokens, as `USER!NAME`. Source: `token:` lines of /etc/pve/user.cfg.
    pub tokens: Facet<Vec<String>>,
    /// Has root@pam a second factor? `pvecm add` then can't log in with a password. Source: /etc/pve/priv/tfa.cfg.
    pub root_tfa: Facet<bool>,
    /// The node has a certificate of its own for its web interface. Source: /etc/pve/nodes/NODE/pveproxy-ssl.pem exists.
    pub own_certificate: bool,
    /// Comments (or, where there is none, the ends) of the keys in root's authorized_keys.
    pub authorized_keys: Facet<Vec<String>>,
    /// pve-firewall. Source: /etc/pve/firewall/cluster.fw, /etc/pve/nodes/NODE/host.fw.
    pub firewall: Facet<Firewall>,
    /// Replication jobs. Source: /etc/pve/replication.cfg.
    pub replication: Facet<Vec<ReplicationJob>>,
    /// HA groups and rules that name nodes: `group NAME` or `rule NAME` → the nodes. Source: /etc/pve/ha/{groups,rules}.cfg.
    pub ha_placements: Facet<BTreeMap<String, Vec<String>>>,
    /// Ceph's monitors, by name; `None`: there is no ceph.conf. Source: `[mon.NAME]` of /etc/pve/ceph.conf.
    pub ceph_monitors: Facet<Option<Vec<String>>>,
    /// Folders of nodes, by name. Source: /etc/pve/nodes.
    pub node_folders: Facet<BTreeMap<String, NodeFolder>>,
    /// The cluster file that was last applied; `None`: none was kept. Source: /etc/pve/quorate/spec.toml.
    pub spec: Facet<Option<KeptSpec>>,
}

/// A storage definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// `dir`, `zfspool`, `pbs` …
    pub kind: String,
    /// Nodes that it is limited to; empty: all.
    pub nodes: Vec<String>,
}

/// pve-firewall, as far as it can keep us out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// `[OPTIONS] enable` of cluster.fw: without it nothing is filtered anywhere.
    pub enabled: bool,
    /// `enable` of this node's host.fw; on unless it says 0.
    pub host_enabled: bool,
    /// `policy_in` of cluster.fw; `DROP` unless it says otherwise.
    pub policy_in: String,
    /// The `[RULES]` of cluster.fw, in order.
    pub rules: Vec<FirewallRule>,
    /// The `[RULES]` of this node's host.fw, which come first.
    pub host_rules: Vec<FirewallRule>,
}

/// A firewall rule, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallRule {
    /// The line, whole.
    pub text: String,
    /// It is switched off (begins with `|`).
    pub disabled: bool,
    /// `IN`, `OUT`, `GROUP` …
    pub direction: String,
    /// `ACCEPT`, `DROP`, `REJECT`, or `MACRO(ACTION)` as written.
    pub action: String,
    /// `-source`, as written.
    pub source: Option<String>,
    /// `-p`.
    pub protocol: Option<String>,
    /// `-dport`, as written.
    pub ports: Option<String>,
    /// Other conditions that it has (interface, destination, source port …): it then holds for less than all.
    pub narrowed: bool,
}

/// A replication job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationJob {
    /// Such as `100-0`.
    pub id: String,
    /// The guest.
    pub guest: u32,
    /// The node that gets the copy.
    pub target: String,
}

/// A folder under /etc/pve/nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFolder {
    /// Guests whose configuration lies in it.
    pub guests: Vec<u32>,
}

/// The cluster file in /etc/pve: a hint, never an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSpec {
    /// SHA-256 of its text, in hex; checked against the text when it was read.
    pub digest: String,
    /// When it was applied, on the coordinator's clock.
    pub applied_at: Timestamp,
    /// The rollout that applied it; empty: nothing was to be done.
    pub rollout: String,
    /// Its text.
    pub text: String,
}

impl Firewall {
    /// Does it surely let TCP connections to `port` in from `from`? Only rules that are understood whole count.
    #[must_use]
    pub fn lets_in(&self, port: u16, from: IpAddr) -> bool {
        if !self.enabled || !self.host_enabled {
            return true;
        }
        let verdict = self
            .host_rules
            .iter()
            .chain(&self.rules)
            .filter(|rule| !rule.disabled)
            .find_map(|rule| rule.says(port, from));
        match verdict {
            Some(verdict) => verdict,
            None => self.policy_in.eq_ignore_ascii_case("ACCEPT"),
        }
    }
}

impl FirewallRule {
    /// Some(true): lets it in; Some(false): may keep it out; None: says nothing about it.
    fn says(&self, port: u16, from: IpAddr) -> Option<bool> {
        if !self.direction.eq_ignore_ascii_case("IN") {
            // A security group may hold anything; it can't be told to let us in, and what comes after may.
            return None;
        }
        let accepts = self.action.eq_ignore_ascii_case("ACCEPT");
        // A macro stands for ports that are not looked into: one that accepts keeps nobody out.
        if self.action.to_ascii_uppercase().ends_with("(ACCEPT)") {
            return None;
        }
        let protocol = self.protocol.as_deref().is_none_or(|p| p.eq_ignore_ascii_case("tcp"));
        let ports = self.ports.as_deref().is_none_or(|ports| covers_port(ports, port));
        let source = match self.source.as_deref() {
            None => Some(true),
            Some(source) => covers_address(source, from),
        };
        match (protocol && ports, source) {
            (false, _) | (_, Some(false)) => None,
            (true, Some(true)) if accepts => (!self.narrowed).then_some(true),
            // An alias or set that we don't look into, or a rule that drops: it may be about us.
            (true, None) if accepts => None,
            (true, _) => Some(false),
        }
    }
}

fn covers_port(ports: &str, port: u16) -> bool {
    ports.split(',').any(|part| match part.trim().split_once(':') {
        None => part.trim().parse() == Ok(port),
        Some((low, high)) => match (low.parse::<u16>(), high.parse::<u16>()) {
            (Ok(low), Ok(high)) => (low..=high).contains(&port),
            _ => false,
        },
    })
}

/// `None`: an alias, a set, or something else that is not an address.
fn covers_address(source: &str, from: IpAddr) -> Option<bool> {
    let mut all = false;
    for part in source.split(',').map(str::trim) {
        let covered = if let Ok(network) = part.parse::<ipnet::IpNet>() {
            network.contains(&from)
        } else if let Ok(address) = part.parse::<IpAddr>() {
            address == from
        } else if let Some((low, high)) = part.split_once('-') {
            let (low, high) = (low.parse::<IpAddr>().ok()?, high.parse::<IpAddr>().ok()?);
            low <= from && from <= high
        } else {
            return None;
        };
        all |= covered;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: &str, source: Option<&str>, ports: Option<&str>) -> FirewallRule {
        FirewallRule {
            text: String::new(),
            disabled: false,
            direction: "IN".into(),
            action: action.into(),
            source: source.map(Into::into),
            protocol: ports.map(|_| "tcp".into()),
            ports: ports.map(Into::into),
            narrowed: false,
        }
    }

    fn firewall(rules: Vec<FirewallRule>) -> Firewall {
        Firewall {
            enabled: true,
            host_enabled: true,
            policy_in: "DROP".into(),
            rules,
            host_rules: vec![],
        }
    }

    #[test]
    fn only_what_surely_lets_in_counts() {
        let from = "192.168.1.5".parse().unwrap();
        let lets = |rules| firewall(rules).lets_in(7443, from);
        assert!(!lets(vec![]));
        assert!(lets(vec![rule("ACCEPT", None, Some("7443"))]));
        assert!(lets(vec![rule("ACCEPT", Some("192.168.1.0/24"), Some("22,7440:7443"))]));
        assert!(lets(vec![rule("ACCEPT", Some("192.168.1.1-192.168.1.9"), None)]));
        assert!(!lets(vec![rule("ACCEPT", Some("10.0.0.0/8"), Some("7443"))]));
        assert!(
            !lets(vec![rule("ACCEPT", Some("+management"), Some("7443"))]),
            "a set is not looked into"
        );
        assert!(!lets(vec![
            rule("DROP", Some("+bad"), None),
            rule("ACCEPT", None, Some("7443"))
        ]));
        assert!(lets(vec![
            rule("DROP", None, Some("22")),
            rule("ACCEPT", None, Some("7443"))
        ]));
        assert!(
            lets(vec![
                rule("SSH(ACCEPT)", None, None),
                rule("ACCEPT", None, Some("7443"))
            ]),
            "a macro that accepts keeps nobody out"
        );
        assert!(!lets(vec![rule("SSH(ACCEPT)", None, None)]), "nor surely lets us in");
        let narrowed = FirewallRule {
            narrowed: true,
            ..rule("ACCEPT", None, Some("7443"))
        };
        assert!(!lets(vec![narrowed]));
        let disabled = FirewallRule {
            disabled: true,
            ..rule("ACCEPT", None, Some("7443"))
        };
        assert!(!lets(vec![disabled]));
    }

    #[test]
    fn a_firewall_that_is_off_keeps_nobody_out() {
        let from = "192.168.1.5".parse().unwrap();
        assert!(
            Firewall {
                enabled: false,
                ..firewall(vec![])
            }
            .lets_in(7443, from)
        );
        assert!(
            Firewall {
                host_enabled: false,
                ..firewall(vec![])
            }
            .lets_in(7443, from)
        );
        assert!(
            Firewall {
                policy_in: "ACCEPT".into(),
                ..firewall(vec![])
            }
            .lets_in(7443, from)
        );
    }
}
