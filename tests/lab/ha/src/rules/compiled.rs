//! The rules in the form in which the choice of a node asks for them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Rules};
use crate::model::Sid;

/// With whom a service is bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// With these it shares its node.
    pub together: BTreeSet<Sid>,
    /// With these it must not.
    pub apart: BTreeSet<Sid>,
}

/// What counts for each service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compiled {
    places: BTreeMap<Sid, BTreeMap<String, i64>>,
    neighbours: BTreeMap<Sid, Neighbours>,
}

/// The priority of a node that a rule does not name, where the rule is not strict: below all it names.
const ELSEWHERE: i64 = -1;

impl Compiled {
    /// Compiles rules that are feasible, for a cluster of these nodes.
    #[must_use]
    pub fn new(rules: &Rules, nodes: &[String]) -> Self {
        let mut compiled = Self::default();
        for (_, rule) in rules.like(|_| true) {
            match &rule.demand {
                Demand::Nodes { nodes: named, strict } => {
                    let mut places = named.clone();
                    for node in nodes.iter().filter(|_| !strict) {
                        places.entry(node.clone()).or_insert(ELSEWHERE);
                    }
                    for sid in &rule.resources {
                        compiled.places.insert(sid.clone(), places.clone());
                    }
                }
                Demand::Together | Demand::Apart => compiled.bind(&rule.resources, rule.demand == Demand::Together),
            }
        }
        compiled
    }

    fn bind(&mut self, resources: &BTreeSet<Sid>, together: bool) {
        for sid in resources {
            let others = resources.iter().filter(|other| *other != sid).cloned();
            let bonds = self.neighbours.entry(sid.clone()).or_default();
            if together {
                bonds.together.extend(others);
            } else {
                bonds.apart.extend(others);
            }
        }
    }

    /// Of these nodes, those the service may be on, and those of the highest priority among them.
    #[must_use]
    pub fn places(&self, sid: &Sid, online: &BTreeSet<String>) -> (BTreeSet<String>, BTreeSet<String>) {
        let Some(places) = self.places.get(sid) else {
            return (online.clone(), online.clone());
        };
        let there = || places.iter().filter(|(node, _)| online.contains(*node));
        let best = there().map(|(_, priority)| *priority).max();
        let allowed = there().map(|(node, _)| node.clone()).collect();
        let preferred = there()
            .filter(|(_, priority)| Some(**priority) == best)
            .map(|(node, _)| node.clone())
            .collect();
        (allowed, preferred)
    }

    /// With whom the service is bound.
    #[must_use]
    pub fn neighbours(&self, sid: &Sid) -> Neighbours {
        self.neighbours.get(sid).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Compiled {
        let (rules, complaints) = Rules::parse(text);
        assert_eq!(complaints, []);
        Compiled::new(&rules, &["n1", "n2", "n3"].map(str::to_owned))
    }

    fn set(nodes: &[&str]) -> BTreeSet<String> {
        nodes.iter().map(|node| (*node).to_owned()).collect()
    }

    #[test]
    fn the_highest_priority_that_is_online_is_preferred() {
        let rules = compiled("node-affinity: a\n\tresources vm:1\n\tnodes n1:2,n2:1\n");
        let sid = Sid::parse("vm:1").unwrap();
        let all = set(&["n1", "n2", "n3"]);
        assert_eq!(rules.places(&sid, &all), (all.clone(), set(&["n1"])));
        assert_eq!(
            rules.places(&sid, &set(&["n2", "n3"])),
            (set(&["n2", "n3"]), set(&["n2"]))
        );
        assert_eq!(
            rules.places(&sid, &set(&["n3"])),
            (set(&["n3"]), set(&["n3"])),
            "not strict"
        );
    }

    #[test]
    fn strict_means_nowhere_else() {
        let rules = compiled("node-affinity: a\n\tresources vm:1\n\tnodes n1\n\tstrict 1\n");
        let sid = Sid::parse("vm:1").unwrap();
        assert_eq!(rules.places(&sid, &set(&["n2", "n3"])), (set(&[]), set(&[])));
    }

    #[test]
    fn without_a_rule_all_are_as_good() {
        let sid = Sid::parse("vm:9").unwrap();
        let all = set(&["n1", "n3"]);
        assert_eq!(compiled("").places(&sid, &all), (all.clone(), all));
        assert_eq!(compiled("").neighbours(&sid), Neighbours::default());
    }
}
