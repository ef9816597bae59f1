//! What is done with guests because an operator says so: one is moved, or all of a server that is to be worked on; a canary comes or goes.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::canary::NewCanary;
use crate::ids::NodeName;
use crate::observation::GuestKind;

/// What is to be moved out of the way, or back, and canaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "move", deny_unknown_fields)]
pub enum Moves {
    /// `quorate migrate GUEST NODE`: one guest goes to another server.
    Migrate {
        /// The guest's id.
        guest: u32,
        /// Where it goes.
        target: NodeName,
    },
    /// `quorate node drain NODE`: all that runs on a server goes elsewhere, and HA brings nothing back until it is undrained.
    Drain {
        /// The server.
        node: NodeName,
        /// `--stop ID`: guests that may be shut down where they can't be moved.
        stop: BTreeSet<u32>,
    },
    /// `quorate node undrain NODE`: HA may use the server again.
    Undrain {
        /// The server.
        node: NodeName,
    },
    /// `quorate reboot --rolling`: servers restart one after another, each without the guests that can be moved.
    Reboot {
        /// Which; empty: all nodes of the cluster file that are members.
        nodes: BTreeSet<NodeName>,
        /// As for draining; they are started again afterwards.
        stop: BTreeSet<u32>,
    },
    /// `quorate replication resolve GUEST`: what a server wrote before it was lost, and never copied, is kept aside there or overwritten; and
    /// the copying to it goes on.
    Resolve {
        /// The guest's id.
        guest: u32,
        /// The server that was lost; `None`: the one that a copy is held on.
        node: Option<NodeName>,
        /// It is kept aside, or overwritten.
        keep: bool,
    },
    /// `quorate guest create-canary`: a guest of ours is made.
    CreateCanary(Box<NewCanary>),
    /// `quorate guest remove-canary ID`: a guest of ours goes, with all that it wrote.
    RemoveCanary {
        /// The guest's id.
        guest: u32,
        /// `--destroy guest:ID`: it may go.
        destroy: bool,
    },
    /// `quorate recover --lost NODE`: the guests of a server that is off are started from their copies on others.
    Recover {
        /// The server that is lost.
        lost: NodeName,
        /// `--guest ID`: only these of its guests, each of which is started; empty: all.
        guests: BTreeSet<u32>,
        /// `--expected-votes N`: what is left is to get by with these votes.
        expected_votes: Option<u32>,
        /// `--seen-off`: somebody has seen with their own eyes that it has no power.
        seen_off: bool,
        /// `--bmc ADDRESS`: it is pinged, and nothing more.
        bmc: Option<IpAddr>,
        /// What was typed to say that the server is off: `CLUSTER/NODE`. Nothing is begun without it.
        confirm: Option<String>,
    },
    /// `quorate guest clear-canary ID`: what servers that were lost have of its disc for cloud-init is freed.
    ClearCanary {
        /// The guest's id.
        guest: u32,
    },
}

impl fmt::Display for Moves {
    /// As it is typed, for the audit log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with =
            |f: &mut fmt::Formatter<'_>, stop: &BTreeSet<u32>| stop.iter().try_for_each(|id| write!(f, " --stop {id}"));
        match self {
            Self::Migrate { guest, target } => write!(f, "migrate {guest} {target}"),
            Self::Drain { node, stop } => {
                write!(f, "node drain {node}")?;
                with(f, stop)
            }
            Self::Undrain { node } => write!(f, "node undrain {node}"),
            Self::Reboot { nodes, stop } => {
                f.write_str("reboot --rolling")?;
                nodes.iter().try_for_each(|node| write!(f, " {node}"))?;
                with(f, stop)
            }
            Self::Resolve { guest, node, keep } => {
                let how = if *keep { "keep" } else { "discard" };
                write!(f, "replication resolve {guest} --{how}")?;
                node.as_ref().map_or(Ok(()), |node| write!(f, " --node {node}"))
            }
            Self::CreateCanary(canary) => {
                f.write_str("guest create-canary")?;
                canary.guest.iter().try_for_each(|id| write!(f, " --id {id}"))?;
                let kind = match canary.source.kind() {
                    GuestKind::Vm => "image",
                    GuestKind::Container => "template",
                };
                write!(f, " --node {} --{kind} {}", canary.node, canary.source.volume())?;
                write!(f, " --storage {} --bridge {}", canary.storage, canary.bridge)
            }
            Self::RemoveCanary { guest, destroy } => {
                write!(f, "guest remove-canary {guest}")?;
                if *destroy {
                    write!(f, " --destroy guest:{guest}")?;
                }
                Ok(())
            }
            Self::ClearCanary { guest } => write!(f, "guest clear-canary {guest}"),
            Self::Recover {
                lost,
                guests,
                expected_votes,
                seen_off,
                bmc,
                confirm,
            } => {
                write!(f, "recover --lost {lost}")?;
                guests.iter().try_for_each(|id| write!(f, " --guest {id}"))?;
                expected_votes
                    .iter()
                    .try_for_each(|votes| write!(f, " --expected-votes {votes}"))?;
                if *seen_off {
                    f.write_str(" --seen-off")?;
                }
                bmc.iter().try_for_each(|address| write!(f, " --bmc {address}"))?;
                confirm.iter().try_for_each(|typed| write!(f, " --confirm {typed}"))
            }
        }
    }
}

/// How a guest gets to another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// A machine goes on running: its memory is copied, and it stands still for a moment only.
    Live,
    /// A container is shut down, moved and started again.
    Restart,
    /// It does not run; its configuration, and disks that are not there yet, go over.
    Offline,
}

impl MoveKind {
    /// How a guest of this kind is moved.
    #[must_use]
    pub fn of(kind: GuestKind, running: bool) -> Self {
        match (kind, running) {
            (_, false) => Self::Offline,
            (GuestKind::Vm, true) => Self::Live,
            (GuestKind::Container, true) => Self::Restart,
        }
    }

    /// Does it run before and after?
    #[must_use]
    pub fn runs(self) -> bool {
        !matches!(self, Self::Offline)
    }

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Offline => "offline",
        }
    }
}

/// What HA calls a guest: `vm:100`, `ct:101`.
#[must_use]
pub fn service_id(kind: GuestKind, guest: u32) -> String {
    match kind {
        GuestKind::Vm => format!("vm:{guest}"),
        GuestKind::Container => format!("ct:{guest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_in_the_audit_log_as_it_is_typed() {
        let roll = Moves::Reboot {
            nodes: ["prox1".parse().unwrap()].into(),
            stop: [101].into(),
        };
        assert_eq!(roll.to_string(), "reboot --rolling prox1 --stop 101");
        let resolve = Moves::Resolve {
            guest: 100,
            node: Some("prox1".parse().unwrap()),
            keep: true,
        };
        assert_eq!(resolve.to_string(), "replication resolve 100 --keep --node prox1");
        let clear = Moves::ClearCanary { guest: 900 };
        assert_eq!(clear.to_string(), "guest clear-canary 900");
        let json = serde_json::to_string(&roll).unwrap();
        assert_eq!(serde_json::from_str::<Moves>(&json).unwrap(), roll);
    }

    #[test]
    fn containers_are_never_moved_live() {
        assert_eq!(MoveKind::of(GuestKind::Container, true), MoveKind::Restart);
        assert_eq!(MoveKind::of(GuestKind::Vm, false), MoveKind::Offline);
    }
}
