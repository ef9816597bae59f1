use std::collections::BTreeMap;

use quorate_model::facet::Facet;
use quorate_model::observation::ha::HaResource;
use quorate_model::observation::{GuestKind, GuestStatus, Ha};
use quorate_model::operation::Action;
use quorate_model::{ByteSize, Timestamp};

use super::*;
use crate::operations::actions::of;
use crate::operations::actions::testing::member;

const THEN: Timestamp = Timestamp(0);

fn node() -> NodeName {
    "prox1".parse().unwrap()
}

fn add(started: bool) -> Action {
    Action::AddHaResource {
        cluster: "hk1".parse().unwrap(),
        service: "vm:100".parse().unwrap(),
        started,
        max_restart: Some(2),
        max_relocate: None,
        group: None,
        no_failback: true,
    }
}

fn rule(exists: bool) -> Action {
    Action::SetHaRule {
        cluster: "hk1".parse().unwrap(),
        rule: "quorate-vm-100".parse().unwrap(),
        service: "vm:100".parse().unwrap(),
        nodes: ["prox1", "prox2"].map(|node| node.parse().unwrap()).into(),
        exists,
    }
}

fn seen(run: GuestRun) -> Observation {
    let mut seen = Observation::empty("prox1", THEN);
    seen.cluster = Facet::known(member(&["prox1", "prox2"]), THEN);
    let status = GuestStatus {
        vmid: 100,
        kind: GuestKind::Vm,
        run,
        uptime_seconds: None,
        memory_used: None,
        memory: ByteSize(1 << 30),
        lock: None,
    };
    seen.running = Facet::known(vec![status], THEN);
    let ha = Ha {
        version: Facet::not_asked(),
        watchdog_armed: false,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        manager: Facet::not_asked(),
        resources: Facet::known(BTreeMap::new(), THEN),
        placements: Facet::known(vec![], THEN),
    };
    seen.ha = Facet::known(ha, THEN);
    seen
}

fn change(seen: &mut Observation, change: impl FnOnce(&mut Ha)) {
    let Facet::Known { value, .. } = &mut seen.ha else {
        panic!("no HA")
    };
    change(value);
}

fn refused(action: &Action, seen: &Observation) -> Vec<String> {
    let findings = of(action).precheck(&node(), seen);
    findings.into_iter().map(|finding| finding.message).collect()
}

#[test]
fn nothing_is_started_or_stopped_by_surprise() {
    let (running, stopped) = (seen(GuestRun::Running), seen(GuestRun::Stopped));
    assert!(refused(&add(true), &running).is_empty() && refused(&add(false), &stopped).is_empty());
    assert_eq!(
        refused(&add(true), &stopped),
        ["guest 100 is stopped now: HA would start it"]
    );
    assert_eq!(
        refused(&add(false), &running),
        ["guest 100 is running now: HA would stop it"]
    );
    let paused = seen(GuestRun::Held("paused".to_owned()));
    assert_eq!(refused(&add(true), &paused).len(), 1);
    assert_eq!(
        of(&add(true)).hangs_on(),
        Some(100),
        "it is asked itself in the instant before"
    );
    let mut blind = running;
    blind.running = Facet::not_asked();
    assert_eq!(refused(&add(true), &blind).len(), 1, "unknown is not stopped");
}

#[test]
fn a_guest_is_under_ha_when_all_that_was_said_of_it_is_seen() {
    let mut there = seen(GuestRun::Running);
    assert_eq!(of(&add(true)).state(&node(), &there), State::Untouched);
    let resource = HaResource {
        max_restart: Some(2),
        failback: Some(false),
        ..HaResource::of("started")
    };
    change(&mut there, |ha| {
        drop(known(&mut ha.resources).insert("vm:100".to_owned(), resource))
    });
    assert!(matches!(of(&add(true)).state(&node(), &there), State::Reached(_)));
    change(&mut there, |ha| {
        known(&mut ha.resources).get_mut("vm:100").unwrap().failback = None
    });
    assert_eq!(of(&add(true)).state(&node(), &there), State::Untouched);
}

#[test]
fn a_rule_of_others_is_not_worked_against() {
    let mut there = seen(GuestRun::Running);
    assert!(refused(&rule(false), &there).is_empty());
    assert_eq!(refused(&rule(true), &there), ["there is no quorate-vm-100 any more"]);
    let placement = |name: &str| HaPlacement {
        name: name.to_owned(),
        kind: HaPlacement::NODES.to_owned(),
        services: vec!["vm:100".to_owned()],
        nodes: [("prox1".to_owned(), Some(1)), ("prox2".to_owned(), Some(1))].into(),
        strict: true,
        no_failback: false,
        disabled: false,
        apart: false,
    };
    change(&mut there, |ha| known(&mut ha.placements).push(placement("theirs")));
    assert_eq!(
        refused(&rule(false), &there),
        ["the rule theirs binds the guest meanwhile"]
    );
    change(&mut there, |ha| {
        ha.placements = Facet::known(vec![placement("quorate-vm-100")], THEN)
    });
    assert!(matches!(of(&rule(false)).state(&node(), &there), State::Reached(_)));
}

fn known<T>(facet: &mut Facet<T>) -> &mut T {
    match facet {
        Facet::Known { value, .. } => value,
        Facet::Unknown(unknown) => panic!("{unknown}"),
    }
}
