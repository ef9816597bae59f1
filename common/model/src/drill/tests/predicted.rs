//! The forecast, held against what was seen and what the sources say.

use super::story::circumstances;
use crate::drill::axis::Range;
use crate::drill::predict::Stays;
use crate::drill::{Circumstances, DrillKind, Lasting, Phase, Prediction, Timing, predict};
use crate::fault::{FORMS, Fault};

fn of(fault: Fault, change: impl FnOnce(&mut Circumstances)) -> Prediction {
    let mut circumstances = Circumstances {
        fault,
        ..circumstances()
    };
    change(&mut circumstances);
    predict(&circumstances)
}

fn shown(predicted: &Prediction) -> String {
    let row = |expected: &crate::drill::predict::Expected| {
        let guess = if expected.guessed { " (a guess)" } else { "" };
        format!(
            "{:<26}{:<30}{}{guess}",
            expected.phase.as_str(),
            expected.at.between(),
            expected.why
        )
    };
    let mut rows: Vec<String> = predicted.phases.iter().map(row).collect();
    rows.push(predicted.notice.clone());
    rows.extend(predicted.notes.clone());
    rows.join("\n")
}

fn holds(predicted: &Prediction, phase: Phase, seconds: i64) {
    let at = predicted.of(phase).unwrap().at;
    let moment = Range::seconds(seconds, seconds, seconds);
    assert!(moment.may_lie_in(at), "{phase:?} at {seconds} s: {at:?}");
}

#[test]
fn a_network_cut_of_a_server_that_is_not_the_master() {
    let predicted = of(Fault::Network, |_| {});
    insta::assert_snapshot!(shown(&predicted));
    // Seen on a running cluster: 8, 68, 128 and 133 s.
    for (phase, seconds) in [
        (Phase::MembershipLost, 8),
        (Phase::FenceDecided, 68),
        (Phase::LockTaken, 128),
        (Phase::GuestStarted, 133),
    ] {
        holds(&predicted, phase, seconds);
    }
    let start = predicted.of(Phase::GuestStarted).unwrap().at;
    assert_eq!(
        (start.least, start.likely, start.most),
        (111_000_000, 135_000_000, 151_000_000)
    );
}

#[test]
fn the_master_takes_a_minute_more_and_who_is_it_may_be_unknown() {
    let predicted = of(Fault::Network, |c| c.master = Some(true));
    let start = predicted.of(Phase::GuestStarted).unwrap().at;
    assert_eq!(
        (start.least, start.likely, start.most),
        (171_000_000, 190_000_000, 215_000_000)
    );
    let unknown = of(Fault::Network, |c| c.master = None);
    let start = unknown.of(Phase::GuestStarted).unwrap().at;
    assert_eq!((start.least, start.most), (111_000_000, 215_000_000));
    assert!(
        unknown
            .notes
            .iter()
            .any(|note| note.contains("HA's master is not known")),
        "{:?}",
        unknown.notes
    );
}

#[test]
fn clients_still_reach_a_server_that_only_corosync_has_lost() {
    let predicted = of(Fault::ClusterNetwork, |_| {});
    let network = of(Fault::Network, |_| {});
    let (shorter, longer) = (predicted.outage.unwrap(), network.outage.unwrap());
    assert!(shorter.likely < longer.likely - 60_000_000, "{shorter:?} {longer:?}");
    assert_eq!(
        predicted.oldest.unwrap(),
        network.oldest.unwrap() + 72_000_000,
        "it accepts writes until its reset"
    );
    insta::assert_snapshot!(predicted.notice);
}

#[test]
fn large_rings_are_detected_late_and_fenced_late() {
    let predicted = of(Fault::Network, |c| {
        c.timing = Timing { nodes: 32, ..c.timing };
    });
    let at = predicted.of(Phase::MembershipLost).unwrap().at;
    assert!(at.likely > 49_000_000, "32 nodes with a coefficient of 650 ms: {at:?}");
    let (fence, lock) = (
        predicted.of(Phase::FenceDecided).unwrap().at,
        predicted.of(Phase::LockTaken).unwrap().at,
    );
    assert!(lock.least >= fence.least && lock.most >= fence.most);
    let unknown = of(Fault::Network, |c| c.timing = Timing::unknown(32));
    let wide = unknown.of(Phase::MembershipLost).unwrap().at;
    assert!(wide.least < 17_000_000 && wide.most > 49_000_000, "{wide:?}");
    assert!(
        unknown.notes[0].contains("token of this cluster is not known"),
        "{:?}",
        unknown.notes
    );
}

