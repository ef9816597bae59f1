//! What `pvecm create` prints.

use super::Trouble;
use super::trouble::troubles;

/// How far `pvecm create` came, by what it prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CreateStage {
    /// It has printed nothing of its work.
    Begun,
    /// The authentication key is made: /etc/corosync/authkey. A create that is tried again takes it as it is, a join
    /// refuses it.
    KeyMade,
    /// corosync.conf is written: from here on this node has a cluster.
    ConfigWritten,
    /// corosync and pmxcfs are started anew. /etc/pve can be written some five seconds after the tool's end.
    Restarting,
}

/// What `pvecm create` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateReport {
    /// How far it came.
    pub stage: CreateStage,
    /// What went wrong, in the order in which it was said.
    pub troubles: Vec<Trouble>,
}

/// Reads what `pvecm create` has printed so far.
#[must_use]
pub fn read_create(stdout: &str, stderr: &str) -> CreateReport {
    let stage = stdout.lines().filter_map(stage_of).max().unwrap_or(CreateStage::Begun);
    CreateReport {
        stage,
        troubles: troubles(stdout, stderr),
    }
}

fn stage_of(line: &str) -> Option<CreateStage> {
    const SAYINGS: [(&str, CreateStage); 3] = [
        ("Writing corosync key to ", CreateStage::KeyMade),
        ("Writing corosync config to ", CreateStage::ConfigWritten),
        ("Restart corosync and cluster filesystem", CreateStage::Restarting),
    ];
    SAYINGS
        .iter()
        .find(|(beginning, _)| line.starts_with(beginning))
        .map(|(_, stage)| *stage)
}
