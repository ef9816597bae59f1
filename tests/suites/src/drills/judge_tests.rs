//! What the judge finds right, wrong, and not known.

use std::collections::BTreeMap;

use super::super::record::Span;
use super::super::scenario::Breaks;
use super::super::truth::tests::{BEGAN, about, story};
use super::super::truth::truth;
use super::*;

fn scenario() -> Scenario {
    let mut scenario = Scenario::of(0);
    scenario.breaks = Breaks::Network;
    scenario.blip = false;
    scenario.lasts = Some(180);
    scenario.kills.clear();
    scenario.slow.clear();
    scenario
}

fn span(least: i64, likely: i64, most: i64) -> Said {
    Said::Span(Span { least, likely, most })
}

/// What is true of the story, in a lab at speed 10.
fn record() -> Record {
    let phases = [
        ("fault", 9_990_000, 10_000_500),
        ("link_lost", 10_160_000, 10_165_000),
        ("membership_lost", 10_800_000, 10_805_000),
        ("reset", 16_000_000, 16_801_000),
        ("guest_started", 23_490_000, 23_505_000),
        ("first_answer", 23_500_000, 23_509_000),
        ("in_sync", 38_000_000, 38_100_000),
        ("normal", 38_000_000, 39_000_000),
    ];
    let phases = phases.map(|(name, from, to)| (name.to_owned(), Phase::Seen(from, to)));
    Record {
        aborted: None,
        outage: span(13_490_000, 13_510_000, 13_510_000),
        service: span(13_490_000, 13_505_000, 13_520_000),
        lost: Ok(Some(389)),
        isolated: None,
        numbers: (Some(989), Some(600)),
        phases: BTreeMap::from(phases),
        contradictions: vec![],
        every: 10_000,
        outcome: "passed".to_owned(),
    }
}

fn judged(record: &Record, noise: &Noise) -> Judgement {
    let (truth, scenario) = (truth(&story(), BEGAN, &about(Breaks::Network)), scenario());
    judge(&Case {
        scenario: &scenario,
        record: Ok(record),
        truth: &truth,
        noise,
        left: &[],
        speed: 10.0,
    })
}

#[test]
fn what_is_true_is_right() {
    let judged = judged(&record(), &Noise::default());
    assert!(
        judged.wrong.is_empty() && judged.noisy.is_empty() && judged.unknown.is_empty(),
        "{judged:#?}"
    );
    assert_eq!((judged.held, judged.outage_off), (12, Some(8000)));
    assert!(judged.is_right(&scenario()));
}

#[test]
fn an_outage_that_is_off_is_wrong_or_this_machine_s_doing() {
    let mut off = record();
    off.outage = span(13_520_000, 13_540_000, 13_540_000);
    let wrong = judged(&off, &Noise::default());
    assert_eq!(wrong.wrong.len(), 2, "{wrong:#?}");
    let noisy = judged(&off, &Noise::of(vec![(23_490_000, 30_000)]));
    assert!(noisy.wrong.is_empty() && noisy.noisy.len() == 2, "{noisy:#?}");
    off.outage = Said::Nothing;
    assert_eq!(judged(&off, &Noise::default()).wrong.len(), 1);
}

#[test]
fn an_outage_that_nobody_saw_begin_is_known_only_within_its_bars() {
    // Nobody called for two seconds before the first call that was not answered.
    let mut blind = record();
    blind.outage = span(13_480_000, 15_500_000, 15_500_000);
    let judged_blind = judged(&blind, &Noise::default());
    assert!(
        judged_blind.wrong.is_empty() && judged_blind.noisy.is_empty(),
        "{judged_blind:#?}"
    );
    assert!(
        judged_blind.unknown[0].contains("nobody called for 2000.0 ms"),
        "{judged_blind:#?}"
    );
    assert_eq!(judged_blind.outage_off, None);
    let mut killed = scenario();
    assert!(
        !judged_blind.is_right(&killed),
        "where nobody was killed somebody has to call"
    );
    killed.kills.push(super::super::scenario::Kill {
        whom: super::super::scenario::Whom::Coordinator,
        stage: "observing",
        after_ms: 0,
        away_ms: 40_000,
    });
    assert!(judged_blind.is_right(&killed));
    // Bars that do not hold the truth are wrong, however wide they are.
    blind.outage = span(13_580_000, 15_600_000, 15_600_000);
    assert_eq!(judged(&blind, &Noise::default()).wrong.len(), 2);
}

