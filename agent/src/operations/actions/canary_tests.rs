use std::collections::BTreeMap;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::guest_config::GuestConfig;
use quorate_model::observation::{Guest, GuestRun, GuestStatus, Ha};
use quorate_model::{ByteSize, Timestamp};

use super::super::testing::{config, member};
use super::*;

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, Timestamp(0))
}

/// Guest 900 on `prox1`, with these tags and in this state.
fn seen(tags: &[&str], run: GuestRun) -> Observation {
    let guest = Guest {
        vmid: 900,
        node: "prox1".into(),
        kind: GuestKind::Vm,
    };
    let settings = GuestConfig {
        name: None,
        memory: ByteSize(256 << 20),
        cpus: Some(1),
        cpu_type: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        template: false,
        lock: None,
        starts_at_boot: false,
        agent: true,
        disks: vec![],
        discs: vec![],
        snapshots: vec![],
        nics: vec![],
        bound_by: vec![],
        created: None,
    };
    let mut observation = bare();
    let mut pve = config();
    pve.guests = known(vec![ConfiguredGuest {
        guest: guest.clone(),
        config: known(settings),
    }]);
    observation.config = known(pve);
    observation.guests = known(vec![guest]);
    observation.running = known(vec![GuestStatus {
        vmid: 900,
        kind: GuestKind::Vm,
        run,
        uptime_seconds: None,
        memory_used: None,
        memory: ByteSize(256 << 20),
        lock: None,
    }]);
    observation
}

/// No guest at all.
fn bare() -> Observation {
    let mut observation = Observation::empty("prox1", Timestamp(0));
    observation.cluster = known(member(&["prox1", "prox2"]));
    let mut pve = config();
    pve.guests = known(vec![]);
    observation.config = known(pve);
    observation.guests = known(vec![]);
    observation.running = known(vec![]);
    observation
}

fn act<T>(work: impl FnOnce(&ClusterName, &NodeName) -> T) -> T {
    work(&"hk1".parse().unwrap(), &"prox1".parse().unwrap())
}

fn create<T>(work: impl FnOnce(&Create<'_>, &NodeName) -> T) -> T {
    act(|cluster, node| {
        let create = Create {
            cluster,
            guest: 900,
            kind: GuestKind::Vm,
        };
        work(&create, node)
    })
}

fn destroy<T>(work: impl FnOnce(&Destroy<'_>, &NodeName) -> T) -> T {
    act(|cluster, node| {
        let destroy = Destroy {
            cluster,
            guest: 900,
            kind: GuestKind::Vm,
        };
        work(&destroy, node)
    })
}

#[test]
fn only_a_guest_of_ours_that_runs_is_a_canary() {
    let states = [
        (seen(&[canary::TAG], GuestRun::Running), "reached"),
        (seen(&["web"], GuestRun::Running), "between"),
        (seen(&[canary::TAG], GuestRun::Stopped), "between"),
        (bare(), "untouched"),
    ];
    for (observation, expected) in states {
        let state = create(|create, node| create.state(node, &observation));
        let word = match state {
            State::Reached(_) => "reached",
            State::Untouched => "untouched",
            State::Between(_) => "between",
        };
        assert_eq!(word, expected, "{observation:?}");
    }
}

#[test]
fn another_guest_with_its_id_is_left_alone() {
    let refusals = |observation: &Observation| create(|create, node| create.precheck(node, observation));
    assert!(refusals(&bare()).is_empty());
    assert!(
        refusals(&seen(&[canary::TAG], GuestRun::Stopped)).is_empty(),
        "it is gone on with"
    );
    assert_eq!(
        refusals(&seen(&["web"], GuestRun::Running))[0].code,
        Code::CanaryIdTaken
    );
    let mut unknown = bare();
    unknown.config = Facet::unknown(UnknownKind::Failed, "no answer");
    assert_eq!(refusals(&unknown)[0].code, Code::FacetUnknown);
}

#[test]
fn what_is_not_seen_to_be_ours_is_not_destroyed() {
    let refusals = |observation: &Observation| destroy(|destroy, node| destroy.precheck(node, observation));
    let with_ha = |mut observation: Observation| {
        let ha = Ha {
            version: Facet::not_asked(),
            watchdog_armed: false,
            lrm: Facet::not_asked(),
            crm: Facet::not_asked(),
            lrm_status: Facet::not_asked(),
            manager: Facet::not_asked(),
            resources: known(BTreeMap::new()),
            placements: known(vec![]),
        };
        observation.ha = known(ha);
        observation
    };
    assert!(refusals(&with_ha(seen(&[canary::TAG], GuestRun::Running))).is_empty());
    let others = refusals(&with_ha(seen(&["web"], GuestRun::Running)));
    assert_eq!(others[0].code, Code::CanaryNotOurs);
    // Whether HA looks after it must be known.
    assert_eq!(
        refusals(&seen(&[canary::TAG], GuestRun::Running))[0].code,
        Code::FacetUnknown
    );
    let state = |observation: &Observation| destroy(|destroy, node| destroy.state(node, observation));
    assert!(matches!(state(&bare()), State::Reached(_)));
    assert_eq!(state(&seen(&[canary::TAG], GuestRun::Running)), State::Untouched);
}
