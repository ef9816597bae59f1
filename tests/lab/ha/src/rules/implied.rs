//! What follows from the rules that are left: bonds that reach farther than they are written.

use std::collections::{BTreeMap, BTreeSet};

use super::{Demand, Rule, Rules, bundles};
use crate::model::Sid;

impl Rules {
    pub(super) fn add_implied(&mut self) {
        self.join_those_together();
        self.spread_apart();
        self.spread_places();
    }

    /// Rules for togetherness that share a service are one rule.
    fn join_those_together(&mut self) {
        for bundle in bundles(&self.together()) {
            if bundle.rules.len() < 2 {
                continue;
            }
            let name = format!("_merged-{}", bundle.rules.join("-"));
            self.all.retain(|rule, _| !bundle.rules.contains(rule));
            self.all.insert(name, implied(bundle.resources, Demand::Together));
        }
    }

    /// Who is together with somebody is apart from whom that one is apart.
    fn spread_apart(&mut self) {
        let mut more = Vec::new();
        for (name, together) in self.together() {
            let mut apart_from: BTreeMap<&Sid, BTreeSet<&Sid>> = BTreeMap::new();
            for (_, apart) in self.apart() {
                for sid in together.resources.intersection(&apart.resources) {
                    for other in apart.resources.iter().filter(|other| *other != sid) {
                        apart_from.entry(other).or_default().insert(sid);
                    }
                }
            }
            for (other, already) in apart_from {
                for sid in together.resources.iter().filter(|sid| !already.contains(sid)) {
                    let pair = BTreeSet::from([sid.clone(), other.clone()]);
                    more.push((
                        format!("_implicit-negative-{name}-{sid}-{other}"),
                        implied(pair, Demand::Apart),
                    ));
                }
            }
        }
        self.all.extend(more);
    }

    /// Who is together with somebody has the same place.
    fn spread_places(&mut self) {
        let bonds: Vec<BTreeSet<Sid>> = self.together().iter().map(|(_, rule)| rule.resources.clone()).collect();
        for bond in bonds {
            let placing = self
                .all
                .values_mut()
                .find(|rule| !rule.disabled && matches!(rule.demand, Demand::Nodes { .. }) && rule.shares(&bond));
            if let Some(rule) = placing {
                rule.resources.extend(bond);
            }
        }
    }
}

fn implied(resources: BTreeSet<Sid>, demand: Demand) -> Rule {
    Rule {
        resources,
        demand,
        disabled: false,
        comment: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Rules {
        let (mut rules, complaints) = Rules::parse(text);
        assert_eq!(complaints, []);
        assert_eq!(rules.make_feasible(5), Vec::<String>::new());
        rules
    }

    #[test]
    fn bonds_that_share_a_service_are_one() {
        let rules = made(
            "resource-affinity: b\n\taffinity positive\n\tresources vm:2,vm:3\n\n\
             resource-affinity: a\n\taffinity positive\n\tresources vm:1,vm:2\n",
        );
        let names: Vec<_> = rules.all.keys().collect();
        assert_eq!(names, ["_merged-a-b"]);
        assert_eq!(rules.all["_merged-a-b"].resources.len(), 3);
    }

    #[test]
    fn who_is_together_shares_enemies_and_places() {
        let rules = made(
            "resource-affinity: t\n\taffinity positive\n\tresources vm:1,vm:2\n\n\
             resource-affinity: x\n\taffinity negative\n\tresources vm:2,vm:3\n\n\
             node-affinity: p\n\tresources vm:1\n\tnodes n1,n2\n",
        );
        assert!(rules.all.contains_key("_implicit-negative-t-vm:1-vm:3"));
        assert!(rules.all["p"].resources.contains(&Sid::parse("vm:2").unwrap()));
        assert!(!rules.all["p"].resources.contains(&Sid::parse("vm:3").unwrap()));
    }
}
