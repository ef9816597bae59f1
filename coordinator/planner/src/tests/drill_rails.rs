//! What speaks against a drill: each rail where it fires, and one drill against which nothing speaks.

use std::collections::BTreeSet;

use quorate_model::drill::{DrillKind, Lasting, Timing};
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::fault::Fault;
use quorate_model::hold::{Frozen, Hold};
use quorate_model::observation::guest_config::GuestNic;
use quorate_model::observation::ha::{Disarm, HaPlace, HaPlacement, HaResource, LrmStatus, ManagerStatus};
use quorate_model::observation::{FacetName, Observation};
use quorate_model::size::ByteSize;
use quorate_model::{Code, Severity, Timestamp};

use super::protection::jobs;
use crate::drill::{Around, CANARY, Preview, Request, preview};
use crate::testkit::{self, NOW, Servers, Vm, known, name, unseen};

pub(super) const LINKS: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];
const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

pub(super) fn canary() -> Vm {
    let mut vm = Vm::running(100, "prox1");
    vm.config.tags = vec![CANARY.to_owned()];
    vm
}

pub(super) fn rule(services: &[&str], nodes: &[&str]) -> HaPlacement {
    HaPlacement {
        name: "quorate-100".to_owned(),
        kind: HaPlacement::NODES.to_owned(),
        services: services.iter().map(|sid| (*sid).to_owned()).collect(),
        nodes: nodes.iter().map(|node| ((*node).to_owned(), None)).collect(),
        strict: true,
        no_failback: true,
        disabled: false,
        apart: false,
    }
}

fn ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

/// Three members; these guests, of which `under_ha` are so and started; prox3 is HA's master.
pub(super) fn servers(guests: &[Vm], under_ha: &[u32]) -> Servers {
    let place = |vm: &Vm| HaPlace {
        node: vm.guest.node.clone(),
        state: "started".to_owned(),
        target: None,
        command: None,
        uid: None,
    };
    let managed = || guests.iter().filter(|vm| under_ha.contains(&vm.guest.vmid));
    let manager = ManagerStatus {
        master: "prox3".to_owned(),
        at: ago(5),
        nodes: ALL.map(|node| (node.to_owned(), "online".to_owned())).into(),
        services: managed()
            .map(|vm| (format!("vm:{}", vm.guest.vmid), place(vm)))
            .collect(),
        disarm: None,
        maintenance: BTreeSet::new(),
    };
    let status = LrmStatus {
        state: "active".to_owned(),
        mode: "active".to_owned(),
        at: ago(5),
    };
    Servers::bare(3)
        .members("hk1", &ALL, LINKS)
        .housing(guests)
        .with_jobs(&jobs())
        .of_pve("9.2.11")
        .with_shared_ha(|ha| {
            for vm in managed() {
                known(&mut ha.resources).insert(format!("vm:{}", vm.guest.vmid), HaResource::of("started"));
            }
            ha.version = Facet::known("5.2.0".to_owned(), NOW);
            ha.manager = Facet::known(Some(manager.clone()), NOW);
            ha.lrm_status = Facet::known(Some(status.clone()), NOW);
            ha.placements = Facet::known(vec![rule(&["vm:100"], &ALL)], NOW);
        })
        .with_ha("prox1", |ha| ha.watchdog_armed = true)
        .with_each(|seen| known(&mut seen.config).ceph_monitors = Facet::known(None, NOW))
}

pub(super) fn usual() -> Servers {
    servers(&[canary()], &[100])
}

pub(super) fn request() -> Request {
    Request {
        name: None,
        fault: Fault::Network,
        kind: DrillKind::Failover,
        lasts: Lasting::seconds(300),
        node: name("prox1"),
        guest: 100,
        risked: BTreeSet::new(),
        confirmed: Some("hk1/prox1".to_owned()),
        accepted: vec![],
        scheduled: false,
        windows: vec![],
    }
}

pub(super) fn around() -> Around {
    Around {
        now: NOW,
        rollout: None,
        hold: Hold::default(),
        running: None,
        last: None,
        tasks: Facet::known(vec![], NOW),
        ceph: Facet::not_asked(),
        timing: Facet::known(
            Timing {
                token: Some(3000),
                coefficient: Some(650),
                ..Timing::unknown(0)
            },
            NOW,
        ),
        boot: None,
    }
}

pub(super) fn seen(servers: &Servers, request: &Request, around: &Around) -> Preview {
    preview(&testkit::file(3, LINKS), &servers.view, request, around)
}

