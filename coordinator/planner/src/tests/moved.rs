//! Guests that are moved, servers that are drained, and a roll through all of them: every guest is accounted for before anything is done.

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::moves::Moves;
use quorate_model::observation::guest_config::{Backing, GuestDisk};
use quorate_model::observation::ha::ManagerStatus;
use quorate_model::observation::{GuestKind, GuestRun, ReplicationJob, ReplicationState};
use quorate_model::plan::{Condition, Plan, Verdict};
use quorate_model::view::Rest;
use quorate_model::{Code, Finding, Timestamp, Wish};

use super::{afterwards, told, wished};
use crate::testkit::{self, NOW, Servers, Vm, known, name, unseen};

const LINKS: &[&str] = &["10.10.10.0/24"];

fn wish(moves: Moves) -> Wish {
    Wish {
        moves: Some(moves),
        ..Wish::default()
    }
}

pub(super) fn migrate(guest: u32, target: &str) -> Wish {
    wish(Moves::Migrate {
        guest,
        target: name(target),
    })
}

pub(super) fn drain(node: &str, stop: &[u32]) -> Wish {
    wish(Moves::Drain {
        node: name(node),
        stop: stop.iter().copied().collect(),
    })
}

pub(super) fn roll(nodes: &[&str], stop: &[u32]) -> Wish {
    wish(Moves::Reboot {
        nodes: nodes.iter().map(|node| name(node)).collect(),
        stop: stop.iter().copied().collect(),
    })
}

/// Three members with these guests, each with a boot of its own.
pub(super) fn servers(guests: &[Vm]) -> Servers {
    let all = ["prox1", "prox2", "prox3"];
    let mut servers = Servers::bare(3).members("hk1", &all, LINKS).housing(guests);
    for node in all {
        servers = servers.with_system(node, |system| system.boot_id = format!("boot-of-{node}"));
    }
    servers
}

pub(super) fn plan(wish: &Wish, servers: &Servers) -> Plan {
    wished(&testkit::file(3, LINKS), wish, servers)
}

fn done(wish: &Wish, servers: &Servers, plan: &Plan) -> Plan {
    afterwards(&testkit::file(3, LINKS), wish, servers, plan)
}

pub(super) fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

/// Of guests and servers that are moved: what refuses.
pub(super) fn refused(plan: &Plan) -> Vec<(Code, &str)> {
    let refusing = plan.findings.iter().filter(|finding| finding.refuses());
    refusing
        .map(|finding| (finding.code, finding.subject.as_str()))
        .collect()
}

pub(super) fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().map(|finding| finding.code).collect()
}

pub(super) fn replicated(servers: Servers, guest: u32, from: &str, to: &[&str]) -> Servers {
    let job = |number: usize, target: &&str| ReplicationJob {
        source: Some(from.to_owned()),
        ..ReplicationJob::of(format!("{guest}-{number}"), guest, *target)
    };
    let jobs: Vec<_> = to
        .iter()
        .enumerate()
        .map(|(number, target)| job(number, target))
        .collect();
    let state = |target: &&str| ReplicationState {
        guest,
        target: (*target).to_owned(),
        last_sync: Some(Timestamp(NOW.0 - 60_000_000)),
        last_try: Some(Timestamp(NOW.0 - 60_000_000)),
        failures: 0,
        took_millis: Some(1000),
        error: None,
        running: false,
        held_since: None,
    };
    let states = to.iter().map(state).collect();
    servers
        .with_each(|seen| known(&mut seen.config).replication = Facet::known(jobs.clone(), NOW))
        .with(from, |seen| seen.replication = Facet::known(states, NOW))
}

