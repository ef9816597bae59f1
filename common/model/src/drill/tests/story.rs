//! One drill: prox1 is cut off the network, guest 100 comes back on prox2. Each clock is off by something else.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::drill::answers::{Answers, Gap};
use crate::drill::axis::Range;
use crate::drill::compare::compare;
use crate::drill::event::{Event, Source, Told, What};
use crate::drill::figures::{CopyUsed, figures};
use crate::drill::record::{FORMAT, NONE_BEFORE, Record};
use crate::drill::tally::{Acknowledged, Isolated, Tally};
use crate::drill::timing::{COEFFICIENT, TOKEN, Timing};
use crate::drill::verdict::{Expectation, judge};
use crate::drill::{Circumstances, DrillKind, Lasting, Subject, Timeline, predict};
use crate::fault::Fault;
use crate::ids::NodeName;
use crate::time::Timestamp;
use crate::view::ClockOffset;

/// When the fault is made, by the coordinator's clock.
pub(super) const CUT: i64 = 1_795_345_772_000_000;

pub(super) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(super) fn subject() -> Subject {
    Subject {
        victim: node("prox1"),
        fault: Fault::Network,
        kind: DrillKind::Failover,
        guest: 100,
        recovered: BTreeSet::from([100]),
    }
}

pub(super) fn circumstances() -> Circumstances {
    Circumstances {
        fault: Fault::Network,
        kind: DrillKind::Failover,
        lasts: Lasting::seconds(300),
        guest: 100,
        timing: Timing {
            token: Some(TOKEN),
            coefficient: Some(COEFFICIENT),
            ..Timing::unknown(3)
        },
        master: Some(false),
        qdevice: false,
        armed: Some(true),
        boot: Some(Range::seconds(6, 9, 14)),
        copied_every: Some(Duration::from_secs(380)),
        stays: None,
    }
}

/// So many milliseconds after the cut, by a clock that is `ahead` microseconds ahead.
fn event(ms: i64, ahead: i64, within: u64, what: What) -> Event {
    Event {
        at: Timestamp(CUT + ms * 1000 + ahead),
        within_micros: within,
        what,
    }
}

pub(super) fn told_by(name: &str, ahead: i64, error: u64, events: &[(i64, u64, What)]) -> Told {
    let source = if name == "coordinator" {
        Source::Coordinator
    } else {
        Source::Agent { node: node(name) }
    };
    Told {
        source,
        clock: Some(ClockOffset {
            micros: ahead,
            error_micros: error,
        }),
        events: events
            .iter()
            .map(|(ms, within, what)| event(*ms, ahead, *within, what.clone()))
            .collect(),
        missing: None,
    }
}

fn state(state: &str) -> What {
    What::HaService {
        sid: "vm:100".to_owned(),
        node: node("prox1"),
        state: state.to_owned(),
    }
}

pub(super) fn told() -> Vec<Told> {
    let lost = || What::MemberLost { node: node("prox1") };
    let down = |peer: &str| What::LinkDown {
        peer: node(peer),
        link: 0,
    };
    let poll = 2_000_000;
    vec![
        told_by(
            "coordinator",
            0,
            0,
            &[
                (40, 90_000, What::FaultMade),
                (480_000, poll, What::Normal),
                (470_000, poll, What::InSync { guest: 100 }),
            ],
        ),
        told_by(
            "prox1",
            -90_000_000,
            400,
            &[
                (0, 0, What::FaultMade),
                (1590, 0, down("prox2")),
                (8010, 0, What::QuorumLost),
            ],
        ),
        told_by(
            "prox1",
            1_200_000,
            900,
            &[
                (66_300, 1_000_000, What::Reset { node: node("prox1") }),
                (66_300, 1_000_000, What::FaultGone { by: "reset".to_owned() }),
            ],
        ),
        told_by(
            "prox2",
            3_000_000,
            500,
            &[
                (1070, 0, down("prox1")),
                (7990, 0, lost()),
                (68_400, poll, state("fence")),
                (128_300, poll, state("recovery")),
                (
                    133_200,
                    0,
                    What::GuestStarted {
                        guest: 100,
                        node: node("prox2"),
                    },
                ),
                (231_000, 0, What::MemberBack { node: node("prox1") }),
            ],
        ),
        told_by(
            "prox3",
            -250_000,
            700,
            &[
                (7995, 0, lost()),
                (69_100, poll, state("fence")),
                (128_900, poll, state("recovery")),
            ],
        ),
    ]
}

