//! The choice of a node for a service (facts C.8).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ServiceConfig, ServiceStatus, Sid};
use crate::rules::Compiled;
use crate::usage::{Occupied, Usage};

/// What is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The present node, as long as it is among the best: nothing moves without a reason.
    Stay,
    /// The least full of the best.
    BestScore,
    /// Another one, and none where the start failed already.
    TryNext,
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// The rules.
    pub rules: &'a Compiled,
    /// The online nodes, and how full they are.
    pub usage: &'a Usage,
    /// All services of the manager.
    pub services: &'a BTreeMap<Sid, ServiceStatus>,
}

/// Where those are with whom a service is bound.
struct Bonds {
    /// Nodes with those it belongs to, and how many they are.
    together: BTreeMap<String, usize>,
    /// Nodes with those it must keep away from.
    apart: BTreeSet<String>,
}

impl Bonds {
    fn allow(&self, node: &str) -> bool {
        self.together.contains_key(node) || !self.apart.contains(node)
    }

    /// Leaves only the node that has most of those the service belongs to, if it is among these.
    fn keep_together(&self, nodes: &mut BTreeSet<String>) {
        let mut best: Option<(&String, usize)> = None;
        for (node, count) in self.together.iter().filter(|(node, _)| nodes.contains(*node)) {
            if best.is_none_or(|(_, most)| *count > most) {
                best = Some((node, *count));
            }
        }
        if let Some((best, _)) = best {
            nodes.retain(|node| node == best);
        }
    }
}

