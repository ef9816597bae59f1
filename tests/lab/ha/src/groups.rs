//! HA groups, the older form of rules: `groups.cfg` (until PVE 9). A master turns them into rules, at first only in its mind.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ServiceConfig, Sid};
use crate::rules::{Complaint, Demand, Rule, Rules, list, node_priority, sections, truth};

/// One group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its nodes with their priorities.
    pub nodes: BTreeMap<String, i64>,
    /// Its services run nowhere else.
    pub restricted: bool,
    /// Its services stay where they are when a better node comes.
    pub nofailback: bool,
    /// What somebody wrote to it.
    pub comment: Option<String>,
}

/// All groups, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// The groups.
    pub all: BTreeMap<String, Group>,
}

impl Groups {
    /// Reads the text of `groups.cfg`. What cannot be read is left out and complained about.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<Complaint>) {
        let (found, mut complaints) = sections(text);
        let mut all = BTreeMap::new();
        for section in found {
            let mut group = Group::default();
            let mut reasons = Vec::new();
            if section.kind != "group" {
                reasons.push((section.line, format!("'{}' is no group", section.kind)));
            }
            for property in &section.properties {
                if let Err(reason) = take(&mut group, &property.key, &property.value) {
                    reasons.push((property.line, reason));
                }
            }
            if reasons.is_empty() {
                all.insert(section.name, group);
            }
            complaints.extend(reasons.into_iter().map(|(line, reason)| Complaint { line, reason }));
        }
        complaints.sort_by_key(|complaint| complaint.line);
        (Self { all }, complaints)
    }

    /// Whether a service fails back is the group's to say, where it has one. A group that nobody wrote down comes into being by that,
    /// without nodes: as a rule it then prefers nothing, but is one (as in PVE, by an accident of its language).
    pub fn decide_failback(&mut self, services: &mut BTreeMap<Sid, ServiceConfig>) {
        for service in services.values_mut() {
            if let Some(name) = &service.group {
                let group = self.all.entry(name.clone()).or_default();
                service.failback = !group.nofailback;
            }
        }
    }

    /// The groups that services are in, as rules.
    pub fn become_rules(&self, services: &BTreeMap<Sid, ServiceConfig>, rules: &mut Rules) {
        let mut members: BTreeMap<&str, BTreeSet<Sid>> = BTreeMap::new();
        for (sid, service) in services {
            if let Some(name) = &service.group {
                members.entry(name).or_default().insert(sid.clone());
            }
        }
        for (name, resources) in members {
            let Some(group) = self.all.get(name) else { continue };
            let rule = Rule {
                resources,
                demand: Demand::Nodes {
                    nodes: group.nodes.clone(),
                    strict: group.restricted,
                },
                disabled: false,
                comment: Some(
                    group
                        .comment
                        .clone()
                        .unwrap_or_else(|| format!("Generated from HA group '{name}'.")),
                ),
            };
            rules.all.insert(format!("ha-group-{name}"), rule);
        }
    }
}

fn take(group: &mut Group, key: &str, value: &str) -> Result<(), String> {
    let flag = || truth(value).ok_or_else(|| format!("'{value}' is neither yes nor no"));
    match key {
        "nodes" => {
            for word in list(value) {
                let (node, priority) =
                    node_priority(word).ok_or_else(|| format!("'{word}' is no node with its priority"))?;
                group.nodes.insert(node, priority.unwrap_or(0));
            }
        }
        "restricted" => group.restricted = flag()?,
        "nofailback" => group.nofailback = flag()?,
        "comment" => group.comment = Some(value.to_owned()),
        _ => return Err(format!("a group has no '{key}'")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Requested;

    #[test]
    fn a_group_becomes_a_rule_for_its_services() {
        let (mut groups, complaints) = Groups::parse("group: g\n\tnodes n1:2,n2\n\trestricted 1\n\tnofailback 1\n");
        assert_eq!(complaints, []);
        let mut service = ServiceConfig::new("n1", Requested::Started);
        service.group = Some("g".to_owned());
        let mut services = BTreeMap::from([(Sid::parse("vm:1").unwrap(), service)]);
        groups.decide_failback(&mut services);
        assert!(services.values().all(|service| !service.failback));
        let mut rules = Rules::default();
        groups.become_rules(&services, &mut rules);
        let nodes = [("n1".to_owned(), 2), ("n2".to_owned(), 0)].into();
        assert_eq!(rules.all["ha-group-g"].demand, Demand::Nodes { nodes, strict: true });
    }

    #[test]
    fn what_is_no_group_is_named() {
        let (groups, complaints) = Groups::parse("group: g\n\tcolour red\n");
        assert!(groups.all.is_empty());
        assert_eq!(complaints[0].to_string(), "line 2: a group has no 'colour'");
    }
}
