//! What must be seen: gates before a step and `done_when` after it. Judged on a view, with three answers:
//! it holds, it does not (yet), or it can't be told.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facet::Unknown;
use crate::ids::{ClusterName, NodeName};
use crate::observation::Membership;
use crate::observation::cluster::{Cluster, Pmxcfs};
use crate::view::View;

/// Something that a view can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "condition")]
pub enum Condition {
    /// This node is in no cluster, has no leftovers of one, and its /etc/pve is writable.
    Standalone {
        /// The node.
        node: NodeName,
    },
    /// The cluster consists of exactly these members, all online and quorate with /etc/pve writable, and every one of them says so:
    /// a joiner that believes it is in while the member does not is not in.
    Members {
        /// The cluster's name.
        cluster: ClusterName,
        /// Who must be in, no more and no less.
        nodes: BTreeSet<NodeName>,
    },
}

/// What a view answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "because")]
pub enum Verdict {
    /// It holds; this was seen.
    Holds(String),
    /// It does not hold (yet); this is why.
    NotYet(String),
    /// It can't be told.
    Unknown(String),
}

impl Verdict {
    /// Does it hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds(_))
    }
}

impl Condition {
    /// The nodes whose cluster facet is needed to judge it.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<NodeName> {
        match self {
            Self::Standalone { node } => BTreeSet::from([node.clone()]),
            Self::Members { nodes, .. } => nodes.clone(),
        }
    }

    /// Judges it on what is known. Unknown wins over "not yet", and "not yet" over "holds".
    #[must_use]
    pub fn judge(&self, view: &View) -> Verdict {
        match self {
            Self::Standalone { node } => match view.cluster_of(node) {
                Err(unknown) => unknown_verdict(node, &unknown),
                Ok(cluster) => standalone(node, cluster),
            },
            Self::Members { cluster, nodes } => {
                let mut not_yet = None;
                for node in nodes {
                    match view.cluster_of(node) {
                        Err(unknown) => return unknown_verdict(node, &unknown),
                        Ok(seen) => {
                            if let Err(why) = sees_members(seen, cluster, nodes) {
                                not_yet.get_or_insert(format!("{node} {why}"));
                            }
                        }
                    }
                }
                not_yet.map_or_else(
                    || {
                        Verdict::Holds(format!(
                            "{} of {} members of {cluster} online and quorate, seen by each",
                            nodes.len(),
                            nodes.len()
                        ))
                    },
                    Verdict::NotYet,
                )
            }
        }
    }
}

fn unknown_verdict(node: &NodeName, unknown: &Unknown) -> Verdict {
    Verdict::Unknown(format!("{node}: {}", unknown.reason))
}

fn standalone(node: &NodeName, cluster: &Cluster) -> Verdict {
    if let Some(member) = cluster.member() {
        return Verdict::NotYet(format!("{node} is in cluster {}", member.cluster));
    }
    if cluster.authkey_present || cluster.local_config_present {
        return Verdict::NotYet(format!("{node} has files of an earlier cluster in /etc/corosync"));
    }
    match cluster.pmxcfs {
        Pmxcfs::Writable => Verdict::Holds(format!("{node} is in no cluster")),
        Pmxcfs::ReadOnly => Verdict::NotYet(format!("{node}'s /etc/pve is read-only")),
        Pmxcfs::NotMounted => Verdict::NotYet(format!("{node}'s /etc/pve is not mounted")),
    }
}

fn sees_members(seen: &Cluster, cluster: &ClusterName, nodes: &BTreeSet<NodeName>) -> Result<(), String> {
    let Membership::Member(member) = &seen.membership else {
        return Err("is in no cluster".to_owned());
    };
    if member.cluster != cluster.as_str() {
        return Err(format!("is in cluster {}", member.cluster));
    }
    let online: BTreeSet<&str> = member.online().collect();
    if let Some(missing) = nodes.iter().find(|n| !online.contains(n.as_str())) {
        return Err(format!("does not see {missing} in the membership"));
    }
    if let Some(extra) = member.nodes.iter().find(|n| nodes.iter().all(|w| w.as_str() != n.name)) {
        return Err(format!(
            "sees {} in the membership, which does not belong there",
            extra.name
        ));
    }
    if !member.quorate {
        return Err("has no quorum".to_owned());
    }
    if seen.pmxcfs != Pmxcfs::Writable {
        return Err("can't write to /etc/pve yet".to_owned());
    }
    Ok(())
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone { node } => write!(f, "{node} is in no cluster"),
            Self::Members { cluster, nodes } => {
                let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
                write!(
                    f,
                    "{cluster} has exactly {}, all online and quorate, seen by each",
                    names.join(", ")
                )
            }
        }
    }
}
