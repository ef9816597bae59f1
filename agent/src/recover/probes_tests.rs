use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::scripted::Call;
use quorate_exec::{Exit, Tools};
use quorate_model::Timestamp;
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::cluster::{Link, VoteRow, Votes};
use quorate_model::observation::network::{Interface, InterfaceAddress, InterfaceKind};
use tokio::net::TcpListener;

use super::*;
use crate::observe::testing::{Fake, fixture};
use crate::operations::testing::member as cluster;

const NOW: Timestamp = Timestamp(0);

/// prox1 (lost) and prox2 (here), maybe others.
fn member(names: &[&str]) -> Member {
    let mut member = cluster(names).member().unwrap().clone();
    member.nodes[0].online = false;
    member.votes = Facet::known(votes(&[2]), NOW);
    member.links = Facet::known(vec![], NOW);
    member
}

fn votes(ids: &[u32]) -> Votes {
    let row = |id: &u32| VoteRow {
        id: *id,
        votes: 1,
        qdevice: None,
    };
    Votes {
        expected: 2,
        highest_expected: 2,
        total: u32::try_from(ids.len()).unwrap(),
        quorum: 2,
        quorate: false,
        flags: vec![],
        rows: ids.iter().map(row).collect(),
        device: None,
    }
}

fn network(address: &str) -> Network {
    Network {
        interfaces: vec![Interface {
            name: "vmbr0".to_owned(),
            kind: InterfaceKind::Bridge,
            mac: String::new(),
            mtu: 1500,
            up: true,
            carrier: Some(true),
            speed_mbps: None,
            duplex: None,
            master: None,
            parent: None,
            addresses: vec![InterfaceAddress {
                address: address.parse().unwrap(),
                prefix: 24,
                state: quorate_model::observation::network::AddressState::Usable,
            }],
        }],
        own_name: Facet::not_asked(),
        names: BTreeMap::new(),
    }
}

fn signs(traces: &[Trace]) -> Vec<Sign> {
    traces.iter().map(|trace| trace.sign).collect()
}

#[test]
fn corosync_tells_by_its_members_its_votes_and_its_links() {
    let mut member = member(&["prox1", "prox2"]);
    assert_eq!(signs(&by_corosync(&member, "prox1")), [Sign::Silent; 3]);
    member.nodes[0].online = true;
    assert_eq!(signs(&by_corosync(&member, "prox1"))[0], Sign::Alive);
    member.votes = Facet::known(votes(&[1, 2]), NOW);
    assert_eq!(signs(&by_corosync(&member, "prox1"))[1], Sign::Alive);
    let link = |connected| Link {
        peer: 1,
        number: 1,
        local: "10.10.10.2".to_owned(),
        remote: "10.10.10.1".to_owned(),
        enabled: true,
        connected,
        mtu: None,
    };
    member.links = Facet::known(vec![link(false)], NOW);
    assert_eq!(
        signs(&by_corosync(&member, "prox1"))[2],
        Sign::Silent,
        "enabled, and not connected"
    );
    member.links = Facet::known(vec![link(true)], NOW);
    assert_eq!(signs(&by_corosync(&member, "prox1"))[2], Sign::Alive);
    member.links = Facet::unknown(UnknownKind::TimedOut, "hangs");
    member.votes = Facet::unknown(UnknownKind::TimedOut, "hangs");
    assert_eq!(signs(&by_corosync(&member, "prox1"))[1..], [Sign::Unproven; 2]);
}

#[test]
fn what_it_publishes_counts_only_if_it_goes_on() {
    let sign = |before, after| by_publishing(before, after).sign;
    assert_eq!(sign(Ok(Some(10)), Ok(Some(10))), Sign::Unproven);
    assert_eq!(sign(Ok(Some(10)), Ok(Some(15))), Sign::Alive);
    assert_eq!(sign(Ok(None), Ok(None)), Sign::Unproven);
    let unknown = || Err(Unknown::new(UnknownKind::TimedOut, "blocked"));
    assert_eq!(sign(unknown(), Ok(Some(10))), Sign::Unproven);
}

