//! Which rules cannot hold together. PVE drops all that take part in a contradiction, and says why for each.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Rule, Rules, bundles};
use crate::model::Sid;

/// Why rules are dropped: for each rule the reasons, in the order of the checks.
#[derive(Default)]
struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    fn add(&mut self, rule: &str, reason: impl Into<String>) {
        self.0.entry(rule.to_owned()).or_default().push(reason.into());
    }
}

impl Rules {
    /// Drops rules that cannot hold together on these nodes, then adds what the rest implies. Returns what is to be logged.
    pub fn make_feasible(&mut self, nodes: usize) -> Vec<String> {
        let mut faults = Faults::default();
        one_rule_for_each_service(self, &mut faults);
        enough_services(self, &mut faults);
        enough_nodes(self, nodes, &mut faults);
        not_together_and_apart(self, &mut faults);
        one_priority(self, &mut faults);
        one_place_for_those_together(self, &mut faults);
        enough_places_for_those_apart(self, &mut faults);

        self.all.retain(|name, _| !faults.0.contains_key(name));
        self.add_implied();
        let line = |name: &str, reason: &String| format!("Drop rule '{name}', because {reason}.");
        faults
            .0
            .iter()
            .flat_map(|(name, reasons)| reasons.iter().map(move |reason| line(name, reason)))
            .collect()
    }
}

/// A service that two rules send to nodes would have two masters.
fn one_rule_for_each_service(rules: &Rules, faults: &mut Faults) {
    let placed = rules.on_nodes();
    for (name, rule) in &placed {
        let twice = |sid: &&Sid| {
            placed
                .iter()
                .filter(|(_, other)| other.resources.contains(*sid))
                .count()
                > 1
        };
        for sid in rule.resources.iter().filter(twice) {
            faults.add(
                name,
                format!("resource '{sid}' is already used in another node affinity rule"),
            );
        }
    }
}

fn enough_services(rules: &Rules, faults: &mut Faults) {
    for (name, rule) in rules.like(|demand| matches!(demand, Demand::Together | Demand::Apart)) {
        if rule.resources.len() < 2 {
            faults.add(name, "rule is ineffective as there are less than two resources");
        }
    }
}

fn enough_nodes(rules: &Rules, nodes: usize, faults: &mut Faults) {
    for (name, rule) in rules.apart() {
        if rule.resources.len() > nodes {
            faults.add(name, "rule defines more resources than available nodes");
        }
    }
}

fn not_together_and_apart(rules: &Rules, faults: &mut Faults) {
    let apart = rules.apart();
    let mut blamed_apart = Vec::new();
    let mut blamed_together = Vec::new();
    for bundle in bundles(&rules.together()) {
        for (name, rule) in &apart {
            if rule.resources.intersection(&bundle.resources).count() >= 2 {
                blamed_apart.push((*name).to_owned());
                blamed_together.extend(bundle.rules.iter().cloned());
            }
        }
    }
    for name in blamed_apart {
        faults.add(
            &name,
            "rule shares two or more resources with a positive resource affinity rule",
        );
    }
    for name in blamed_together {
        faults.add(
            &name,
            "rule shares two or more resources with a negative resource affinity rule",
        );
    }
}

/// With several priorities the right place would depend on who is online, and nobody could say whether it exists.
fn one_priority(rules: &Rules, faults: &mut Faults) {
    let placed = rules.on_nodes();
    for (name, rule) in rules.like(|demand| matches!(demand, Demand::Together | Demand::Apart)) {
        let sharing: Vec<_> = placed
            .iter()
            .filter(|(_, other)| other.shares(&rule.resources))
            .collect();
        if !sharing.iter().any(|(_, other)| has_priorities(other)) {
            continue;
        }
        faults.add(name, "resources are in node affinity rules with multiple priorities");
        for (other, _) in sharing {
            faults.add(
                other,
                "resources are in a resource affinity rule and cannot be in a node affinity rule with multiple priorities",
            );
        }
    }
}

fn has_priorities(rule: &Rule) -> bool {
    match &rule.demand {
        Demand::Nodes { nodes, .. } => nodes.values().collect::<BTreeSet<_>>().len() > 1,
        Demand::Together | Demand::Apart => false,
    }
}

fn one_place_for_those_together(rules: &Rules, faults: &mut Faults) {
    let placed = rules.on_nodes();
    for bundle in bundles(&rules.together()) {
        let sharing: Vec<_> = placed
            .iter()
            .filter(|(_, rule)| rule.shares(&bundle.resources))
            .collect();
        if sharing.len() < 2 {
            continue;
        }
        for name in &bundle.rules {
            faults.add(name, "resources are in multiple node affinity rules");
        }
        for (name, _) in sharing {
            faults.add(
                name,
                "at least one resource is in a positive resource affinity rule and there are other resources in at \
                 least one other node affinity rule already",
            );
        }
    }
}