/// Codes of what refuses.
pub(super) fn refusals(preview: &Preview) -> Vec<Code> {
    let refusing = preview.findings.iter().filter(|finding| finding.refuses());
    let mut codes: Vec<Code> = refusing.map(|finding| finding.code).collect();
    codes.dedup();
    codes
}

pub(super) fn of(servers: &Servers) -> Vec<Code> {
    refusals(&seen(servers, &request(), &around()))
}

pub(super) fn asked(change: impl FnOnce(&mut Request)) -> Vec<Code> {
    let mut request = request();
    change(&mut request);
    refusals(&seen(&usual(), &request, &around()))
}

fn while_(change: impl FnOnce(&mut Around)) -> Vec<Code> {
    let mut around = around();
    change(&mut around);
    refusals(&seen(&usual(), &request(), &around))
}

#[test]
fn nothing_speaks_against_a_canary_of_a_healthy_cluster() {
    let seen = seen(&usual(), &request(), &around());
    assert_eq!(seen.findings, [], "{:#?}", seen.findings);
    assert_eq!(seen.recovered, BTreeSet::from([100]));
    assert_eq!(
        (seen.circumstances.master, seen.circumstances.armed),
        (Some(false), Some(true))
    );
    assert_eq!(seen.circumstances.timing.nodes, 3);
    assert!(seen.before.is_empty() && seen.after.is_empty());
}

#[test]
fn every_finding_says_what_to_do_next() {
    let broken = usual()
        .with_ha("prox1", |ha| ha.watchdog_armed = false)
        .with_shared_ha(|ha| ha.placements = Facet::known(vec![], NOW))
        .unreachable("prox3");
    let seen = seen(
        &broken,
        &Request {
            confirmed: None,
            ..request()
        },
        &around(),
    );
    assert!(seen.refused());
    for finding in &seen.findings {
        assert!(!finding.next.is_empty() && !finding.message.is_empty(), "{finding:?}");
        let overridable = finding.code.entry().overridable && finding.severity == Severity::Refusal;
        assert_eq!(finding.next.contains("--accept QRT-"), overridable, "{finding:?}");
    }
}

#[test]
fn what_the_operator_says_and_does_not_say() {
    assert_eq!(asked(|r| r.confirmed = None), [Code::DrillNotConfirmed]);
    assert_eq!(
        asked(|r| r.confirmed = Some("hk1/prox2".to_owned())),
        [Code::DrillNotConfirmed]
    );
    assert_eq!(asked(|r| r.lasts = Lasting::seconds(60)), [Code::DrillHalfLong]);
    let longer = asked(|r| {
        r.fault = Fault::Guest { guest: 100 };
        r.lasts = Lasting::seconds(601);
    });
    assert!(longer.contains(&Code::DrillHalfLong), "{longer:?}");
    assert_eq!(
        asked(|r| r.fault = "power:off".parse().unwrap()),
        [Code::DrillNeedsPerson]
    );
    assert_eq!(
        asked(|r| {
            r.fault = "power:off".parse().unwrap();
            r.accepted = vec![Code::DrillNeedsPerson, Code::DrillNotConfirmed];
        }),
        []
    );
    // What may never be accepted is not, however often it is said.
    assert_eq!(
        asked(|r| {
            r.confirmed = None;
            r.accepted = vec![Code::DrillNotConfirmed];
        }),
        [Code::DrillNotConfirmed]
    );
}

#[test]
fn what_else_runs() {
    assert_eq!(while_(|a| a.rollout = Some("r-1".to_owned())), [Code::RolloutRunning]);
    assert_eq!(while_(|a| a.running = Some("drill 7".to_owned())), [Code::DrillRunning]);
    assert_eq!(
        while_(|a| a.last = Some(("drill 6".to_owned(), ago(1200)))),
        [Code::DrillRecent]
    );
    assert_eq!(while_(|a| a.last = Some(("drill 6".to_owned(), ago(7200)))), []);
    assert_eq!(
        while_(|a| a.tasks = Facet::known(vec!["vzdump of 101 on prox2".to_owned()], NOW)),
        [Code::DrillBusy]
    );
    assert_eq!(while_(|a| a.tasks = unseen()), [Code::DrillUnseen]);
    let frozen = Frozen {
        by: "kim".to_owned(),
        since: NOW,
        reason: String::new(),
    };
    assert_eq!(while_(|a| a.hold.frozen = Some(frozen)), [Code::ClusterFrozen]);
    let closed = vec!["mon 00:00-mon 00:01".parse().unwrap()];
    assert_eq!(while_(|a| a.hold.windows = closed), [Code::OutsideWindow]);
    let mut locked = canary();
    locked.config.lock = Some("backup".to_owned());
    assert_eq!(of(&servers(&[locked], &[100])), [Code::DrillBusy]);
}

