//! Figures, differences and verdicts.

use super::story::{CUT, circumstances, copy, node, probes, record, subject, tally, told, told_by};
use crate::drill::answers::Unwatched;
use crate::drill::axis::{Instant, Range};
use crate::drill::compare::{Difference, compare, flagged};
use crate::drill::event::{Told, What};
use crate::drill::figures::{CopyUsed, Figure, Figures, figures};
use crate::drill::tally::Lost;
use crate::drill::verdict::{Expectation, Outcome, Verdict, judge};
use crate::drill::{Answers, Circumstances, DrillKind, Gap, Lasting, Phase, Subject, Timeline, predict};
use crate::failure::ExitCode;
use crate::fault::Fault;

fn line(told: &[Told]) -> Timeline {
    Timeline::of(&subject(), told, &probes())
}

fn all(line: &Timeline) -> Figures {
    figures(&subject(), line, &probes(), Some(&tally()), &copy())
}

#[test]
fn six_figures_are_told_apart() {
    let seen = all(&line(&told()));
    let lines = [
        ("client outage", &seen.client_outage),
        ("service", &seen.service),
        ("last guest", &seen.last_guest),
        ("copy", &seen.copy_age),
        ("worst", &seen.worst),
    ];
    let text: Vec<String> = lines
        .iter()
        .map(|(name, figure)| format!("{name}: {}: {}", figure.told(), figure.why()))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
    assert_eq!(
        seen.lost,
        Lost::Records {
            acknowledged: 1840,
            isolated: Some(659),
            unread: 0,
        }
    );
    assert_eq!(seen.outages.len(), 2, "each probe has its own");
}

#[test]
fn the_gap_before_the_fault_is_not_its_own() {
    let seen = all(&line(&told()));
    let (_, icmp) = &seen.outages[1];
    assert_eq!(icmp.span().unwrap().likely, 138_920_000);
    assert!(icmp.why().contains("1 other gaps"), "{}", icmp.why());
}

#[test]
fn one_that_never_came_back_is_no_short_outage() {
    let mut gone = probes();
    gone[0].gaps[0].to_ms = None;
    let line = Timeline::of(&subject(), &told(), &gone);
    let seen = figures(&subject(), &line, &gone, None, &CopyUsed::None);
    assert!(
        matches!(&seen.client_outage, Figure::Unknown { reason } if reason.contains("longer than 8 min 10 s")),
        "{:?}",
        seen.client_outage
    );
    assert!(matches!(seen.lost, Lost::Unknown { .. }));
    let verdict = verdict(240, &line, &seen);
    assert_eq!(verdict.outcome, Outcome::Undecided);
}

#[test]
fn an_answer_of_the_old_owner_is_no_service() {
    // The isolated copy answers again before anybody else has started it.
    let mut early = probes();
    for probe in &mut early {
        probe.gaps = vec![Gap {
            from_ms: 29_960,
            to_ms: Some(40_000),
            lost: 100,
            unwatched_ms: 0,
            unseen_from_ms: 0,
            unseen_to_ms: 0,
        }];
    }
    let line = Timeline::of(&subject(), &told(), &early);
    let seen = figures(&subject(), &line, &early, None, &CopyUsed::None);
    assert!(
        matches!(&seen.service, Figure::Unknown { reason } if reason.contains("its old owner")),
        "{:?}",
        seen.service
    );
    assert!(
        line.contradictions
            .iter()
            .any(|text| text.starts_with("first answer was told")),
        "{:?}",
        line.contradictions
    );
}

/// The coordinator was away from 20 s to 40 s of its own time (the cut is at 30 s), or to whatever is said.
fn away(from_ms: u64, to_ms: u64, gaps: Vec<Gap>) -> Vec<Answers> {
    let mut probes = probes();
    probes.truncate(1);
    probes[0].gaps = gaps;
    probes[0].unwatched = vec![Unwatched { from_ms, to_ms }];
    probes
}

#[test]
fn an_outage_that_began_while_nobody_called_began_when_its_cause_did() {
    let gap = Gap {
        from_ms: 20_000,
        to_ms: Some(172_300),
        lost: 1323,
        unwatched_ms: 20_000,
        unseen_from_ms: 20_000,
        unseen_to_ms: 0,
    };
    let probes = away(20_000, 40_000, vec![gap]);
    let line = Timeline::of(&subject(), &told(), &probes);
    let seen = figures(&subject(), &line, &probes, None, &CopyUsed::None);
    let Figure::Known { span, how } = &seen.client_outage else {
        panic!("{seen:?}")
    };
    assert!(
        how.contains("nobody called for 20 s at its beginning, which is taken for that of the fault"),
        "{how}"
    );
    assert_eq!((span.least, span.most), (132_100_000, 152_300_000));
    assert!((142_200_000..=142_400_000).contains(&span.likely), "{span:?}");
}

