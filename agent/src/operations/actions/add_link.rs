//! A new link for a running cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::observation::cluster::Member;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::AddLink`].
pub(super) struct AddLink<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) link: u8,
    pub(super) addresses: &'a BTreeMap<NodeName, IpAddr>,
}

impl AddLink<'_> {
    /// How many nodes have their address on the link in the file.
    fn written(&self, member: &Member) -> usize {
        let written = |(name, address): &(&NodeName, &IpAddr)| {
            let node = member.configured.iter().find(|n| n.name == name.as_str());
            let text = node.and_then(|n| n.addresses.get(&self.link));
            text.is_some_and(|text| text.parse() == Ok(**address))
        };
        self.addresses.iter().filter(written).count()
    }
}

impl Act for AddLink<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let member = match local::quorate_member(node, seen, self.cluster) {
            Ok(member) => member,
            Err(findings) => return findings,
        };
        let mut findings = Vec::new();
        let mut refuse = |message: String| {
            findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
        };
        let configured: BTreeSet<&str> = member.configured.iter().map(|n| n.name.as_str()).collect();
        let given: BTreeSet<&str> = self.addresses.keys().map(NodeName::as_str).collect();
        if configured != given {
            refuse("corosync.conf has other nodes than the ones that were given an address on the new link".to_owned());
        }
        if member.configured.iter().any(|n| n.addresses.contains_key(&self.link)) {
            refuse(format!(
                "link {} has addresses in corosync.conf already, and others",
                self.link
            ));
        }
        for n in &member.configured {
            let taken = |address: &&String| self.addresses.values().any(|new| address.parse() == Ok(*new));
            if let Some(address) = n.addresses.values().find(taken) {
                refuse(format!(
                    "{address} is {}'s on another link: one wire would count as two",
                    n.name
                ));
            }
        }
        match member.running_versions.get() {
            Err(reason) => findings.push(super::precheck::unknown(node, "cluster", reason)),
            Ok(running) if running.iter().any(|r| r.version != member.file_version) => findings.push(Finding::new(
                Code::ConfigNotRunning,
                node.as_str(),
                format!(
                    "corosync does not run with version {} of corosync.conf everywhere: an earlier edit was not taken over",
                    member.file_version
                ),
                "look for the reason on every node: journalctl -u corosync | grep -i config",
            )),
            Ok(_) => {}
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
        match self.written(member) {
            0 => return State::Untouched,
            some if some < self.addresses.len() => {
                return State::Between("corosync.conf has an address on the new link for every node".to_owned());
            }
            _ => {}
        }
        match member.running_versions.get() {
            Ok(running) if running.iter().all(|r| r.version == member.file_version) => {}
            Ok(_) => return State::Between("every member runs the new configuration".to_owned()),
            Err(unknown) => return State::Between(format!("what members run with can be seen ({})", unknown.reason)),
        }
        match member.links.get() {
            Ok(links) => {
                let peers = links.iter().filter(|l| l.number == self.link && l.connected).count();
                if peers + 1 >= self.addresses.len() {
                    State::Reached(format!("link {} is connected to {peers} members", self.link))
                } else {
                    State::Between(format!(
                        "link {} is connected to every member; so far to {peers}",
                        self.link
                    ))
                }
            }
            Err(unknown) => State::Between(format!("links can be seen ({})", unknown.reason)),
        }
    }

    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let member = seen.cluster.get().ok().and_then(|cluster| cluster.member());
        member.is_some_and(|member| self.written(member) == self.addresses.len())
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }

    fn stays_here(&self) -> bool {
        false
    }
}
