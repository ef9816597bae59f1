//! The line: whatever the order of arrival, whatever the clocks, and whoever is silent.

use proptest::prelude::*;

use super::story::{CUT, node, probes, subject, told, told_by};
use crate::drill::axis::Instant;
use crate::drill::event::{Told, What};
use crate::drill::{Phase, Timeline};

fn line(told: &[Told]) -> Timeline {
    Timeline::of(&subject(), told, &probes())
}

/// Phase, seconds after the fault, and who told it.
fn shown(line: &Timeline) -> String {
    let row = |seen: &crate::drill::timeline::PhaseSeen| match line.since_fault(seen.phase) {
        Some(at) => format!("{:<26}{:<24}{}", seen.phase.as_str(), at.told(), seen.by),
        None => format!("{:<26}{:<24}{}", seen.phase.as_str(), "?", seen.by),
    };
    let rows: Vec<String> = line.phases.iter().map(row).collect();
    let untold: Vec<String> = line
        .untold
        .iter()
        .map(|one| format!("{}: {}", one.source, one.reason))
        .collect();
    [rows, untold, line.contradictions.clone()].concat().join("\n")
}

#[test]
fn phases_are_recognised_from_what_all_tell() {
    insta::assert_snapshot!(shown(&line(&told())));
}

#[test]
fn what_nobody_told_is_unknown_and_says_who_is_missing() {
    let mut without: Vec<Told> = told()
        .into_iter()
        .filter(|one| one.source.to_string() == "coordinator" || one.source.to_string() == "prox1")
        .collect();
    without.remove(2);
    for silent in ["prox2", "prox3"] {
        without.push(Told {
            missing: Some("its agent could not be reached".to_owned()),
            ..told_by(silent, 0, 0, &[])
        });
    }
    let line = line(&without);
    insta::assert_snapshot!(shown(&line));
    assert_eq!(line.at(Phase::Reset), None);
    assert!(line.unknown().count() >= 5);
}

#[test]
fn a_clock_that_was_not_compared_places_nothing() {
    let mut all = told();
    for one in all.iter_mut().filter(|one| one.source.to_string() == "prox2") {
        one.clock = None;
    }
    let line = line(&all);
    assert_eq!(line.at(Phase::GuestStarted), None, "only prox2 saw it");
    assert!(line.at(Phase::MembershipLost).is_some(), "prox3 saw it as well");
    let said = line
        .untold
        .iter()
        .any(|one| one.source == "prox2" && one.reason.contains("guest 100 runs on prox2"));
    assert!(said, "{:?}", line.untold);
}

#[test]
fn what_was_before_the_fault_is_no_consequence_of_it() {
    let mut all = told();
    all.push(told_by(
        "prox3",
        0,
        100,
        &[
            (-500_000, 0, What::MemberLost { node: node("prox1") }),
            (-400_000, 0, What::MemberBack { node: node("prox1") }),
            (-1000, 0, What::Normal),
        ],
    ));
    let seen = line(&all);
    assert_eq!(seen.phases, line(&told()).phases);
}

#[test]
fn what_can_t_have_been_so_is_said() {
    let mut all = told();
    // A source whose clock was compared wrongly.
    let started = What::GuestStarted {
        guest: 100,
        node: node("prox3"),
    };
    all.push(told_by("prox3", 0, 0, &[(20_000, 0, started)]));
    let line = line(&all);
    assert_eq!(line.contradictions.len(), 1, "{:?}", line.contradictions);
    assert!(
        line.contradictions[0].starts_with("guest started was told at least"),
        "{:?}",
        line.contradictions
    );
}

#[test]
fn the_fault_is_told_by_who_knows_it_most_closely() {
    let at = line(&told()).at(Phase::Fault).unwrap();
    assert_eq!(
        (at.best, at.width()),
        (CUT, 800),
        "the victim's agent, not the coordinator's round trip"
    );
}

/// An order in which things may arrive.
fn shuffled() -> impl Strategy<Value = Vec<Told>> {
    let told = told();
    let inner: Vec<_> = told
        .into_iter()
        .map(|one| {
            Just(one.events.clone())
                .prop_shuffle()
                .prop_map(move |events| Told { events, ..one.clone() })
        })
        .collect();
    inner.prop_shuffle()
}

proptest! {
    #[test]
    fn any_order_of_arrival_gives_the_same_line(told_so in shuffled(), again in any::<bool>()) {
        let mut arrived = told_so;
        if again {
            // What is told twice is one thing.
            let first = arrived[0].clone();
            arrived.push(first);
        }
        prop_assert_eq!(line(&arrived), line(&told()));
    }

    #[test]
    fn clocks_may_be_off_by_anything_that_is_known(offsets in prop::collection::vec(-300_000_000i64..300_000_000, 5)) {
        let mut skewed = told();
        for (one, more) in skewed.iter_mut().zip(&offsets) {
            for event in &mut one.events {
                event.at.0 += more;
            }
            one.clock.as_mut().unwrap().micros += more;
        }
        prop_assert_eq!(line(&skewed), line(&told()));
    }

    #[test]
    fn error_bars_contain_the_truth(errors in prop::collection::vec((-50_000i64..=50_000, 50_000u64..80_000), 5)) {
        let mut wrong = told();
        for (one, (off, error)) in wrong.iter_mut().zip(&errors) {
            let clock = one.clock.as_mut().unwrap();
            clock.micros += off;
            clock.error_micros = *error;
        }
        let (seen, truth) = (line(&wrong), line(&told()));
        for phase in [Phase::MembershipLost, Phase::GuestStarted, Phase::LinkLost, Phase::NodeBack] {
            let (bar, point) = (seen.at(phase).unwrap(), truth.at(phase).unwrap());
            prop_assert!(bar.earliest <= point.best && point.best <= bar.latest, "{phase:?}: {bar:?} {point:?}");
        }
    }

    #[test]
    fn whoever_is_silent_nothing_is_made_up(kept in prop::collection::vec(any::<bool>(), 5)) {
        let some: Vec<Told> = told().into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(one, _)| one).collect();
        let (seen, all) = (line(&some), line(&told()));
        for phase in Phase::ALL {
            // A phase that fewer saw is unknown or later than or as all have it, but never earlier.
            if let (Some(seen), Some(all)) = (seen.at(phase), all.at(phase)) {
                let none = phase == Phase::FirstAnswer || phase == Phase::Steady || phase == Phase::Fault;
                prop_assert!(none || seen.best >= all.best, "{phase:?}");
            }
        }
        let expected = Phase::expected(&subject().fault, subject().kind);
        prop_assert!(expected.iter().all(|phase| seen.phases.iter().any(|one| one.phase == *phase)), "missing ones are said");
    }

    #[test]
    fn no_time_makes_it_panic(at in any::<i64>(), micros in any::<i64>(), error in any::<u64>(), within in any::<u64>()) {
        let clock = crate::view::ClockOffset { micros, error_micros: error };
        let instant = Instant::of(crate::Timestamp(at), clock, within);
        prop_assert!(instant.earliest <= instant.latest);
        let span = instant.since(Instant { best: 0, earliest: i64::MIN, latest: i64::MAX });
        drop((span.told(), span.between(), span.or_longer(span).without(span).then(span)));
    }
}
