//! What an operator reads.

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::cluster::{MembershipChange, QuorumChange};
use quorate_model::observation::disks::{Holder, HolderKind};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::{Code, Facet, Finding, Timestamp};

use crate::samples::{NOW, disks, member, observation, plan, standalone};
use crate::{ClusterStatus, DiskDetail, DiskRow, NodeStatus};

#[test]
fn disks_with_every_reason() {
    let known = disks();
    let unknown = Facet::unknown(UnknownKind::Unparsable, "lsblk: not JSON: `segfault`");
    let rows = [
        DiskRow {
            node: "prox1".into(),
            disks: &known,
        },
        DiskRow {
            node: "prox2".into(),
            disks: &unknown,
        },
    ];
    insta::assert_snapshot!(crate::disks(&rows, DiskDetail::Usual));
    insta::assert_snapshot!("disks_with_everything", crate::disks(&rows, DiskDetail::All));
}

#[test]
fn long_reasons_stand_on_lines_of_their_own_and_the_table_stays_narrow() {
    let mut known = disks();
    if let Facet::Known { value, .. } = &mut known {
        let disk = &mut value.disks[1];
        disk.holders = (1..12)
            .map(|n| Holder {
                device: format!("/dev/sda{n}"),
                kind: HolderKind::FileSystem,
                name: "ext4".into(),
                uuid: None,
            })
            .collect();
        disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
    }
    let rows = [DiskRow {
        node: "hk1/prox1".into(),
        disks: &known,
    }];
    let text = crate::disks(&rows, DiskDetail::Usual);
    assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
    assert!(text.contains("/dev/sda11 holds a file system (ext4)"), "{text}");
}

fn node<'a>(name: &str, seen: Result<&'a quorate_model::Observation, &'a Unknown>, at: Timestamp) -> NodeStatus<'a> {
    NodeStatus {
        name: name.into(),
        seen,
        received_at: Some(at),
        clock_offset_micros: Some(1_200_000),
    }
}

#[test]
fn status_of_a_cluster_with_a_member_away() {
    let one = observation("prox1", member("prox1"));
    let two = observation("prox2", member("prox2"));
    let away = Unknown::new(UnknownKind::Unreachable, "connection refused");
    let cluster = ClusterStatus {
        name: "hk1".into(),
        nodes: vec![
            node("prox1", Ok(&one), NOW),
            node("prox2", Ok(&two), Timestamp(NOW.0 - 75_000_000)),
            node("prox3", Err(&away), Timestamp(NOW.0 - 75_000_000)),
        ],
        findings: vec![Finding::new(
            Code::NodeUnreachable,
            "hk1/prox3",
            "the agent does not answer: connection refused",
            "",
        )],
    };
    insta::assert_snapshot!(crate::status(&[cluster], NOW));
}

/// prox1's clock is 1.2 s ahead of the coordinator's, by which the times are told.
#[test]
fn status_tells_how_the_membership_changed_lately() {
    let change = |seconds: i64, joined: &[&str], left: &[&str], quorum| MembershipChange {
        at: Timestamp(NOW.0 + 1_200_000 - seconds * 1_000_000),
        joined: joined.iter().map(|name| (*name).to_owned()).collect(),
        left: left.iter().map(|name| (*name).to_owned()).collect(),
        quorum,
    };
    let seen = |name: &str, changes: Vec<MembershipChange>| {
        let mut cluster = member(name);
        if let Facet::Known { value, .. } = &mut cluster {
            value.changes = changes;
        }
        observation(name, cluster)
    };
    let one = seen(
        "prox1",
        vec![
            change(200_000, &[], &["prox2"], None),
            change(4000, &[], &["prox2", "prox3"], Some(QuorumChange::Lost)),
            change(3993, &["prox2", "prox3"], &[], Some(QuorumChange::Gained)),
            change(75, &[], &["prox3"], None),
        ],
    );
    let two = seen("prox2", vec![change(75, &[], &["prox3"], None)]);
    let cluster = |nodes| ClusterStatus {
        name: "hk1".into(),
        nodes,
        findings: vec![],
    };
    let told = crate::status(
        &[cluster(vec![
            node("prox2", Ok(&two), NOW),
            node("prox1", Ok(&one), NOW),
        ])],
        NOW,
    );
    let (_, told) = told.split_once("\n\nMembership").unwrap_or_default();
    assert_eq!(
        told,
        ", as prox1 saw it change:\n  1 min 15 s ago  prox3 left\n  1 h 6 min ago  prox2, prox3 joined; quorum gained\n  \
         1 h 6 min ago  prox2, prox3 left; quorum LOST\n"
    );
    // Who was stopped saw the quorum go, and came back last; the cluster kept it.
    let kept = seen(
        "prox1",
        vec![change(90, &[], &["prox2"], None), change(86, &["prox2"], &[], None)],
    );
    let back = seen(
        "prox2",
        vec![
            change(89, &[], &["prox1", "prox3"], Some(QuorumChange::Lost)),
            change(85, &["prox1", "prox3"], &[], Some(QuorumChange::Gained)),
        ],
    );
    let told = crate::status(
        &[cluster(vec![
            node("prox1", Ok(&kept), NOW),
            node("prox2", Ok(&back), NOW),
        ])],
        NOW,
    );
    assert!(
        told.contains("as prox1 saw it change") && !told.contains("quorum LOST"),
        "{told}"
    );
    // What is a day old is over.
    let quiet = seen("prox1", vec![change(200_000, &[], &["prox2"], None)]);
    assert!(!crate::status(&[cluster(vec![node("prox1", Ok(&quiet), NOW)])], NOW).contains("Membership"));
}

#[test]
fn status_before_there_is_a_cluster() {
    let one = observation("prox1", standalone());
    let cluster = ClusterStatus {
        name: "hk1".into(),
        nodes: vec![node("prox1", Ok(&one), NOW)],
        findings: vec![],
    };
    insta::assert_snapshot!(crate::status(&[cluster], NOW));
    assert!(crate::status(&[], NOW).contains("node invite"));
}

#[test]
fn a_plan_is_a_checklist() {
    insta::assert_snapshot!(crate::plan(&plan()));
}

#[test]
fn a_refused_plan_says_so_first() {
    let mut refused = plan();
    refused.findings.push(Finding::new(
        Code::NodeHasGuests,
        "prox2",
        "has 2 guests (100, 101)",
        "move or remove them",
    ));
    let text = crate::plan(&refused);
    assert!(text.starts_with("Refused"), "{text}");
    assert!(text.contains("if nothing spoke against it"));
}

#[test]
fn one_node_seen_from_itself() {
    let mut seen = observation("prox1", member("prox1"));
    seen.disks = disks();
    insta::assert_snapshot!(crate::observation(&seen));
}
