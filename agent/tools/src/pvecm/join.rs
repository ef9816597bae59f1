//! What `pvecm add` prints.

use super::Trouble;
use super::trouble::troubles;

/// How far `pvecm add` came, by what it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinStage {
    /// It has printed nothing of its work: it checks this node.
    Begun,
    /// It calls the member.
    Connecting,
    /// The member has accepted ticket or password.
    LoggedIn,
    /// It has asked the member to take this node in; from here on only the member's answer tells whether it did.
    Requested,
    /// The member has taken this node in: its corosync.conf names it now. The point of no return.
    Accepted,
    /// pmxcfs stops here; /etc/pve goes away.
    StoppingPmxcfs,
    /// The old /etc/pve is saved and put aside.
    OldConfigSaved,
    /// corosync and pmxcfs run with the cluster's configuration and wait for quorum, without any time limit.
    WaitingForQuorum,
    /// This node has quorum.
    Quorate,
    /// It says that it is done.
    Succeeded,
}

impl JoinStage {
    /// In words, for "`pvecm add` is at: …".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "checking this node",
            Self::Connecting => "calling the member's API",
            Self::LoggedIn => "logged in to the member's API",
            Self::Requested => "asking the member to take this node in",
            Self::Accepted => "accepted by the member",
            Self::StoppingPmxcfs => "stopping pve-cluster",
            Self::OldConfigSaved => "starting corosync and pve-cluster with the cluster's configuration",
            Self::WaitingForQuorum => "waiting for quorum",
            Self::Quorate => "quorate, making certificates",
            Self::Succeeded => "done",
        }
    }
}

/// Whether the cluster was changed by a join, as far as the joining node can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerChange {
    /// The cluster is as it was.
    No,
    /// The cluster's corosync.conf names this node.
    Yes,
    /// The request may have been sent, and what became of it was not seen.
    Unknown,
}

/// What `pvecm add` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinReport {
    /// How far it came.
    pub stage: JoinStage,
    /// The name under which it says that this node was added.
    pub added: Option<String>,
    /// Warnings of the member, without their prefix.
    pub warnings: Vec<String>,
    /// What went wrong, in the order in which it was said.
    pub troubles: Vec<Trouble>,
}

impl JoinReport {
    /// Whether the cluster was changed. That it was not is only said where pvecm gave a reason that is known to come
    /// before the change: words that are new, or missing because the disk was full, prove nothing.
    #[must_use]
    pub fn peer_change(&self) -> PeerChange {
        let told_before = |by_peer| {
            let before = |trouble: &Trouble| trouble.by_peer == by_peer && trouble.precedes_change();
            self.troubles.iter().any(before)
        };
        match self.stage {
            stage if stage >= JoinStage::Accepted => PeerChange::Yes,
            JoinStage::Requested if told_before(true) => PeerChange::No,
            stage if stage < JoinStage::Requested && told_before(false) => PeerChange::No,
            _ => PeerChange::Unknown,
        }
    }
}

/// Reads what `pvecm add` has printed so far.
#[must_use]
pub fn read_join(stdout: &str, stderr: &str) -> JoinReport {
    let warnings = stdout.lines().filter_map(|line| line.strip_prefix("cluster: "));
    JoinReport {
        stage: stdout.lines().filter_map(stage_of).max().unwrap_or(JoinStage::Begun),
        added: stdout.lines().find_map(added),
        warnings: warnings.map(|warning| warning.trim().to_owned()).collect(),
        troubles: troubles(stdout, stderr),
    }
}

fn stage_of(line: &str) -> Option<JoinStage> {
    const SAYINGS: [(&str, JoinStage); 7] = [
        ("Establishing API connection with host ", JoinStage::Connecting),
        ("Login succeeded.", JoinStage::LoggedIn),
        ("Request addition of this node", JoinStage::Requested),
        ("Join request OK, finishing setup locally", JoinStage::Accepted),
        ("stopping pve-cluster service", JoinStage::StoppingPmxcfs),
        ("backup old database to ", JoinStage::OldConfigSaved),
        ("successfully added node ", JoinStage::Succeeded),
    ];
    if let Some(rest) = line.strip_prefix("waiting for quorum...") {
        // The `OK` comes later, on the same line.
        return Some(if rest.starts_with("OK") {
            JoinStage::Quorate
        } else {
            JoinStage::WaitingForQuorum
        });
    }
    SAYINGS
        .iter()
        .find(|(beginning, _)| line.starts_with(beginning))
        .map(|(_, stage)| *stage)
}

/// `successfully added node 'prox2' to cluster.`
fn added(line: &str) -> Option<String> {
    Some(
        line.strip_prefix("successfully added node '")?
            .strip_suffix("' to cluster.")?
            .to_owned(),
    )
}