#[test]
fn a_phase_beside_its_error_bars_or_that_never_was_is_wrong() {
    let mut off = record();
    off.phases
        .insert("reset".to_owned(), Phase::Seen(17_000_000, 17_100_000));
    assert!(judged(&off, &Noise::default()).wrong[0].contains("reset told"));
    let mut early = record();
    early
        .phases
        .insert("normal".to_owned(), Phase::Seen(30_000_000, 31_000_000));
    let early = judged(&early, &Noise::default());
    assert!(
        early.wrong.iter().any(|text| text.contains("normal is told")),
        "{early:#?}"
    );
    let mut order = record();
    order
        .phases
        .insert("steady".to_owned(), Phase::Seen(20_000_000, 21_000_000));
    let order = judged(&order, &Noise::default());
    assert!(
        order.wrong.iter().any(|text| text.contains("before first_answer")),
        "{order:#?}"
    );
}

#[test]
fn writes_are_counted_exactly() {
    let mut off = record();
    off.lost = Ok(Some(380));
    off.numbers.0 = Some(980);
    assert!(judged(&off, &Noise::default()).wrong[0].contains("380 writes"));
    off.lost = Ok(Some(388));
    off.numbers.0 = Some(988);
    let close = judged(&off, &Noise::default());
    assert!(close.wrong.is_empty() && close.noisy.len() == 1, "{close:#?}");
    off.lost = Ok(None);
    assert_eq!(judged(&off, &Noise::default()).wrong.len(), 1);
}

#[test]
fn unknown_is_no_lie_and_only_right_where_somebody_disturbed() {
    let mut dark = record();
    dark.service = Said::Unknown("nobody told it".to_owned());
    dark.lost = Err("the writer has not answered since".to_owned());
    let judged = judged(&dark, &Noise::default());
    assert!(judged.wrong.is_empty() && judged.unknown.len() == 2, "{judged:#?}");
    let mut killed = scenario();
    assert!(!judged.is_right(&killed));
    killed.slow.push(super::super::scenario::Slow {
        on_victim: true,
        tool: "qm",
        ms: 100,
    });
    assert!(judged.is_right(&killed));
}

#[test]
fn a_fault_that_lasts_too_long_and_one_that_never_was_are_told() {
    let mut scenario = scenario();
    scenario.lasts = Some(20);
    let (truth_of_it, record) = (truth(&story(), BEGAN, &about(Breaks::Network)), record());
    let (noise, left) = (Noise::default(), ["prox1 is off".to_owned()]);
    let case = Case {
        scenario: &scenario,
        record: Ok(&record),
        truth: &truth_of_it,
        noise: &noise,
        left: &left,
        speed: 10.0,
    };
    let judged = judge(&case);
    assert!(
        judged.wrong.iter().any(|text| text.contains("was gone 68000 ms after")),
        "{judged:#?}"
    );
    assert!(
        judged.wrong.iter().any(|text| text.contains("prox1 is off")),
        "{judged:#?}"
    );
    let nothing = truth(&story()[..BEGAN], BEGAN, &about(Breaks::Network));
    let judged = judge(&Case {
        truth: &nothing,
        left: &[],
        ..case
    });
    assert_eq!(judged.wrong.len(), 2, "{judged:#?}");
    let none = judge(&Case {
        record: Err("it was refused"),
        truth: &nothing,
        left: &[],
        ..case
    });
    assert_eq!(none.wrong, ["there is no record: it was refused"]);
}
