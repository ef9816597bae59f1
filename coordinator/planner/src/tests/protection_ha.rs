//! Guests under HA: after their copies, bound strictly to where these are, and never started or stopped by surprise.

use quorate_model::Code;
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{Severity, Wish};

use super::pools::ids;
use super::protection::{COPIES, applied, done, file_of, jobs, members, needs, plan, plan_of, told};
use crate::testkit::{NOW, Servers, guest, known};

const HA: &str = "[ha]\nguests = [100]\n";

fn wanted() -> String {
    format!("{COPIES}{HA}")
}

fn copied() -> Servers {
    members(&[guest(100, "prox1", "data_zfs")]).with_jobs(&jobs())
}

fn placement(name: &str, kind: &str, services: &[&str], nodes: &[&str]) -> HaPlacement {
    HaPlacement {
        name: name.to_owned(),
        kind: kind.to_owned(),
        services: services.iter().map(|sid| (*sid).to_owned()).collect(),
        nodes: nodes.iter().map(|node| ((*node).to_owned(), Some(1))).collect(),
        strict: true,
        no_failback: true,
        disabled: false,
        apart: false,
    }
}

/// Guest 100 is under HA as this says.
fn under(servers: Servers, resource: &HaResource) -> Servers {
    servers.with_shared_ha(|ha| drop(known(&mut ha.resources).insert("vm:100".to_owned(), resource.clone())))
}

fn started(plan: &Plan) -> Option<bool> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::AddHaResource { started, .. } => Some(*started),
        _ => None,
    })
}

#[test]
fn ha_waits_for_the_copies_and_binds_strictly_to_them() {
    let servers = members(&[guest(100, "prox1", "data_zfs")]).of_pve("9.2.11");
    let plan = plan(&wanted(), &servers);
    assert_eq!(
        ids(&plan),
        [
            "replication.create/100/prox2",
            "replication.create/100/prox3",
            "ha.add/vm:100",
            "ha.rule/vm:100"
        ]
    );
    assert_eq!(
        needs(&plan, "ha.add/vm:100"),
        ["replication.create/100/prox2", "replication.create/100/prox3"]
    );
    assert!(needs(&plan, "ha.rule/vm:100").contains(&"ha.add/vm:100"));
    assert_eq!(
        plan.steps[3].done_when.to_string(),
        "vm:100 by the rule quorate-vm-100 is bound strictly to prox1, prox2, prox3, none preferred"
    );
    assert_eq!(started(&plan), Some(true));
    done(&wanted(), servers, &plan);
}

#[test]
fn pve_8_has_groups_which_come_before_what_is_in_them() {
    let servers = copied().of_pve("8.4.21");
    let plan = plan(&wanted(), &servers);
    assert_eq!(ids(&plan), ["ha.group/vm:100", "ha.add/vm:100"]);
    assert_eq!(needs(&plan, "ha.add/vm:100"), ["ha.group/vm:100"]);
    let Action::AddHaResource { group, no_failback, .. } = &plan.steps[1].action else {
        panic!("{plan:?}")
    };
    assert_eq!(group.as_ref().map(|group| group.as_str()), Some("quorate-vm-100"));
    assert!(!no_failback, "PVE 8 has it in the group");
    done(&wanted(), servers, &plan);
}

#[test]
fn versions_that_do_not_go_together_wait() {
    let mixed = copied().of_pve("9.2.11").with_system("prox3", |system| {
        if let Some(pve) = known(&mut system.pve) {
            "8.4.21".clone_into(&mut pve.manager);
        }
    });
    let plan_of_mixed = crate::plan(&super::protection::file(&wanted()), &Wish::default(), &mixed.view);
    assert!(ids(&plan_of_mixed).iter().all(|id| !id.starts_with("ha.")));
    assert!(told(&plan_of_mixed, Code::HaWaits)[0].contains("some servers run PVE 8"));
    let not_yet = copied().of_pve("9.2.11").with_shared_ha(|ha| {
        known(&mut ha.placements).push(placement("front", HaPlacement::GROUP, &[], &["prox1"]));
    });
    let not_yet = plan(&wanted(), &not_yet);
    assert!(ids(&not_yet).is_empty());
    assert!(told(&not_yet, Code::HaWaits)[0].contains("not made rules of its groups yet (front)"));
}

