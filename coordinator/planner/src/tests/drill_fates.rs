//! What becomes of every guest on the victim, and who is moved first.

use std::collections::BTreeSet;

use quorate_model::Code;
use quorate_model::drill::{DrillKind, GuestFateKind, Lasting};
use quorate_model::facet::Facet;
use quorate_model::fault::Fault;

use super::drill_rails::{around, canary, request, rule, seen, servers};
use crate::drill::{Preview, Request};
use crate::testkit::{NOW, Vm, name};

fn fate(preview: &Preview, guest: u32) -> &GuestFateKind {
    let mut fates = preview.fates.iter();
    &fates
        .find(|fate| fate.guest == guest)
        .expect("a guest of the victim")
        .fate
}

/// The canary, one under HA, one that is not, a stopped one, a template, and one of another server.
fn all() -> Vec<Vm> {
    let mut template = Vm::running(105, "prox1").stopped();
    template.config.template = true;
    vec![
        canary(),
        Vm::running(101, "prox1"),
        Vm::running(102, "prox1"),
        Vm::running(103, "prox1").stopped(),
        template,
        Vm::running(200, "prox2"),
    ]
}

#[test]
fn everybody_but_the_canary_is_moved_off_and_back() {
    let servers = servers(&all(), &[100, 101]);
    let preview = seen(&servers, &request(), &around());
    assert!(!preview.refused(), "{:#?}", preview.findings);
    let steps = |steps: &[quorate_model::plan::Step]| -> Vec<String> {
        steps
            .iter()
            .map(|step| format!("{}: {}", step.id, step.title))
            .collect()
    };
    insta::assert_snapshot!([steps(&preview.before), steps(&preview.after)].concat().join("\n"));
    let guests: Vec<u32> = preview.fates.iter().map(|fate| fate.guest).collect();
    assert_eq!(
        guests,
        [100, 101, 102, 103, 105],
        "every guest of the victim, and no other"
    );
    let GuestFateKind::Restarted {
        on,
        copy_age,
        loses_up_to,
        shared,
    } = fate(&preview, 100)
    else {
        panic!("{:?}", fate(&preview, 100));
    };
    assert_eq!(
        (on.len(), copy_age.map(|age| age.as_secs()), shared),
        (1, Some(60), &false)
    );
    assert_eq!(
        loses_up_to.map(|age| age.as_secs()),
        Some(360),
        "five minutes and the scheduler's one"
    );
    assert!(matches!(fate(&preview, 101), GuestFateKind::MovedOff { .. }));
    assert!(matches!(fate(&preview, 102), GuestFateKind::MovedOff { .. }));
    assert!(matches!(fate(&preview, 103), GuestFateKind::Off { .. }));
    assert!(matches!(fate(&preview, 105), GuestFateKind::Off { .. }));
    assert_eq!(preview.recovered, BTreeSet::from([100]));
    assert!(preview.fates[0].canary && !preview.fates[1].canary);
}

#[test]
fn one_that_can_t_be_moved_is_at_risk_and_needs_a_word_of_its_own() {
    let mut bound = Vm::running(102, "prox1");
    bound.config.bound_by = vec!["hostpci0".to_owned()];
    let servers = servers(&[canary(), bound], &[100]);
    let preview = seen(&servers, &request(), &around());
    let told = preview
        .findings
        .iter()
        .find(|finding| finding.code == Code::DrillGuestsAtRisk)
        .unwrap();
    assert_eq!(
        (told.subject.as_str(), told.next.contains("--risk-guest 102")),
        ("guest 102", true),
        "{told:?}"
    );
    assert!(matches!(fate(&preview, 102), GuestFateKind::StaysDown { why } if why == "not under HA"));
    let risked = Request {
        risked: BTreeSet::from([102]),
        ..request()
    };
    let preview = seen(&servers, &risked, &around());
    assert!(!preview.refused(), "{:#?}", preview.findings);
    assert!(fate(&preview, 102).is_at_risk());
    let notes = &preview.predicted.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("guest 102 is down until prox1 is back, ")),
        "{notes:?}"
    );
}

