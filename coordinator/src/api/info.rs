//! What this coordinator is, and what is to be said of it.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use quorate_model::{ClusterName, Code, Finding, NodeRef};
use quorate_proto::{Wire, v1};

use super::Api;
use crate::fleet::registry::State;
use crate::incoming::Who;
use crate::{backup, documents, host, store, trust};

impl Api {
    pub(super) fn info(&self, by: &Who) -> v1::InfoReply {
        let driver = self.seat.driver();
        v1::InfoReply {
            version: quorate_model::version!().to_owned(),
            fleet: self.fleet_name.to_string(),
            root_fingerprint: self.ca.now().root.fingerprint().to_string(),
            generation: driver.generation.0,
            instance: driver.instance.to_string(),
            started_at: Some(self.started_at).into_wire(),
            findings: self.own_findings(by).into_iter().map(Wire::into_wire).collect(),
            memory: resident_memory(),
        }
    }

    /// What concerns the coordinator and its books rather than the servers. Of another's clusters nothing is said.
    pub(super) fn own_findings(&self, by: &Who) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.seat.check().err().into_iter().map(|finding| *finding).collect();
        findings.extend(self.rollouts.findings());
        findings.extend(self.rollouts.recovery_findings());
        findings.extend(store::damage_findings(self.state.path()));
        findings.extend(self.mended_findings());
        findings.extend(self.clusters.findings(&self.fleet.registry.enrolled()));
        findings.extend(self.audit_findings());
        findings.extend(backup::findings(&self.state));
        findings.extend(self.certificate_finding());
        findings.extend(self.place_finding());
        findings.extend(self.frozen_findings());
        findings.extend(self.held_findings());
        findings.retain(|finding| match finding.subject.parse::<NodeRef>() {
            Ok(node) => by.scope.holds(node.cluster.as_str()),
            Err(_) => finding.subject.parse::<ClusterName>().is_err() || by.scope.holds(&finding.subject),
        });
        findings
    }

    /// Clusters that are frozen. Closed maintenance windows are nothing that somebody has to know all day.
    fn held_findings(&self) -> Vec<Finding> {
        let clusters: BTreeSet<ClusterName> = self.fleet.registry.enrolled().into_iter().map(|n| n.cluster).collect();
        let now = trust::now(&self.fleet.clock);
        clusters
            .iter()
            .filter_map(|cluster| self.clusters.held(cluster, vec![], now))
            .collect()
    }

    /// Documents that had to be written again from their copies.
    fn mended_findings(&self) -> Vec<Finding> {
        let kept = [
            self.state.nodes(),
            self.state.driver(),
            self.state.revocations(),
            self.state.recovery(),
        ];
        let kept = kept.into_iter().chain(self.clusters.documents());
        let mended = kept.filter(|path| documents::mended(path));
        mended
            .map(|path| {
                let message = format!(
                    "{} was damaged or gone, and was written again from its copy",
                    path.display()
                );
                let next = "look at the disk of this host: dmesg, smartctl; and make a backup: quorate backup";
                Finding::new(Code::StateDamaged, "", message, next)
            })
            .collect()
    }

    /// The log is read whole for it, so this is looked at only when the file has changed.
    fn audit_findings(&self) -> Vec<Finding> {
        let now = std::fs::metadata(self.audit.path())
            .ok()
            .map(|meta| (meta.len(), meta.modified().ok()));
        let mut seen = self.audit_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_none_or(|(then, _)| *then != now) {
            *seen = Some((now, self.audit.findings()));
        }
        seen.as_ref().map(|(_, findings)| findings.clone()).unwrap_or_default()
    }

    /// Without a valid certificate of its own, no agent obeys the coordinator.
    fn certificate_finding(&self) -> Option<Finding> {
        let identity = self.fleet.identity()?;
        let certificate = identity.certificate();
        certificate
            .renewal_due(trust::unix_seconds(&self.fleet.clock))
            .then(|| {
                let until = trust::timestamp(certificate.not_after());
                Finding::new(
                    Code::CertificateExpires,
                    "",
                    format!("the coordinator's own certificate is valid until {until}"),
                    "with the root key in its place: quorate renew; then: systemctl restart quorate",
                )
            })
    }

    /// Does the coordinator run on one of the servers?
    fn place_finding(&self) -> Option<Finding> {
        let seen = self.fleet.last_seen(&self.fleet.registry.enrolled());
        let node = self
            .host
            .node_of(&seen)
            .or_else(|| self.host.node_at(&self.fleet.registry));
        node.map(|node| host::finding(&node))
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