#[test]
fn a_stopped_guest_stays_so_and_one_that_can_t_be_told_is_not_added() {
    let stopped = plan(&wanted(), &copied().of_pve("9.2.11").stopped(100));
    assert_eq!(started(&stopped), Some(false));
    let blind = copied().of_pve("9.2.11").with("prox1", |seen| {
        seen.running = Facet::unknown(UnknownKind::TimedOut, "pvesh hangs");
    });
    let blind = plan(&wanted(), &blind);
    assert!(ids(&blind).is_empty() && !blind.refused());
    assert!(told(&blind, Code::HaWaits)[0].contains("whether it runs can't be told: pvesh hangs"));
}

#[test]
fn two_servers_without_a_third_vote_get_no_ha() {
    let names = ["prox1", "prox2"];
    let text = format!("[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"5m\"\n{HA}");
    let servers = |vote: bool| {
        let servers = Servers::bare(2).members("hk1", &names, &["10.10.10.0/24"]);
        let servers = if vote {
            servers.qdevice(crate::testkit::VOTE)
        } else {
            servers
        };
        let servers = servers.with_guests(&[guest(100, "prox1", "data_zfs")]);
        servers.with_jobs(&jobs()[..1]).of_pve("9.2.11")
    };
    let refused = plan_of(&file_of(2, &text), &Wish::default(), &servers(false));
    let finding = refused.findings.iter().find(|f| f.code == Code::TwoServersHa).unwrap();
    assert_eq!(finding.severity, Severity::Refusal);
    assert!(finding.message.starts_with("vm:100 would be under HA") && finding.place.is_some());
    assert!(ids(&refused).iter().all(|id| !id.starts_with("ha.")));
    let voted = plan_of(&file_of(2, &text), &Wish::default(), &servers(true));
    assert!(ids(&voted).contains(&"ha.add/vm:100"), "{:?}", voted.findings);
}

#[test]
fn without_copies_there_is_no_ha_and_late_ones_are_waited_for() {
    let alone = members(&[guest(100, "prox1", "data_zfs")]).of_pve("9.2.11");
    let without = plan(HA, &alone);
    assert!(ids(&without).is_empty() && !without.refused());
    assert!(told(&without, Code::HaWithoutCopies)[0].contains("no table of replication means it"));
    // The job is there, and nothing was copied yet.
    let never = copied()
        .of_pve("9.2.11")
        .with("prox1", |seen| known(&mut seen.replication).clear());
    let never = plan(&wanted(), &never);
    assert!(ids(&never).is_empty());
    assert!(told(&never, Code::HaWaits)[0].contains("has not begun to copy guest 100 to prox2"));
    // Under HA already: then that is louder.
    let there = under(copied().of_pve("9.2.11"), &HaResource::of("started"));
    let there = there.with("prox1", |seen| known(&mut seen.replication).clear());
    assert_eq!(told(&plan(&wanted(), &there), Code::HaNodeWithoutCopy).len(), 1);
    // Somebody else's doing is told.
    let others = under(
        members(&[guest(101, "prox1", "data_zfs")]).of_pve("9.2.11"),
        &HaResource::of("started"),
    );
    let others = others
        .with_shared_ha(|ha| drop(known(&mut ha.resources).insert("vm:101".to_owned(), HaResource::of("started"))));
    assert!(
        told(&plan(HA, &others), Code::HaWithoutCopies)[0]
            .starts_with("guest 101 (web101) is under HA, and has no copy")
    );
    // On shared storage there is nothing to bind.
    let shared = members(&[guest(100, "prox1", "nas")]).of_pve("9.2.11");
    assert_eq!(ids(&plan(HA, &shared)), ["ha.add/vm:100"]);
}