#[test]
fn a_guest_of_ha_is_moved_only_where_its_rules_allow() {
    let guests = [canary(), Vm::running(101, "prox1")];
    let bound = servers(&guests, &[100, 101]).with_shared_ha(|ha| {
        let rules = vec![
            rule(&["vm:100"], &["prox1", "prox2", "prox3"]),
            rule(&["vm:101"], &["prox1", "prox3"]),
        ];
        ha.placements = Facet::known(rules, NOW);
    });
    let preview = seen(&bound, &request(), &around());
    assert!(
        matches!(fate(&preview, 101), GuestFateKind::MovedOff { to, .. } if *to == name("prox3")),
        "{:?}",
        fate(&preview, 101)
    );
}

#[test]
fn what_leaves_the_server_in_the_cluster_moves_nobody() {
    let servers = servers(&all(), &[100, 101]);
    let of = |fault: Fault, kind: DrillKind| {
        let request = Request {
            fault,
            kind,
            lasts: Lasting::seconds(if kind == DrillKind::Blip { 10 } else { 300 }),
            ..request()
        };
        let preview = seen(&servers, &request, &around());
        assert!(preview.before.is_empty(), "{:?}", preview.before);
        preview
    };
    let blip = of(Fault::Network, DrillKind::Blip);
    assert!(matches!(fate(&blip, 101), GuestFateKind::GoesOn { what } if what.contains("cut off for up to 10s")));
    let link = of(Fault::Link { link: 0 }, DrillKind::Failover);
    assert!(matches!(fate(&link, 101), GuestFateKind::GoesOn { what } if what == "notices nothing"));
    let guest = of(Fault::Guest { guest: 100 }, DrillKind::Failover);
    assert!(matches!(fate(&guest, 100), GuestFateKind::Restarted { on, .. } if *on == [name("prox1")]));
    assert!(matches!(fate(&guest, 101), GuestFateKind::GoesOn { .. }));
}

#[test]
fn the_forecast_goes_by_what_was_seen() {
    let preview = seen(&servers(&all(), &[100, 101]), &request(), &around());
    assert_eq!(
        preview.circumstances.copied_every.map(|every| every.as_secs()),
        Some(360)
    );
    assert!(
        preview.predicted.notice.contains("guest 100"),
        "{}",
        preview.predicted.notice
    );
    assert!(preview.predicted.outage.is_some());
}

#[test]
fn a_canary_s_last_writes_are_let_go_of_and_no_customer_s() {
    let of = |guests: &[Vm], request: &Request| seen(&servers(guests, &[100]), request, &around()).discards;
    assert_eq!(of(&[canary()], &request()), Some(100));
    let theirs = Request {
        risked: BTreeSet::from([100]),
        ..request()
    };
    assert_eq!(of(&[Vm::running(100, "prox1")], &theirs), None);
    let blip = Request {
        kind: DrillKind::Blip,
        lasts: Lasting::seconds(15),
        ..request()
    };
    assert_eq!(of(&[canary()], &blip), None, "nothing is recovered");
    // Where the job says so, PVE overwrites it by itself.
    let discarding = super::protection::jobs().map(|job| quorate_model::observation::ReplicationJob {
        comment: Some("quorate discard".to_owned()),
        ..job
    });
    let servers = servers(&[canary()], &[100]).with_jobs(&discarding);
    assert_eq!(seen(&servers, &request(), &around()).discards, None);
}

#[test]
fn timers_that_could_not_be_seen_are_told_with_the_forecast() {
    let servers = servers(&[canary()], &[100]);
    let mut blind = around();
    blind.timing = Facet::unknown(quorate_model::UnknownKind::TimedOut, "no answer in 5 s");
    let (known, unknown) = (
        seen(&servers, &request(), &around()),
        seen(&servers, &request(), &blind),
    );
    assert!(!unknown.refused(), "{:#?}", unknown.findings);
    let notes = unknown.predicted.notes.join("\n");
    assert!(notes.contains("could not be seen: no answer in 5 s"), "{notes}");
    assert!(!known.predicted.notes.join("\n").contains("could not be seen"));
    let lost = |preview: &Preview| {
        let phase = preview.predicted.of(quorate_model::drill::Phase::MembershipLost);
        phase.expect("it is isolated").at
    };
    assert!(lost(&unknown).least < lost(&known).least && lost(&unknown).most >= lost(&known).most);
}
