//! What is read of a drill.

use std::time::Duration;

use quorate_model::drill::answers::Gap;
use quorate_model::drill::fate::{GuestFate, GuestFateKind};
use quorate_model::drill::phase::Phase;
use quorate_model::drill::record::Record;
use quorate_model::drill::tally::Lost;
use quorate_model::drill::trend::TrendRow;
use quorate_model::drill::verdict::{Outcome, Reason};
use quorate_model::drill::{Figure, Range};
use quorate_model::observation::GuestKind;
use quorate_model::{Code, Finding};

use super::{DrillPreview, drill, drill_page, drill_preview, drills};

/// The story that the model's own tests tell.
fn story() -> Record {
    Record::read(include_str!("../../../model/src/drill/tests/record-1.json")).unwrap()
}

/// The same as it would be if prox2, where the guest was started, had told nothing.
fn untold() -> Record {
    let mut record = story();
    for seen in &mut record.line.phases {
        if matches!(seen.phase, Phase::GuestStarted | Phase::NodeBack) {
            seen.at = None;
            "nobody told it; the new owner's agent would have, and not all was told by prox2".clone_into(&mut seen.by);
        }
    }
    record.line.untold = vec![quorate_model::drill::timeline::Untold {
        source: "prox2".to_owned(),
        reason: "its agent could not be reached".to_owned(),
    }];
    record.line.contradictions =
        vec!["lock taken was told at least 3.0 s before fence decided, which must come first".to_owned()];
    record.verdict.outcome = Outcome::Undecided;
    record.verdict.reasons.push(Reason {
        outcome: Outcome::Undecided,
        text: "nobody saw the guest start again".to_owned(),
    });
    record.figures.service = Figure::Unknown {
        reason: "guest started was not seen".to_owned(),
    };
    record.probes[0].gaps.push(Gap {
        from_ms: 400_000,
        to_ms: None,
        lost: 900,
        unwatched_ms: 0,
        unseen_from_ms: 0,
        unseen_to_ms: 0,
    });
    record
}

fn narrow(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        assert_eq!(line.trim_end(), line, "trailing blanks");
    }
}

