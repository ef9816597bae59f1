//! What really became of a drill, as a judge needs it: the world's own log, which [`quorate_lab::truth`] alone reads, by the names that a record has
//! for its moments. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quorate_lab::Entry;
use quorate_lab::truth::Truth as Seen;

use super::scenario::{Breaks, GUEST};

/// A moment in true wall time, in microseconds since 1970: between these two ends.
pub type Moment = (i64, i64);

/// The log has milliseconds.
const TO_THE_MILLISECOND: i64 = 1000;

/// What the drill was about.
#[derive(Debug, Clone)]
pub struct About {
    /// The server that it was done to.
    pub victim: String,
    /// What was broken.
    pub breaks: Breaks,
}

/// A time in which nobody outside heard the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Since when.
    pub from: Moment,
    /// Until when; `None`: to the end of the log.
    pub to: Option<Moment>,
}

/// The truth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// When the fault was made; `None`: it was not.
    pub fault: Option<Moment>,
    /// The same in simulated milliseconds.
    pub fault_ms: Option<u64>,
    /// When nothing of it was left, in wall time and in simulated milliseconds.
    pub gone: Option<(Moment, u64)>,
    /// By the names that the record has for them: when each phase really began.
    pub phases: BTreeMap<&'static str, Moment>,
    /// Phases that are as the record tells them only from then on.
    pub not_before: BTreeMap<&'static str, i64>,
    /// Times in which the guest did not answer outside, from the fault on.
    pub silences: Vec<Silence>,
    /// The last number that the guest told somebody outside before it was started anew.
    pub told: Option<u64>,
    /// The number that the run after the fault found when it began.
    pub resumed: Option<u64>,
    /// The last number that the old run wrote.
    pub written: Option<u64>,
    /// The guest ran on two servers at once: when, and where.
    pub twice: Vec<String>,
    /// Calls of tools that the world does not know.
    pub unknown: BTreeSet<String>,
}

impl Silence {
    /// How long, in microseconds: at least and at most.
    #[must_use]
    pub fn length(&self) -> Option<(i64, i64)> {
        let to = self.to?;
        Some((to.0 - self.from.1, to.1 - self.from.0))
    }
}

fn moment(seen: quorate_lab::truth::Moment) -> Moment {
    let at = seen.at.as_microsecond();
    (at, at + TO_THE_MILLISECOND)
}

