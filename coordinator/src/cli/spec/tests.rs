//! What an operator sees and gets from `quorate spec`, on servers that were seen well, badly, or not at all.

use std::collections::VecDeque;
use std::net::IpAddr;

use quorate_model::facet::UnknownKind;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::Network;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::observation::network::{AddressState, Interface, InterfaceAddress, InterfaceKind, NameResolution};
use quorate_model::spec::{ClusterFile, DraftLink, write};
use quorate_model::{ByteSize, Facet, NodeName, Observation, Timestamp, Unknown};

use super::asking::{Ask, Way};
use super::choose::{Wanted, draft};
use super::init::Link;
use super::survey::{End, Pve, Server, networks, show};
use super::tables::advice;
use crate::cli::cluster_file::{Source, show as show_problems};

const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn interface(name: &str, speed: Option<u32>, master: Option<&str>, addresses: &[(&str, u8)]) -> Interface {
    Interface {
        name: name.into(),
        kind: InterfaceKind::Physical,
        mac: String::new(),
        mtu: 1500,
        up: true,
        carrier: Some(true),
        speed_mbps: speed,
        duplex: None,
        master: master.map(str::to_owned),
        parent: None,
        addresses: addresses
            .iter()
            .map(|(address, prefix)| InterfaceAddress {
                address: address.parse().unwrap(),
                prefix: *prefix,
                state: AddressState::Usable,
            })
            .collect(),
    }
}

/// `proxN`: 10 Gbit/s on eno2, 1 Gbit/s under vmbr0, a bridge that every server has with the same address, and a cable that is out.
fn network(n: u8) -> Network {
    let mut unplugged = interface("eno3", None, None, &[(&format!("10.30.30.{n}"), 24)]);
    unplugged.carrier = Some(false);
    Network {
        interfaces: vec![
            interface("eno1", Some(1000), Some("vmbr0"), &[]),
            interface(
                "eno2",
                Some(10_000),
                None,
                &[(&format!("10.10.10.1{n}"), 24), (&format!("fe80::{n}"), 64)],
            ),
            unplugged,
            interface("vmbr0", None, None, &[(&format!("192.168.1.1{n}"), 24)]),
            interface("docker0", None, None, &[("172.17.0.1", 16)]),
        ],
        own_name: Facet::known(
            NameResolution {
                name: format!("prox{n}"),
                addresses: vec!["127.0.1.1".parse().unwrap(), format!("192.168.1.1{n}").parse().unwrap()],
                back: Facet::not_asked(),
            },
            NOW,
        ),
        names: [].into(),
    }
}

fn disks(n: u8) -> Disks {
    let disk = |path: &str, serial: &str| Disk {
        path: path.into(),
        by_id: vec![format!("ata-SAMSUNG_MZ7LH960_{serial}")],
        wwn: Some(format!("0x5002538e{serial}")),
        serial: Some(serial.into()),
        model: Some("SAMSUNG MZ7LH960".into()),
        size: ByteSize(960_197_124_096),
        transport: Some("sata".into()),
        ..Disk::default()
    };
    let mut used = disk("/dev/sda", &format!("S{n}A"));
    used.removable = true;
    let mut all = vec![used, disk("/dev/sdb", &format!("S{n}B"))];
    for disk in &mut all {
        disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
    }
    Disks { disks: all }
}

fn seen(n: u8) -> Observation {
    let mut seen = Observation::empty(format!("prox{n}"), NOW);
    seen.network = Facet::known(network(n), NOW);
    seen.disks = Facet::known(disks(n), NOW);
    seen
}

fn server(n: u8) -> Server {
    let mut server = Server::new(name(&format!("prox{n}")), &Ok(seen(n)), None);
    // Its system facet is long and of no matter here but for this.
    server.pve = Pve::Version("8.4.21".into());
    server.unseen.clear();
    server
}

fn host() -> Server {
    let mut host = server(9);
    host.name = name("box1");
    host.pve = Pve::Not;
    host
}

fn unreachable() -> Server {
    let unknown = Unknown::new(UnknownKind::Unreachable, "the agent does not answer");
    Server::new(name("prox3"), &Err(unknown), Some("192.168.1.13".parse().unwrap()))
}

/// Answers in their order, and everything that was said.
#[derive(Default)]
struct Operator {
    answers: VecDeque<&'static str>,
    heard: Vec<String>,
}

impl Ask for Operator {
    fn line(&mut self, question: &str, proposed: &str) -> Result<String, Failure> {
        self.heard.push(format!("{question} [{proposed}]"));
        Ok(self
            .answers
            .pop_front()
            .expect("an answer for every question")
            .to_owned())
    }