#[test]
fn it_is_asked_on_each_of_its_networks_and_so_are_those_beside_it() {
    let mut member = member(&["prox1", "prox2", "prox3"]);
    member.nodes[0].address = "192.168.1.11".parse().ok();
    member.nodes[1].address = "192.168.1.12".parse().ok();
    let gateways = ["192.168.1.1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    let network = network("192.168.1.12");
    let roads = super::roads(&member, Ok(&network), &gateways, "prox2", "prox1");
    let told: Vec<String> = roads
        .iter()
        .map(|road| {
            let others: Vec<String> = road.others.iter().map(|(at, who)| format!("{who} {at}")).collect();
            format!(
                "{} {} from {:?}: {}",
                road.name,
                road.lost,
                road.own.map(|own| own.to_string()),
                others.join(", ")
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "PVE's own network 192.168.1.11 from Some(\"192.168.1.12\"): the gateway 192.168.1.1",
            "link 0 10.10.10.1 from Some(\"10.10.10.2\"): prox3 10.10.10.3",
        ]
    );
    member.configured[0].addresses = BTreeMap::from([(0, "prox1.example".to_owned())]);
    member.nodes[0].address = None;
    assert!(super::roads(&member, Ok(&network), &gateways, "prox2", "prox1").is_empty());
    assert_eq!(signs(&by_links_without_address(&member, "prox1")), [Sign::Unproven]);
}

fn ping(prints: &str, code: i32) -> Call {
    Call::of(["/usr/bin/ping", "-n", "-c", "3", "-i", "0.5", "-W", "1", "10.10.10.1"])
        .prints(prints)
        .exits(Exit::Code(code))
}

#[tokio::test]
async fn ping_is_believed_by_what_was_received() {
    let sign = async |call: Call| {
        let fake = Fake::new();
        pinged(&fake.host([call]), "10.10.10.1".parse().unwrap()).await.sign
    };
    assert_eq!(sign(ping(fixture!("ping/20221126/answers.out"), 0)).await, Sign::Alive);
    assert_eq!(sign(ping(fixture!("ping/20221126/nobody.out"), 1)).await, Sign::Silent);
    assert_eq!(
        sign(ping(fixture!("ping/20221126/unreachable.out"), 1)).await,
        Sign::Silent
    );
    let no_network = ping("", 2).complains(fixture!("ping/20221126/no-network.err"));
    assert_eq!(sign(no_network).await, Sign::Unproven);
    let fake = Fake::new();
    let missing = pinged(&fake.bare(), "10.10.10.1".parse().unwrap()).await;
    assert_eq!(missing.sign, Sign::Unproven, "it is not installed: {}", missing.said);
}

#[tokio::test]
async fn a_bmc_is_pinged_and_whatever_it_says_proves_nothing() {
    for (call, said) in [
        (ping(fixture!("ping/20221126/answers.out"), 0), "answers (3 of 3); "),
        (ping(fixture!("ping/20221126/nobody.out"), 1), "no answer; "),
    ] {
        let fake = Fake::new();
        let trace = bmc(&fake.host([call]), "10.10.10.1".parse().unwrap()).await;
        assert_eq!(trace.sign, Sign::Unproven);
        assert!(trace.said.starts_with(said), "{trace:?}");
        assert!(trace.about.contains("its BMC at 10.10.10.1"), "{trace:?}");
    }
}

/// The machine itself, as every address of it.
fn here(port: u16) -> (Road, (u16, &'static str)) {
    let road = Road {
        name: "link 0".to_owned(),
        lost: "127.0.0.1".parse().unwrap(),
        own: None,
        others: vec![],
    };
    (road, (port, "its agent"))
}

#[tokio::test]
async fn a_connection_and_a_refusal_are_signs_of_life() {
    let fake = Fake::new();
    let host = fake.host_with(Tools::imagined(), [], Clock::system());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (road, what) = here(port);
    assert_eq!(dialled(&host, &road, what).await.sign, Sign::Alive);
    drop(listener);
    let refused = dialled(&host, &road, what).await;
    assert_eq!(
        refused.sign,
        Sign::Alive,
        "somebody is there to refuse it: {}",
        refused.said
    );
    // In a lab it is this machine that answers or refuses, for all servers.
    let map = BTreeMap::from([("10.10.10.1".parse().unwrap(), "127.0.0.1".parse().unwrap())]);
    let lab = fake
        .host_with(Tools::imagined(), [], Clock::system())
        .with_links(crate::host::LinkMap::lab(map));
    let road = Road {
        lost: "10.10.10.1".parse().unwrap(),
        ..road
    };
    assert_eq!(dialled(&lab, &road, what).await.sign, Sign::Unproven);
}

#[tokio::test]
async fn an_address_that_this_server_has_lost_is_no_way() {
    let to = "127.0.0.1:9".parse().unwrap();
    let from = Some("192.0.2.200".parse().unwrap());
    assert_eq!(dial(to, from, Duration::from_secs(5)).await.unwrap(), Dial::NoWay);
}

#[test]
fn neighbours_are_told_by_the_interfaces_prefix() {
    let network = network("192.168.1.12");
    let beside = |other: &str| is_beside(Ok(&network), "192.168.1.12".parse().unwrap(), other.parse().unwrap());
    assert!(beside("192.168.1.1") && !beside("192.168.2.1") && !beside("fe80::1"));
    assert!(!is_beside(
        Ok(&network),
        "10.0.0.1".parse().unwrap(),
        "10.0.0.2".parse().unwrap()
    ));
    let unknown = Unknown::not_asked();
    assert!(!is_beside(
        Err(&unknown),
        "192.168.1.12".parse().unwrap(),
        "192.168.1.1".parse().unwrap()
    ));
}
