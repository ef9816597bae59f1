use quorate_model::facet::Facet;
use quorate_model::observation::cluster::{Cluster, Link, Member, MemberNode, Membership, Pmxcfs, Votes};
use quorate_model::view::NodeView;
use quorate_model::{Code, Finding, Observation, Timestamp, Unknown, UnknownKind};
use quorate_proto::{Connection, ConnectionState, Sighting};

use super::health;

const NOW: Timestamp = Timestamp(1_000_000_000);

fn seconds_ago(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 - seconds * 1_000_000)
}

fn member(online: &[&str]) -> Member {
    let node = |(index, name): (usize, &&str)| MemberNode {
        name: (*name).to_owned(),
        id: index as u32 + 1,
        online: online.contains(name),
        address: None,
    };
    let votes = Votes {
        expected: 3,
        highest_expected: 3,
        total: online.len() as u32,
        quorum: 2,
        quorate: online.len() >= 2,
        flags: vec![],
        rows: vec![],
        device: None,
    };
    Member {
        cluster: "hk1".to_owned(),
        running_version: 3,
        file_version: 3,
        quorate: online.len() >= 2,
        nodes: ["prox1", "prox2", "prox3"].iter().enumerate().map(node).collect(),
        configured: vec![],
        interfaces: [(0, None)].into(),
        qdevice: None,
        running_versions: Facet::not_asked(),
        votes: Facet::known(votes, NOW),
        links: Facet::known(vec![], NOW),
        latencies: Facet::not_asked(),
        totem: Facet::not_asked(),
    }
}

fn sighting(node: &str, member: Member) -> Sighting {
    let mut observation = Observation::empty(node, NOW);
    observation.cluster = Facet::known(
        Cluster {
            membership: Membership::Member(Box::new(member)),
            pmxcfs: Pmxcfs::Writable,
            authkey_present: true,
            local_config_present: true,
            local_config: Facet::not_asked(),
            config_lock_age: None,
            changes: vec![],
        },
        NOW,
    );
    Sighting {
        node: format!("hk1/{node}").parse().unwrap(),
        view: NodeView {
            observation: Ok(observation),
            clock_offset: None,
        },
        received_at: Some(NOW),
        connection: Some(Connection {
            state: ConnectionState::Connected,
            since: seconds_ago(60),
            reason: String::new(),
        }),
    }
}

fn said(sightings: &[Sighting]) -> Vec<(Code, String)> {
    health(NOW, sightings)
        .into_iter()
        .map(|f: Finding| (f.code, f.subject))
        .collect()
}

const ALL: &[&str] = &["prox1", "prox2", "prox3"];

#[test]
fn a_healthy_cluster_is_not_talked_about() {
    let all: Vec<_> = ALL.iter().map(|node| sighting(node, member(ALL))).collect();
    assert_eq!(said(&all), []);
}

#[test]
fn a_member_whose_pmxcfs_is_down_is_named() {
    let mut all: Vec<_> = ALL.iter().map(|node| sighting(node, member(ALL))).collect();
    if let Ok(Observation {
        cluster: Facet::Known { value, .. },
        ..
    }) = &mut all[1].view.observation
    {
        value.pmxcfs = Pmxcfs::NotMounted;
    }
    assert_eq!(said(&all), [(Code::PmxcfsNotReady, "hk1/prox2".to_owned())]);
}

#[test]
fn a_member_that_is_gone_is_named_once_and_its_links_are_not() {
    let mut view = member(&["prox1", "prox2"]);
    let down = |peer| Link {
        peer,
        number: 0,
        local: "10.0.0.1".to_owned(),
        remote: format!("10.0.0.{peer}"),
        enabled: true,
        connected: false,
        mtu: None,
    };
    view.links = Facet::known(vec![down(3)], NOW);
    let two = [
        sighting("prox1", view.clone()),
        sighting("prox2", member(&["prox1", "prox2"])),
    ];
    assert_eq!(said(&two), [(Code::MemberOffline, "hk1/prox3".to_owned())]);
    view.links = Facet::known(vec![down(2)], NOW);
    let linked = said(&[sighting("prox1", view)]);
    assert!(linked.contains(&(Code::LinkDown, "hk1/prox1".to_owned())), "{linked:?}");
}

