//! The judgements on a whole view; the conditions that only the lab can bring about are tested there as well.

use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, Verdict};
use crate::Observation;
use crate::facet::{Facet, Unknown, UnknownKind};
use crate::ids::{ClusterName, NodeName};
use crate::observation::Ha;
use crate::observation::cluster::{
    Cluster, ConfiguredNode, Link, Member, MemberNode, Membership, Pmxcfs, QdeviceConfig, RunningVersion, VoteRow,
    Votes,
};
use crate::observation::ha::{Disarm, ManagerStatus};
use crate::observation::readiness::{AdmittedKey, PackageState, Readiness, ServiceState};
use crate::operation::Package;
use crate::time::Timestamp;
use crate::view::{NodeView, View};

pub(super) const AT: Timestamp = Timestamp(0);

pub(super) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(super) fn hk1() -> ClusterName {
    "hk1".parse().unwrap()
}

pub(super) fn nodes(names: &[&str]) -> BTreeSet<NodeName> {
    names.iter().map(|n| node(n)).collect()
}

/// A member's view of a healthy cluster of these, all online.
fn member(of: &[&str], own: &str) -> Cluster {
    let ids = || (1u32..).zip(of);
    let member = Member {
        cluster: "hk1".into(),
        running_version: 3,
        file_version: 3,
        quorate: true,
        nodes: ids()
            .map(|(id, name)| MemberNode {
                name: (*name).into(),
                id,
                online: true,
                address: None,
            })
            .collect(),
        configured: ids()
            .map(|(id, name)| ConfiguredNode {
                name: (*name).into(),
                id,
                votes: 1,
                addresses: BTreeMap::from([(0, format!("10.10.10.{id}"))]),
            })
            .collect(),
        interfaces: BTreeMap::from([(0, None)]),
        qdevice: None,
        running_versions: Facet::known(ids().map(|(id, _)| RunningVersion { id, version: 3 }).collect(), AT),
        votes: Facet::known(
            Votes {
                expected: 2,
                highest_expected: 2,
                total: 2,
                quorum: 2,
                quorate: true,
                flags: vec![],
                rows: ids()
                    .map(|(id, _)| VoteRow {
                        id,
                        votes: 1,
                        qdevice: None,
                    })
                    .collect(),
                device: None,
            },
            AT,
        ),
        links: Facet::known(
            ids()
                .filter(|(_, name)| **name != own)
                .map(|(peer, _)| Link {
                    peer,
                    number: 0,
                    local: String::new(),
                    remote: String::new(),
                    enabled: true,
                    connected: true,
                    mtu: None,
                })
                .collect(),
            AT,
        ),
        latencies: Facet::not_asked(),
        totem: Facet::not_asked(),
    };
    Cluster {
        membership: Membership::Member(Box::new(member)),
        pmxcfs: Pmxcfs::Writable,
        authkey_present: true,
        local_config_present: true,
        local_config: Facet::not_asked(),
        config_lock_age: None,
        changes: vec![],
    }
}

pub(super) fn view(of: &[&str], mut change: impl FnMut(&str, &mut Member)) -> View {
    let mut view = View::default();
    for name in of {
        let mut cluster = member(of, name);
        if let Membership::Member(member) = &mut cluster.membership {
            change(name, member);
        }
        let mut observation = Observation::empty(*name, AT);
        observation.cluster = Facet::known(cluster, AT);
        let seen = NodeView {
            observation: Ok(observation),
            clock_offset: None,
        };
        view.nodes.insert(node(name), seen);
    }
    view
}

fn says(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Holds(text) | Verdict::NotYet(text) | Verdict::Unknown(text) => text,
    }
}