#[test]
fn an_answer_that_may_have_come_while_nobody_called_has_as_wide_a_bar() {
    let gap = Gap {
        from_ms: 29_960,
        to_ms: Some(172_300),
        lost: 1223,
        unwatched_ms: 20_000,
        unseen_from_ms: 0,
        unseen_to_ms: 20_000,
    };
    let probes = away(152_300, 172_300, vec![gap]);
    let line = Timeline::of(&subject(), &told(), &probes);
    let first = line.at(Phase::FirstAnswer).unwrap();
    assert_eq!(first.width(), 20_100_000);
    let seen = figures(&subject(), &line, &probes, None, &CopyUsed::None);
    assert!(
        seen.client_outage.why().contains("nobody called for 20 s at its end"),
        "{seen:?}"
    );
}

#[test]
fn what_lay_in_a_time_in_which_nobody_called_is_unknown_and_not_nothing() {
    let probes = away(29_000, 175_000, vec![]);
    let line = Timeline::of(&subject(), &told(), &probes);
    let seen = figures(&subject(), &line, &probes, None, &CopyUsed::None);
    assert!(
        matches!(&seen.client_outage, Figure::Unknown { reason } if reason.contains("nobody called for 2 min 26 s")),
        "{:?}",
        seen.client_outage
    );
    assert!(matches!(seen.service, Figure::Unknown { .. }));
    // A gap that comes later is not the one that the fault made.
    let later = Gap {
        from_ms: 300_000,
        to_ms: Some(300_700),
        lost: 6,
        unwatched_ms: 0,
        unseen_from_ms: 0,
        unseen_to_ms: 0,
    };
    let probes = away(29_000, 175_000, vec![later]);
    let line = Timeline::of(&subject(), &told(), &probes);
    let seen = figures(&subject(), &line, &probes, None, &CopyUsed::None);
    assert!(
        matches!(seen.client_outage, Figure::Unknown { .. }),
        "{:?}",
        seen.client_outage
    );
    assert_eq!(line.at(Phase::FirstAnswer), None);
}

#[test]
fn without_probes_or_starts_it_is_unknown_and_not_nothing() {
    let line = Timeline::of(&subject(), &told(), &[]);
    let seen = figures(&subject(), &line, &[], None, &CopyUsed::Shared);
    assert!(matches!(seen.client_outage, Figure::Unknown { .. }));
    assert!(matches!(seen.service, Figure::Unknown { .. }));
    assert!(matches!(seen.copy_age, Figure::Nothing { .. }));
    assert!(seen.last_guest.span().is_some());
}

fn verdict(rto: u64, line: &Timeline, seen: &Figures) -> Verdict {
    let expected = Expectation {
        rto: Some(Lasting::seconds(rto)),
        rpo: None,
    };
    judge(&subject(), expected, line, seen, &[])
}

#[test]
fn the_verdict_knows_what_lies_within_the_error() {
    let line = line(&told());
    let mut seen = all(&line);
    assert_eq!(verdict(240, &line, &seen).outcome, Outcome::Passed);
    assert_eq!(verdict(120, &line, &seen).outcome, Outcome::Failed);
    seen.client_outage = Figure::Known {
        span: Range::millis(119_900, 120_100, 120_100),
        how: String::new(),
    };
    assert_eq!(verdict(120, &line, &seen).outcome, Outcome::Undecided);
}

#[test]
fn only_what_passed_ends_the_command_well() {
    assert_eq!(Outcome::Passed.exit(), ExitCode::Done);
    for other in [Outcome::Undecided, Outcome::Failed] {
        assert_eq!(other.exit(), ExitCode::Degraded, "{}", other.as_str());
    }
}

#[test]
fn a_guest_that_ran_twice_fails_whatever_else_was() {
    let mut twice = told();
    twice.push(told_by(
        "coordinator",
        0,
        0,
        &[(140_000, 0, What::GuestTwice { guest: 100 })],
    ));
    let line = line(&twice);
    let verdict = verdict(600, &line, &all(&line));
    assert_eq!(verdict.outcome, Outcome::Failed);
    assert!(
        verdict
            .reasons
            .iter()
            .any(|reason| reason.text == "guest 100 ran on two servers")
    );
}

#[test]
fn a_blip_after_which_something_moved_has_failed() {
    let blip = Subject {
        kind: DrillKind::Blip,
        ..subject()
    };
    let line = Timeline::of(&blip, &told(), &[]);
    let seen = figures(&blip, &line, &[], None, &CopyUsed::None);
    let verdict = judge(&blip, Expectation::default(), &line, &seen, &[]);
    assert_eq!(verdict.outcome, Outcome::Failed);
    let reset = verdict
        .reasons
        .iter()
        .any(|reason| reason.text.contains("watchdog reset was not to come"));
    assert!(reset, "{:?}", verdict.reasons);
}

#[test]
fn the_story_came_as_predicted() {
    let record = record();
    for one in &record.compared {
        assert!(!one.finding.is_flagged(), "{one:?}");
    }
    assert_eq!(record.verdict.outcome, Outcome::Passed, "{:?}", record.verdict);
}

/// All from the lock on comes 60 s later.
fn late() -> Vec<Told> {
    let mut all = told();
    for event in all.iter_mut().flat_map(|one| &mut one.events) {
        let from_lock = match &event.what {
            What::HaService { state, .. } => state == "recovery",
            What::GuestStarted { .. } => true,
            _ => false,
        };
        event.at.0 += if from_lock { 60_000_000 } else { 0 };
    }
    all
}