/// Reads the log. `began`: the place in it at which the drill began.
#[must_use]
pub fn truth(log: &[Entry], began: usize, about: &About) -> Truth {
    let seen = Seen::since(log, began, &about.victim, GUEST);
    let silences = seen.silences.iter().map(|(from, to)| Silence {
        from: moment(*from),
        to: to.map(moment),
    });
    let mut found = Truth {
        fault: seen.fault_made.map(moment),
        fault_ms: seen.fault_made.map(|made| made.ms),
        gone: seen.fault_gone.map(|gone| (moment(gone), gone.ms)),
        silences: silences.collect(),
        told: seen.last_told,
        resumed: seen.resumed,
        written: seen.last_written,
        twice: seen.twice.clone(),
        unknown: seen.unknown.clone(),
        ..Truth::default()
    };
    let started = seen.guest_started.as_ref().map(|(started, _)| *started);
    // A victim that is back before its lock has run out starts it itself: that is no recovery.
    let recovered = if about.breaks == Breaks::Guest {
        started
    } else {
        seen.recovered
    };
    let phases = [
        ("fault", seen.fault_made),
        ("link_lost", seen.link_lost),
        ("membership_lost", seen.membership_lost),
        ("quorum_lost", seen.quorum_lost),
        ("reset", seen.power_lost),
        ("fence_decided", seen.fence_decided),
        ("lock_taken", seen.lock_taken),
        ("guest_started", recovered),
        ("fault_gone", seen.fault_gone),
        ("node_back", seen.node_back),
    ];
    let phases = phases.into_iter().filter_map(|(name, at)| Some((name, moment(at?))));
    found.phases = phases.collect();
    if let Some(start) = started.map(moment) {
        let heard = |silence: &&Silence| silence.to.is_some_and(|to| to.1 >= start.0);
        if let Some(to) = found.silences.iter().find(heard).and_then(|silence| silence.to) {
            found.phases.insert("first_answer", to);
            found.not_before.insert("steady", to.0);
        }
    }
    if let Some(synced) = seen.in_sync {
        found.not_before.insert("in_sync", moment(synced).0);
    }
    let settled = ["fault_gone", "node_back", "first_answer"];
    let settled = settled.into_iter().filter_map(|phase| found.phases.get(phase));
    if let Some(last) = settled.map(|moment| moment.0).max() {
        found.not_before.insert("normal", last);
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use quorate_lab::What;

    use super::*;

    fn at(ms: u64, node: &str, what: What, detail: &str) -> Entry {
        let micros = i64::try_from(ms).unwrap() * 100;
        Entry {
            at: Timestamp::from_microsecond(micros).unwrap().to_string(),
            ms,
            node: Some(node.to_owned()),
            what,
            detail: detail.to_owned(),
            argv: vec![],
            code: None,
        }
    }

    pub(crate) fn about(breaks: Breaks) -> About {
        About {
            victim: "prox1".to_owned(),
            breaks,
        }
    }

    /// A server is cut off, as it happens in a lab at speed 10.
    pub(crate) fn story() -> Vec<Entry> {
        vec![
            at(100, "prox1", What::CorosyncStarted, "node id 1 of cluster hk1"),
            at(100, "prox2", What::CorosyncStarted, "node id 2 of cluster hk1"),
            at(100, "prox3", What::CorosyncStarted, "node id 3 of cluster hk1"),
            at(1000, "prox1", What::GuestStarted, "vm:900 at 0"),
            at(1000, "prox1", What::GuestAnswers, "900"),
            at(100_000, "prox1", What::Cut, "eno1"),
            at(100_000, "prox1", What::Cut, "eno2"),
            at(100_010, "prox1", What::GuestSilent, "900"),
            at(101_500, "prox2", What::LinkDown, "host: 3 link: 0"),
            at(101_600, "prox2", What::LinkDown, "host: 1 link: 0"),
            at(108_000, "prox1", What::MembershipChanged, "1"),
            at(108_000, "prox2", What::MembershipChanged, "2 3"),
            at(108_000, "prox1", What::QuorumLost, "1 of 3 votes, 2 needed"),
            at(168_000, "prox1", What::WatchdogReset, ""),
            at(168_000, "prox1", What::GuestStopped, "vm:900 at 1670"),
            at(168_000, "prox1", What::PoweredOff, ""),
            at(210_000, "prox2", What::FenceDecided, "prox1"),
            at(225_000, "prox2", What::LockTaken, "prox1"),
            at(235_000, "prox2", What::NumbersTold, "900 up to 989"),
            at(235_000, "prox2", What::GuestStarted, "vm:900 at 600"),
            at(235_020, "prox2", What::GuestAnswers, "900"),
            at(260_000, "prox2", What::Replicated, "900-1 to prox3 up to 800"),
            at(348_000, "prox1", What::PoweredOn, ""),
            at(352_000, "prox3", What::MembershipChanged, "1 2 3"),
            at(380_000, "prox2", What::Replicated, "900-0 to prox1 up to 1900"),
        ]
    }

    /// Where in the story the drill began.
    pub(crate) const BEGAN: usize = 5;

    #[test]
    fn a_cut_server_is_followed_from_the_fault_to_the_last_copy() {
        let truth = truth(&story(), BEGAN, &about(Breaks::Network));
        let of = |ms: i64| (ms * 100, ms * 100 + 1000);
        assert_eq!((truth.fault, truth.fault_ms), (Some(of(100_000)), Some(100_000)));
        assert_eq!(
            truth.gone,
            Some((of(168_000), 168_000)),
            "without power nothing is left"
        );
        let phases = [
            ("fault", 100_000),
            ("fault_gone", 168_000),
            ("fence_decided", 210_000),
            ("first_answer", 235_020),
            ("guest_started", 235_000),
            ("link_lost", 101_600),
            ("lock_taken", 225_000),
            ("membership_lost", 108_000),
            ("node_back", 352_000),
            ("quorum_lost", 108_000),
            ("reset", 168_000),
        ];
        assert_eq!(truth.phases, phases.map(|(phase, ms)| (phase, of(ms))).into());
        assert_eq!(
            truth.not_before,
            [("in_sync", 38_000_000), ("normal", 35_200_000), ("steady", 23_502_000)].into()
        );
        let silence = Silence {
            from: of(100_010),
            to: Some(of(235_020)),
        };
        assert_eq!(truth.silences, [silence]);
        assert_eq!(silence.length(), Some((13_500_000, 13_502_000)));
        assert_eq!(
            (truth.told, truth.resumed, truth.written),
            (Some(989), Some(600), Some(1670))
        );
        assert!(truth.twice.is_empty() && truth.unknown.is_empty());
    }

    #[test]
    fn what_was_never_made_has_no_phases() {
        let log = &story()[..BEGAN];
        let truth = truth(log, BEGAN, &about(Breaks::Network));
        assert_eq!((truth.fault, truth.gone), (None, None));
        assert!(truth.phases.is_empty() && truth.silences.is_empty());
    }
}