#[test]
fn an_edit_that_one_member_did_not_take_over_is_seen() {
    let names = ["prox1", "prox2"];
    let up = Condition::LinkUp {
        cluster: hk1(),
        link: 0,
        addresses: BTreeMap::from([
            (node("prox1"), "10.10.10.1".parse().unwrap()),
            (node("prox2"), "10.10.10.2".parse().unwrap()),
        ]),
        priority: None,
    };
    assert!(up.judge(&view(&names, |_, _| {})).holds());
    let mut preferred = up.clone();
    if let Condition::LinkUp { priority, .. } = &mut preferred {
        *priority = Some(20);
    }
    let verdict = preferred.judge(&view(&names, |_, _| {}));
    assert!(says(&verdict).contains("has priority 1 for link 0"), "{verdict:?}");
    let written = view(&names, |_, member| {
        member.interfaces.insert(0, Some(20));
    });
    assert!(preferred.judge(&written).holds());
    let behind = view(&names, |name, member| {
        if name == "prox2" {
            member.running_versions = Facet::known(
                vec![
                    RunningVersion { id: 1, version: 3 },
                    RunningVersion { id: 2, version: 2 },
                ],
                AT,
            );
        }
    });
    let verdict = up.judge(&behind);
    assert!(matches!(verdict, Verdict::NotYet(_)), "{verdict:?}");
    assert!(
        says(&verdict).contains("corosync on prox2 runs with version 2"),
        "{verdict:?}"
    );
    let unseen = view(&names, |_, member| member.running_versions = Facet::not_asked());
    assert!(matches!(up.judge(&unseen), Verdict::Unknown(_)));
    let other = view(&names, |_, member| {
        for n in &mut member.configured {
            n.addresses.insert(0, "10.10.10.9".into());
        }
    });
    assert!(says(&up.judge(&other)).contains("10.10.10.9"));
}

#[test]
fn members_that_run_with_another_version_are_not_fit_for_a_change() {
    let names = ["prox1", "prox2"];
    let all = Condition::Members {
        cluster: hk1(),
        nodes: nodes(&names),
        offline: nodes(&[]),
    };
    assert!(all.judge(&view(&names, |_, _| {})).holds());
    // The file was edited by hand and its version lowered: pmxcfs and corosync keep the newer one.
    let lowered = view(&names, |_, member| member.file_version = 2);
    let verdict = all.judge(&lowered);
    assert!(says(&verdict).contains("while the file has 2"), "{verdict:?}");
    let unseen = view(&names, |_, member| member.running_versions = Facet::not_asked());
    assert!(matches!(all.judge(&unseen), Verdict::Unknown(_)));
}

fn with_device(_: &str, member: &mut Member) {
    member.qdevice = Some(QdeviceConfig {
        host: "192.0.2.9".into(),
        algorithm: "ffsplit".into(),
        votes: Some(1),
    });
    if let Facet::Known { value, .. } = &mut member.votes {
        value.device = Some(1);
        for vote in &mut value.rows {
            vote.qdevice = Some("A,V,NMW".to_owned());
        }
    }
}

#[test]
fn a_qdevice_comes_back_for_whoever_is_in() {
    let back = Condition::QdeviceBack {
        cluster: hk1(),
        via: node("prox1"),
        nodes: nodes(&["prox1", "prox2", "prox3", "prox4"]),
        host: "192.0.2.9".parse().unwrap(),
    };
    let two = ["prox1", "prox2"];
    assert!(matches!(back.judge(&view(&two, |_, _| {})), Verdict::NotYet(_)));
    assert!(back.judge(&view(&two, with_device)).holds(), "two of four came in");
    let odd = back.judge(&view(&["prox1", "prox2", "prox3"], |_, _| {}));
    assert!(says(&odd).contains("an odd number") && odd.holds(), "{odd:?}");
}

#[test]
fn two_votes_without_a_third_are_too_few_for_ha() {
    let asked = Condition::NotTwoVotes {
        cluster: hk1(),
        node: node("prox1"),
    };
    let two = ["prox1", "prox2"];
    assert!(matches!(asked.judge(&view(&two, |_, _| {})), Verdict::NotYet(_)));
    assert!(asked.judge(&view(&two, with_device)).holds());
    assert!(asked.judge(&view(&["prox1", "prox2", "prox3"], |_, _| {})).holds());
    let silent = view(&two, |name, member| {
        with_device(name, member);
        if let Facet::Known { value, .. } = &mut member.votes {
            value.device = Some(0);
        }
    });
    assert!(!asked.judge(&silent).holds(), "qnetd does not answer");
}

