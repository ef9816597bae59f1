//! The record: from all that was told to figures and a verdict.

use std::collections::BTreeMap;
use std::path::Path;

use quorate_model::drill::compare::{compare, flagged};
use quorate_model::drill::figures::{CopyUsed, figures};
use quorate_model::drill::record::{FORMAT, Record, RecordError};
use quorate_model::drill::verdict::judge;
use quorate_model::drill::{
    Answers, Event, GuestFateKind, Instant, Phase, Rows, Source, Subject, Timeline, Told, What,
};
use quorate_model::ids::NodeName;
use quorate_model::view::ClockOffset;
use quorate_model::{Finding, Timestamp};
use sha2::{Digest, Sha256};

use super::after;
use super::answers::{self, OWN_CLOCK};
use super::distant;
use super::speed;
use super::state::{Copied, Running};
use super::watches;
use crate::pace::Pace;

/// What the coordinator itself tells.
fn own(running: &Running) -> Told {
    let mut events = running.events.clone();
    if let (Some(asked), Some(made)) = (running.fault.asked, running.fault.made) {
        events.push(Event {
            at: made,
            within_micros: u64::try_from(made.0.saturating_sub(asked.0)).unwrap_or(0),
            what: What::FaultMade,
        });
    }
    Told {
        source: Source::Coordinator,
        clock: Some(OWN_CLOCK),
        events,
        missing: None,
    }
}

/// The line as far as it is known, while the drill goes on.
pub(super) fn so_far(running: &Running, dir: &Path) -> Timeline {
    let nodes: Vec<NodeName> = running.clocks.keys().cloned().collect();
    let mut told = watches::all_told(dir, &running.clocks, &nodes);
    told.push(own(running));
    let heard = answers::heard(dir, &running.order.probes);
    let mut probes: Vec<Answers> = heard
        .iter()
        .map(|(target, heard)| answers::answers(target, heard))
        .collect();
    // They have no word as long as the coordinator itself hears something.
    if !probes.iter().any(Answers::was_answered) {
        probes.extend(distant::heard(dir, running).0);
    }
    Timeline::of(&running.subject(), &told, &probes)
}

/// Has all been seen that is to be seen before all returns? What comes with the return is waited for there.
pub(super) fn is_seen(line: &Timeline, subject: &Subject) -> bool {
    let expected = Phase::expected(&subject.fault, subject.kind).into_iter();
    let stayed = line.stayed(subject).is_some();
    let mut meanwhile = expected.filter(|phase| *phase <= Phase::FaultGone && !(stayed && phase.takes_over()));
    meanwhile.all(|phase| line.at(phase).is_some())
}

/// What is known when all is over.
#[derive(Clone)]
pub(super) struct Gathered {
    pub(super) ended: Timestamp,
    /// How each node's clock stands now.
    pub(super) clocks: BTreeMap<NodeName, ClockOffset>,
    /// Of which nodes not all was heard, and why.
    pub(super) missing: BTreeMap<NodeName, String>,
    /// What the victim's own ledger says of the fault: from when to when it was being made, by its clock.
    pub(super) made: Option<(Timestamp, Timestamp)>,
    /// What became of rows that were written into a database; `None`: none were.
    pub(super) rows: Option<Rows>,
    /// The digest of the record before this one.
    pub(super) previous: String,
    /// The certificates of whoever is going to sign it.
    pub(super) signer: String,
    /// How fast time passes here.
    pub(super) pace: Pace,
}

/// Puts it together, sealed.
///
/// # Errors
/// It can't be written as JSON.
pub(super) fn compose(running: &Running, gathered: &Gathered, dir: &Path) -> Result<Record, RecordError> {
    let subject = running.subject();
    let mut told = Vec::new();
    for node in running.clocks.keys() {
        let mut events = watches::heard(dir, node);
        if let (Some((from, to)), true) = (gathered.made, *node == running.order.node) {
            events.insert(
                0,
                Event {
                    at: to,
                    within_micros: u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0),
                    what: What::FaultMade,
                },
            );
        }
        let clocks = (running.clocks.get(node).copied(), gathered.clocks.get(node).copied());
        told.extend(watches::told(node, events, clocks, gathered.missing.get(node).cloned()));
    }
    told.push(own(running));
    let heard = answers::heard(dir, &running.order.probes);
    let mut probes: Vec<Answers> = heard
        .iter()
        .map(|(target, heard)| answers::answers(target, heard))
        .collect();
    let (by_nodes, untold) = distant::heard(dir, running);
    probes.extend(by_nodes);
    let mut line = Timeline::of(&subject, &told, &probes);
    line.untold.extend(untold);
    let copy = copy_used(running, &line, gathered.pace);
    let victim = watches::heard(dir, &running.order.node);
    let tally = answers::tally(&heard, gathered.rows.as_ref(), &line, &subject, &victim);
    let figures = figures(&subject, &line, &probes, tally.as_ref(), &copy);
    let predicted = speed::predicted(gathered.pace, &running.predicted);
    let expected = speed::expected(gathered.pace, running.order.expected);
    let compared = compare(&predicted, &line);
    let mut verdict = judge(&subject, expected, &line, &figures, &compared);
    if after::waits_for_a_word(&running.left) {
        let waits: Vec<String> = running.left.iter().map(|finding| finding.message.clone()).collect();
        verdict = verdict.normal_but_for(&waits);
    }
    let mut findings: Vec<Finding> = running.findings.clone();
    findings.extend(running.left.iter().cloned());
    findings.extend(flagged(&compared, &running.name()));
    let record = Record {
        format: FORMAT,
        number: running.number,
        cluster: running.cluster.clone(),
        drill: running.order.name.clone(),
        operator: running.operator.clone(),
        began: running.began,
        ended: gathered.ended,
        aborted: running.aborted.clone(),
        fault: running.order.fault.clone(),
        kind: running.order.kind,
        lasts: running.order.lasts,
        victim: running.order.node.clone(),
        guest: running.order.guest,
        risked: running.order.risked.clone(),
        accepted: running.order.accepted.clone(),
        spec_digest: running.spec.digest.clone(),
        plan_digest: plan_digest(running),
        circumstances: running.circumstances.clone(),
        predicted,
        expected,
        subject,
        line,
        probes,
        tally,
        copy,
        figures,
        compared,
        findings,
        verdict,
        previous: gathered.previous.clone(),
        signer: gathered.signer.clone(),
        digest: String::new(),
        signature: String::new(),
    };
    record.sealed()
}

