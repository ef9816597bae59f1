use quorate_model::facet::Facet;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::{Guest, GuestKind, ReplicationState};
use quorate_model::operation::Action;
use quorate_model::{Timestamp, UnknownKind};

use super::*;
use crate::operations::actions::of;
use crate::operations::actions::testing::{config, member};

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn create() -> Action {
    Action::CreateReplication {
        cluster: "hk1".parse().unwrap(),
        job: "100-0".parse().unwrap(),
        target: node("prox2"),
        schedule: "5m".parse().unwrap(),
        rate: Some(100),
        returning_node: ReturningNode::Hold,
    }
}

fn remove() -> Action {
    Action::RemoveReplication {
        cluster: "hk1".parse().unwrap(),
        job: "100-0".parse().unwrap(),
        target: node("prox2"),
    }
}

/// Guest 100 is on this node; these jobs are there.
fn seen(owner: &str, jobs: Vec<ReplicationJob>) -> Observation {
    let mut seen = Observation::empty("prox1", Timestamp(0));
    seen.cluster = Facet::known(member(&["prox1", "prox2"]), Timestamp(0));
    let guest = ConfiguredGuest {
        guest: Guest {
            vmid: 100,
            node: owner.to_owned(),
            kind: GuestKind::Vm,
        },
        config: Facet::not_asked(),
    };
    let mut config = config();
    config.guests = Facet::known(vec![guest], Timestamp(0));
    config.replication = Facet::known(jobs, Timestamp(0));
    seen.config = Facet::known(config, Timestamp(0));
    seen
}

fn job() -> ReplicationJob {
    ReplicationJob {
        schedule: "*/5".to_owned(),
        rate: Some("100".to_owned()),
        comment: Some("quorate hold".to_owned()),
        source: Some("prox1".to_owned()),
        ..ReplicationJob::of("100-0", 100, "prox2")
    }
}

fn state(action: &Action, seen: &Observation) -> State {
    of(action).state(&node("prox1"), seen)
}

fn refused(action: &Action, seen: &Observation) -> Vec<String> {
    let findings = of(action).precheck(&node("prox1"), seen);
    findings.into_iter().map(|finding| finding.message).collect()
}

#[test]
fn a_job_is_made_once_it_stands_in_the_file_as_planned() {
    let clean = seen("prox1", vec![]);
    assert_eq!(
        (state(&create(), &clean), refused(&create(), &clean)),
        (State::Untouched, vec![])
    );
    let there = seen("prox1", vec![job()]);
    assert!(matches!(state(&create(), &there), State::Reached(_)));
    let hidden = {
        let mut seen = clean;
        seen.config = Facet::unknown(UnknownKind::TimedOut, "pmxcfs hangs");
        seen
    };
    assert!(matches!(state(&create(), &hidden), State::Between(_)));
    assert_eq!(refused(&create(), &hidden).len(), 1);
}

#[test]
fn what_is_not_as_planned_is_refused_in_the_instant_before() {
    let moved = seen("prox2", vec![]);
    assert_eq!(refused(&create(), &moved), ["guest 100 is on prox2 now, not on prox1"]);
    // Another number, the same two servers.
    let other = seen(
        "prox1",
        vec![ReplicationJob {
            id: "100-3".to_owned(),
            ..job()
        }],
    );
    assert_eq!(
        refused(&create(), &other),
        ["there is the replication job 100-3 to prox2 already, which was not planned so"]
    );
    let elsewhere = seen(
        "prox1",
        vec![ReplicationJob {
            target: "prox3".to_owned(),
            ..job()
        }],
    );
    assert_eq!(
        refused(&remove(), &elsewhere),
        ["the job 100-0 copies to prox3 now, not to prox2"]
    );
    assert_eq!(
        refused(&remove(), &seen("prox1", vec![])),
        ["there is no replication job 100-0 any more"]
    );
}