    fn say(&mut self, text: &str) {
        self.heard.push(text.to_owned());
    }
}

/// The file's text, as far as one comes about; it is a good one.
fn made(servers: &[Server], wanted: &Wanted, way: Way<'_>) -> Result<String, Failure> {
    let draft = draft(&"hk1".parse().unwrap(), servers, wanted, way)?;
    let text = write(&draft);
    ClusterFile::parse("hk1.toml", &text).map_err(|f| Failure::new(ExitCode::Refused, "bad").with(f))?;
    let advice: String = advice(&draft, servers)
        .into_iter()
        .map(|a| format!("look at this: {a}\n"))
        .collect();
    Ok(format!("{text}\n{advice}"))
}

#[test]
fn what_the_servers_have_is_shown_and_what_was_not_seen_is_said() {
    let mut blind = server(2);
    blind = Server {
        unseen: vec!["its disks: lsblk did not answer within 10 s".into()],
        free: None,
        ..blind
    };
    let servers = [server(1), blind, unreachable(), host()];
    insta::assert_snapshot!(show(&servers, &networks(&servers.iter().collect::<Vec<_>>())));
}

#[test]
fn without_a_question_what_is_proposed_is_taken() {
    let text = made(&[server(1), server(2), server(4)], &Wanted::default(), Way::Take).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn two_servers_and_a_host_outside_make_a_third_vote() {
    let text = made(&[host(), server(1), server(2)], &Wanted::default(), Way::Take).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn two_servers_alone_are_told_what_that_means() {
    let text = made(&[server(1), server(2)], &Wanted::default(), Way::Take).unwrap();
    assert!(
        text.contains("look at this: of 2 votes one half is no majority"),
        "{text}"
    );
}

#[test]
fn a_server_that_was_not_seen_is_said_in_the_file() {
    let text = made(&[server(1), server(2), unreachable()], &Wanted::default(), Way::Take).unwrap();
    for said in [
        "# not seen: nothing of it is known: the agent does not answer\n[nodes.prox3]\naddress = \"192.168.1.13\"",
        // No network is known to join all three.
        "look at this: there is a single link",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
}

#[test]
fn wrong_answers_are_asked_again() {
    let mut operator = Operator {
        answers: [
            "prox1 prox7",
            "prox1,prox1",
            "prox1 prox2",
            "1 9",
            "2",
            "1 10.10.0.0/16",
            "3, 10.10.10.0/24",
            "prox1",
            "",
        ]
        .into(),
        ..Operator::default()
    };
    let text = made(
        &[server(1), server(2), server(4), host()],
        &Wanted::default(),
        Way::Ask(&mut operator),
    )
    .unwrap();
    insta::assert_snapshot!(format!("{}\n\n{text}", operator.heard.join("\n")));
}

#[test]
fn flags_are_not_asked_for() {
    let wanted = Wanted {
        links: vec![
            "10.10.10.0/24,priority=20".parse::<Link>().unwrap().0,
            "10.99.0.0/16".parse::<Link>().unwrap().0,
        ],
        nodes: vec![name("prox1"), name("prox2")],
        qdevice: Some(name("box1")),
        ..Wanted::default()
    };
    let text = made(&[server(1), server(2), server(4), host()], &wanted, Way::Refuse).unwrap();
    for said in [
        "{ network = \"10.10.10.0/24\", priority = 20 },",
        "third_vote = { qdevice = \"box1\" }",
        "look at this: no address in 10.99.0.0/16 was seen on prox1, prox2",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    assert!(!text.contains("prox4"), "{text}");
}

#[test]
fn with_nobody_there_the_missing_flag_is_named() {
    let servers = [server(1), server(2), host()];
    let refused = |wanted: &Wanted| {
        let failure = made(&servers, wanted, Way::Refuse).unwrap_err();
        assert_eq!(failure.exit, ExitCode::Usage);
        failure.hints.join(" ")
    };
    let mut wanted = Wanted::default();
    assert!(refused(&wanted).contains("--node NAME"));
    wanted.nodes = vec![name("prox1"), name("prox2")];
    assert!(refused(&wanted).contains("--link NETWORK"));
    wanted.links = vec!["10.10.10.0/24".parse::<Link>().unwrap().0];
    assert!(refused(&wanted).contains("--qdevice NAME"));
}

#[test]
fn flags_that_can_t_be_are_refused() {
    let of = |nodes: &[&str], qdevice: Option<&str>| Wanted {
        links: vec![DraftLink::default()],
        nodes: nodes.iter().map(|n| name(n)).collect(),
        qdevice: qdevice.map(name),
        ..Wanted::default()
    };
    let exit = |wanted: &Wanted| made(&[server(1), server(2)], wanted, Way::Take).unwrap_err().exit;
    assert_eq!(exit(&of(&["prox9"], None)), ExitCode::NotFound);
    assert_eq!(exit(&of(&["prox1", "prox1"], None)), ExitCode::Usage);
    assert_eq!(exit(&of(&["prox1", "prox2"], Some("prox2"))), ExitCode::Usage);
    for bad in [
        "10.10.10.1/24",
        "10.10.10.0",
        "10.10.10.0/24,20",
        "10.10.10.0/24,priority=256",
    ] {
        assert!(bad.parse::<Link>().is_err(), "{bad}");
    }
}

#[test]
fn several_addresses_in_a_links_network_are_written_down() {
    let mut observation = seen(1);
    if let Facet::Known { value, .. } = &mut observation.network {
        value
            .interfaces
            .push(interface("eno4", Some(10_000), None, &[("10.10.10.111", 24)]));
    }
    let mut double = Server::new(name("prox1"), &Ok(observation), None);
    double.pve = Pve::Version("8.4.21".into());
    let text = made(&[double, server(2), server(4)], &Wanted::default(), Way::Take).unwrap();
    assert!(text.contains("links = [\"10.10.10.11\", \"192.168.1.11\"]"), "{text}");
    assert!(
        text.contains("several addresses in a link's network (10.10.10.11, 10.10.10.111)"),
        "{text}"
    );
}

#[test]
fn what_is_proposed_can_be_declined_by_flags() {
    let wanted = Wanted {
        nodes: vec![name("prox1"), name("prox2")],
        no_links: true,
        no_qdevice: true,
        ..Wanted::default()
    };
    for way in [Way::Take, Way::Refuse] {
        let text = made(&[server(1), server(2), host()], &wanted, way).unwrap();
        assert!(
            !text.contains("third_vote") && !text.contains("10.10.10.0/24"),
            "{text}"
        );
    }
}

#[test]
fn a_host_may_be_called_none() {
    let mut none = host();
    none.name = name("none");
    let chosen = |answer: &'static str| {
        let mut operator = Operator {
            answers: ["", "", answer].into(),
            ..Operator::default()
        };
        let servers = [server(1), server(2), none.clone()];
        made(&servers, &Wanted::default(), Way::Ask(&mut operator)).unwrap()
    };
    assert!(chosen("none").contains("third_vote = { qdevice = \"none\" }"));
    assert!(!chosen("-").contains("third_vote"));
}

#[test]
fn several_addresses_that_can_t_be_written_down_are_not_said_to_be() {
    let mut double = server(1);
    let again = double
        .ends
        .iter()
        .find(|e| e.address.to_string() == "10.10.10.11")
        .unwrap()
        .clone();
    double.ends.push(End {
        address: "10.10.10.111".parse().unwrap(),
        ..again
    });
    let wanted = Wanted {
        links: ["10.10.10.0/24", "10.77.0.0/16"]
            .map(|l| l.parse::<Link>().unwrap().0)
            .to_vec(),
        ..Wanted::default()
    };
    let text = made(&[double, server(2), server(4)], &wanted, Way::Take).unwrap();
    assert!(
        text.contains("write down which is meant") && !text.contains("is written down"),
        "{text}"
    );
}

#[test]
fn servers_that_are_in_a_cluster_are_better_adopted() {
    let mut inside = server(1);
    inside.cluster = Some("hk1".to_owned());
    let text = made(&[inside, server(2), server(4)], &Wanted::default(), Way::Take).unwrap();
    assert!(
        text.contains("prox1 (in hk1); for the file of a cluster as it is: quorate adopt hk1"),
        "{text}"
    );
}

#[test]
fn a_server_without_an_address_makes_no_file() {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let unknown = Unknown::new(UnknownKind::Unreachable, "the agent does not answer");
    let nowhere = Server::new(name("prox3"), &Err(unknown), Some(loopback));
    let failure = made(&[server(1), server(2), nowhere], &Wanted::default(), Way::Take).unwrap_err();
    assert_eq!(failure.exit, ExitCode::Refused);
    assert!(
        failure.to_string().contains("the address of prox3 could not be seen"),
        "{failure}"
    );
}

#[test]
fn problems_are_shown_in_their_lines() {
    let source = Source {
        name: "hk1.toml".into(),
        text: "[cluster]\nname = \"hk1\"\nlinks = [{ priority = 20 }]\nthird_vote = { qdevice = \"box1\" }\n\n\
               [nodes.prox1]\naddress = \"192.168.1.11\"\nrole = \"whitness\"\n"
            .into(),
    };
    let findings = ClusterFile::parse(&source.name, &source.text).unwrap_err();
    insta::assert_snapshot!(show_problems(&source, &findings));
}