fn enough_places_for_those_apart(rules: &Rules, faults: &mut Faults) {
    let placed = rules.on_nodes();
    for (name, rule) in rules.apart() {
        let mut located = BTreeSet::new();
        let mut places = BTreeSet::new();
        let mut sharing = Vec::new();
        for (other, placing) in &placed {
            let Demand::Nodes { nodes, .. } = &placing.demand else {
                continue;
            };
            let shared: Vec<&Sid> = rule.resources.intersection(&placing.resources).collect();
            if shared.is_empty() {
                continue;
            }
            located.extend(shared);
            places.extend(nodes.keys());
            sharing.push(*other);
        }
        if places.len() >= located.len() {
            continue;
        }
        faults.add(
            name,
            "two or more resources are restricted to less nodes than available to the resources",
        );
        for other in sharing {
            faults.add(
                other,
                "at least one resource is in a negative resource affinity rule and this rule would restrict these to \
                 less nodes than available to the resources",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(text: &str, nodes: usize) -> (Vec<String>, Vec<String>) {
        let (mut rules, complaints) = Rules::parse(text);
        assert_eq!(complaints, []);
        let messages = rules.make_feasible(nodes);
        (rules.all.into_keys().collect(), messages)
    }

    fn on(name: &str, resources: &str, nodes: &str) -> String {
        format!("node-affinity: {name}\n\tresources {resources}\n\tnodes {nodes}\n\n")
    }

    fn bound(name: &str, affinity: &str, resources: &str) -> String {
        format!("resource-affinity: {name}\n\taffinity {affinity}\n\tresources {resources}\n\n")
    }

    #[test]
    fn two_places_for_one_service_are_none() {
        let (left, messages) = dropped(&(on("a", "vm:1,vm:2", "n1") + &on("b", "vm:2", "n2")), 3);
        assert!(left.is_empty());
        assert_eq!(
            messages,
            [
                "Drop rule 'a', because resource 'vm:2' is already used in another node affinity rule.",
                "Drop rule 'b', because resource 'vm:2' is already used in another node affinity rule.",
            ]
        );
    }

    #[test]
    fn a_disabled_rule_contradicts_nobody() {
        let disabled = on("b", "vm:2", "n2").replace("\tnodes", "\tdisable 1\n\tnodes");
        let (left, messages) = dropped(&(on("a", "vm:1,vm:2", "n1") + &disabled), 3);
        assert_eq!((left.len(), messages.len()), (2, 0));
    }

    #[test]
    fn a_bond_needs_two_services_and_enough_nodes() {
        let text = bound("alone", "positive", "vm:1") + &bound("many", "negative", "vm:2,vm:3,vm:4");
        let (left, messages) = dropped(&text, 2);
        assert!(left.is_empty());
        assert!(messages[0].ends_with("less than two resources."), "{}", messages[0]);
        assert!(
            messages[1].ends_with("more resources than available nodes."),
            "{}",
            messages[1]
        );
        assert_eq!(dropped(&bound("many", "negative", "vm:2,vm:3,vm:4"), 3).1.len(), 0);
    }

    #[test]
    fn nobody_is_together_and_apart_even_by_way_of_a_third() {
        let text = bound("t1", "positive", "vm:1,vm:2") + &bound("t2", "positive", "vm:2,vm:3");
        let (left, messages) = dropped(&(text + &bound("x", "negative", "vm:1,vm:3")), 3);
        assert!(left.is_empty());
        assert_eq!(messages.len(), 3);
    }

    #[test]
    fn priorities_do_not_go_with_bonds() {
        let text = bound("t", "positive", "vm:1,vm:2") + &on("a", "vm:1", "n1:1,n2");
        let (left, messages) = dropped(&text, 3);
        assert!(left.is_empty());
        assert_eq!(messages.len(), 2);
        assert!(dropped(&text.replace("n1:1", "n1"), 3).1.is_empty());
    }

    #[test]
    fn those_together_have_one_place() {
        let text = bound("t", "positive", "vm:1,vm:2") + &on("a", "vm:1", "n1") + &on("b", "vm:2", "n1");
        assert!(dropped(&text, 3).0.is_empty());
    }

    #[test]
    fn those_apart_need_as_many_places() {
        let text = bound("x", "negative", "vm:1,vm:2") + &on("a", "vm:1,vm:2", "n1");
        assert!(dropped(&text, 3).0.is_empty());
        let text = bound("x", "negative", "vm:1,vm:2") + &on("a", "vm:1,vm:2", "n1,n2");
        assert_eq!(dropped(&text, 3).0.len(), 2);
    }
}
