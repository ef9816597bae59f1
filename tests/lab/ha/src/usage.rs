//! How full the nodes are: what the choice of a node weighs (facts C.8).

use std::collections::{BTreeMap, BTreeSet};

use crate::load::Load;
use crate::model::{ServiceState, ServiceStatus, Sid};

/// A guest outside the manager's view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherGuest {
    /// Which.
    pub sid: Sid,
    /// Where its configuration lies.
    pub node: String,
    /// It is on, or is meant to be.
    pub on: bool,
}

/// The nodes on which a service takes room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occupied<'a> {
    /// Where it is.
    pub current: Option<&'a str>,
    /// Where it is on its way to.
    pub target: Option<&'a str>,
}

impl<'a> Occupied<'a> {
    /// Of the online nodes, those on which a service takes room: its own, unless it is off, and where it is going.
    #[must_use]
    pub fn by(status: &'a ServiceStatus, online: &BTreeSet<String>) -> Self {
        let there = |node: &'a str| online.contains(node).then_some(node);
        let (has_node, moves) = match status.state {
            ServiceState::Stopped | ServiceState::RequestStart => (false, false),
            ServiceState::RequestStartBalance => (false, true),
            ServiceState::Migrate | ServiceState::Relocate => (true, true),
            ServiceState::Started
            | ServiceState::RequestStop
            | ServiceState::Fence
            | ServiceState::Recovery
            | ServiceState::Freeze
            | ServiceState::Error => (true, false),
        };
        let target = status.target.as_deref().filter(|_| moves);
        Self {
            current: there(&status.node).filter(|_| has_node),
            target: target.and_then(there),
        }
    }
}

/// What takes room on the online nodes.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    nodes: BTreeMap<String, BTreeSet<Sid>>,
    load: Option<Load>,
}

impl Usage {
    /// Empty nodes, weighed by the number of services.
    #[must_use]
    pub fn basic(online: impl IntoIterator<Item = String>) -> Self {
        Self {
            nodes: online.into_iter().map(|node| (node, BTreeSet::new())).collect(),
            load: None,
        }
    }

    /// Empty nodes, weighed by processors and memory.
    ///
    /// # Errors
    ///
    /// The figures of a node are not there.
    pub fn weighed(online: impl IntoIterator<Item = String>, mut load: Load) -> Result<Self, String> {
        let basic = Self::basic(online);
        load.keep_nodes(basic.nodes.keys())?;
        Ok(Self {
            load: Some(load),
            ..basic
        })
    }

    /// The online nodes.
    #[must_use]
    pub fn online(&self) -> BTreeSet<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Counts a service where it takes room.
    pub fn add(&mut self, sid: &Sid, status: &ServiceStatus) {
        let online = self.online();
        let occupied = Occupied::by(status, &online);
        let runs = match status.state {
            ServiceState::Started => status.running,
            _ => occupied.current.is_some(),
        };
        self.occupy(sid, occupied, runs);
    }

    /// Counts a guest outside the manager's view.
    pub fn add_other(&mut self, guest: &OtherGuest) {
        let current = Some(guest.node.as_str()).filter(|node| guest.on && self.nodes.contains_key(*node));
        let occupied = Occupied { current, target: None };
        self.occupy(&guest.sid, occupied, guest.on);
    }

    fn occupy(&mut self, sid: &Sid, occupied: Occupied<'_>, runs: bool) {
        for node in [occupied.current, occupied.target].into_iter().flatten() {
            self.nodes.entry(node.to_owned()).or_default().insert(sid.clone());
        }
        if let Some(load) = &mut self.load {
            load.add(sid, occupied, runs);
        }
    }

    /// Counts a service no more.
    pub fn remove(&mut self, sid: &Sid) {
        for services in self.nodes.values_mut() {
            services.remove(sid);
        }
        if let Some(load) = &mut self.load {
            load.remove(sid);
        }
    }

    /// How good the nodes are for one more service; the lowest is the best.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody has so many services")]
    pub fn scores(&self, sid: &Sid) -> BTreeMap<String, f64> {
        match &self.load {
            Some(load) => load.scores(sid),
            None => self
                .nodes
                .iter()
                .map(|(node, services)| (node.clone(), services.len() as f64))
                .collect(),
        }
    }

    /// The figures, where there are any.
    #[must_use]
    pub fn load(&self) -> Option<&Load> {
        self.load.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: ServiceState, node: &str, target: Option<&str>) -> ServiceStatus {
        let mut status = ServiceStatus::new(state, node, "u".to_owned());
        status.target = target.map(str::to_owned);
        status
    }

    fn score(usage: &Usage, node: &str) -> f64 {
        usage.scores(&Sid::parse("vm:9").unwrap())[node]
    }

    #[test]
    fn a_service_in_motion_counts_on_both_nodes() {
        let mut usage = Usage::basic(["n1", "n2", "n3"].map(str::to_owned));
        let sid = Sid::parse("vm:1").unwrap();
        usage.add(&sid, &status(ServiceState::Migrate, "n1", Some("n2")));
        assert_eq!(
            [score(&usage, "n1"), score(&usage, "n2"), score(&usage, "n3")],
            [1.0, 1.0, 0.0]
        );
        usage.remove(&sid);
        assert_eq!([score(&usage, "n1"), score(&usage, "n2")], [0.0, 0.0]);
    }

    #[test]
    fn what_is_off_or_elsewhere_takes_no_room() {
        let mut usage = Usage::basic(["n1".to_owned()]);
        for (number, state) in [(1, ServiceState::Stopped), (2, ServiceState::RequestStart)] {
            usage.add(
                &Sid::parse(&format!("vm:{number}")).unwrap(),
                &status(state, "n1", None),
            );
        }
        usage.add(
            &Sid::parse("vm:3").unwrap(),
            &status(ServiceState::Started, "away", None),
        );
        assert_eq!(score(&usage, "n1"), 0.0);
        assert_eq!(usage.online().len(), 1);
    }
}
