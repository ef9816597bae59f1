//! What `pvesr`, `ha-manager` and `pvesh` say: nothing where all went well. They check first and write once, at their end, so that most of their
//! complaints come before anything was changed.

use quorate_model::ids::NodeName;
use quorate_model::{Code, Finding};
use quorate_tools::pvesr;

use super::Said;
use crate::operations::follow::Output;

/// Words of complaints that come before anything is written. Source: pve-manager ReplicationConfig.pm, pve-ha-manager API2, pve-cluster Cluster.pm.
const BEFORE: [&str; 10] = [
    "400 ",
    "already exists",
    "already defined",
    "does not exist",
    "no such",
    "no quorum",
    "got lock request timeout",
    "must not be identical",
    "No replicatable volumes found",
    "migrated",
];

/// Reads it. `stage`: what it was about to do.
pub(super) fn of(node: &NodeName, output: &Output, tool: &str, stage: &str) -> Said {
    let lines = output.stderr.lines().map(str::trim);
    let complaints: Vec<&str> = lines
        .filter(|line| !line.is_empty() && *line != pvesr::BACKGROUND)
        .collect();
    let changed = !complaints
        .iter()
        .any(|line| BEFORE.iter().any(|word| line.contains(word)));
    let findings = if complaints.is_empty() {
        vec![]
    } else {
        let (code, next) = if complaints.iter().any(|line| line.contains("no quorum")) {
            (
                Code::ClusterNotQuorate,
                format!("bring quorum back, on {node}: pvecm status; then apply again"),
            )
        } else {
            (Code::StepFailed, "when the reason is gone, apply again".to_owned())
        };
        let message = format!("{tool} said: {}", complaints.join("; "));
        vec![Finding::new(code, node.as_str(), message, next)]
    };
    Said {
        success: findings.is_empty(),
        changed,
        findings,
        stage: stage.to_owned(),
    }
}