#[test]
fn lost_quorum_is_said_with_its_votes() {
    let findings = health(NOW, &[sighting("prox1", member(&["prox1"]))]);
    let quorum = findings.iter().find(|f| f.code == Code::ClusterNotQuorate).unwrap();
    assert!(quorum.message.contains("1 of 3 votes, 2 needed"), "{}", quorum.message);
}

#[test]
fn old_data_is_called_old_and_nothing_is_concluded_from_it() {
    let mut old = sighting("prox1", member(&["prox1"]));
    old.received_at = Some(seconds_ago(45));
    old.connection = Some(Connection {
        state: ConnectionState::Lost,
        since: seconds_ago(40),
        reason: "the agent fell silent".to_owned(),
    });
    let findings = health(NOW, &[old]);
    let codes: Vec<_> = findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::NodeUnreachable, Code::DataStale]);
    assert!(
        findings[0].message.contains("lost for 40 s: the agent fell silent"),
        "{}",
        findings[0].message
    );
    assert!(findings[1].message.contains("45 s ago"), "{}", findings[1].message);
}

#[test]
fn what_could_not_be_read_is_said_and_what_was_not_asked_for_is_not() {
    let mut one = sighting("prox1", member(ALL));
    let observation = one.view.observation.as_mut().unwrap();
    observation.disks = Facet::unknown(UnknownKind::TimedOut, "lsblk gave no answer within 10 s");
    observation.hostname = "other".to_owned();
    assert_eq!(
        said(&[one]),
        [
            (Code::FacetUnknown, "hk1/prox1".to_owned()),
            (Code::HostNameDiffers, "hk1/prox1".to_owned())
        ]
    );
}

#[test]
fn members_that_disagree_are_a_split() {
    let mut other = member(ALL);
    other.nodes.pop();
    let codes: Vec<_> = said(&[sighting("prox1", member(ALL)), sighting("prox2", other)])
        .into_iter()
        .map(|s| s.0)
        .collect();
    assert_eq!(codes, [Code::SplitMembership]);
}

#[test]
fn a_node_never_seen_is_unreachable_only() {
    let mut unseen = sighting("prox1", member(ALL));
    unseen.view.observation = Err(Unknown::new(UnknownKind::Unreachable, "refused"));
    unseen.received_at = None;
    unseen.connection = Some(Connection {
        state: ConnectionState::Connecting,
        since: seconds_ago(5),
        reason: "refused".to_owned(),
    });
    assert_eq!(said(&[unseen]), [(Code::NodeUnreachable, "hk1/prox1".to_owned())]);
}

#[test]
fn ha_at_rest_is_told_once_for_a_cluster_and_for_each_server_whose_daemons_stand() {
    use quorate_planner::testkit::{self, Servers, known};

    let seen = |servers: Servers| -> Vec<Finding> {
        let sightings: Vec<Sighting> = servers
            .view
            .nodes
            .into_iter()
            .map(|(node, view)| Sighting {
                node: quorate_model::NodeRef::new("hk1".parse().unwrap(), node),
                view,
                received_at: Some(NOW),
                connection: None,
            })
            .collect();
        let all = health(NOW, &sightings).into_iter();
        all.filter(|finding| finding.code == Code::HaAlreadyDisarmed).collect()
    };
    let cluster = || {
        Servers::bare(3)
            .members("hk1", &["prox1", "prox2", "prox3"], &[])
            .under_ha("vm:100", "prox1", "5.1.3")
    };
    assert_eq!(seen(cluster()), []);
    let disarmed = cluster().with_each(|seen| {
        known(&mut known(&mut seen.ha).manager).as_mut().unwrap().disarm =
            Some(quorate_model::observation::ha::Disarm {
                mode: "freeze".to_owned(),
                state: "disarmed".to_owned(),
            });
    });
    let told = seen(disarmed);
    assert!(
        told.len() == 1 && told[0].subject == "hk1" && told[0].next.contains("arm-ha"),
        "{told:?}"
    );
    let stopped = cluster().with_ha("prox2", |ha| ha.lrm = Facet::known(testkit::service(false), NOW));
    let told = seen(stopped);
    assert!(told.len() == 1 && told[0].subject == "hk1/prox2", "{told:?}");
}
