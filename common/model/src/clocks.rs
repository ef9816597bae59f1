//! Times that one server wrote by its own clock, and another one read by its own: servers' clocks may be minutes apart, so the two are never
//! subtracted as they stand. The coordinator compares each clock with its own at every look; by that both are put on one axis, with an error.
//!
//! What counts by the clock of one server alone (the state of its replication, its LRM's word beside its own look) needs none of this.

use crate::drill::{Instant, Range};
use crate::facet::{Unknown, UnknownKind};
use crate::ids::NodeName;
use crate::observation::ha::ManagerStatus;
use crate::time::{Timestamp, spoken};
use crate::view::{ClockOffset, View};

/// Why the word of HA's master is not how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNow {
    /// It is old: for how long the master has been silent.
    Silent(String),
    /// How old it is can't be told, or it can't be seen.
    Untold(Unknown),
}

impl NotNow {
    /// In words.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Silent(reason) => reason,
            Self::Untold(unknown) => &unknown.reason,
        }
    }
}

impl From<NotNow> for Unknown {
    fn from(not: NotNow) -> Self {
        match not {
            NotNow::Silent(reason) => Self::new(UnknownKind::Failed, reason),
            NotNow::Untold(unknown) => unknown,
        }
    }
}

/// How old what was written at `stamp` by one clock was at `seen` by another one, on one axis. Below zero only by the error.
#[must_use]
pub fn age(stamp: Timestamp, by: ClockOffset, seen: Timestamp, of: ClockOffset) -> Range {
    Instant::of(seen, of, 0).since(Instant::of(stamp, by, 0))
}

impl View {
    /// How far a node's clock is ahead of the coordinator's.
    ///
    /// # Errors
    /// It was never compared: why that may be, and what to do.
    pub fn clock_of(&self, node: &str) -> Result<ClockOffset, Unknown> {
        let of_node = self.nodes.iter().find(|(name, _)| name.as_str() == node);
        let seen = of_node.and_then(|(_, seen)| seen.clock_offset);
        let beside = || self.clocks.iter().find(|(name, _)| name.as_str() == node);
        seen.or_else(|| beside().map(|(_, clock)| *clock)).ok_or_else(|| {
            let reason = format!(
                "the clock of {node} was never compared with the coordinator's: its agent has to be enrolled, and to have answered once"
            );
            Unknown::new(UnknownKind::NotAsked, reason)
        })
    }

    /// How old what `writer` wrote by its own clock was when `reader` looked by its own.
    ///
    /// # Errors
    /// Whose clock was not compared.
    pub fn age_of(
        &self,
        (writer, stamp): (&str, Timestamp),
        (reader, seen): (&str, Timestamp),
    ) -> Result<Range, Unknown> {
        // One clock, whatever it shows.
        if writer == reader {
            let same = ClockOffset {
                micros: 0,
                error_micros: 0,
            };
            return Ok(age(stamp, same, seen, same));
        }
        Ok(age(stamp, self.clock_of(writer)?, seen, self.clock_of(reader)?))
    }

