//! What this coordinator is, and what is to be said of it.

use quorate_model::{Code, Finding};
use quorate_proto::{Wire, v1};

use super::Api;
use crate::fleet::registry::State;
use crate::store;

impl Api {
    pub(super) fn info(&self) -> v1::InfoReply {
        let driver = self.seat.driver();
        v1::InfoReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            fleet: self.fleet_name.to_string(),
            root_fingerprint: self.root.fingerprint().to_string(),
            generation: driver.generation.0,
            instance: driver.instance.to_string(),
            started_at: Some(self.started_at).into_wire(),
            findings: self.own_findings().into_iter().map(Wire::into_wire).collect(),
            memory: resident_memory(),
        }
    }

    /// What concerns the coordinator and its books rather than the servers.
    pub(super) fn own_findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.seat.check().err().into_iter().map(|finding| *finding).collect();
        findings.extend(store::damage_findings(self.state.path()));
        findings.extend(self.frozen_findings());
        findings
    }

    /// A critical finding for every node whose invitation was claimed twice.
    pub(super) fn frozen_findings(&self) -> Vec<Finding> {
        let frozen = self
            .fleet
            .registry
            .nodes()
            .into_iter()
            .filter_map(|(name, node)| match node.state {
                State::Frozen { reason } => Some((name, reason)),
                State::Invited | State::Enrolled => None,
            });
        frozen
            .map(|(name, reason)| {
                let next = format!("find out who has the token; then: quorate node remove {name}; and invite it anew");
                Finding::new(Code::TokenUsed, name.to_string(), reason, next)
            })
            .collect()
    }
}

/// This process's resident memory in bytes, as /proc/self/status has it; zero where that can't be read.
fn resident_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|number| number.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