#[test]
fn a_drill_in_a_terminal() {
    let text = drill(&story());
    narrow(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn what_was_not_seen_is_said() {
    let text = drill(&untold());
    narrow(&text);
    insta::assert_snapshot!(text);
}

#[test]
fn no_gap_is_left_out_and_those_of_a_bad_network_are_counted() {
    let mut record = story();
    let first = record.probes[0].gaps[0];
    record.probes[0].gaps = vec![first; 23];
    record.probes[1].clock = None;
    let text = drill(&record);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("had no answer 23 times: 2 min 22 s from 40 ms before the fault on"),
        "{text}"
    );
    assert!(words.contains("3 more, which the record has"), "{text}");
    // Whose clock was not compared has gaps of a length, and no place.
    assert!(
        words.contains("300 ms from 12 s after its first call on (2 calls)"),
        "{text}"
    );
    narrow(&text);
}

#[test]
fn a_page_to_hang_up() {
    let page = drill_page(&story());
    well_formed(&page);
    insta::assert_snapshot!(page);
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    for record in [story(), untold()] {
        let page = drill_page(&record);
        well_formed(&page);
        for no in [
            "<script",
            "http://",
            "https://",
            "src=",
            "@import",
            "onload",
            "javascript:",
        ] {
            assert!(!page.contains(no), "{no}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn what_others_wrote_is_no_markup() {
    let evil = "</title><script>alert(\"1\")</script>&'\u{1b}[31m";
    let mut record = story();
    evil.clone_into(&mut record.operator);
    record.aborted = Some(evil.to_owned());
    record.predicted.notice = evil.to_owned();
    record.signature = evil.to_owned();
    record.findings = vec![Finding::new(Code::DrillDiffers, evil, evil, evil)];
    record.verdict.reasons[0].text = evil.to_owned();
    record.line.contradictions = vec![evil.to_owned()];
    for seen in &mut record.line.phases {
        evil.clone_into(&mut seen.by);
    }
    let page = drill_page(&record);
    well_formed(&page);
    assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)"));
}

#[test]
fn times_that_make_no_sense_make_no_endless_chart() {
    let mut record = story();
    for (number, seen) in record.line.phases.iter_mut().enumerate() {
        if let Some(at) = &mut seen.at {
            at.best = if number % 2 == 0 { i64::MAX } else { i64::MIN };
        }
    }
    record.began.0 = i64::MIN;
    record.ended.0 = i64::MAX;
    record.probes[0].lasted_ms = u64::MAX;
    record.probes[0].began.0 = i64::MAX;
    well_formed(&drill_page(&record));
    drop(drill(&record));
    record.line.phases.clear();
    record.probes.clear();
    record.compared.clear();
    well_formed(&drill_page(&record));
    narrow(&drill(&record));
}

/// Each tag is closed in its turn, and attributes are quoted: enough for any XML reader.
fn well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        assert!(
            !rest[..begin].contains('>') || rest[..begin].contains('{') || open.last() == Some(&"style"),
            "{}",
            &rest[..begin]
        );
        let end = begin + rest[begin..].find('>').expect("a tag ends");
        let tag = &rest[begin + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') {
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed in its turn");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for entity in page.split('&').skip(1) {
        let name = entity.split(';').next().unwrap();
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{name}");
    }
}

#[test]
fn a_drill_before_it_is_made() {
    let record = story();
    let fate = |guest, name: &str, canary, fate| GuestFate {
        guest,
        kind: GuestKind::Vm,
        name: Some(name.to_owned()),
        canary,
        fate,
    };
    let node = |name: &str| name.parse().unwrap();
    let fates = [
        fate(
            100,
            "quorate-canary-100",
            true,
            GuestFateKind::Restarted {
                on: vec![node("prox2"), node("prox3")],
                copy_age: Some(Duration::from_secs(74)),
                loses_up_to: Some(Duration::from_secs(360)),
                shared: false,
            },
        ),
        fate(
            101,
            "mail",
            false,
            GuestFateKind::MovedOff {
                to: node("prox3"),
                seconds: 31,
            },
        ),
        fate(
            102,
            "gpu",
            false,
            GuestFateKind::StaysDown {
                why: "not under HA".to_owned(),
            },
        ),
        fate(
            103,
            "old",
            false,
            GuestFateKind::Off {
                why: "it is stopped".to_owned(),
            },
        ),
    ];
    let findings = [
        Finding::new(
            Code::DrillGuestsAtRisk,
            "guest 102",
            "VM 102 (gpu) must be shut down: it is bound to its server by hostpci0",
            "if it may fail with the server: --risk-guest 102",
        ),
        Finding::new(
            Code::DrillHaMaster,
            "prox1",
            "prox1 is HA's master: all takes about a minute longer",
            "a drill on another server is over sooner",
        ),
    ];
    let steps = crate::samples::plan().steps;
    let text = drill_preview(&DrillPreview {
        what: "network on hk1/prox1 for 5m, failover, watching guest 100",
        findings: &findings,
        fates: &fates,
        before: &steps,
        after: &[],
        discards: Some(100),
        leaves: Some(&"data_zfs/vm-100-cloudinit".parse().unwrap()),
        predicted: &record.predicted,
    });
    insta::assert_snapshot!(text);
}

#[test]
fn history_with_what_got_worse() {
    let of = |number: u64, seconds: i64| TrendRow {
        number,
        outage: Figure::Known {
            span: Range::seconds(seconds, seconds, seconds),
            how: String::new(),
        },
        ..TrendRow::from(&story())
    };
    let text = drills(&[of(1, 140), of(2, 151), of(3, 233)]);
    insta::assert_snapshot!(text);
    assert_eq!(drills(&[]), "no drill was ever run\n");
}

#[test]
fn what_the_isolated_copy_wrote_is_told_as_exactly_as_it_is_known() {
    let told = |isolated: Option<u64>, unread: u64| {
        let lost = Lost::Records {
            acknowledged: 1840,
            isolated,
            unread,
        };
        super::lost(&lost, 10).why
    };
    assert!(told(Some(659), 0).ends_with("the isolated copy wrote 659 more that nobody was told of"));
    assert!(told(Some(659), 2).ends_with("the isolated copy wrote 659 to 661 more that nobody was told of"));
    assert!(told(Some(0), 1).ends_with("the isolated copy wrote 0 to 1 more that nobody was told of"));
    assert!(told(None, 0).ends_with("is not known"));
}
