use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::config::PveConfig;
use quorate_model::observation::guest_config::{GuestConfig, GuestDisk};
use quorate_model::observation::ha::{Ha, HaPlace, HaPlacement, HaResource, ManagerStatus};
use quorate_model::observation::{Guest, GuestStatus, ReplicationJob};
use quorate_model::operation::Action;
use quorate_model::{ByteSize, Timestamp};

use super::super::of;
use super::*;
use crate::operations::actions::testing::member;

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, Timestamp(0))
}

fn action(managed: bool) -> Action {
    Action::MigrateGuest {
        cluster: "hk1".parse().unwrap(),
        guest: 100,
        kind: GuestKind::Vm,
        target: "prox2".parse().unwrap(),
        how: MoveKind::Live,
        managed,
    }
}

fn guest_config() -> GuestConfig {
    GuestConfig {
        name: None,
        memory: ByteSize(1 << 30),
        cpus: Some(1),
        cpu_type: None,
        tags: vec![],
        template: false,
        lock: None,
        starts_at_boot: true,
        agent: false,
        disks: vec![],
        nics: vec![],
        discs: vec![],
        snapshots: vec![],
        bound_by: vec![],
        created: None,
    }
}

fn config(owner: &str, guest: GuestConfig, jobs: Vec<ReplicationJob>) -> PveConfig {
    let guest = ConfiguredGuest {
        guest: owned(owner),
        config: known(guest),
    };
    PveConfig {
        storages: Facet::not_asked(),
        users: Facet::not_asked(),
        tokens: Facet::not_asked(),
        root_tfa: Facet::not_asked(),
        own_certificate: false,
        authorized_keys: Facet::not_asked(),
        firewall: Facet::not_asked(),
        replication: known(jobs),
        ha_placements: Facet::not_asked(),
        ceph_monitors: Facet::not_asked(),
        ceph_daemons: Facet::not_asked(),
        guest_macs: Facet::not_asked(),
        guest_devices: Facet::not_asked(),
        guests: known(vec![guest]),
        qdevice_key: false,
        node_folders: Facet::not_asked(),
        spec: Facet::not_asked(),
        files: Facet::not_asked(),
        datacenter: Facet::not_asked(),
        guest_pools: Facet::not_asked(),
    }
}

fn owned(owner: &str) -> Guest {
    Guest {
        vmid: 100,
        node: owner.to_owned(),
        kind: GuestKind::Vm,
    }
}

fn ha(place: Option<HaPlace>) -> Ha {
    let resource = HaResource::of("started");
    Ha {
        version: Facet::not_asked(),
        watchdog_armed: false,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        resources: known(place.iter().map(|_| ("vm:100".to_owned(), resource.clone())).collect()),
        manager: known(place.map(|place| ManagerStatus {
            master: "prox3".to_owned(),
            at: Timestamp(0),
            nodes: [].into(),
            services: [("vm:100".to_owned(), place)].into(),
            disarm: None,
            maintenance: [].into(),
        })),
        placements: known(vec![]),
    }
}

fn place(node: &str, state: &str, target: Option<&str>) -> HaPlace {
    HaPlace {
        node: node.to_owned(),
        state: state.to_owned(),
        target: target.map(str::to_owned),
        command: None,
        uid: None,
    }
}

/// Guest 100 runs on prox1, which is one of three.
fn seen() -> Observation {
    let mut seen = Observation::empty("prox1", Timestamp(0));
    seen.cluster = known(member(&["prox1", "prox2", "prox3"]));
    seen.guests = known(vec![owned("prox1")]);
    seen.config = known(config("prox1", guest_config(), vec![]));
    seen.ha = known(ha(None));
    seen.running = known(vec![GuestStatus {
        vmid: 100,
        kind: GuestKind::Vm,
        run: GuestRun::Running,
        uptime_seconds: Some(60),
        memory_used: None,
        memory: ByteSize(1 << 30),
        lock: None,
    }]);
    seen
}

fn codes(managed: bool, seen: &Observation) -> Vec<Code> {
    let findings = of(&action(managed)).precheck(&"prox1".parse().unwrap(), seen);
    findings.into_iter().map(|finding| finding.code).collect()
}