#[test]
fn a_copy_is_gone_when_the_scheduler_has_taken_its_job_away() {
    assert_eq!(state(&remove(), &seen("prox1", vec![job()])), State::Untouched);
    let marked = seen(
        "prox1",
        vec![ReplicationJob {
            removal: Some("full".to_owned()),
            ..job()
        }],
    );
    assert!(matches!(state(&remove(), &marked), State::Between(_)));
    assert!(of(&remove()).is_begun(&node("prox1"), &marked));
    assert!(matches!(state(&remove(), &seen("prox1", vec![])), State::Reached(_)));
}

#[test]
fn no_copy_is_removed_that_may_be_newer_than_the_guest() {
    assert_eq!(refused(&remove(), &seen("prox1", vec![job()])), Vec::<String>::new());
    // The guest was recovered here a moment ago: the job still says where it came from.
    let unturned = ReplicationJob {
        source: Some("prox2".to_owned()),
        target: "prox1".to_owned(),
        ..job()
    };
    assert_eq!(
        refused(&remove(), &seen("prox1", vec![unturned])),
        ["PVE has not turned the job 100-0 round yet: what is on prox2 may be newer"]
    );
}

#[test]
fn no_copy_is_removed_that_is_held() {
    let held = ReplicationJob {
        disabled: true,
        comment: Some("quorate hold: kept on prox2 since 2026-11-22T11:09:32Z".to_owned()),
        ..job()
    };
    assert_eq!(
        refused(&remove(), &seen("prox1", vec![held])),
        [
            "the job 100-0 is off since a recovery: what prox2 wrote before 2026-11-22T11:09:32Z, and never copied, is held, and would go with the copy"
        ]
    );
}

#[test]
fn a_note_in_passing_is_no_complaint() {
    let output = |stderr: &str| Output {
        stdout: String::new(),
        stderr: stderr.to_owned(),
    };
    let said = of(&remove()).read(&node("prox1"), &output(&format!("{}\n", pvesr::BACKGROUND)));
    assert!(said.success && said.findings.is_empty());
    let said = of(&create()).read(&node("prox1"), &output("replication job '100-0' already exists\n"));
    assert!(!said.success && !said.changed);
    let said = of(&create()).read(&node("prox1"), &output("cluster not ready - no quorum?\n"));
    assert_eq!(said.findings[0].code, Code::ClusterNotQuorate);
}

#[test]
fn a_job_is_put_forward_and_its_own_state_tells_so() {
    let since = Timestamp::from_seconds(1000);
    let sync = Action::SyncReplication {
        cluster: "hk1".parse().unwrap(),
        job: "100-0".parse().unwrap(),
        other: node("prox2"),
        since,
    };
    let tried = |last_try: Option<Timestamp>| {
        let mut seen = seen("prox1", vec![job()]);
        let state = ReplicationState {
            last_try,
            ..ReplicationState::of(100, "prox2")
        };
        seen.replication = Facet::known(vec![state], Timestamp(0));
        seen
    };
    let before = tried(Some(Timestamp::from_seconds(999)));
    assert_eq!(state(&sync, &before), State::Untouched);
    assert_eq!(refused(&sync, &before), Vec::<String>::new());
    // PVE writes a zero, and the scheduler may be quicker than our look.
    for done in [tried(None), tried(Some(since))] {
        assert!(matches!(state(&sync, &done), State::Reached(_)));
    }
    let mut unseen = before.clone();
    unseen.replication = Facet::unknown(UnknownKind::Unparsable, "half a file");
    assert!(matches!(state(&sync, &unseen), State::Between(_)));
    assert_eq!(refused(&sync, &unseen).len(), 1);
    let mut off = before.clone();
    if let Facet::Known { value, .. } = &mut off.config {
        let job = ReplicationJob {
            disabled: true,
            ..job()
        };
        value.replication = Facet::known(vec![job], Timestamp(0));
    }
    assert_eq!(
        refused(&sync, &off),
        ["the job 100-0 is switched off, or being removed: it would not run"]
    );
    // Elsewhere pvesr ends well, and nothing comes of it.
    let mut elsewhere = seen("prox2", vec![job()]);
    elsewhere.replication = Facet::known(vec![], Timestamp(0));
    assert_eq!(refused(&sync, &elsewhere), ["guest 100 is on prox2 now, not on prox1"]);
}