#[test]
fn a_link_to_one_peer_that_is_down_is_not_up() {
    let names = ["prox1", "prox2", "prox3"];
    let all = Condition::LinksUp {
        cluster: hk1(),
        nodes: nodes(&names),
    };
    assert!(all.judge(&view(&names, |_, _| {})).holds());
    let down = view(&names, |name, member| {
        if let (true, Facet::Known { value, .. }) = (name == "prox3", &mut member.links) {
            value[0].connected = false;
        }
    });
    assert_eq!(
        all.judge(&down),
        Verdict::NotYet("prox3 is not connected with prox1 on link 0".to_owned())
    );
}

#[test]
fn offline_members_must_be_counted_and_offline() {
    let names = ["prox1", "prox2"];
    let wanted = |online: &[&str], offline: &[&str]| Condition::Members {
        cluster: hk1(),
        nodes: nodes(online),
        offline: nodes(offline),
    };
    let one_off = || view(&names, |_, member| member.nodes[1].online = false);
    let mut seen = one_off();
    seen.nodes.remove(&node("prox2"));
    assert!(wanted(&["prox1"], &["prox2"]).judge(&seen).holds());
    assert!(!wanted(&["prox1"], &[]).judge(&seen).holds(), "it is still counted");
    assert!(
        !wanted(&["prox1"], &["prox2"]).judge(&view(&names, |_, _| {})).holds(),
        "it is online"
    );
    assert!(!wanted(&["prox1"], &["prox9"]).judge(&seen).holds(), "nobody counts it");
}

#[test]
fn off_means_silent_and_seen_off_by_the_others() {
    let names = ["prox1", "prox2"];
    let off = Condition::Off {
        cluster: hk1(),
        node: node("prox2"),
        seen_by: nodes(&["prox1"]),
    };
    let with = |online: bool, kind: Option<UnknownKind>| {
        let mut view = view(&names, |_, member| member.nodes[1].online = online);
        if let Some(kind) = kind {
            view.nodes.get_mut(&node("prox2")).unwrap().observation = Err(Unknown::new(kind, "no answer"));
        }
        off.judge(&view)
    };
    assert!(with(false, Some(UnknownKind::Unreachable)).holds());
    assert!(matches!(with(true, Some(UnknownKind::Unreachable)), Verdict::NotYet(_)));
    assert!(matches!(with(false, None), Verdict::NotYet(_)), "it answers");
    assert!(matches!(with(false, Some(UnknownKind::Failed)), Verdict::Unknown(_)));
}

#[test]
fn a_qdevice_counts_when_every_member_gets_its_vote() {
    let names = ["prox1", "prox2"];
    let host = "192.0.2.9".parse().unwrap();
    let wanted = |host| Condition::Qdevice {
        cluster: hk1(),
        nodes: nodes(&names),
        host,
    };
    let with = |row: &str, given: Option<u32>| {
        view(&names, |_, member| {
            member.qdevice = Some(QdeviceConfig {
                host: "192.0.2.9".into(),
                algorithm: "ffsplit".into(),
                votes: Some(1),
            });
            if let Facet::Known { value, .. } = &mut member.votes {
                value.device = given;
                for vote in &mut value.rows {
                    vote.qdevice = Some(row.to_owned());
                }
            }
        })
    };
    assert!(wanted(Some(host)).judge(&with("A,V,NMW", Some(1))).holds());
    for (row, given) in [
        ("A,NV,NMW", Some(0)),
        ("NR", Some(1)),
        ("A,V,NMW", Some(0)),
        ("A,V,NMW", None),
    ] {
        let verdict = wanted(Some(host)).judge(&with(row, given));
        assert!(matches!(verdict, Verdict::NotYet(_)), "{row} {given:?}: {verdict:?}");
    }
    assert!(!wanted(None).judge(&with("A,V,NMW", Some(1))).holds());
    // After a removal pvecm keeps showing a column; the file decides.
    assert!(wanted(None).judge(&view(&names, |_, _| {})).holds());
}

