//! `pvecm delnode`: this member takes another one out.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;
use quorate_tools::pvecm::{DelnodeSaid, read_delnode};

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::RemoveMember`].
pub(super) struct RemoveMember<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) removed: &'a NodeName,
    pub(super) id: u32,
}

const MEND: &str = "mend corosync.conf by hand first; journalctl -u corosync says what is wrong with it";

impl Act for RemoveMember<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Guests]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        let mut findings = Vec::new();
        let mut refuse = |code, message: String, next: String| {
            findings.push(Finding::new(code, self.removed.as_str(), message, next));
        };
        // `delnode` kills by id: where an id is given twice it has killed the healthy one.
        let same_id = member.configured.iter().filter(|n| n.id == self.id).count();
        let right = member
            .configured
            .iter()
            .any(|n| n.name == self.removed.as_str() && n.id == self.id);
        if same_id != 1 || !right {
            refuse(
                Code::PlanChanged,
                format!(
                    "node id {} is not {}'s alone in corosync.conf: pvecm delnode would kill the wrong node",
                    self.id, self.removed
                ),
                format!(
                    "look at the nodelist on {node}: cat /etc/pve/corosync.conf; mend it by hand before anything else"
                ),
            );
        }
        // It kills whoever runs with that id, whatever the file says: after an edit that corosync did not take over that is another one.
        if let Some(other) = member
            .nodes
            .iter()
            .find(|n| n.id == self.id && n.name != self.removed.as_str())
        {
            refuse(
                Code::PlanChanged,
                format!(
                    "{} runs with the node id {}: pvecm delnode {} would kill it",
                    other.name, self.id, self.removed
                ),
                MEND.to_owned(),
            );
        }
        match member.running_versions.get() {
            Err(reason) => {
                let finding = super::precheck::unknown(node, "cluster", reason);
                refuse(finding.code, finding.message, finding.next);
            }
            Ok(running) => {
                if running.iter().any(|r| r.id == self.id) {
                    refuse(
                        Code::PlanChanged,
                        format!(
                            "a node with the id {} is in the membership now: pvecm delnode would kill it",
                            self.id
                        ),
                        format!("look on {node}: corosync-cmapctl -b runtime.members.; {MEND}"),
                    );
                }
                if let Some(other) = running.iter().find(|r| r.version != member.file_version) {
                    refuse(
                        Code::ConfigNotRunning,
                        format!(
                            "corosync runs with version {} of corosync.conf on node {}, and the file has {}: what delnode would kill is \
                             not what the file says",
                            other.version, other.id, member.file_version
                        ),
                        MEND.to_owned(),
                    );
                }
            }
        }
        if member.online().any(|online| online == self.removed.as_str()) {
            refuse(
                Code::PlanChanged,
                format!(
                    "{} is in the membership now; it must be off before it is taken out",
                    self.removed
                ),
                format!("switch {} off, then apply again", self.removed),
            );
        }
        match seen.guests.get() {
            Err(reason) => findings.push(super::precheck::unknown(node, "guests", reason)),
            Ok(guests) => {
                let left: Vec<String> = guests
                    .iter()
                    .filter(|guest| guest.node == self.removed.as_str())
                    .map(|guest| guest.vmid.to_string())
                    .collect();
                if !left.is_empty() {
                    findings.push(Finding::new(
                        Code::NodeHasGuests,
                        self.removed.as_str(),
                        format!("its guests {} are still configured on it", left.join(", ")),
                        "migrate, restore elsewhere or remove them first",
                    ));
                }
            }
        }
        findings
    }

    fn state(&self, _node: &NodeName, seen: &Observation) -> State {
        let cluster = match local::cluster(seen) {
            Ok(cluster) => cluster,
            Err(state) => return state,
        };
        let Some(member) = cluster.member().filter(|m| m.cluster == self.cluster.as_str()) else {
            return State::Between(format!("the server is a member of {}", self.cluster));
        };
        let removed = self.removed.as_str();
        if member.configured.iter().any(|n| n.name == removed) {
            return State::Untouched;
        }
        if member.nodes.iter().any(|n| n.name == removed) {
            return State::Between(format!("corosync has taken over that {removed} is out"));
        }
        match super::member::missing(cluster, member) {
            Some(missing) => State::Between(missing),
            None => State::Reached(format!("{removed} is out; {}", super::member::evidence(member))),
        }
    }

    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let member = seen.cluster.get().ok().and_then(|cluster| cluster.member());
        member.is_some_and(|m| m.configured.iter().all(|n| n.name != self.removed.as_str()))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::pvecm::delnode(tools, self.removed).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let DelnodeSaid { killed, troubles } = read_delnode(&output.stdout, &output.stderr);
        Said {
            success: troubles.is_empty(),
            findings: troubles.iter().map(|trouble| trouble.finding(node.as_str())).collect(),
            changed: killed,
            stage: if killed { "writing corosync.conf" } else { "checking" }.to_owned(),
        }
    }

    fn stays_here(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[path = "remove_member_tests.rs"]
mod tests;