fn state(managed: bool, seen: &Observation) -> State {
    of(&action(managed)).state(&"prox1".parse().unwrap(), seen)
}

#[test]
fn what_was_planned_with_must_still_be_so() {
    assert_eq!(codes(false, &seen()), []);
    let with = |change: fn(&mut Observation)| {
        let mut seen = seen();
        change(&mut seen);
        codes(false, &seen)
    };
    assert_eq!(
        with(|seen| seen.guests = known(vec![owned("prox3")])),
        [Code::PlanChanged]
    );
    assert_eq!(
        with(|seen| seen.running = Facet::unknown(UnknownKind::TimedOut, "x")),
        [Code::FacetUnknown]
    );
    assert_eq!(
        with(|seen| seen.cluster = known(member(&["prox1", "prox3"]))),
        [Code::MigrationTarget]
    );
    // PVE's own command would leave it with HA, and say that all is well.
    assert_eq!(
        with(|seen| seen.ha = known(ha(Some(place("prox1", "started", None))))),
        [Code::PlanChanged]
    );
    let bound = |seen: &mut Observation| {
        let mut guest = guest_config();
        guest.bound_by = vec!["hostpci0".into()];
        guest.disks = vec![GuestDisk {
            key: "scsi1".into(),
            backing: Backing::Device("/dev/sdb".into()),
            size: None,
            replicate: true,
            shared: false,
        }];
        seen.config = known(config("prox1", guest, vec![]));
    };
    assert_eq!(with(bound), [Code::GuestCantMove, Code::GuestCantMove]);
    let locked = |seen: &mut Observation| {
        let Facet::Known { value, .. } = &mut seen.running else {
            panic!("known")
        };
        value[0].lock = Some("backup".into());
    };
    assert_eq!(with(locked), [Code::GuestLocked]);
}

#[test]
fn a_running_machine_that_is_replicated_goes_only_to_a_copy() {
    let to = |target: &str| {
        let mut seen = seen();
        let job = ReplicationJob::of("100-0", 100, target);
        seen.config = known(config("prox1", guest_config(), vec![job]));
        codes(false, &seen)
    };
    assert_eq!(to("prox2"), []);
    assert_eq!(to("prox3"), [Code::GuestCantMove]);
}

#[test]
fn one_that_ha_would_move_back_is_not_moved() {
    let bound = |nodes: &[(&str, u32)], strict: bool, failback: Option<bool>| {
        let mut seen = seen();
        let mut ha = ha(Some(place("prox1", "started", None)));
        let Facet::Known {
            value: Some(manager), ..
        } = &mut ha.manager
        else {
            panic!("known")
        };
        manager.nodes = ["prox1", "prox2", "prox3"]
            .map(|node| (node.to_owned(), "online".to_owned()))
            .into();
        ha.placements = known(vec![HaPlacement {
            name: "near".to_owned(),
            kind: HaPlacement::NODES.to_owned(),
            services: vec!["vm:100".to_owned()],
            nodes: nodes
                .iter()
                .map(|(node, class)| ((*node).to_owned(), Some(*class)))
                .collect(),
            strict,
            no_failback: false,
            disabled: false,
            apart: false,
        }]);
        let Facet::Known { value, .. } = &mut ha.resources else {
            panic!("known")
        };
        value.get_mut("vm:100").unwrap().failback = failback;
        seen.ha = known(ha);
        codes(true, &seen)
    };
    assert_eq!(
        bound(&[("prox1", 1), ("prox3", 1)], true, Some(false)),
        [Code::PlanChanged]
    );
    assert_eq!(bound(&[("prox1", 1), ("prox2", 1)], true, None), []);
    assert_eq!(
        bound(&[("prox1", 2), ("prox2", 1)], false, None),
        [Code::PlanChanged],
        "failback"
    );
    assert_eq!(bound(&[("prox1", 2), ("prox2", 1)], false, Some(false)), []);
    assert_eq!(bound(&[("prox1", 1)], false, Some(false)), [], "not strict");
}