#[test]
fn members_and_votes_as_they_are_now() {
    assert!(of(&usual().offline("prox3")).contains(&Code::DrillMemberOff));
    assert!(of(&usual().offline("prox3")).contains(&Code::DrillLosesQuorum));
    assert!(of(&usual().unreachable("prox3")).contains(&Code::DrillMemberOff));
    assert!(asked(|r| r.node = name("prox9")).contains(&Code::DrillMemberOff));
    let unseen_votes = usual().with_each(|seen| {
        if let quorate_model::observation::Membership::Member(member) = &mut known(&mut seen.cluster).membership {
            member.votes = unseen();
        }
    });
    assert_eq!(of(&unseen_votes), [Code::DrillUnseen]);
    let nobody = usual().unreachable("prox2").unreachable("prox3");
    assert_eq!(of(&nobody), [Code::DrillUnseen]);
}

#[test]
fn those_who_are_left_must_reach_one_another() {
    let cut = |servers: Servers, node: &str, peer: u32, links: &[u8]| {
        servers.with_member(node, |member| {
            for link in known(&mut member.links).iter_mut().filter(|link| link.peer == peer) {
                link.connected &= !links.contains(&link.number);
            }
        })
    };
    let apart = cut(cut(usual(), "prox2", 3, &[0, 1]), "prox3", 2, &[0, 1]);
    let codes = of(&apart);
    assert!(
        codes.contains(&Code::DrillLosesQuorum) && codes.contains(&Code::DrillLinkDown),
        "{codes:?}"
    );
    let one_down = cut(usual(), "prox2", 3, &[1]);
    assert_eq!(of(&one_down), [Code::DrillLinkDown]);
    let link = |number: u8, servers: &Servers| {
        let request = Request {
            fault: Fault::Link { link: number },
            ..request()
        };
        refusals(&seen(servers, &request, &around()))
    };
    assert_eq!(link(0, &usual()), []);
    assert_eq!(link(5, &usual()), [Code::DrillLastLink]);
    assert!(link(0, &cut(usual(), "prox1", 2, &[1])).contains(&Code::DrillLastLink));
}

#[test]
fn two_servers_without_a_third_vote_are_never_drilled() {
    let two = |servers: Servers| {
        let mut canary = canary();
        canary.config.tags = vec![CANARY.to_owned()];
        let all = servers.housing(&[canary]);
        let request = Request {
            fault: Fault::Corosync,
            ..request()
        };
        preview(&testkit::file(2, LINKS), &all.view, &request, &around())
    };
    let names = ["prox1", "prox2"];
    let without = two(Servers::bare(2).members("hk1", &names, LINKS));
    let codes = refusals(&without);
    assert!(
        codes.contains(&Code::DrillTwoServers) && codes.contains(&Code::DrillLosesQuorum),
        "{codes:?}"
    );
    let with = two(Servers::bare(2).members("hk1", &names, LINKS).qdevice(testkit::VOTE));
    let told = with
        .findings
        .iter()
        .find(|finding| finding.code == Code::DrillTwoServers)
        .unwrap();
    assert_eq!(told.severity, Severity::Warning);
    assert!(!refusals(&with).contains(&Code::DrillLosesQuorum));
}