#[test]
fn what_others_bound_is_told_and_never_changed() {
    let theirs = copied().of_pve("9.2.11").with_shared_ha(|ha| {
        known(&mut ha.placements).push(placement("web", HaPlacement::NODES, &["vm:100"], &["prox1", "prox9"]));
    });
    let theirs = under(theirs, &HaResource::of("started"));
    let plan_of_theirs = plan(&wanted(), &theirs);
    assert!(ids(&plan_of_theirs).is_empty(), "{:?}", ids(&plan_of_theirs));
    assert_eq!(
        told(&plan_of_theirs, Code::HaBoundByOthers),
        ["guest 100 (web100) is bound by the rule web, which is none of ours: it is not changed"]
    );
    assert!(told(&plan_of_theirs, Code::HaNodeWithoutCopy)[0].contains("on prox9"));
    // One of ours, made by PVE of a group of ours, is put right in its place.
    let migrated = copied().of_pve("9.2.11").with_shared_ha(|ha| {
        let rule = placement(
            "ha-group-quorate-vm-100",
            HaPlacement::NODES,
            &["vm:100"],
            &["prox1", "prox2"],
        );
        known(&mut ha.placements).push(rule);
    });
    let resource = HaResource {
        failback: Some(false),
        ..HaResource::of("stopped")
    };
    let plan = plan(&wanted(), &under(migrated, &resource));
    assert_eq!(ids(&plan), ["ha.rule/vm:100"]);
    let Action::SetHaRule { rule, exists, .. } = &plan.steps[0].action else {
        panic!("{plan:?}")
    };
    assert_eq!((rule.as_str(), *exists), ("ha-group-quorate-vm-100", true));
}

#[test]
fn failback_is_switched_off_and_numbers_are_compared_only_where_they_are_written() {
    let bound = copied().of_pve("9.2.11").with_shared_ha(|ha| {
        let all = ["prox1", "prox2", "prox3"];
        known(&mut ha.placements).push(placement("quorate-vm-100", HaPlacement::NODES, &["vm:100"], &all));
    });
    let servers = under(bound, &HaResource::of("started"));
    let plan_of_these = plan(&wanted(), &servers);
    assert_eq!(ids(&plan_of_these), ["ha.set/vm:100"]);
    assert!(plan_of_these.steps[0].why[0].starts_with("it would move back"));
    done(&wanted(), servers.clone(), &plan_of_these);
    let numbers = format!("{}max_restart = 1\nmax_relocate = 3\n", wanted());
    let numbers = plan(&numbers, &servers);
    assert!(
        numbers.steps[0]
            .why
            .contains(&"its max_relocate is 1, not 3".to_owned())
    );
    assert!(
        !numbers.steps[0].why.iter().any(|why| why.contains("max_restart")),
        "1 is what PVE takes"
    );
}

#[test]
fn a_guest_outside_of_its_copies_or_bound_to_a_device_is_not_moved_by_surprise() {
    let outside = COPIES.replace("\"prox1\", ", "");
    let servers = members(&[guest(100, "prox1", "data_zfs")])
        .with_jobs(&jobs())
        .of_pve("9.2.11");
    let plan_outside = plan(&format!("{outside}{HA}"), &servers);
    assert!(ids(&plan_outside).is_empty());
    assert!(told(&plan_outside, Code::HaWaits)[0].contains("is none of prox2 and prox3"));
    let mut held = guest(100, "prox1", "data_zfs");
    known(&mut held.config).bound_by = vec!["hostpci0".to_owned()];
    let held = plan(&wanted(), &members(&[held]).with_jobs(&jobs()).of_pve("9.2.11"));
    assert!(ids(&held).is_empty());
    assert_eq!(told(&held, Code::HaPassthrough).len(), 1);
}

#[test]
fn a_witness_votes_and_runs_no_guest() {
    let witness = crate::testkit::text(3, &["10.10.10.0/24"]) + "role = \"witness\"\n[ha]\nguests = [100]\n";
    let file = crate::testkit::parse(&witness);
    let servers = members(&[guest(100, "prox1", "nas")]).of_pve("9.2.11");
    let plan = plan_of(&file, &Wish::default(), &servers);
    assert_eq!(ids(&plan), ["ha.add/vm:100", "ha.rule/vm:100"]);
    assert!(
        plan.steps[1].title.ends_with("to prox1 and prox2"),
        "{}",
        plan.steps[1].title
    );
}

