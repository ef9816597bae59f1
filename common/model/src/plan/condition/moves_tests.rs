//! What can't be told is no leave to restart a server, and a guest that is paused is neither gone nor without memory.

use super::tests::{AT, hk1, node, nodes, view};
use super::{Condition, Verdict};
use crate::ByteSize;
use crate::facet::{Facet, UnknownKind};
use crate::observation::cluster::{Member, Votes};
use crate::observation::system::{AgentState, ClockState, Cpu, Memory};
use crate::observation::{Guest, GuestKind, GuestRun, GuestStatus, Ha, PveConfig, System};
use crate::view::View;

const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];
const GIB: u64 = 1 << 30;

fn spare() -> Condition {
    Condition::Spare {
        cluster: hk1(),
        node: node("prox1"),
        others: nodes(&["prox2", "prox3"]),
    }
}

fn votes(member: &mut Member) -> &mut Votes {
    match &mut member.votes {
        Facet::Known { value, .. } => value,
        Facet::Unknown(unknown) => panic!("{unknown}"),
    }
}

fn system(available: u64) -> System {
    System {
        pve: Facet::not_asked(),
        os: String::new(),
        kernel: String::new(),
        boot_id: "boot".to_owned(),
        uptime_seconds: 60,
        cpu: Cpu {
            model: String::new(),
            threads: 4,
            load: [0.0; 3],
        },
        memory: Memory {
            total: ByteSize(64 * GIB),
            available: ByteSize(available),
            swap_total: ByteSize(0),
            swap_free: ByteSize(0),
        },
        clock: ClockState {
            now: AT,
            synchronised: Facet::not_asked(),
        },
        reboot_needed: None,
        agent: AgentState {
            version: String::new(),
            memory: ByteSize(0),
            uptime_seconds: 1,
            port: None,
            measure_ports: None,
        },
        tasks: Facet::not_asked(),
    }
}

fn runs(run: GuestRun) -> GuestStatus {
    GuestStatus {
        vmid: 100,
        kind: GuestKind::Vm,
        run,
        uptime_seconds: Some(60),
        memory_used: None,
        memory: ByteSize(8 * GIB),
        lock: None,
    }
}

/// Three members in the best of health, of which the first owns guest 100, and the others have so much memory left.
fn healthy(run: GuestRun, available: u64) -> View {
    let mut all = view(&THREE, |_, member| {
        let votes = votes(member);
        (votes.total, votes.expected) = (3, 3);
    });
    for (name, seen) in &mut all.nodes {
        let Ok(seen) = &mut seen.observation else {
            panic!("it answers")
        };
        let guest = Guest {
            vmid: 100,
            node: "prox1".to_owned(),
            kind: GuestKind::Vm,
        };
        let own = (name.as_str() == "prox1").then(|| runs(run.clone()));
        seen.guests = Facet::known(vec![guest], AT);
        seen.running = Facet::known(own.into_iter().collect(), AT);
        seen.system = Facet::known(system(available), AT);
        seen.ha = Facet::known(without_ha(), AT);
        seen.config = Facet::known(config(), AT);
    }
    all
}

fn without_ha() -> Ha {
    Ha {
        version: Facet::not_asked(),
        watchdog_armed: false,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        manager: Facet::known(None, AT),
        resources: Facet::known([].into(), AT),
        placements: Facet::not_asked(),
    }
}

/// No job, and nothing else that is looked at.
fn config() -> PveConfig {
    PveConfig {
        storages: Facet::not_asked(),
        users: Facet::not_asked(),
        tokens: Facet::not_asked(),
        root_tfa: Facet::not_asked(),
        own_certificate: false,
        authorized_keys: Facet::not_asked(),
        firewall: Facet::not_asked(),
        replication: Facet::known(vec![], AT),
        ha_placements: Facet::not_asked(),
        ceph_monitors: Facet::known(None, AT),
        ceph_daemons: Facet::known(vec![], AT),
        guest_macs: Facet::not_asked(),
        guest_devices: Facet::not_asked(),
        guests: Facet::not_asked(),
        qdevice_key: false,
        node_folders: Facet::not_asked(),
        spec: Facet::not_asked(),
        files: Facet::not_asked(),
        datacenter: Facet::not_asked(),
        guest_pools: Facet::not_asked(),
    }
}

