use quorate_model::Timestamp;
use quorate_model::facet::Facet;
use quorate_model::lost::LostCopy;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::ha::HaResource;
use quorate_model::observation::{Guest, GuestRun, GuestStatus, Ha, ReplicationJob};
use quorate_model::operation::Action;

use super::super::of;
use super::*;
use crate::operations::actions::testing::{config, member};

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, Timestamp(0))
}

fn action() -> Action {
    Action::TakeGuest {
        cluster: "hk1".parse().unwrap(),
        guest: 100,
        kind: GuestKind::Vm,
        lost: "prox1".parse().unwrap(),
        jobs: ["100-0".parse().unwrap()].into(),
        copy: LostCopy::Of(Timestamp(0)),
        starts: true,
        seen_off: false,
    }
}

/// prox2 of three; prox1 is away, and guest 100 is this one's.
fn seen(owner: &str) -> Observation {
    let mut seen = Observation::empty("prox2", Timestamp(0));
    let guest = Guest {
        vmid: 100,
        node: owner.to_owned(),
        kind: GuestKind::Vm,
    };
    let mut config = config();
    config.guests = known(vec![ConfiguredGuest {
        guest: guest.clone(),
        config: Facet::not_asked(),
    }]);
    config.replication = known(vec![
        ReplicationJob::of("100-0", 100, "prox2"),
        ReplicationJob::of("100-1", 100, "prox3"),
    ]);
    seen.config = known(config);
    let mut cluster = member(&["prox1", "prox2", "prox3"]);
    if let quorate_model::observation::Membership::Member(member) = &mut cluster.membership {
        member.nodes[0].online = false;
    }
    seen.cluster = known(cluster);
    seen.guests = known(vec![guest]);
    seen.running = known(vec![]);
    seen.ha = known(Ha {
        version: Facet::not_asked(),
        watchdog_armed: false,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        manager: Facet::not_asked(),
        resources: known([].into()),
        placements: Facet::not_asked(),
    });
    seen
}

fn against(seen: &Observation) -> Vec<(Code, String)> {
    let found = of(&action()).precheck(&"prox2".parse().unwrap(), seen);
    found
        .into_iter()
        .map(|finding| (finding.code, finding.message))
        .collect()
}

fn changed<T>(facet: &mut Facet<T>) -> &mut T {
    match facet {
        Facet::Known { value, .. } => value,
        Facet::Unknown(_) => panic!("it is known"),
    }
}

#[test]
fn a_guest_of_a_server_that_is_away_is_taken_and_then_it_is_here() {
    let node = "prox2".parse().unwrap();
    assert_eq!(against(&seen("prox1")), []);
    assert_eq!(of(&action()).state(&node, &seen("prox1")), State::Untouched);
    let mut after = seen("prox2");
    after.running = known(vec![GuestStatus {
        vmid: 100,
        kind: GuestKind::Vm,
        run: GuestRun::Stopped,
        uptime_seconds: None,
        memory_used: None,
        memory: quorate_model::ByteSize(1 << 30),
        lock: None,
    }]);
    assert!(matches!(of(&action()).state(&node, &after), State::Reached(_)));
}

#[test]
fn nothing_is_taken_from_a_server_that_is_back_nor_from_ha_nor_what_is_others() {
    let mut back = seen("prox1");
    back.cluster = known(member(&["prox1", "prox2", "prox3"]));
    assert_eq!(against(&back).first().map(|(code, _)| *code), Some(Code::LostNodeAlive));

    let mut managed = seen("prox1");
    changed(&mut changed(&mut managed.ha).resources).insert("vm:100".to_owned(), HaResource::of("started"));
    assert!(against(&managed)[0].1.contains("under HA"), "{:?}", against(&managed));
    changed(&mut changed(&mut managed.ha).resources).insert("vm:100".to_owned(), HaResource::of("ignored"));
    assert_eq!(against(&managed), []);

    assert!(against(&seen("prox3"))[0].1.contains("belongs to prox3"));

    let mut more = seen("prox1");
    let jobs = changed(&mut changed(&mut more.config).replication);
    jobs.push(ReplicationJob::of("100-2", 100, "prox2"));
    assert!(against(&more)[0].1.contains("other jobs"), "{:?}", against(&more));

    let mut blind = seen("prox1");
    blind.ha = Facet::not_asked();
    assert!(!against(&blind).is_empty(), "unknown is not absent");
}
