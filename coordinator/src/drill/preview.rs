//! A drill before it is made, as it is shown, and the key by which what is begun is what was shown.

use data_encoding::HEXLOWER;
use quorate_model::drill::{Circumstances, GuestFate, Prediction, ProbeTarget};
use quorate_model::fault::{Fault, FaultEnd};
use quorate_model::finding::{Code, Finding, accept};
use quorate_model::held::GuestVolume;
use quorate_model::ids::ClusterName;
use quorate_model::plan::Step;
use quorate_planner::drill::Preview;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::order::Order;
use super::rows;
use crate::probe::Target;
use crate::storage_secret::Secrets;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Document {
    /// What would be done, in a line.
    pub(crate) what: String,
    /// What has to be typed: `CLUSTER/NODE`.
    pub(crate) confirm: String,
    /// Of what is begun: if a fresh look comes to another one, nothing is.
    pub(crate) key: String,
    pub(crate) findings: Vec<Finding>,
    pub(crate) fates: Vec<GuestFate>,
    pub(crate) before: Vec<Step>,
    pub(crate) after: Vec<Step>,
    pub(crate) circumstances: Circumstances,
    pub(crate) predicted: Prediction,
    /// The canary whose copy on the victim is overwritten afterwards.
    #[serde(default)]
    pub(crate) discards: Option<u32>,
    /// What the victim keeps of that canary's disc for cloud-init and is freed afterwards.
    #[serde(default)]
    pub(crate) leaves: Option<GuestVolume>,
}

impl Document {
    /// Puts together what the planner says, and what only the coordinator knows.
    pub(crate) fn of(cluster: &ClusterName, order: &Order, preview: &Preview, secrets: &Secrets) -> Self {
        let mut findings = preview.findings.clone();
        findings.extend(rows::misplaced(order, secrets));
        findings.extend(unsupported(order));
        // What may not be accepted stays what it is.
        drop(accept(&mut findings, &order.accepted));
        let findings = quorate_planner::in_order(findings);
        let document = Self {
            what: order.what(cluster.as_str()),
            confirm: format!("{cluster}/{}", order.node),
            key: String::new(),
            findings,
            fates: preview.fates.clone(),
            before: preview.before.clone(),
            after: preview.after.clone(),
            circumstances: preview.circumstances.clone(),
            predicted: preview.predicted.clone(),
            discards: preview.discards,
            leaves: preview.leaves.clone(),
        };
        let key = document.key_of();
        Self { key, ..document }
    }

    /// Findings that forbid it; but for the word that is still to be typed.
    pub(crate) fn refusals(&self) -> Vec<Finding> {
        let refuses = |finding: &&Finding| finding.refuses() && finding.code != Code::DrillNotConfirmed;
        self.findings.iter().filter(refuses).cloned().collect()
    }

    /// May it be begun?
    pub(crate) fn refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// Findings that were accepted, by code and subject.
    pub(crate) fn accepted(&self, order: &Order) -> Vec<String> {
        let accepted = |finding: &&Finding| !finding.refuses() && order.accepted.contains(&finding.code);
        let named = |finding: &Finding| {
            format!("{} {}", finding.code.as_str(), finding.subject)
                .trim_end()
                .to_owned()
        };
        self.findings.iter().filter(accepted).map(named).collect()
    }

    /// What was agreed to: what is done, which guests fail, what is moved, and what speaks against it. Ages and reasons change from look to look.
    fn key_of(&self) -> String {
        let fates: Vec<(u32, std::mem::Discriminant<_>)> = self
            .fates
            .iter()
            .map(|fate| (fate.guest, std::mem::discriminant(&fate.fate)))
            .collect();
        let steps = |steps: &[Step]| steps.iter().map(|step| format!("{}\n", step.title)).collect::<String>();
        let said: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.code != Code::DrillNotConfirmed)
            .map(|finding| format!("{} {:?} {}", finding.code.as_str(), finding.severity, finding.subject))
            .collect();
        let text = format!(
            "{}\n{fates:?}\n{}\n{}\n{:?}\n{:?}\n{}",
            self.what,
            steps(&self.before),
            steps(&self.after),
            self.discards,
            self.leaves,
            said.join("\n")
        );
        HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
    }
}

/// What this version, or the fault itself, can't do.
fn unsupported(order: &Order) -> Vec<Finding> {
    let node = order.node.as_str();
    let mut found = Vec::new();
    let fault = fault(&order.fault, &order.accepted);
    if let Err(error) = fault.for_seconds(seconds(order)) {
        let why = error.to_string();
        let next = "docs/faults.md says of each fault how long it may last";
        found.push(Finding::new(Code::DrillSupport, node, why, next));
    }
    for probe in &order.probes {
        if let Err(why) = target(probe) {
            let message = format!("{probe} can't be called from here: {why}");
            let next = format!("call it otherwise: {}", crate::probe::FORMS);
            found.push(Finding::new(
                Code::DrillSupport,
                format!("guest {}", order.guest),
                message,
                next,
            ));
        }
    }
    found
}

/// Whom the coordinator calls for it.
///
/// # Errors
/// In words: why that can't be called.
pub(super) fn target(probe: &ProbeTarget) -> Result<Target, String> {
    probe.to_string().parse()
}

/// For how long the agent is asked; what no timer ends has no time.
pub(super) fn seconds(order: &Order) -> u32 {
    match order.fault.ending() {
        FaultEnd::Reboot | FaultEnd::Person => 0,
        FaultEnd::Timer => u32::try_from(order.lasts.as_secs()).unwrap_or(u32::MAX),
    }
}

/// What the agent is asked for.
pub(super) fn fault(fault: &Fault, accepted: &[Code]) -> Fault {
    match fault {
        Fault::Power { how, .. } => Fault::Power {
            how: *how,
            // Who accepts that only a person ends it says that one is there.
            attended: accepted.contains(&Code::DrillNeedsPerson),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_accepts_that_somebody_has_to_be_there_is_there() {
        let off: Fault = "power:off".parse().unwrap();
        let made = |accepted: &[Code]| fault(&off, accepted).for_seconds(0);
        assert!(made(&[]).is_err() && made(&[Code::DrillNeedsPerson]).is_ok());
    }

    #[test]
    fn probes_of_the_cluster_file_are_called_as_they_are_written() {
        for text in [
            "tcp:192.0.2.7:22",
            "tally:192.0.2.7:7460",
            "icmp:2001:db8::7",
            "https://192.0.2.7/health",
            "postgres://drill@192.0.2.7/drill",
        ] {
            let probe: ProbeTarget = text.parse().unwrap();
            assert_eq!(target(&probe).unwrap().to_string(), text);
        }
        let rows: ProbeTarget = "postgres:drill".parse().unwrap();
        assert!(target(&rows).unwrap_err().contains("postgres://USER@HOST"));
    }
}
