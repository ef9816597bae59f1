//! Whether a guest on a server is reached from outside: a canary was there, at this bridge and VLAN, and was called.
//!
//! A bridge that is there says nothing of the switch behind it. Only a guest that answers does.

use serde::{Deserialize, Serialize};

use crate::ids::{ClusterName, NodeName};
use crate::time::Timestamp;

/// One call of a canary on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The cluster.
    pub cluster: ClusterName,
    /// The server that the canary ran on.
    pub node: NodeName,
    /// What its network card was plugged into.
    pub bridge: String,
    /// The card's VLAN.
    pub vlan: Option<u16>,
    /// The canary's id.
    pub guest: u32,
    /// When, on the coordinator's clock.
    pub at: Timestamp,
    /// Why nobody was reached; `None`: it answered, and its number grew.
    pub failed: Option<String>,
}

impl Reach {
    /// Is it about the same server, bridge and VLAN?
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.cluster == other.cluster
            && self.node == other.node
            && self.bridge == other.bridge
            && self.vlan == other.vlan
    }
}

/// What was seen last of a server, bridge and VLAN.
#[must_use]
pub fn newest<'r>(all: &'r [Reach], node: &NodeName, bridge: &str, vlan: Option<u16>) -> Option<&'r Reach> {
    let of = all
        .iter()
        .filter(|one| one.node == *node && one.bridge == bridge && one.vlan == vlan);
    of.max_by_key(|one| one.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_counts_and_each_vlan_for_itself() {
        let one = |node: &str, vlan, at, failed: Option<&str>| Reach {
            cluster: "hk1".parse().unwrap(),
            node: node.parse().unwrap(),
            bridge: "vmbr0".to_owned(),
            vlan,
            guest: 900,
            at: Timestamp(at),
            failed: failed.map(str::to_owned),
        };
        let all = [
            one("prox1", None, 2, Some("refused")),
            one("prox1", None, 1, None),
            one("prox1", Some(5), 3, None),
            one("prox2", None, 4, None),
        ];
        let prox1 = "prox1".parse().unwrap();
        assert_eq!(newest(&all, &prox1, "vmbr0", None), Some(&all[0]));
        assert_eq!(newest(&all, &prox1, "vmbr0", Some(5)), Some(&all[2]));
        assert_eq!(newest(&all, &prox1, "vmbr1", None), None);
        assert!(all[0].is_like(&all[1]) && !all[0].is_like(&all[2]));
    }
}