    /// What HA's master says now, as `reader` has it; `None`: there never was one. `manager_status` bears the time of the master's clock, and
    /// stays as it is when the master falls silent. An agent that judges alone knows no other server's clock, and takes it as it stands: its
    /// task watches whether the time moves, and who knows the clocks looks after it.
    ///
    /// # Errors
    /// It is old, or that can't be told, or it can't be seen.
    pub fn manager_now(&self, reader: &NodeName) -> Result<Option<&ManagerStatus>, NotNow> {
        let untold = |unknown: &Unknown| NotNow::Untold(unknown.clone());
        let ha = self.facet(reader, |o| &o.ha).map_err(NotNow::Untold)?;
        let Some(manager) = ha.manager.get().map_err(untold)? else {
            return Ok(None);
        };
        let master = manager.master.as_str();
        if self.alone && master != reader.as_str() {
            return Ok(Some(manager));
        }
        let seen = ha.manager.collected_at().unwrap_or_default();
        let age = self.age_of((master, manager.at), (reader.as_str(), seen));
        let age = age.map_err(|unknown| {
            let reason = format!(
                "whether the HA master {master} is silent can't be told: {}",
                unknown.reason
            );
            NotNow::Untold(Unknown::new(unknown.kind, reason))
        })?;
        let limit = i64::try_from(ManagerStatus::SILENT.as_micros()).unwrap_or(i64::MAX);
        if age.most <= limit {
            return Ok(Some(manager));
        }
        if age.least > limit {
            let silent = std::time::Duration::from_micros(u64::try_from(age.likely).unwrap_or(0));
            return Err(NotNow::Silent(ManagerStatus::silence(master, silent)));
        }
        let reason = format!(
            "whether the HA master {master} is silent can't be told: its last word is {} old, and from {} on it would be",
            age.told(),
            spoken(ManagerStatus::SILENT)
        );
        Err(NotNow::Untold(Unknown::new(UnknownKind::Failed, reason)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::facet::Facet;
    use crate::observation::{Ha, Observation};
    use crate::view::NodeView;

    const MINUTE: i64 = 60_000_000;
    const NOW: i64 = 1_795_345_772_000_000;

    fn name(node: &str) -> NodeName {
        node.parse().unwrap()
    }

    fn clock(micros: i64, error_micros: u64) -> ClockOffset {
        ClockOffset { micros, error_micros }
    }

    /// prox2 has looked now, at what the master prox1 wrote so many seconds ago, each by its own clock.
    fn seen(master: Option<ClockOffset>, reader: Option<ClockOffset>, ago: i64) -> View {
        let by = |clock: Option<ClockOffset>| NOW + clock.map_or(0, |clock| clock.micros);
        let manager = ManagerStatus {
            master: "prox1".to_owned(),
            at: Timestamp(by(master) - ago * 1_000_000),
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            disarm: None,
            maintenance: BTreeSet::new(),
        };
        let ha = Ha {
            version: Facet::not_asked(),
            watchdog_armed: false,
            lrm: Facet::not_asked(),
            crm: Facet::not_asked(),
            lrm_status: Facet::not_asked(),
            manager: Facet::known(Some(manager), Timestamp(by(reader))),
            resources: Facet::not_asked(),
            placements: Facet::not_asked(),
        };
        let node = |node: &str, clock_offset, ha: Facet<Ha>| {
            let mut observation = Observation::empty(node, Timestamp(by(clock_offset)));
            observation.ha = ha;
            let view = NodeView {
                observation: Ok(observation),
                clock_offset,
            };
            (name(node), view)
        };
        View {
            nodes: [
                node("prox1", master, Facet::not_asked()),
                node("prox2", reader, Facet::known(ha, Timestamp(by(reader)))),
            ]
            .into(),
            ..View::default()
        }
    }

    #[test]
    fn a_master_is_heard_whatever_the_clocks_show() {
        let reader = name("prox2");
        for (master, own) in [(0, 0), (4, -4), (-4, 4), (5, -5), (-5, 5), (90, -90)] {
            let (master, own) = (clock(master * MINUTE, 500), clock(own * MINUTE, 500));
            let speaks = seen(Some(master), Some(own), 9);
            assert!(
                speaks.manager_now(&reader).is_ok_and(|now| now.is_some()),
                "{master:?} {own:?}"
            );
            let silent = seen(Some(master), Some(own), 720);
            let why = silent.manager_now(&reader).unwrap_err();
            assert_eq!(
                why,
                NotNow::Silent("the HA master prox1 has written nothing for 12 min".to_owned())
            );
        }
    }

    #[test]
    fn a_clock_that_nobody_compared_makes_it_unknown_and_no_guess() {
        let reader = name("prox2");
        for (master, own, whose) in [
            (None, Some(clock(0, 500)), "prox1"),
            (Some(clock(0, 500)), None, "prox2"),
        ] {
            let why = seen(master, own, 9).manager_now(&reader).unwrap_err();
            assert!(matches!(&why, NotNow::Untold(_)), "{why:?}");
            assert!(
                why.reason()
                    .contains(&format!("the clock of {whose} was never compared")),
                "{why:?}"
            );
        }
        let mut known = seen(None, Some(clock(0, 500)), 9);
        known.clocks.insert(name("prox1"), clock(0, 500));
        assert!(known.manager_now(&reader).is_ok(), "one that was not looked at now");
        let mut alone = seen(None, None, 9);
        alone.alone = true;
        assert!(alone.manager_now(&reader).is_ok());
    }

    #[test]
    fn where_the_error_decides_it_is_not_decided() {
        let (reader, wide) = (name("prox2"), clock(0, 10_000_000));
        let at = |ago| {
            seen(Some(wide), Some(clock(0, 0)), ago)
                .manager_now(&reader)
                .map(|_| ())
        };
        assert_eq!(at(19), Ok(()));
        assert!(matches!(at(25), Err(NotNow::Untold(why)) if why.reason.contains("25 s (± 10 s)")));
        assert!(matches!(at(41), Err(NotNow::Silent(_))));
    }

    #[test]
    fn by_one_clock_there_is_no_error_and_nothing_to_compare() {
        let mut own = seen(None, None, 9);
        own.nodes.get_mut(&name("prox2")).unwrap().clock_offset = None;
        let range = own.age_of(("prox2", Timestamp(5)), ("prox2", Timestamp(25))).unwrap();
        assert_eq!((range.least, range.likely, range.most), (20, 20, 20));
        let apart = age(Timestamp(100), clock(60, 3), Timestamp(200), clock(-40, 2));
        assert_eq!((apart.least, apart.likely, apart.most), (195, 200, 205));
    }
}