#[test]
fn a_difference_is_explained_or_flagged() {
    let line = Timeline::of(&subject(), &late(), &[]);
    let compared = compare(&predict(&circumstances()), &line);
    let of = |phase: Phase| &compared.iter().find(|one| one.phase == phase).unwrap().finding;
    assert!(of(Phase::LockTaken).is_flagged(), "{:?}", of(Phase::LockTaken));
    assert!(
        matches!(of(Phase::GuestStarted), Difference::Explained { why } if why.contains("as lock taken was")),
        "{:?}",
        of(Phase::GuestStarted)
    );
    assert!(matches!(of(Phase::FirstAnswer), Difference::Open { .. }));
    let found = flagged(&compared, "cut-prox1");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].message.starts_with("lock taken: 58 s later") || found[0].message.starts_with("lock taken: 1 min"),
        "{found:?}"
    );
    // What was not predicted at all is news.
    let quiet = predict(&Circumstances {
        fault: Fault::Link { link: 0 },
        ..circumstances()
    });
    let compared = compare(&quiet, &line);
    let fence = compared.iter().find(|one| one.phase == Phase::FenceDecided).unwrap();
    assert!(fence.finding.is_flagged());
}

#[test]
fn a_shift_of_a_probe_s_clock_moves_the_place_and_not_the_length() {
    let probe: Answers = probes().remove(0);
    let place = probe.place(0).unwrap();
    assert_eq!(
        place,
        Instant {
            best: CUT - 30_000_000,
            earliest: CUT - 30_100_000,
            latest: CUT - 30_000_000
        }
    );
    let without = Answers {
        clock: None,
        ..probe.clone()
    };
    assert_eq!(without.length(&probe.gaps[0]), probe.length(&probe.gaps[0]));
    assert_eq!(without.place(0), None);
    let told = Timeline::of(&subject(), &told(), &[without]);
    assert!(
        told.untold
            .iter()
            .any(|one| one.reason.contains("a length and no place"))
    );
    assert!(told.at(Phase::FirstAnswer).is_none());
    drop(node("prox1"));
}

#[test]
fn what_waits_for_a_word_is_no_fault_of_the_drill() {
    let told: Vec<Told> = told()
        .into_iter()
        .map(|mut told| {
            told.events.retain(|event| event.what != What::Normal);
            told
        })
        .collect();
    let line = line(&told);
    assert!(line.at(Phase::Normal).is_none());
    let before = judge(&subject(), Expectation::default(), &line, &all(&line), &[]);
    let sentence = |verdict: &Verdict, text: &str| verdict.reasons.iter().any(|reason| reason.text.contains(text));
    assert!(sentence(&before, "it was not seen that all is as it should be again"));
    let after = before
        .clone()
        .normal_but_for(&["its copy of job 100-0 is held".to_owned()]);
    assert!(sentence(
        &after,
        "all is normal but for what waits for your word: its copy of job 100-0 is held"
    ));
    assert!(after.outcome <= before.outcome && after.reasons.len() == before.reasons.len());
    // What else was not as expected stays so.
    let mut failed = before;
    failed.reasons.push(crate::drill::verdict::Reason {
        outcome: Outcome::Failed,
        text: "guest 100 ran on two servers".to_owned(),
    });
    assert_eq!(failed.normal_but_for(&[String::new()]).outcome, Outcome::Failed);
}

#[test]
fn a_server_that_was_back_too_soon_shows_no_failover() {
    let quick: Vec<(i64, u64, What)> = vec![
        (66_000, 0, What::Reset { node: node("prox1") }),
        (
            97_000,
            0,
            What::GuestStarted {
                guest: 100,
                node: node("prox1"),
            },
        ),
    ];
    let before: Vec<Told> = told()
        .into_iter()
        .filter(|told| told.events.iter().any(|event| event.what == What::FaultMade))
        .collect();
    let mut all = before;
    for told in &mut all {
        told.events.retain(|event| event.what == What::FaultMade);
    }
    all.push(told_by("prox1", 0, 1, &quick));
    let seen = Timeline::of(&subject(), &all, &[]);
    assert!(seen.stayed(&subject()).is_some());
    for phase in [Phase::FenceDecided, Phase::LockTaken, Phase::GuestStarted] {
        let one = seen.phases.iter().find(|one| one.phase == phase).unwrap();
        assert!(one.at.is_none() && one.by.contains("prox1 was back before"), "{one:?}");
    }
    let figures = figures(&subject(), &seen, &[], None, &CopyUsed::None);
    let verdict = judge(&subject(), Expectation::default(), &seen, &figures, &[]);
    assert_eq!(verdict.outcome, Outcome::Undecided);
    assert!(
        verdict
            .reasons
            .iter()
            .any(|reason| reason.text.contains("nothing is shown of a failover")),
        "{verdict:?}"
    );
    // One that was taken over did not stay, whatever came later.
    assert!(line(&told()).stayed(&subject()).is_none());
}