#[test]
fn two_servers_with_a_qdevice_wait_for_it() {
    let predicted = of(Fault::Network, |c| {
        c.timing = Timing { nodes: 2, ..c.timing };
        c.qdevice = true;
    });
    // Seen: the isolated server was without quorum after 15.1 s.
    holds(&predicted, Phase::QuorumLost, 15);
    holds(&predicted, Phase::MembershipLost, 7);
}

#[test]
fn every_other_fault() {
    let mut all = String::new();
    for form in FORMS {
        let fault = Fault::of_drill(form, 100).unwrap();
        for kind in DrillKind::ALL {
            let predicted = of(fault.clone(), |c| {
                c.kind = kind;
                c.lasts = kind.usual();
            });
            let phases: Vec<&str> = predicted.phases.iter().map(|p| p.phase.as_str()).collect();
            all.push_str(&format!(
                "{fault}, {kind}: {}\n    {}\n",
                phases.join(", "),
                predicted.notice
            ));
            assert!(predicted.phases.is_sorted_by_key(|expected| expected.phase));
            assert!(
                predicted
                    .phases
                    .iter()
                    .all(|e| e.at.least <= e.at.likely && e.at.likely <= e.at.most),
                "{fault}"
            );
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_blip_moves_nothing() {
    for seconds in [1, 10, 20] {
        let predicted = of(Fault::Network, |c| {
            c.kind = DrillKind::Blip;
            c.lasts = Lasting::seconds(seconds);
        });
        assert!(predicted.is_quiet() && predicted.of(Phase::FenceDecided).is_none());
        assert_eq!(
            predicted.of(Phase::MembershipLost).is_some(),
            seconds > 2,
            "{seconds} s"
        );
    }
}

#[test]
fn what_is_not_armed_does_not_reset_and_what_is_switched_off_comes_back_by_hand() {
    let off = of(Fault::Network, |c| c.armed = Some(false));
    assert!(
        off.of(Phase::Reset).is_none() && off.notes[0].contains("not armed"),
        "{:?}",
        off.notes
    );
    let power = of("power:off".parse().unwrap(), |_| {});
    assert!(power.of(Phase::NodeBack).is_none() && power.of(Phase::Reset).is_none());
    let clean = of("power:shutdown".parse().unwrap(), |_| {});
    let (lock, fence) = (
        clean.of(Phase::LockTaken).unwrap().at,
        clean.of(Phase::FenceDecided).unwrap().at,
    );
    assert_eq!(
        lock.least, fence.least,
        "the lock was given back: nobody waits 120 s for it"
    );
    let unknown = of(Fault::Network, |c| c.boot = None);
    assert!(unknown.of(Phase::FirstAnswer).unwrap().guessed);
}

#[test]
fn a_guest_that_nobody_starts_elsewhere_is_down_until_its_server_is_back() {
    let stays = |fault: Fault, starts: bool| {
        of(fault, |c| {
            c.stays = Some(Stays {
                node: "prox1".parse().unwrap(),
                why: "not under HA".to_owned(),
                starts,
            });
        })
    };
    let predicted = stays(Fault::Network, true);
    for phase in [Phase::FenceDecided, Phase::LockTaken, Phase::GuestStarted] {
        assert!(predicted.of(phase).is_none(), "{phase:?} is not to be expected");
    }
    let back = predicted.of(Phase::NodeBack).unwrap().at;
    let outage = predicted.outage.unwrap();
    assert!(
        outage.least > back.least && outage.most > back.most,
        "{outage:?} {back:?}"
    );
    assert!(
        predicted.notice.contains("is down until prox1 is back") && predicted.notice.contains(&back.between()),
        "{}",
        predicted.notice
    );
    assert!(!predicted.is_quiet());
    let by_hand = stays(Fault::Network, false);
    assert!(
        by_hand.notice.contains("until somebody starts it"),
        "{}",
        by_hand.notice
    );
    assert_eq!(by_hand.outage, None, "nobody knows when");
    let off = stays("power:off".parse().unwrap(), true);
    assert!(
        off.notice.contains("is down until prox1 is back") && off.notice.contains("somebody switches it on"),
        "{}",
        off.notice
    );
}