impl Selection<'_> {
    /// Chooses. Nothing, when no node may have the service.
    #[must_use]
    pub fn node_for(&self, sid: &Sid, config: &ServiceConfig, seek: Seek) -> Option<String> {
        let status = self.services.get(sid)?;
        let current = status.node.as_str();
        let online = self.usage.online();
        let (allowed, mut nodes) = self.rules.places(sid, &online);
        if nodes.is_empty() {
            return None;
        }
        let bonds = self.bonds(sid, &online);
        let may_stay = seek == Seek::Stay && !config.failback;
        if may_stay && allowed.contains(current) && bonds.allow(current) {
            return Some(current.to_owned());
        }

        if seek == Seek::TryNext {
            nodes.retain(|node| !status.failed_nodes.contains(node));
        }
        nodes.retain(|node| !bonds.apart.contains(node));
        bonds.keep_together(&mut nodes);

        let home = status.maintenance_node.as_ref().filter(|home| nodes.contains(*home));
        if let Some(home) = home {
            return Some(home.clone());
        }
        if seek == Seek::Stay && nodes.contains(current) {
            return Some(current.to_owned());
        }
        self.least_full(sid, nodes, current, seek)
    }

    fn least_full(&self, sid: &Sid, nodes: BTreeSet<String>, current: &str, seek: Seek) -> Option<String> {
        let scores = self.usage.scores(sid);
        let score = |node: &String| scores.get(node).copied().unwrap_or(0.0);
        let mut ranked: Vec<String> = nodes.into_iter().collect();
        // Stable: those of one score stay in the order of their names.
        ranked.sort_by(|a, b| score(a).total_cmp(&score(b)));
        let after_current = match ranked.iter().position(|node| node == current) {
            Some(at) if seek == Seek::TryNext => ranked.get(at + 1),
            _ => None,
        };
        after_current.or(ranked.first()).cloned()
    }

    fn bonds(&self, sid: &Sid, online: &BTreeSet<String>) -> Bonds {
        let neighbours = self.rules.neighbours(sid);
        let occupied = |other: &Sid| self.services.get(other).map(|status| Occupied::by(status, online));
        let mut together = BTreeMap::new();
        for at in neighbours.together.iter().filter_map(occupied) {
            // Who is leaving counts where it goes; else those that have arrived would follow it back.
            if let Some(node) = at.target.or(at.current) {
                *together.entry(node.to_owned()).or_insert(0) += 1;
            }
        }
        let apart = neighbours
            .apart
            .iter()
            .filter_map(occupied)
            .flat_map(|at| [at.current, at.target])
            .flatten()
            .map(str::to_owned)
            .collect();
        Bonds { together, apart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Requested, ServiceState};
    use crate::rules::Rules;

    struct World {
        rules: Compiled,
        usage: Usage,
        services: BTreeMap<Sid, ServiceStatus>,
    }

    impl World {
        /// Three nodes of which these are online, and started services: `vm:1@n1`.
        fn new(rules: &str, online: &[&str], services: &[&str]) -> Self {
            let (rules, complaints) = Rules::parse(rules);
            assert_eq!(complaints, []);
            let rules = Compiled::new(&rules, &["n1", "n2", "n3"].map(str::to_owned));
            let mut usage = Usage::basic(online.iter().map(|node| (*node).to_owned()));
            let mut all = BTreeMap::new();
            for service in services {
                let (sid, node) = service.split_once('@').unwrap();
                let sid = Sid::parse(sid).unwrap();
                let status = ServiceStatus::new(ServiceState::Started, node, "u".to_owned());
                usage.add(&sid, &status);
                all.insert(sid, status);
            }
            Self {
                rules,
                usage,
                services: all,
            }
        }

        fn status(&mut self, sid: &str) -> &mut ServiceStatus {
            self.services.get_mut(&Sid::parse(sid).unwrap()).unwrap()
        }

        fn node_for(&self, sid: &str, seek: Seek) -> Option<String> {
            self.choose(sid, seek, true)
        }

        fn choose(&self, sid: &str, seek: Seek, failback: bool) -> Option<String> {
            let mut config = ServiceConfig::new("n1", Requested::Started);
            config.failback = failback;
            let selection = Selection {
                rules: &self.rules,
                usage: &self.usage,
                services: &self.services,
            };
            selection.node_for(&Sid::parse(sid).unwrap(), &config, seek)
        }
    }

    const ALL: [&str; 3] = ["n1", "n2", "n3"];
    const PREFER_N1: &str = "node-affinity: p\n\tresources vm:1\n\tnodes n1:2,n2:1\n";
    const ONLY_N1: &str = "node-affinity: p\n\tresources vm:1\n\tnodes n1\n\tstrict 1\n";
    const APART: &str = "resource-affinity: x\n\taffinity negative\n\tresources vm:1,vm:2\n";
    const TOGETHER: &str = "resource-affinity: t\n\taffinity positive\n\tresources vm:1,vm:2,vm:3\n";

    #[test]
    fn nothing_moves_without_a_reason() {
        let world = World::new("", &ALL, &["vm:1@n1", "vm:2@n1", "vm:3@n1"]);
        assert_eq!(world.node_for("vm:1", Seek::Stay).as_deref(), Some("n1"));
        assert_eq!(world.node_for("vm:1", Seek::BestScore).as_deref(), Some("n2"));
    }

    #[test]
    fn of_equally_full_nodes_the_first_by_name_is_taken() {
        let world = World::new("", &["n2", "n3"], &["vm:1@n1", "vm:2@n2"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore).as_deref(), Some("n3"));
        let world = World::new("", &["n2", "n3"], &["vm:1@n1"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore).as_deref(), Some("n2"));
    }

    #[test]
    fn a_better_node_draws_unless_failback_is_off() {
        let world = World::new(PREFER_N1, &ALL, &["vm:1@n2"]);
        assert_eq!(world.node_for("vm:1", Seek::Stay).as_deref(), Some("n1"));
        assert_eq!(world.choose("vm:1", Seek::Stay, false).as_deref(), Some("n2"));
    }

    #[test]
    fn without_its_node_a_strict_service_has_none() {
        let world = World::new(ONLY_N1, &["n2", "n3"], &["vm:1@n1"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore), None);
        let world = World::new(PREFER_N1, &["n3"], &["vm:1@n1"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore).as_deref(), Some("n3"));
    }

    #[test]
    fn those_apart_keep_away_even_if_nothing_is_left() {
        let world = World::new(APART, &["n2", "n3"], &["vm:1@n1", "vm:2@n2"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore).as_deref(), Some("n3"));
        let world = World::new(APART, &["n2"], &["vm:1@n1", "vm:2@n2"]);
        assert_eq!(world.node_for("vm:1", Seek::BestScore), None);
    }

    #[test]
    fn a_node_is_taken_from_the_time_somebody_is_on_the_way_to_it() {
        let mut world = World::new(APART, &["n2", "n3"], &["vm:1@n1", "vm:2@n2"]);
        let other = world.status("vm:2");
        other.state = ServiceState::Migrate;
        other.target = Some("n3".to_owned());
        assert_eq!(world.node_for("vm:1", Seek::BestScore), None);
    }

    #[test]
    fn those_together_follow_the_majority() {
        let world = World::new(TOGETHER, &ALL, &["vm:1@n1", "vm:2@n3", "vm:3@n3"]);
        assert_eq!(world.node_for("vm:1", Seek::Stay).as_deref(), Some("n3"));
        let world = World::new(TOGETHER, &ALL, &["vm:1@n3", "vm:2@n2", "vm:3@n1"]);
        assert_eq!(
            world.node_for("vm:1", Seek::Stay).as_deref(),
            Some("n1"),
            "the first by name of equals"
        );
    }

    #[test]
    fn who_is_leaving_is_followed_to_where_it_goes() {
        let mut world = World::new(TOGETHER, &ALL, &["vm:1@n1", "vm:2@n1"]);
        let other = world.status("vm:2");
        other.state = ServiceState::Migrate;
        other.target = Some("n3".to_owned());
        assert_eq!(world.node_for("vm:1", Seek::Stay).as_deref(), Some("n3"));
    }

    #[test]
    fn a_failed_start_is_tried_where_it_was_not_yet() {
        let mut world = World::new("", &ALL, &["vm:1@n1", "vm:2@n2"]);
        world.status("vm:1").failed_nodes = vec!["n1".to_owned()];
        assert_eq!(world.node_for("vm:1", Seek::TryNext).as_deref(), Some("n3"));
        world.status("vm:1").failed_nodes = ALL.map(str::to_owned).to_vec();
        assert_eq!(world.node_for("vm:1", Seek::TryNext), None);
    }

    #[test]
    fn who_left_for_a_maintenance_goes_home() {
        let mut world = World::new("", &ALL, &["vm:1@n3"]);
        world.status("vm:1").maintenance_node = Some("n2".to_owned());
        assert_eq!(world.node_for("vm:1", Seek::Stay).as_deref(), Some("n2"));
    }
}