#[test]
fn one_is_not_moved_where_something_is_held_of_it_or_of_one_that_goes_along() {
    let held = |guest: u32, along: bool| {
        let mut seen = seen();
        let kept = ReplicationJob {
            disabled: true,
            comment: Some(quorate_model::held::Held::now("prox2", Timestamp(0)).comment()),
            ..ReplicationJob::of(format!("{guest}-0"), guest, "prox2")
        };
        seen.config = known(config("prox1", guest_config(), vec![kept]));
        let mut ha = ha(Some(place("prox1", "started", None)));
        ha.placements = known(vec![HaPlacement {
            name: "pair".to_owned(),
            kind: HaPlacement::TOGETHER_OR_APART.to_owned(),
            services: vec!["vm:100".to_owned(), "vm:101".to_owned()],
            nodes: [].into(),
            strict: false,
            no_failback: false,
            disabled: !along,
            apart: false,
        }]);
        seen.ha = known(ha);
        codes(true, &seen)
    };
    assert_eq!(held(100, false), [Code::CopyHeld]);
    assert_eq!(held(101, true), [Code::CopyHeld]);
    assert_eq!(held(101, false), []);
}

#[test]
fn where_it_is_is_seen_by_its_owner_its_lock_and_ha() {
    assert_eq!(state(false, &seen()), State::Untouched);
    let moved = |lock: Option<&str>| {
        let mut seen = seen();
        let mut guest = guest_config();
        guest.lock = lock.map(str::to_owned);
        seen.guests = known(vec![owned("prox2")]);
        seen.config = known(config("prox2", guest, vec![]));
        seen
    };
    assert!(matches!(state(false, &moved(None)), State::Reached(_)));
    let State::Between(why) = state(false, &moved(Some("migrate"))) else {
        panic!("a lock that was left behind is not the end")
    };
    assert!(why.contains("locked (migrate)"), "{why}");
    let by_ha = |seen: Observation, place: HaPlace| {
        let mut seen = seen;
        seen.ha = known(ha(Some(place)));
        state(true, &seen)
    };
    assert_eq!(by_ha(seen(), place("prox1", "started", None)), State::Untouched);
    assert!(matches!(
        by_ha(seen(), place("prox1", "migrate", Some("prox2"))),
        State::Between(_)
    ));
    // The configuration is there already, and HA has not read the result yet.
    assert!(matches!(
        by_ha(moved(None), place("prox1", "migrate", Some("prox2"))),
        State::Between(_)
    ));
    assert!(matches!(
        by_ha(moved(None), place("prox2", "started", None)),
        State::Reached(_)
    ));
}

#[test]
fn one_that_ha_moves_there_already_is_not_moved_again() {
    let mut seen = seen();
    seen.ha = known(ha(Some(place("prox1", "migrate", Some("prox2")))));
    let node = "prox1".parse().unwrap();
    assert!(of(&action(true)).is_begun(&node, &seen));
    seen.ha = known(ha(Some(place("prox1", "migrate", Some("prox3")))));
    assert!(!of(&action(true)).is_begun(&node, &seen));
}

#[test]
fn what_failed_is_told_by_its_kind() {
    let read = |stderr: &str| {
        let output = Output {
            stdout: "begins to change something\n".to_owned(),
            stderr: stderr.to_owned(),
        };
        let said = of(&action(false)).read(&"prox1".parse().unwrap(), &output);
        assert!(!said.success && said.changed);
        (said.findings[0].code, said.findings[0].next.clone())
    };
    assert_eq!(read("migration aborted: PVE's task failed\n").0, Code::MigrationFailed);
    let (code, next) = read("migration problems: PVE's task failed\n");
    assert_eq!(code, Code::MigrationHalfway);
    assert!(next.contains("quorate guests 100"), "{next}");
    let (code, next) = read("can't lock file '/var/lock/pve-manager/pve-migrate-100' - got timeout\n");
    assert_eq!(code, Code::GuestLocked);
    assert!(next.contains("replication") && next.contains("qm unlock 100"), "{next}");
}
