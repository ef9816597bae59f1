//! What sources tell of a drill, each by its own clock.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::NodeName;
use crate::time::Timestamp;
use crate::view::ClockOffset;

/// Who tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Source {
    /// The coordinator itself.
    Coordinator,
    /// A node's agent.
    Agent {
        /// Whose.
        node: NodeName,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinator => f.pad("coordinator"),
            Self::Agent { node } => f.pad(node.as_str()),
        }
    }
}

/// What one source has told; of one source there may be several, as before and after a reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who.
    pub source: Source,
    /// How its clock stands against the coordinator's; `None`: that could not be found out, and its times say nothing to the others'.
    pub clock: Option<ClockOffset>,
    /// What it told, in any order.
    pub events: Vec<Event>,
    /// Why that is not all that it should have told; `None`: it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Event {
    /// When it was seen, by the source's clock.
    pub at: Timestamp,
    /// For how long it may have been so unseen, in microseconds: 0 of what is told as it happens, else the time since the last look.
    #[serde(default)]
    pub within_micros: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// The fault is made. Source: the agent's ledger; the coordinator knows when it asked, and when it was answered.
    FaultMade,
    /// The fault is gone. Source: as above.
    FaultGone {
        /// By what: `timer`, `reset`, `abort`, `hand` …
        by: String,
    },
    /// knet calls a link down. Source: corosync's log (`[KNET ] link: host: N link: M is down`).
    LinkDown {
        /// The other end.
        peer: NodeName,
        /// Which link.
        link: u8,
    },
    /// knet calls a link up again. Source: as above.
    LinkUp {
        /// The other end.
        peer: NodeName,
        /// Which link.
        link: u8,
    },
    /// A node is out of the membership. Source: corosync.
    MemberLost {
        /// Which.
        node: NodeName,
    },
    /// A node is in the membership again. Source: corosync.
    MemberBack {
        /// Which.
        node: NodeName,
    },
    /// Whoever tells this has lost quorum. Source: corosync.
    QuorumLost,
    /// Whoever tells this has quorum again. Source: corosync.
    QuorumBack,
    /// A node was reset, or has lost power. Source: its own agent after it has booted (the last sign in its ledger).
    Reset {
        /// Which.
        node: NodeName,
    },
    /// HA's state of a node has changed. Source: manager_status (`node_status`).
    HaNode {
        /// Which.
        node: NodeName,
        /// `online`, `unknown`, `fence` …
        state: String,
    },
    /// HA's state of a service has changed. Source: manager_status (`service_status`).
    HaService {
        /// Such as `vm:100`.
        sid: String,
        /// Where HA has it.
        node: NodeName,
        /// `started`, `fence`, `recovery` …
        state: String,
    },
    /// HA's master has a node's lock. Source: the log of pve-ha-crm (`fencing: acknowledged - got agent lock for node`).
    LockTaken {
        /// Whose.
        node: NodeName,
    },
    /// A guest runs. Source: the agent of the node that it runs on.
    GuestStarted {
        /// Which.
        guest: u32,
        /// Where.
        node: NodeName,
    },
    /// A guest runs on two nodes. Source: both agents.
    GuestTwice {
        /// Which.
        guest: u32,
    },
    /// All copies of the guest are in sync. Source: the owner's replication state.
    InSync {
        /// Which.
        guest: u32,
    },
    /// All is as it should be. Source: the coordinator's last look.
    Normal,
    /// Anything else that is good to know.
    Note {
        /// What.
        text: String,
    },
    /// The last answer of the numbered writer in a guest that runs here, asked over this server's own bridge: its time is when it was asked,
    /// unseen is the time from the answer before that. Source: the line of `quorate-tally`, kept by the agent through a reset.
    Wrote {
        /// The guest.
        guest: u32,
        /// `run`: which start of the writer, as 16 hexadecimal digits.
        run: String,
        /// `number`: its last record that is on the guest's disk.
        number: u64,
        /// For how long it was asked in vain after that, in microseconds.
        silent_micros: u64,
    },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FaultMade => f.write_str("the fault is made"),
            Self::FaultGone { by } => write!(f, "the fault is gone (by {by})"),
            Self::LinkDown { peer, link } => write!(f, "link {link} to {peer} is down"),
            Self::LinkUp { peer, link } => write!(f, "link {link} to {peer} is up"),
            Self::MemberLost { node } => write!(f, "{node} is out of the membership"),
            Self::MemberBack { node } => write!(f, "{node} is a member again"),
            Self::QuorumLost => f.write_str("quorum is lost here"),
            Self::QuorumBack => f.write_str("quorum is back here"),
            Self::Reset { node } => write!(f, "{node} is reset"),
            Self::HaNode { node, state } => write!(f, "HA: {node} is {state}"),
            Self::HaService { sid, node, state } => write!(f, "HA: {sid} on {node} is {state}"),
            Self::LockTaken { node } => write!(f, "HA's master has the lock of {node}"),
            Self::GuestStarted { guest, node } => write!(f, "guest {guest} runs on {node}"),
            Self::GuestTwice { guest } => write!(f, "guest {guest} RUNS TWICE"),
            Self::InSync { guest } => write!(f, "the copies of guest {guest} are in sync"),
            Self::Normal => f.write_str("all is as it should be"),
            Self::Note { text } => f.write_str(text),
            Self::Wrote { guest, number, .. } => write!(f, "guest {guest} has written up to record {number} here"),
        }
    }
}