/// SHA-256 of the moves, in hex; empty: there are none.
fn plan_digest(running: &Running) -> String {
    if running.before.is_empty() && running.after.is_empty() {
        return String::new();
    }
    // What can't be written as JSON could not have been kept either.
    let bytes = serde_json::to_vec(&(&running.before, &running.after)).unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// What the guest was recovered from.
fn copy_used(running: &Running, line: &Timeline, pace: Pace) -> CopyUsed {
    let unknown = |reason: &str| CopyUsed::Unknown {
        reason: reason.to_owned(),
    };
    let fate = running.fates.iter().find(|fate| fate.guest == running.order.guest);
    match fate.map(|fate| &fate.fate) {
        Some(GuestFateKind::Restarted { shared: true, .. }) => return CopyUsed::Shared,
        Some(GuestFateKind::Restarted { .. }) => {}
        _ => return CopyUsed::None,
    }
    let (Some(fault), Some(_)) = (line.at(Phase::Fault), line.at(Phase::GuestStarted)) else {
        return unknown("it was not seen to be started elsewhere");
    };
    let owner = line.events.iter().rev().find_map(|event| match &event.what {
        What::GuestStarted { guest, node } if *guest == running.order.guest && *node != running.order.node => {
            Some(node)
        }
        _ => None,
    });
    let Some(copied) = owner.and_then(|owner| running.copies.iter().find(|copy| copy.on == *owner)) else {
        return unknown("no copy on its new owner was known before the fault");
    };
    let copied = Copied {
        promised: copied.promised.map(|promised| pace.wait(promised)),
        ..copied.clone()
    };
    used(&copied, running.clocks.get(&running.order.node).copied(), fault)
}

fn used(copied: &Copied, clock: Option<ClockOffset>, fault: Instant) -> CopyUsed {
    let unknown = |reason: &str| CopyUsed::Unknown {
        reason: reason.to_owned(),
    };
    match (copied.at, clock) {
        (Some(at), Some(clock)) => CopyUsed::Copy {
            // To the second, as PVE keeps it.
            age: fault.since(Instant::of(at, clock, 1_000_000)),
            promised: copied.promised,
        },
        (None, _) => unknown("no run of its job had succeeded before the fault"),
        (_, None) => unknown("the clock of its former owner was not compared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_copy_is_by_its_owners_clock() {
        let at = |second: i64| Timestamp::from_seconds(second);
        let copied = Copied {
            on: "prox2".parse().unwrap(),
            // The owner's clock is five seconds ahead.
            at: Some(at(105)),
            promised: None,
        };
        let clock = ClockOffset {
            micros: 5_000_000,
            error_micros: 0,
        };
        let fault = Instant::of(at(400), OWN_CLOCK, 0);
        let CopyUsed::Copy { age, .. } = used(&copied, Some(clock), fault) else {
            panic!()
        };
        assert_eq!(age.likely, 300_000_000);
        assert!(matches!(used(&copied, None, fault), CopyUsed::Unknown { .. }));
        let none = Copied { at: None, ..copied };
        assert!(matches!(used(&none, Some(clock), fault), CopyUsed::Unknown { .. }));
    }

    #[test]
    fn what_is_expected_is_waited_for_and_its_return_is_not() {
        let subject = Subject {
            victim: "prox1".parse().unwrap(),
            fault: "guest:100".parse().unwrap(),
            kind: quorate_model::drill::DrillKind::Failover,
            guest: 100,
            recovered: std::collections::BTreeSet::new(),
        };
        let told = |events: Vec<Event>| Told {
            source: Source::Coordinator,
            clock: Some(OWN_CLOCK),
            events,
            missing: None,
        };
        let event = |second: i64, what: What| Event {
            at: Timestamp::from_seconds(second),
            within_micros: 0,
            what,
        };
        let nothing = Timeline::of(&subject, &[told(vec![event(1, What::FaultMade)])], &[]);
        assert!(!is_seen(&nothing, &subject));
        let link = Subject {
            fault: "link:1".parse().unwrap(),
            ..subject
        };
        let down = What::LinkDown {
            peer: "prox1".parse().unwrap(),
            link: 1,
        };
        let gone = What::FaultGone { by: "timer".to_owned() };
        let all = vec![event(1, What::FaultMade), event(3, down), event(300, gone)];
        assert!(
            is_seen(&Timeline::of(&link, &[told(all)], &[]), &link),
            "normal comes later"
        );
    }
}
