use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::Ha;
use quorate_model::observation::cluster::{Member, Pmxcfs, QdeviceConfig, Votes};
use quorate_model::{Code, Timestamp};

use super::*;
use crate::operations::testing::member as cluster;

const NOW: Timestamp = Timestamp(0);

/// prox2 of these, without prox1 and without quorum.
fn member(names: &[&str]) -> Member {
    let mut member = cluster(names).member().unwrap().clone();
    let expected = u32::try_from(names.len()).unwrap();
    member.quorate = false;
    member.nodes[0].online = false;
    member.votes = Facet::known(
        Votes {
            expected,
            highest_expected: expected,
            total: 1,
            quorum: expected / 2 + 1,
            quorate: false,
            flags: vec![],
            rows: vec![],
            device: None,
        },
        NOW,
    );
    member
}

fn ha(watchdog_armed: bool) -> Ha {
    Ha {
        version: Facet::not_asked(),
        watchdog_armed,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        manager: Facet::not_asked(),
        resources: Facet::not_asked(),
        placements: Facet::not_asked(),
    }
}

fn judged(member: &Member, ha: &Ha, word: Option<u32>) -> Quorum {
    judge(member, Pmxcfs::ReadOnly, Ok(ha), ("prox2", "prox1"), word)
}

fn code(quorum: &Quorum) -> Option<Code> {
    match quorum {
        Quorum::Refused(finding) => Some(finding.code),
        _ => None,
    }
}

#[test]
fn with_quorum_nothing_is_to_be_done() {
    let mut there = member(&["prox1", "prox2", "prox3"]);
    there.quorate = true;
    let judged = |pmxcfs| judge(&there, pmxcfs, Ok(&ha(true)), ("prox2", "prox1"), None);
    assert_eq!(
        judged(Pmxcfs::Writable),
        Quorum::There,
        "a watchdog that is armed is no matter then"
    );
    assert_eq!(code(&judged(Pmxcfs::ReadOnly)), Some(Code::ClusterNotQuorate));
    assert_eq!(code(&judged(Pmxcfs::NotMounted)), Some(Code::PmxcfsNotReady));
}

#[test]
fn votes_are_forced_only_by_an_explicit_word_with_the_right_number() {
    let two = member(&["prox1", "prox2"]);
    let without = judged(&two, &ha(false), None);
    assert_eq!(code(&without), Some(Code::RecoveryNeedsVotes));
    let Quorum::Refused(finding) = without else {
        panic!("refused")
    };
    assert!(
        finding.message.contains("1 of 2 votes are present, 2 are needed"),
        "{finding}"
    );
    assert!(finding.next.contains("--expected-votes 1") && finding.next.contains("two clusters of one name"));
    assert_eq!(judged(&two, &ha(false), Some(1)), Quorum::ByFiat(1));
    assert_eq!(code(&judged(&two, &ha(false), Some(2))), Some(Code::RecoveryNeedsVotes));
}

#[test]
fn not_while_others_are_away_that_may_have_quorum_together() {
    let mut three = member(&["prox1", "prox2", "prox3"]);
    three.nodes[2].online = false;
    let refused = judged(&three, &ha(false), Some(1));
    assert_eq!(code(&refused), Some(Code::RecoveryOthersAway));
}

#[test]
fn not_against_a_third_vote_that_somebody_else_may_have() {
    let mut two = member(&["prox1", "prox2"]);
    two.qdevice = Some(QdeviceConfig {
        host: "192.168.1.5".to_owned(),
        algorithm: "ffsplit".to_owned(),
        votes: Some(1),
    });
    assert_eq!(
        code(&judged(&two, &ha(false), Some(1))),
        Some(Code::RecoveryForeignVote)
    );
}

#[test]
fn not_on_a_server_that_is_about_to_reset_itself() {
    let two = member(&["prox1", "prox2"]);
    let refused = judged(&two, &ha(true), Some(1));
    assert_eq!(code(&refused), Some(Code::RecoveryWatchdog));
    let unknown = Unknown::new(UnknownKind::Failed, "nobody knows");
    let blind = judge(&two, Pmxcfs::ReadOnly, Err(&unknown), ("prox2", "prox1"), Some(1));
    assert_eq!(code(&blind), Some(Code::FacetUnknown));
}

#[test]
fn not_while_the_votes_are_unknown() {
    let mut two = member(&["prox1", "prox2"]);
    two.votes = Facet::unknown(UnknownKind::TimedOut, "corosync-quorumtool hangs");
    assert_eq!(code(&judged(&two, &ha(false), Some(1))), Some(Code::FacetUnknown));
    assert!(explained(&two).contains("hangs"));
}