#[test]
fn a_machine_moves_live_and_then_nothing_is_left_to_do() {
    let servers = servers(&[Vm::running(100, "prox1"), Vm::running(101, "prox2")]);
    let wish = migrate(100, "prox2");
    let plan = plan(&wish, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    insta::assert_snapshot!(told(&plan));
    let after = done(&wish, &servers, &plan);
    assert!(
        after.is_empty() && codes(&after).contains(&Code::PartDone),
        "{}",
        told(&after)
    );
}

#[test]
fn a_guest_under_ha_is_moved_by_ha() {
    let vm = Vm::running(100, "prox1");
    let servers = servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3");
    let wish = migrate(100, "prox2");
    let plan = plan(&wish, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    insta::assert_snapshot!(told(&plan));
    assert!(done(&wish, &servers, &plan).is_empty());
    let busy = servers.with_each(|seen| {
        let manager = known(&mut known(&mut seen.ha).manager).as_mut().unwrap();
        manager.services.get_mut("vm:100").unwrap().target = Some("prox3".to_owned());
    });
    assert_eq!(refused(&self::plan(&wish, &busy)), [(Code::GuestCantMove, "guest 100")]);
}

#[test]
fn that_a_container_is_down_meanwhile_is_said_before() {
    let servers = servers(&[Vm::container(100, "prox1")]);
    let plan = plan(&migrate(100, "prox2"), &servers);
    let restarts = plan
        .findings
        .iter()
        .find(|finding| finding.code == Code::GuestRestarts)
        .unwrap();
    assert!(
        restarts.message.contains("about ") && restarts.message.contains(" s down"),
        "{restarts}"
    );
    assert!(plan.steps[0].title.contains("by a restart"), "{}", plan.steps[0].title);
}

#[test]
fn what_can_t_be_moved_is_told_with_why() {
    let check = |change: fn(&mut Vm), target: &str| {
        let mut vm = Vm::running(100, "prox1");
        change(&mut vm);
        let plan = plan(&migrate(100, target), &servers(&[vm]));
        assert!(plan.steps.is_empty(), "{}", told(&plan));
        refused(&plan).into_iter().map(|(code, _)| code).collect::<Vec<_>>()
    };
    assert_eq!(
        check(|vm| vm.config.bound_by = vec!["hostpci0".into()], "prox2"),
        [Code::GuestCantMove]
    );
    assert_eq!(check(|vm| vm.config.template = true, "prox2"), [Code::GuestCantMove]);
    assert_eq!(
        check(|vm| vm.config.lock = Some("backup".into()), "prox2"),
        [Code::GuestLocked]
    );
    assert_eq!(
        check(|vm| vm.run = GuestRun::Held("paused".into()), "prox2"),
        [Code::GuestCantMove]
    );
    assert_eq!(check(|_| {}, "prox9"), [Code::MigrationTarget]);
    assert_eq!(
        check(|vm| vm.config.memory = quorate_model::ByteSize(1 << 50), "prox2"),
        [Code::MigrationTarget]
    );
    assert_eq!(
        check(|vm| vm.config.nics[0].bridge = Some("vmbr7".into()), "prox2"),
        [Code::MigrationTarget]
    );
    let other = |vm: &mut Vm| {
        vm.config.disks[0].backing = Backing::Volume {
            storage: "fast".into(),
            volume: "vm-100-disk-0".into(),
        };
    };
    assert_eq!(check(other, "prox2"), [Code::MigrationTarget]);
    let nobody = plan(&migrate(999, "prox2"), &servers(&[]));
    assert_eq!(refused(&nobody), [(Code::GuestAway, "guest 999")]);
}

#[test]
fn a_running_machine_that_is_replicated_goes_only_where_a_copy_is() {
    let servers = replicated(servers(&[Vm::running(100, "prox1")]), 100, "prox1", &["prox2"]);
    let there = plan(&migrate(100, "prox2"), &servers);
    assert!(
        !there.refused() && !codes(&there).contains(&Code::GuestDisksCopied),
        "{}",
        told(&there)
    );
    assert_eq!(
        refused(&plan(&migrate(100, "prox3"), &servers)),
        [(Code::MigrationTarget, "guest 100")]
    );
}

#[test]
fn unknown_is_never_taken_for_fine() {
    let guests = [Vm::running(100, "prox1")];
    let hidden = [
        servers(&guests).with("prox1", |seen| seen.running = unseen()),
        servers(&guests).with("prox2", |seen| seen.storages = unseen()),
        servers(&guests).with_each(|seen| known(&mut seen.config).guests = unseen()),
        servers(&guests).with_each(|seen| known(&mut seen.config).replication = unseen()),
        servers(&guests).with_each(|seen| seen.ha = unseen()),
        servers(&guests).with_each(|seen| {
            seen.cluster = Facet::unknown(UnknownKind::TimedOut, "pmxcfs hangs");
        }),
    ];
    for servers in hidden {
        let plan = plan(&migrate(100, "prox2"), &servers);
        assert!(plan.refused() && plan.steps.is_empty(), "{}", told(&plan));
    }
}

#[test]
fn a_server_is_drained_of_all_that_runs() {
    let ha = Vm::running(100, "prox1");
    let template = {
        let mut vm = Vm::running(103, "prox1").stopped();
        vm.config.template = true;
        vm
    };
    let guests = [
        ha.clone(),
        Vm::running(101, "prox1"),
        Vm::container(102, "prox1"),
        template,
        Vm::running(104, "prox1").stopped(),
        Vm::running(105, "prox2"),
    ];
    let servers = servers(&guests).managed(&[&ha], "prox3");
    let wish = drain("prox1", &[]);
    let plan = plan(&wish, &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    assert_eq!(
        ids(&plan),
        ["ha.maintenance-on/prox1", "guest.migrate/101", "guest.migrate/102"]
    );
    insta::assert_snapshot!(told(&plan));
    let after = done(&wish, &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
}

#[test]
fn what_must_stop_is_refused_without_a_word_for_it() {
    let mut bound = Vm::running(101, "prox1");
    bound.config.bound_by = vec!["usb0".into()];
    let mut folder = Vm::container(102, "prox1");
    folder.config.disks.push(GuestDisk {
        key: "mp0".into(),
        backing: Backing::Folder("/srv".into()),
        size: None,
        replicate: true,
        shared: false,
    });
    let servers = servers(&[bound.clone(), folder, Vm::running(103, "prox1")]);
    let plan = plan(&drain("prox1", &[101]), &servers);
    assert_eq!(refused(&plan), [(Code::GuestCantMove, "guest 102")]);
    assert!(
        plan.steps.is_empty() && told(&plan).contains("--stop 102"),
        "{}",
        told(&plan)
    );
    let both = self::plan(&drain("prox1", &[101, 102]), &servers);
    assert_eq!(ids(&both), ["guest.migrate/103", "guest.stop/101", "guest.stop/102"]);
    // HA would start it again wherever it was shut down.
    let managed = servers.clone().managed(&[&bound], "prox3");
    let plan = self::plan(&drain("prox1", &[101, 102]), &managed);
    assert_eq!(refused(&plan), [(Code::GuestCantMove, "guest 101")]);
    assert!(told(&plan).contains("ha-manager remove vm:101"), "{}", told(&plan));
    assert_eq!(
        refused(&self::plan(&drain("prox1", &[101, 102, 777]), &servers)),
        [(Code::GuestAway, "guest 777")]
    );
}

#[test]
fn a_server_that_was_drained_is_given_back() {
    let vm = Vm::running(100, "prox1");
    let servers = servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3");
    let undrain = wish(Moves::Undrain { node: name("prox1") });
    assert!(codes(&plan(&undrain, &servers)).contains(&Code::PartDone));
    let drained = {
        let mut drained = servers.clone();
        for step in &plan(&drain("prox1", &[]), &servers).steps {
            testkit::apply(&mut drained.view, step);
        }
        drained
    };
    let back = plan(&undrain, &drained);
    assert_eq!(ids(&back), ["ha.maintenance-off/prox1"]);
    assert!(done(&undrain, &drained, &back).is_empty());
}

#[test]
fn servers_restart_one_after_another_and_the_master_last() {
    let ha = Vm::running(100, "prox1");
    let guests = [ha.clone(), Vm::running(101, "prox2")];
    let servers = servers(&guests).managed(&[&ha], "prox1");
    let plan = plan(&roll(&[], &[]), &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    let all = [
        "ha.maintenance-on/prox2",
        "guest.migrate/101",
        "node.reboot/prox2",
        "ha.maintenance-off/prox2",
        "guest.return/101",
        "ha.maintenance-on/prox3",
        "node.reboot/prox3",
        "ha.maintenance-off/prox3",
        "ha.maintenance-on/prox1",
        "node.reboot/prox1",
        "ha.maintenance-off/prox1",
    ];
    assert_eq!(ids(&plan), all);
    insta::assert_snapshot!(told(&plan));
    for step in plan
        .steps
        .iter()
        .filter(|step| step.id.as_str().starts_with("ha.maintenance-off"))
    {
        assert!(step.restores.is_some(), "{} is done whatever happens", step.id);
    }
    let mut world = servers;
    for step in &plan.steps {
        testkit::apply(&mut world.view, step);
        assert!(step.done_when.judge(&world.view).holds(), "{}", step.id);
    }
}

#[test]
fn what_is_shut_down_for_a_restart_is_started_again_whatever_happens() {
    let mut bound = Vm::running(101, "prox1");
    bound.config.bound_by = vec!["hostpci0".into()];
    let servers = servers(&[bound]);
    assert!(plan(&roll(&["prox1"], &[]), &servers).refused());
    let plan = plan(&roll(&["prox1"], &[101]), &servers);
    assert_eq!(ids(&plan), ["guest.stop/101", "node.reboot/prox1", "guest.start/101"]);
    assert_eq!(plan.steps[2].restores.as_ref().unwrap().as_str(), "guest.stop/101");
}

#[test]
fn nothing_restarts_that_the_cluster_can_t_do_without() {
    let guests = [Vm::running(100, "prox1")];
    let late = |seen: &mut ReplicationState| {
        seen.failures = 3;
        seen.error = Some("no route".to_owned());
    };
    let failing = replicated(servers(&guests), 100, "prox1", &["prox2"]).with("prox1", |seen| {
        late(&mut known(&mut seen.replication)[0]);
    });
    let ha = Vm::running(100, "prox1");
    let error = servers(std::slice::from_ref(&ha))
        .managed(&[&ha], "prox3")
        .with_each(|seen| {
            let manager = known(&mut known(&mut seen.ha).manager).as_mut().unwrap();
            manager.services.get_mut("vm:100").unwrap().state = "error".to_owned();
        });
    for (what, servers) in [("copies", failing), ("HA", error)] {
        let plan = plan(&roll(&["prox3"], &[]), &servers);
        let told = told(&plan);
        assert_eq!(refused(&plan), [(Code::NodeNotSpare, "prox3")], "{what}: {told}");
        assert!(plan.steps.is_empty());
    }
    let two = Servers::bare(2).members("hk1", &["prox1", "prox2"], LINKS).housing(&[]);
    let file = testkit::file(2, LINKS);
    let plan = wished(&file, &roll(&["prox1"], &[]), &two);
    assert!(
        refused(&plan).iter().any(|(code, _)| *code == Code::NodeNotSpare),
        "{}",
        told(&plan)
    );
}

#[test]
fn what_got_worse_ends_a_roll_before_the_next_server_and_what_was_said_before_does_not() {
    let said = |code, subject: &str| Finding::new(code, subject, "as it is", "");
    let mut servers = servers(&[Vm::running(100, "prox1")]);
    servers.view.findings = Facet::known(vec![said(Code::LinkDown, "hk1/prox2")], NOW);
    let plan = plan(&roll(&[], &[]), &servers);
    assert!(!plan.refused(), "{}", told(&plan));
    let gates: Vec<&Condition> = plan.steps.iter().flat_map(|step| &step.gate).collect();
    let worse: Vec<_> = gates
        .into_iter()
        .filter(|gate| matches!(gate, Condition::NothingWorse { .. }))
        .collect();
    assert_eq!(worse.len(), 4, "before the guest moves, and before each restart");
    let mut judged = |findings| {
        servers.view.findings = findings;
        worse[0].judge(&servers.view)
    };
    let before = vec![said(Code::LinkDown, "hk1/prox2")];
    assert!(judged(Facet::known(before.clone(), NOW)).holds());
    assert!(judged(Facet::known(vec![], NOW)).holds());
    let more = [before, vec![said(Code::PoolErrors, "hk1/prox1/tank")]].concat();
    let Verdict::NotYet(why) = judged(Facet::known(more, NOW)) else {
        panic!("a pool that got worse ends it");
    };
    assert!(
        why.contains("QRT-POOL-ERRORS of hk1/prox1/tank") && !why.contains("LINK"),
        "{why}"
    );
    let unseen = Facet::unknown(UnknownKind::Failed, "no health stream");
    assert!(matches!(judged(unseen.clone()), Verdict::Unknown(_)));
    servers.view.findings = unseen;
    assert_eq!(
        refused(&self::plan(&roll(&[], &[]), &servers)),
        [(Code::FacetUnknown, "hk1")]
    );
}

#[test]
fn a_maintenance_that_a_rollout_of_ours_left_is_ended_by_the_next_plan_and_an_operators_own_is_not() {
    let vm = Vm::running(100, "prox2");
    let mut servers = servers(std::slice::from_ref(&vm))
        .managed(&[&vm], "prox3")
        .with_each(|seen| {
            let manager = known(&mut known(&mut seen.ha).manager).as_mut().unwrap();
            manager.maintenance.insert("prox1".to_owned());
            manager.nodes.insert("prox1".to_owned(), "maintenance".to_owned());
        });
    assert!(plan(&Wish::default(), &servers).is_empty());
    servers.view.at_rest = [Rest::Maintenance { node: name("prox1") }].into();
    let plan = plan(&Wish::default(), &servers);
    assert_eq!(ids(&plan), ["ha.maintenance-off/prox1"], "{}", told(&plan));
    assert!(done(&Wish::default(), &servers, &plan).is_empty());
}

#[test]
fn a_move_counts_when_both_servers_ha_and_a_living_master_say_so() {
    let vm = Vm::running(100, "prox2");
    let there = servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3");
    let at = Condition::GuestAt {
        cluster: "hk1".parse().unwrap(),
        guest: 100,
        kind: GuestKind::Vm,
        node: name("prox2"),
        seen_by: [name("prox1")].into(),
        running: true,
        managed: true,
    };
    let judged = |servers: &Servers| at.judge(&servers.view);
    assert!(judged(&there).holds());
    let other = there
        .clone()
        .with("prox1", |seen| known(&mut seen.guests)[0].node = "prox1".to_owned());
    assert!(matches!(judged(&other), Verdict::NotYet(why) if why.contains("prox1")));
    let locked = there.clone().with("prox2", |seen| {
        known(&mut seen.running)[0].lock = Some("migrate".to_owned())
    });
    assert!(matches!(judged(&locked), Verdict::NotYet(why) if why.contains("locked (migrate)")));
    let with_manager = |change: fn(&mut ManagerStatus)| {
        let all = there.clone().with_each(|seen| {
            change(known(&mut known(&mut seen.ha).manager).as_mut().unwrap());
        });
        at.judge(&all.view)
    };
    let queued = with_manager(|manager| manager.services.get_mut("vm:100").unwrap().command = Some("migrate".into()));
    assert!(matches!(queued, Verdict::NotYet(why) if why.contains("about to migrate")));
    let moving = with_manager(|manager| manager.services.get_mut("vm:100").unwrap().target = Some("prox3".into()));
    assert!(matches!(moving, Verdict::NotYet(_)));
    let silent = with_manager(|manager| manager.at = Timestamp(NOW.0 - 60_000_000));
    assert!(matches!(silent, Verdict::Unknown(why) if why.contains("written nothing for 1 min")));
}