#[test]
fn the_plan_stays_empty_after_a_failover_under_ha() {
    let bound = |servers: Servers| {
        let resource = HaResource {
            failback: Some(false),
            ..HaResource::of("started")
        };
        let all = ["prox1", "prox2", "prox3"];
        under(servers, &resource).of_pve("9.2.11").with_shared_ha(|ha| {
            known(&mut ha.placements).push(placement("quorate-vm-100", HaPlacement::NODES, &["vm:100"], &all));
        })
    };
    assert!(ids(&plan(&wanted(), &bound(copied()))).is_empty());
    let turned: Vec<ReplicationJob> = jobs()
        .into_iter()
        .map(|job| ReplicationJob {
            source: Some("prox2".to_owned()),
            target: if job.target == "prox2" {
                "prox1".to_owned()
            } else {
                job.target.clone()
            },
            ..job
        })
        .collect();
    let recovered = members(&[guest(100, "prox2", "data_zfs")]).with_jobs(&turned);
    assert!(ids(&plan(&wanted(), &bound(recovered))).is_empty());
}

#[test]
fn a_copy_goes_only_when_ha_sends_the_guest_there_no_more() {
    let before = wanted();
    let after = before.replace(", \"prox3\"", "");
    let resource = HaResource {
        failback: Some(false),
        ..HaResource::of("started")
    };
    let all = placement(
        "quorate-vm-100",
        HaPlacement::NODES,
        &["vm:100"],
        &["prox1", "prox2", "prox3"],
    );
    let servers = under(applied(copied(), &before), &resource)
        .of_pve("9.2.11")
        .with_shared_ha(|ha| ha.placements = Facet::known(vec![all.clone()], NOW));
    let wish = Wish {
        destroy_replicas: ["replica:100@prox3".parse().unwrap()].into(),
        ..Wish::default()
    };
    let plan = plan_of(&file_of(3, &after), &wish, &servers);
    assert_eq!(ids(&plan), ["ha.rule/vm:100", "replication.remove/100/prox3"]);
    assert_eq!(needs(&plan, "replication.remove/100/prox3"), ["ha.rule/vm:100"]);
    // Dropped altogether: the rule still names the server, and nobody narrows it.
    let dropped = plan_of(&file_of(3, ""), &wish, &servers);
    assert!(
        ids(&dropped).iter().all(|id| !id.ends_with("/prox3")),
        "{:?}",
        ids(&dropped)
    );
    let told = told(&dropped, Code::HaNodeWithoutCopy);
    assert!(
        told.iter()
            .any(|one| one.contains("on prox3 stays: the rule quorate-vm-100 names prox3")),
        "{told:?}"
    );
    // Bound to others already, or not under HA: nothing keeps it.
    let narrow = placement("theirs", HaPlacement::NODES, &["vm:100"], &["prox1", "prox2"]);
    let bound = servers.with_shared_ha(|ha| ha.placements = Facet::known(vec![narrow.clone()], NOW));
    let plan = plan_of(&file_of(3, ""), &wish, &bound);
    assert!(ids(&plan).contains(&"replication.remove/100/prox3"), "{:?}", ids(&plan));
}

#[test]
fn a_rule_of_ours_that_was_switched_off_is_said_to_be_off() {
    let resource = HaResource {
        failback: Some(false),
        ..HaResource::of("started")
    };
    let off = HaPlacement {
        disabled: true,
        ..placement(
            "quorate-vm-100",
            HaPlacement::NODES,
            &["vm:100"],
            &["prox1", "prox2", "prox3"],
        )
    };
    let servers = under(copied(), &resource)
        .of_pve("9.2.11")
        .with_shared_ha(|ha| ha.placements = Facet::known(vec![off.clone()], NOW));
    let plan = plan(&wanted(), &servers);
    assert_eq!(ids(&plan), ["ha.rule/vm:100"]);
    assert!(
        plan.steps[0].why[0].contains("is switched off"),
        "{:?}",
        plan.steps[0].why
    );
}