#[test]
fn ha_must_be_at_work_and_the_watchdog_armed() {
    let manager = |change: fn(&mut ManagerStatus)| {
        usual().with_shared_ha(move |ha| {
            if let Some(manager) = known(&mut ha.manager) {
                change(manager);
            }
        })
    };
    assert_eq!(
        of(&usual().with_ha("prox1", |ha| ha.watchdog_armed = false)),
        [Code::DrillWatchdogOff]
    );
    let disarmed = of(&manager(|m| {
        m.disarm = Some(Disarm {
            mode: "freeze".to_owned(),
            state: "disarmed".to_owned(),
        });
    }));
    assert!(disarmed.contains(&Code::DrillHaAtRest), "{disarmed:?}");
    let resting = of(&manager(|m| {
        m.maintenance.insert("prox2".to_owned());
    }));
    assert_eq!(resting, [Code::DrillHaAtRest]);
    let stopped = usual().with_ha("prox1", |ha| ha.lrm = Facet::known(testkit::service(false), NOW));
    assert_eq!(of(&stopped), [Code::DrillHaAtRest]);
    let silent = usual().with_ha("prox2", |ha| {
        if let Some(status) = known(&mut ha.lrm_status) {
            status.at = ago(45);
        }
    });
    assert_eq!(of(&silent), [Code::DrillHaSilent]);
    // What HA would do with the guest can't be told then either.
    assert_eq!(
        of(&manager(|m| m.at = ago(45))),
        [Code::DrillGuestNotInHa, Code::DrillHaSilent]
    );
    let busy = of(&manager(|m| {
        for place in m.services.values_mut() {
            place.command = Some("migrate".to_owned());
        }
    }));
    assert!(busy.contains(&Code::HaBusy), "{busy:?}");
    let unknown = manager(|m| drop(m.nodes.insert("prox2".to_owned(), "unknown".to_owned())));
    assert_eq!(of(&unknown), [Code::HaBusy]);
    assert_eq!(
        of(&usual().with_shared_ha(|ha| ha.manager = unseen())),
        [Code::DrillUnseen]
    );
}

#[test]
fn that_the_victim_is_the_master_is_said_and_no_more() {
    let master = usual().with_shared_ha(|ha| {
        if let Some(manager) = known(&mut ha.manager) {
            manager.master = "prox1".to_owned();
        }
    });
    let seen = seen(&master, &request(), &around());
    assert!(!seen.refused(), "{:?}", seen.findings);
    let codes: Vec<Code> = seen.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::DrillHaMaster]);
    assert_eq!(seen.circumstances.master, Some(true));
}

#[test]
fn the_guest_must_be_there_ours_and_started_elsewhere() {
    assert_eq!(asked(|r| r.guest = 999), [Code::DrillGuestElsewhere]);
    let elsewhere = Vm::running(100, "prox2");
    assert!(of(&servers(&[elsewhere], &[100])).contains(&Code::DrillGuestElsewhere));
    assert!(of(&usual().stopped(100)).contains(&Code::DrillGuestElsewhere));
    let theirs = servers(&[Vm::running(100, "prox1")], &[100]);
    assert_eq!(of(&theirs), [Code::DrillNotCanary]);
    let risked = Request {
        risked: BTreeSet::from([100]),
        ..request()
    };
    assert_eq!(refusals(&seen(&theirs, &risked, &around())), []);
    let unmanaged = of(&servers(&[canary()], &[]));
    assert!(unmanaged.contains(&Code::DrillGuestNotInHa), "{unmanaged:?}");
}

#[test]
fn copies_must_be_where_ha_may_put_it_and_young() {
    let none = usual().with_jobs(&[]);
    assert_eq!(of(&none), [Code::DrillNoCopy]);
    let one = usual().with_jobs(&jobs()[..1]);
    let codes = of(&one);
    assert!(codes.contains(&Code::DrillCopyMissing), "{codes:?}");
    let unbound = usual().with_shared_ha(|ha| ha.placements = Facet::known(vec![], NOW));
    assert_eq!(of(&unbound), [Code::DrillNoStrictRule]);
    let late = usual().with("prox1", |seen| {
        for state in known(&mut seen.replication) {
            state.last_sync = Some(ago(3600));
        }
    });
    assert_eq!(of(&late), [Code::DrillCopyStale]);
    let failing = usual().with("prox1", |seen| {
        for state in known(&mut seen.replication) {
            state.failures = 2;
        }
    });
    assert_eq!(of(&failing), [Code::DrillCopyStale]);
    let never = usual().with("prox1", |seen| seen.replication = Facet::known(vec![], NOW));
    assert_eq!(of(&never), [Code::DrillNoCopy]);
    assert_eq!(
        of(&usual().with("prox1", |seen| seen.replication = unseen())),
        [Code::DrillUnseen]
    );
}

#[test]
fn the_others_need_room() {
    let memory = |gib: u64| {
        usual().with_each(move |seen| {
            if seen.hostname != "prox1" {
                known(&mut seen.system).memory.total = ByteSize(gib << 29);
            }
        })
    };
    assert_eq!(of(&memory(3)), [Code::DrillNoRoom]);
    assert_eq!(of(&memory(5)), [Code::DrillLittleRoom]);
    assert_eq!(
        of(&usual().with("prox2", |seen| seen.running = unseen())),
        [Code::DrillUnseen]
    );
}

