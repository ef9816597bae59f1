//! Files written from values.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn draft() -> Draft {
    let node = |n: u8, role, comment: &str| DraftNode {
        comment: comment.to_owned(),
        address: IpAddr::from([192, 168, 1, n]),
        role,
        links: None,
    };
    Draft {
        comments: vec![
            "Cluster hk1.\nTwo servers.".to_owned(),
            "Next: quorate plan hk1.toml".to_owned(),
        ],
        links: vec![
            DraftLink {
                comment: "10 Gbit/s".to_owned(),
                network: Some("10.10.10.0/24".parse().unwrap()),
                priority: Some(20),
            },
            DraftLink {
                network: Some("192.168.1.0/24".parse().unwrap()),
                ..DraftLink::default()
            },
        ],
        migration_network: Some("10.10.10.0/24".parse().unwrap()),
        third_vote: Some("box1".parse().unwrap()),
        maintenance: vec!["22:00-05:00".parse().unwrap()],
        nodes: BTreeMap::from([
            (
                "prox1".parse().unwrap(),
                node(11, NodeRole::Member, "free disks:\n  /dev/sda"),
            ),
            ("prox2".parse().unwrap(), node(12, NodeRole::Member, "")),
            ("box1".parse().unwrap(), node(20, NodeRole::Qnetd, "")),
        ]),
        ..Draft::new("hk1".parse().unwrap())
    }
}

#[test]
fn a_file_for_people() {
    insta::assert_snapshot!(write(&draft()));
}

#[test]
fn the_shortest_file() {
    let mut draft = Draft::new("hk1".parse().unwrap());
    let node = DraftNode {
        comment: String::new(),
        address: "fd00::11".parse().unwrap(),
        role: NodeRole::Member,
        links: None,
    };
    draft.nodes.insert("prox1".parse().unwrap(), node);
    insta::assert_snapshot!(write(&draft));
}

#[test]
fn a_comment_stays_a_comment() {
    let mut draft = draft();
    draft.comments = vec!["evil\r\nname = \"x\"\u{7}\n\n[nodes.prox9]".to_owned()];
    let text = write(&draft);
    assert!(
        text.starts_with("# evil\n# name = \"x\"\n#\n# [nodes.prox9]\n\n[cluster]\n"),
        "{text}"
    );
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    assert_eq!(file.nodes.len(), 3);
}

/// Drafts that are good cluster files.
fn any_draft() -> impl Strategy<Value = Draft> {
    let comment = || "[ -~\n\t]{0,30}|[\\PC\n]{0,10}";
    let window = prop::sample::select(vec![
        "22:00-05:00",
        "sat 22:00-sun 04:00",
        "00:00-24:00",
        "sun 23:59-mon 00:01",
    ]);
    (
        "[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?",
        prop::collection::vec(comment(), 0..3),
        // Of each link: is there a network, a priority, is it IPv6; and a comment.
        prop::collection::vec((any::<bool>(), any::<Option<u8>>(), any::<bool>(), comment()), 0..=8),
        any::<bool>(),
        prop::collection::vec(window, 0..3),
        // Of each node: does it name its addresses, is it a witness; and a comment.
        prop::collection::vec((any::<bool>(), any::<bool>(), comment()), 1..10),
        any::<[bool; 2]>(),
    )
        .prop_map(|(name, comments, links, migration, windows, nodes, [qnetd, vote])| {
            let mut draft = Draft::new(name.parse().unwrap());
            draft.comments = comments;
            draft.maintenance = windows.into_iter().map(|w| w.parse().unwrap()).collect();
            draft.migration_network = migration.then(|| "10.0.0.0/16".parse().unwrap());
            let six: Vec<bool> = links.iter().map(|l| l.2).collect();
            let address = |link: usize, node: usize| -> IpAddr {
                let (l, n) = (u8::try_from(link).unwrap(), u8::try_from(node).unwrap() + 1);
                if six[link] {
                    Ipv6Addr::new(0xfd00, u16::from(l), 0, 0, 0, 0, 0, u16::from(n)).into()
                } else {
                    Ipv4Addr::new(10, l, 0, n).into()
                }
            };
            let all_by_network = links.iter().all(|l| l.0);
            draft.links = links
                .iter()
                .enumerate()
                .map(|(number, (network, priority, _, comment))| DraftLink {
                    comment: comment.clone(),
                    network: network.then(|| {
                        let length = if six[number] { 64 } else { 16 };
                        IpNet::new(address(number, 0), length).unwrap().trunc()
                    }),
                    priority: *priority,
                })
                .collect();
            for (number, (explicit, witness, comment)) in nodes.into_iter().enumerate() {
                let explicit = !six.is_empty() && (explicit || !all_by_network);
                let node = DraftNode {
                    comment,
                    address: Ipv4Addr::new(192, 168, 1, u8::try_from(number).unwrap() + 1).into(),
                    role: if witness && number > 0 {
                        NodeRole::Witness
                    } else {
                        NodeRole::Member
                    },
                    links: explicit.then(|| (0..six.len()).map(|link| address(link, number)).collect()),
                };
                draft.nodes.insert(format!("prox{number}").parse().unwrap(), node);
            }
            if qnetd {
                let node = DraftNode {
                    comment: String::new(),
                    address: Ipv4Addr::new(192, 168, 1, 200).into(),
                    role: NodeRole::Qnetd,
                    links: None,
                };
                draft.nodes.insert("box1".parse().unwrap(), node);
                draft.third_vote = vote.then(|| "box1".parse().unwrap());
            }
            draft
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(mut draft in any_draft()) {
        let text = write(&draft);
        let file = ClusterFile::parse("x.toml", &text);
        prop_assert!(file.is_ok(), "{}\n{:#?}", text, file);
        let back = Draft::from(&file.unwrap());
        draft.comments.clear();
        draft.links.iter_mut().for_each(|link| link.comment.clear());
        draft.nodes.values_mut().for_each(|node| node.comment.clear());
        prop_assert_eq!(&back, &draft);
        prop_assert_eq!(write(&back), write(&draft));
    }
}
