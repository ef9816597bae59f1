//! Findings as they are collected: each told once, in an order that depends on nothing but themselves.

use std::cmp::Reverse;

use quorate_model::finding::{Finding, Place};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::{Code, Facet, Observation, Severity, Unknown, View};

/// What there is to say so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

/// With these, steps would be guesses, or would do what must not be done.
const UNTELLABLE: [Code; 20] = [
    Code::NodeNotEnrolled,
    Code::NodeUnreachable,
    Code::FacetUnknown,
    Code::HaBusy,
    Code::HaCannotDisarm,
    Code::PackageNotAvailable,
    Code::QdeviceInTheWay,
    Code::QdeviceOddVotes,
    Code::QnetdInGuest,
    Code::QnetdOnMember,
    Code::QnetdWithCa,
    Code::QuorumGone,
    Code::RemoveCoordinator,
    Code::RemoveIdTwice,
    Code::RemoveLosesQuorum,
    Code::RemoveNotOff,
    Code::RemoveOneAtATime,
    Code::RemoveStillNamed,
    Code::ReplaceNotNamed,
    Code::RootKeyMissing,
];

/// How much hangs on something: does a step depend on it, or is it only good to know?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A step depends on it: the catalogue's severity stands.
    Needed,
    /// No step depends on it: at most a warning.
    Told,
}

impl Weight {
    pub(crate) fn needed_if(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::Told }
    }
}

impl Report {
    pub(crate) fn tell(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Tells a finding no louder than what hangs on it.
    pub(crate) fn weigh(&mut self, weight: Weight, mut finding: Finding) {
        if weight == Weight::Told {
            finding.severity = finding.severity.min(Severity::Warning);
        }
        self.tell(finding);
    }

    /// Tells what another report has, no louder than what hangs on it.
    pub(crate) fn weigh_all(&mut self, weight: Weight, other: Report) {
        for finding in other.findings {
            self.weigh(weight, finding);
        }
    }

    /// Does anything so far forbid the plan?
    pub(crate) fn refuses(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// How many findings forbid the plan so far?
    pub(crate) fn refusals(&self) -> usize {
        self.findings.iter().filter(|finding| finding.refuses()).count()
    }

    /// Was anything not seen that a step depends on, or is there no way to do what is asked, so that no steps can be told?
    pub(crate) fn blind(&self) -> bool {
        self.findings
            .iter()
            .any(|f| f.refuses() && UNTELLABLE.contains(&f.code))
    }

    /// A facet that is known, or a finding that it isn't. Of a node that can't be seen at all, that alone is told (elsewhere).
    pub(crate) fn facet<'v, T>(
        &mut self,
        view: &'v View,
        node: &NodeName,
        name: FacetName,
        weight: Weight,
        pick: impl FnOnce(&Observation) -> &Facet<T>,
    ) -> Option<&'v T> {
        let observation = view.nodes.get(node)?.observation.as_ref().ok()?;
        match pick(observation).get() {
            Ok(value) => Some(value),
            Err(unknown) => {
                self.weigh(weight, facet_unknown(node, name, name.as_str(), unknown));
                None
            }
        }
    }

    /// All findings: the gravest first, then by subject, code and text. The same thing found twice is told once, at its gravest.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        in_order(self.findings)
    }
}

/// Findings as a plan lists them: the gravest first, then by subject, code and text. The same thing found twice is told once, at its
/// gravest.
#[must_use]
pub fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut told: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        let again = told.iter().any(|t| {
            t.code == finding.code
                && t.subject == finding.subject
                && t.message == finding.message
                && t.place == finding.place
        });
        if !again {
            told.push(finding);
        }
    }
    told
}

fn order(finding: &Finding) -> (Reverse<Severity>, &str, Code, u32, &str, &str) {
    let offset = finding.place.as_ref().map_or(0, |p: &Place| p.offset);
    (
        Reverse(finding.severity),
        &finding.subject,
        finding.code,
        offset,
        &finding.message,
        &finding.next,
    )
}

/// "What of which node could not be seen, and why." `what` names the facet or the part of it.
pub(crate) fn facet_unknown(node: &NodeName, facet: FacetName, what: &str, unknown: &Unknown) -> Finding {
    Finding::new(
        Code::FacetUnknown,
        node.as_str(),
        format!("{what} of {node} could not be seen: {}", unknown.reason),
        format!(
            "on {node}, look at what `quorate-agent observe {}` says",
            facet.as_str()
        ),
    )
}

/// Names in a row, as in a sentence: `prox1`, `prox1 and prox2`, `prox1, prox2 and prox3`.
pub(crate) fn in_a_row<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|n| n.to_string()).collect();
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
    }
}