fn member_of<'v>(view: &'v mut View, name: &str) -> &'v mut Member {
    let seen = view
        .nodes
        .get_mut(&node(name))
        .and_then(|seen| seen.observation.as_mut().ok());
    let cluster = seen.map(|seen| &mut seen.cluster);
    match cluster {
        Some(Facet::Known { value, .. }) => match &mut value.membership {
            crate::observation::Membership::Member(member) => member,
            _ => panic!("{name} is no member"),
        },
        _ => panic!("{name} is not seen"),
    }
}

#[test]
fn a_cluster_in_the_best_of_health_can_do_without_one() {
    let verdict = spare().judge(&healthy(GuestRun::Running, 16 * GIB));
    assert!(verdict.holds(), "{verdict:?}");
}

#[test]
fn votes_that_nobody_told_are_no_votes_to_spare() {
    let mut unseen = healthy(GuestRun::Stopped, 16 * GIB);
    member_of(&mut unseen, "prox3").votes = Facet::unknown(UnknownKind::TimedOut, "corosync-quorumtool took 5 s");
    let Verdict::Unknown(why) = spare().judge(&unseen) else {
        panic!("nobody can tell");
    };
    assert!(why.contains("prox3: corosync-quorumtool took 5 s"), "{why}");

    // Its own votes are in corosync.conf: where it is missing there, it is not taken to have one.
    let mut missing = healthy(GuestRun::Stopped, 16 * GIB);
    member_of(&mut missing, "prox2")
        .configured
        .retain(|node| node.name != "prox1");
    let Verdict::Unknown(why) = spare().judge(&missing) else {
        panic!("nobody can tell");
    };
    assert!(why.contains("does not say how many votes prox1 has"), "{why}");

    let mut just_enough = healthy(GuestRun::Stopped, 16 * GIB);
    votes(member_of(&mut just_enough, "prox2")).total = 2;
    let verdict = spare().judge(&just_enough);
    assert!(
        matches!(&verdict, Verdict::NotYet(why) if why.contains("fewer than the 2")),
        "{verdict:?}"
    );
}

#[test]
fn a_paused_guest_takes_its_memory_with_it_and_a_stopped_one_does_not() {
    let room = |run, available| spare().judge(&healthy(run, available));
    let paused = || GuestRun::Held("paused".to_owned());
    assert!(room(paused(), 16 * GIB).holds());
    let verdict = room(paused(), 4 * GIB);
    assert!(
        matches!(&verdict, Verdict::NotYet(why) if why.contains("for which no other node has memory")),
        "{verdict:?}"
    );
    assert!(room(GuestRun::Stopped, 4 * GIB).holds());
}

#[test]
fn a_paused_guest_is_neither_running_nor_stopped_nor_gone() {
    let paused = healthy(GuestRun::Held("paused".to_owned()), 16 * GIB);
    let at = |running| Condition::GuestAt {
        cluster: hk1(),
        guest: 100,
        kind: GuestKind::Vm,
        node: node("prox1"),
        seen_by: nodes(&["prox2"]),
        running,
        managed: false,
    };
    for running in [true, false] {
        let verdict = at(running).judge(&paused);
        assert!(
            matches!(&verdict, Verdict::NotYet(why) if why.contains("has guest 100 paused")),
            "{verdict:?}"
        );
    }
    let drained = Condition::Drained { node: node("prox1") };
    let verdict = drained.judge(&paused);
    assert!(
        matches!(&verdict, Verdict::NotYet(why) if why.contains("still has guest 100 paused")),
        "{verdict:?}"
    );
    assert!(drained.judge(&healthy(GuestRun::Stopped, 0)).holds());
}
