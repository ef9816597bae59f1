//! What a line of the audit log says.

use nix::unistd::{User, getuid};
use serde::{Deserialize, Serialize};

use crate::incoming::{Proof, Who};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// From 0.
    pub(crate) number: u64,
    /// The SHA-256 of the line before, without its line break; zeros in the first.
    pub(crate) previous: String,
    /// On the coordinator's clock, in UTC.
    pub(crate) at: String,
    /// Who.
    pub(crate) by: By,
    /// The cluster that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// What.
    pub(crate) what: What,
    /// The findings that were accepted: code and subject.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) accepted: Vec<String>,
    /// What was allowed to be destroyed or removed, by stable identity, as it was typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) consents: Vec<String>,
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) by: By,
    pub(crate) cluster: Option<String>,
    pub(crate) what: What,
    pub(crate) accepted: Vec<String>,
    pub(crate) consents: Vec<String>,
}

impl Act {
    /// Without findings or consents.
    pub(crate) fn new(by: By, what: What) -> Self {
        Self {
            by,
            cluster: None,
            what,
            accepted: Vec::new(),
            consents: Vec::new(),
        }
    }

    /// About a cluster.
    pub(crate) fn in_cluster(mut self, cluster: impl ToString) -> Self {
        self.cluster = Some(cluster.to_string());
        self
    }
}

/// Who did it, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct By {
    /// A role with its name as in the certificate, or a user of the coordinator's host.
    pub(crate) who: String,
    /// Where the call came from: `ADDRESS:PORT`, or `pid N` for the socket and for commands without a daemon.
    pub(crate) from: String,
    /// SHA-256 of the certificate that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// The user, as the kernel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
}

impl By {
    /// A caller of the API.
    pub(crate) fn caller(who: &Who) -> Self {
        let address = who.from.map(|from| from.to_string()).unwrap_or_default();
        let (from, certificate, uid) = match &who.proof {
            Proof::Certificate(peer) => (address, Some(peer.fingerprint.to_string()), None),
            Proof::Process { uid, pid } => (
                pid.map(|pid| format!("pid {pid}")).unwrap_or_default(),
                None,
                Some(*uid),
            ),
            Proof::None => (address, None, None),
        };
        Self {
            who: who.name.clone(),
            from,
            certificate,
            uid,
        }
    }

    /// Whoever runs this command.
    pub(crate) fn this_process() -> Self {
        // Root that works as the state's owner is still root.
        let uid = getuid();
        let user = User::from_uid(uid).ok().flatten();
        Self {
            who: user.map_or_else(|| format!("uid {uid}"), |user| user.name),
            from: format!("pid {}", std::process::id()),
            certificate: None,
            uid: Some(uid.as_raw()),
        }
    }

    /// The daemon, of its own accord.
    pub(crate) fn daemon() -> Self {
        Self {
            who: "coordinator".to_owned(),
            from: format!("pid {}", std::process::id()),
            certificate: None,
            uid: None,
        }
    }
}

/// Everything that is written down. What a later version adds, an earlier one shows as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub(crate) enum What {
    /// A fleet was made.
    Init { fleet: String, root_fingerprint: String },
    /// The daemon started under a generation.
    Start {
        generation: u64,
        instance: String,
        take_over: bool,
    },
    /// After the loss of its own record, the daemon took the generation above every agent's.
    TakeGeneration { generation: u64, reason: String },
    /// The journal was found damaged and moved aside.
    JournalLost { reason: String },
    /// A plan began to be executed.
    Apply {
        rollout: String,
        /// SHA-256 over the plan's JSON.
        plan: String,
        /// SHA-256 over the cluster file, as the plan names it.
        spec: String,
        steps: usize,
    },
    /// A cluster file whose plan has no steps was applied: it counts as the applied one, and its windows count.
    TakeAsApplied {
        /// SHA-256 over the cluster file.
        spec: String,
    },
    /// A rollout was to stop between steps.
    Cancel { rollout: String },
    /// A token was given out.
    Invite {
        node: String,
        address: String,
        valid_seconds: u64,
    },
    /// A node came with its token and got a certificate.
    Enrol { node: String },
    /// A token was presented a second time.
    FreezeNode { node: String, reason: String },
    /// A node was struck off, its certificates revoked.
    RemoveNode {
        node: String,
        /// It may go on as a member of its cluster.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        even_if_member: bool,
    },
    /// An operator or viewer got a certificate.
    AddOperator {
        name: String,
        viewer: bool,
        /// Where they may; none: in the whole fleet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        clusters: Vec<String>,
    },
    /// All certificates of an operator or viewer were revoked.
    RemoveOperator { name: String },
    /// The CA is exchanged for a new one, step by step.
    ExchangeCa { step: String },
    /// The coordinator's own certificate was made anew.
    Renew { until: String },
    /// A backup was written.
    Backup { file: String },
    /// This state came from a backup.
    Restore { file: String, made_at: String },
    /// Disruptive steps were stopped from starting, or allowed again.
    Freeze { frozen: bool, reason: String },
    /// A package was brought, for an upgrade of agents.
    KeepPackage {
        /// SHA-256 of its file.
        package: String,
    },
    /// A canary was called on a node, and what it showed is kept.
    KeepReach {
        node: String,
        bridge: String,
        /// The canary's id.
        guest: u32,
    },
    /// A drill was begun: this is broken on that server.
    StartDrill {
        number: u64,
        fault: String,
        node: String,
        guest: u32,
        /// SHA-256 over the cluster file.
        spec: String,
    },
    /// A drill was to end at once.
    AbortDrill {
        /// 0: none was known, and what faults there were on the cluster's servers were ended.
        number: u64,
    },
    /// A drill was over, and its record written.
    EndDrill {
        number: u64,
        outcome: String,
        /// The record's own digest.
        digest: String,
    },
    /// The network between the nodes was measured.
    Measure { nodes: Vec<String> },
    /// Nodes were asked to call somewhere.
    Probe { target: String, nodes: Vec<String> },
    /// The head file, which says how many lines there must be, was gone or damaged: lines may be missing after the last of these.
    HeadLost { lines: u64 },
    /// The end of a line that was being written when the process died was cut off; what it was to say was not done.
    CutTornLine { bytes: u64 },
}
