//! Moves services to even out the load, where that is switched on (facts C.8: `ha-auto-rebalance`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Manager, Round};
use crate::load::{Candidate, Method};
use crate::model::{Motion, Order, ServiceState, Sid};

impl Manager {
    /// One service, and those that go with it, when the load was uneven for long enough and a move makes it better.
    pub(super) fn balance_load(&mut self, round: &mut Round<'_>) {
        let Some(settings) = self.balance.clone() else { return };
        if self.something_moves() {
            return;
        }
        let Some(load) = self.usage.load() else { return };
        let before = load.imbalance();
        if before <= settings.threshold {
            self.uneven_rounds = 0;
            return;
        }
        self.uneven_rounds += 1;
        if self.uneven_rounds < settings.hold_duration {
            return;
        }
        self.uneven_rounds = 0;
        let method = match settings.method.as_str() {
            "bruteforce" => Method::Imbalance,
            "topsis" => Method::Topsis,
            _ => return,
        };
        let Some(best) = load.best_move(&self.candidates(), method) else {
            return;
        };
        if (before - best.imbalance) / before < settings.margin {
            return;
        }
        let motion = match best.leader.kind() {
            "vm" => Motion::Migrate,
            _ => Motion::Relocate,
        };
        round.info(&format!(
            "auto rebalance - {motion} {} to {} (expected change for imbalance from {before:.2} to {:.2})",
            best.leader, best.target, best.imbalance
        ));
        let text = format!("{motion} {} {}", best.leader, best.target);
        self.queue_motion(round, &text, motion, &best.leader, &best.target);
    }

    fn something_moves(&self) -> bool {
        self.services.values().any(|status| {
            matches!(status.state, ServiceState::Migrate | ServiceState::Relocate)
                || matches!(status.cmd, Some(Order::Move(..)))
        })
    }

    /// What may move, and where to.
    fn candidates(&self) -> Vec<Candidate> {
        let Some(rules) = &self.rules else { return Vec::new() };
        let online = self.usage.online();
        let mut candidates = Vec::new();
        for (leader, services) in self.resting_bundles() {
            let Some(source) = self.services.get(&leader).map(|status| status.node.clone()) else {
                continue;
            };
            let (_, mut targets) = rules.places(&leader, &online);
            let foes = self.occupied_by(&rules.neighbours(&leader).apart, &online);
            targets.retain(|node| *node != source && !foes.contains(node));
            if !targets.is_empty() {
                candidates.push(Candidate {
                    leader,
                    source,
                    services,
                    targets: targets.into_iter().collect(),
                });
            }
        }
        candidates
    }

    fn occupied_by(&self, others: &BTreeSet<Sid>, online: &BTreeSet<String>) -> BTreeSet<String> {
        let occupied = others
            .iter()
            .filter_map(|other| self.services.get(other))
            .flat_map(|status| {
                let at = crate::usage::Occupied::by(status, online);
                [at.current, at.target]
            });
        occupied.flatten().map(str::to_owned).collect()
    }

    /// Running services with those that go with them, as long as none of them is on its way; by the first of each.
    fn resting_bundles(&self) -> BTreeMap<Sid, Vec<Sid>> {
        let mut bundles = BTreeMap::new();
        let started = |sid: &&Sid| {
            self.services
                .get(*sid)
                .is_some_and(|s| s.state == ServiceState::Started)
        };
        let moves = |sid: &Sid| {
            let state = self.services.get(sid).map(|status| status.state);
            matches!(state, Some(ServiceState::Migrate | ServiceState::Relocate))
        };
        for sid in self.services.keys().filter(started) {
            let friends = self
                .rules
                .as_ref()
                .map(|rules| rules.neighbours(sid).together)
                .unwrap_or_default();
            if friends.iter().any(moves) {
                continue;
            }
            let mut all: BTreeSet<&Sid> = friends.iter().filter(started).collect();
            all.insert(sid);
            let nodes: BTreeSet<&str> = all
                .iter()
                .filter_map(|sid| self.services.get(*sid))
                .map(|status| status.node.as_str())
                .collect();
            if let (1, Some(leader)) = (nodes.len(), all.first()) {
                bundles.insert((*leader).clone(), all.iter().map(|sid| (*sid).clone()).collect());
            }
        }
        bundles
    }
}