#[test]
fn the_coordinator_must_not_be_hit() {
    let mut on_it = usual();
    on_it.view.coordinator_on = Some(name("prox1"));
    assert_eq!(of(&on_it), [Code::DrillCoordinatorOnNode]);
    let mut housing = Vm::running(300, "prox1");
    housing.config.nics = vec![GuestNic {
        key: "net0".to_owned(),
        bridge: Some("vmbr0".to_owned()),
        vlan: None,
        mac: Some("bc:24:11:00:00:01".to_owned()),
    }];
    let mut in_guest = servers(&[canary(), housing], &[100]);
    in_guest.view.coordinator_macs = BTreeSet::from(["bc:24:11:00:00:01".to_owned()]);
    assert_eq!(of(&in_guest), [Code::DrillCoordinatorOnNode]);
}

#[test]
fn versions_that_nobody_knows_are_not_drilled() {
    assert_eq!(of(&usual().of_pve("9.9.1")), [Code::DrillVersion]);
    let unknown = usual().with_system("prox2", |system| {
        system.pve = Facet::unknown(UnknownKind::TimedOut, "no answer");
    });
    assert_eq!(of(&unknown), [Code::DrillUnseen]);
}

#[test]
fn one_that_runs_by_itself_needs_more() {
    let scheduled = |change: fn(&mut Request)| {
        asked(move |request| {
            request.scheduled = true;
            request.confirmed = None;
            change(request);
        })
    };
    assert_eq!(scheduled(|_| {}), []);
    assert_eq!(
        scheduled(|r| r.accepted = vec![Code::DrillRecent]),
        [Code::DrillNotScheduled]
    );
    assert_eq!(
        scheduled(|r| r.risked = BTreeSet::from([101])),
        [Code::DrillNotScheduled]
    );
    let off = scheduled(|r| r.fault = "power:shutdown".parse().unwrap());
    assert!(off.contains(&Code::DrillNotScheduled), "{off:?}");
    assert_eq!(
        scheduled(|r| r.windows = vec!["mon 00:00-mon 00:01".parse().unwrap()]),
        [Code::OutsideWindow]
    );
    let theirs = servers(&[Vm::running(100, "prox1")], &[100]);
    let request = Request {
        scheduled: true,
        ..request()
    };
    assert_eq!(refusals(&seen(&theirs, &request, &around())), [Code::DrillNotScheduled]);
}

#[test]
fn a_blip_needs_no_copies_and_no_canary() {
    let theirs = servers(&[Vm::running(100, "prox1")], &[]).with_jobs(&[]);
    let blip = Request {
        kind: DrillKind::Blip,
        lasts: Lasting::seconds(15),
        ..request()
    };
    assert_eq!(refusals(&seen(&theirs, &blip, &around())), []);
    assert!(refusals(&seen(&theirs.offline("prox3"), &blip, &around())).contains(&Code::DrillLosesQuorum));
}

fn blind(seen: &mut Observation, facet: FacetName) {
    match facet {
        FacetName::System => seen.system = unseen(),
        FacetName::Network => seen.network = unseen(),
        FacetName::Cluster => seen.cluster = unseen(),
        FacetName::Guests => seen.guests = unseen(),
        FacetName::Running => seen.running = unseen(),
        FacetName::Replication => seen.replication = unseen(),
        FacetName::Ha => seen.ha = unseen(),
        FacetName::Config => seen.config = unseen(),
        FacetName::Storages => seen.storages = unseen(),
        FacetName::Disks | FacetName::Pools | FacetName::Readiness | FacetName::Strays | FacetName::Backups => {
            unreachable!("no drill looks at it")
        }
    }
}

#[test]
fn whatever_can_t_be_seen_refuses_and_is_named() {
    for facet in crate::drill::NEEDS {
        let all = usual().with_each(|seen| blind(seen, facet));
        let seen = seen(&all, &request(), &around());
        let told = seen.findings.iter().find(|finding| finding.code == Code::DrillUnseen);
        let told = told.unwrap_or_else(|| panic!("{facet:?}: {:#?}", seen.findings));
        assert!(told.refuses() && !told.message.is_empty(), "{facet:?}: {told:?}");
    }
    // What only the victim could have told.
    for facet in [
        FacetName::System,
        FacetName::Cluster,
        FacetName::Ha,
        FacetName::Running,
        FacetName::Replication,
    ] {
        let victim = usual().with("prox1", |seen| blind(seen, facet));
        assert!(seen(&victim, &request(), &around()).refused(), "{facet:?}");
    }
}