/// The host of a third vote: what it has installed and let in, at the time 0 on its clock.
fn host_of_the_vote(runs: bool, until: Timestamp) -> View {
    let state = ServiceState {
        load: "loaded".into(),
        active: if runs { "active" } else { "inactive" }.into(),
        sub: "x".into(),
        enabled: "enabled".into(),
    };
    let package = PackageState {
        installed: Some("3.0.3-1".into()),
        candidate: None,
    };
    let readiness = Readiness {
        services: BTreeMap::from([("corosync-qnetd".to_owned(), Facet::known(state, AT))]),
        packages: Facet::known(BTreeMap::from([("corosync-qnetd".to_owned(), package)]), AT),
        updates: Facet::not_asked(),
        repositories: Facet::not_asked(),
        free: BTreeMap::new(),
        fetch: Facet::not_asked(),
        root_key: Facet::not_asked(),
        host_keys: Facet::not_asked(),
        admitted: Facet::known(
            vec![AdmittedKey {
                cluster: hk1(),
                key: KEY.parse().unwrap(),
                until,
            }],
            AT,
        ),
    };
    let mut observation = Observation::empty("vote", AT);
    observation.readiness = Facet::known(readiness, AT);
    let seen = NodeView {
        observation: Ok(observation),
        clock_offset: None,
    };
    View {
        nodes: BTreeMap::from([(node("vote"), seen)]),
        ..View::default()
    }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const MINUTE: i64 = 60_000_000;

#[test]
fn a_third_party_that_does_not_run_is_not_there() {
    let installed = Condition::Installed {
        node: node("vote"),
        packages: BTreeSet::from([Package::CorosyncQnetd]),
    };
    assert!(installed.judge(&host_of_the_vote(true, AT)).holds());
    let stopped = installed.judge(&host_of_the_vote(false, AT));
    assert!(
        matches!(&stopped, Verdict::NotYet(why) if why.contains("does not run")),
        "{stopped:?}"
    );
}

#[test]
fn a_key_that_is_over_lets_nobody_in() {
    let admitted = |keys: &[&str]| Condition::KeysAdmitted {
        node: node("vote"),
        cluster: hk1(),
        keys: keys.iter().map(|k| k.parse().unwrap()).collect(),
    };
    let lasting = host_of_the_vote(true, Timestamp(15 * MINUTE));
    assert!(admitted(&[KEY]).judge(&lasting).holds());
    for until in [-5, 0, 2] {
        let verdict = admitted(&[KEY]).judge(&host_of_the_vote(true, Timestamp(until * MINUTE)));
        assert!(matches!(verdict, Verdict::NotYet(_)), "{until}: {verdict:?}");
    }
    let over = host_of_the_vote(true, Timestamp(-5 * MINUTE));
    assert!(!admitted(&[]).judge(&over).holds(), "its line is still there");
}

/// A daemon that somebody stopped before the rollout is not for arming to start, and must not count against it.
#[test]
fn ha_is_armed_when_nobody_says_that_it_is_disarmed() {
    let service = |running| {
        let (active, sub) = if running {
            ("active", "running")
        } else {
            ("inactive", "dead")
        };
        let state = ServiceState {
            load: "loaded".to_owned(),
            active: active.to_owned(),
            sub: sub.to_owned(),
            enabled: "enabled".to_owned(),
        };
        Facet::known(state, AT)
    };
    let judged = |disarm: Option<&str>| {
        let mut view = view(&["prox1", "prox2"], |_, _| {});
        for (name, seen) in &mut view.nodes {
            let manager = ManagerStatus {
                master: "prox1".to_owned(),
                at: AT,
                nodes: BTreeMap::new(),
                services: BTreeMap::new(),
                disarm: disarm.map(|state| Disarm {
                    mode: "freeze".to_owned(),
                    state: state.to_owned(),
                }),
                maintenance: BTreeSet::new(),
            };
            let ha = Ha {
                version: Facet::known("5.1.3".to_owned(), AT),
                watchdog_armed: false,
                lrm: service(name.as_str() == "prox1"),
                crm: service(true),
                lrm_status: Facet::not_asked(),
                manager: Facet::known(Some(manager), AT),
                placements: Facet::not_asked(),
                resources: Facet::not_asked(),
            };
            if let Ok(observation) = &mut seen.observation {
                observation.ha = Facet::known(ha, AT);
            }
        }
        let (cluster, nodes) = (hk1(), nodes(&["prox1", "prox2"]));
        Condition::HaArmed { cluster, nodes }.judge(&view)
    };
    assert!(judged(None).holds(), "{:?}", judged(None));
    assert_eq!(says(&judged(Some("disarming"))), "prox1 says that HA is disarming");
}