pub(super) fn probes() -> Vec<Answers> {
    let probe = |target: &str, from: Source, gaps: Vec<Gap>| Answers {
        target: target.parse().unwrap(),
        from,
        // Thirty seconds before the cut.
        began: Timestamp(CUT - 30_000_000),
        clock: Some(ClockOffset {
            micros: 0,
            error_micros: 0,
        }),
        every_ms: 100,
        lasted_ms: 520_000,
        calls: 5200,
        late: 0,
        gaps,
        unwatched: vec![],
    };
    let gap = |from_ms, to_ms, lost| Gap {
        from_ms,
        to_ms,
        lost,
        unwatched_ms: 0,
        unseen_from_ms: 0,
        unseen_to_ms: 0,
    };
    vec![
        probe(
            "tcp:192.168.1.100:22",
            Source::Coordinator,
            vec![gap(29_960, Some(172_300), 1423)],
        ),
        probe(
            "icmp:192.168.1.100",
            Source::Agent { node: node("prox3") },
            vec![gap(12_000, Some(12_300), 2), gap(29_980, Some(168_900), 1389)],
        ),
    ]
}

pub(super) fn tally() -> Tally {
    let told = |number, resumed, run: &str| {
        Some(Acknowledged {
            number,
            resumed,
            run: run.to_owned(),
            host: "canary".to_owned(),
        })
    };
    Tally {
        a_second: 10,
        before: told(48_211, 0, "9f8e7d6c5b4a3928"),
        after: told(46_380, 46_371, "1122334455667788"),
        isolated: Isolated::Wrote {
            last: 48_870,
            unread: 0,
        },
        rows: None,
    }
}

pub(super) fn copy() -> CopyUsed {
    CopyUsed::Copy {
        age: Range::millis(183_000, 184_000, 184_500),
        promised: Some(Duration::from_secs(380)),
    }
}

pub(super) fn record() -> Record {
    let (subject, circumstances) = (subject(), circumstances());
    let predicted = predict(&circumstances);
    let line = Timeline::of(&subject, &told(), &probes());
    let figures = figures(&subject, &line, &probes(), Some(&tally()), &copy());
    let compared = compare(&predicted, &line);
    let expected = Expectation {
        rto: Some(Lasting::seconds(240)),
        rpo: Some(Lasting::seconds(360)),
    };
    let verdict = judge(&subject, expected, &line, &figures, &compared);
    let record = Record {
        format: FORMAT,
        number: 1,
        cluster: "hk1".parse().unwrap(),
        drill: Some("cut-prox1".parse().unwrap()),
        operator: "kim <kim@example>".to_owned(),
        began: Timestamp(CUT - 60_000_000),
        ended: Timestamp(CUT + 490_000_000),
        aborted: None,
        fault: subject.fault.clone(),
        kind: subject.kind,
        lasts: circumstances.lasts,
        victim: subject.victim.clone(),
        guest: 100,
        risked: BTreeSet::new(),
        accepted: vec![],
        spec_digest: "5e".repeat(32),
        plan_digest: "a1".repeat(32),
        circumstances,
        predicted,
        expected,
        subject,
        line,
        probes: probes(),
        tally: Some(tally()),
        copy: copy(),
        figures,
        compared,
        findings: vec![],
        verdict,
        previous: NONE_BEFORE.to_owned(),
        signer: String::new(),
        digest: String::new(),
        signature: String::new(),
    };
    record.sealed().unwrap()
}
