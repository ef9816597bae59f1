//! Files written from values.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::ids::StorageName;
use crate::observation::pools::VdevClass;
use crate::raid::Raid;
use crate::storage::{Content, Property, StorageKind};

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

/// Pools and storages as `quorate adopt` writes them.
fn with_pools(mut draft: Draft) -> Draft {
    let on = |disks: &[(&str, &[&str])]| -> DraftDisks {
        let names = |names: &&[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        disks
            .iter()
            .map(|(node, disks)| (node.parse().unwrap(), names(disks)))
            .collect()
    };
    let pool = DraftPool {
        raid: Raid::Raid10,
        vdevs: 1,
        disks: on(&[("prox1", &["ata-A_1", "ata-A_2", "wwn-0x5", "nvme-X"]), ("prox2", &[])]),
        beside: [(VdevClass::Log, on(&[("prox1", &["nvme-L"]), ("prox2", &[])]))].into(),
        ashift: Some(13),
        compression: Some("zstd".parse().unwrap()),
        autotrim: Some(false),
        storage: true,
        content: [Content::Images].into(),
        thin: Some(false),
    };
    let plain = DraftPool {
        raid: Raid::Raidz2,
        vdevs: 2,
        disks: on(&[
            ("prox1", &["a", "b", "c", "d", "e", "f", "g", "h"]),
            ("prox2", &["a", "b", "c", "d", "e", "f", "g", "h"]),
        ]),
        beside: BTreeMap::new(),
        ashift: None,
        compression: None,
        autotrim: None,
        storage: false,
        content: BTreeSet::new(),
        thin: None,
    };
    draft.pools.insert("data_zfs".parse().unwrap(), pool);
    draft.pools.insert("big.tank".parse().unwrap(), plain);
    let storage = |kind, properties: &[(Property, &str)], content: &[Content], nodes: &[&str]| DraftStorage {
        kind,
        properties: properties.iter().map(|(p, value)| (*p, (*value).to_owned())).collect(),
        content: content.iter().copied().collect(),
        nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
    };
    let fingerprint = vec!["a4"; 32].join(":");
    let all: [(&str, DraftStorage); 3] = [
        (
            "backup",
            storage(
                StorageKind::Pbs,
                &[
                    (Property::Server, "192.168.1.5"),
                    (Property::Datastore, "store1"),
                    (Property::Username, "q@pbs!t"),
                    (Property::Fingerprint, &fingerprint),
                    (Property::Port, "8008"),
                ],
                &[Content::Backup],
                &[],
            ),
        ),
        (
            "nas.iso",
            storage(
                StorageKind::Nfs,
                &[
                    (Property::Server, "nas"),
                    (Property::Export, "/tank/i\"so\\"),
                    (Property::Options, "vers=4.2,soft"),
                ],
                &[Content::Iso, Content::Vztmpl],
                &["prox1"],
            ),
        ),
        (
            "srv",
            storage(
                StorageKind::Dir,
                &[
                    (Property::Path, "/srv/vm"),
                    (Property::IsMountpoint, "1"),
                    (Property::Shared, "0"),
                ],
                &[],
                &[],
            ),
        ),
    ];
    for (name, storage) in all {
        draft.storages.insert(name.parse::<StorageName>().unwrap(), storage);
    }
    draft
}

#[test]
fn a_file_with_pools_and_storages() {
    let draft = with_pools(draft());
    let text = write(&draft);
    insta::assert_snapshot!(text);
    let file = ClusterFile::parse("hk1.toml", &text).unwrap();
    let back = read_back(&file);
    assert_eq!((back.pools, back.storages), (draft.pools, draft.storages));
    let prox2 = "prox2".parse().unwrap();
    let pool = &file.pools[&"data_zfs".parse().unwrap()];
    assert!(pool.disks.of(&prox2).is_none(), "an empty list: there is to be none");
}

#[test]
fn what_is_proposed_is_a_comment_at_the_end() {
    let mut draft = draft();
    draft.proposals = "A pool:\n\n[zfs.data_zfs]\nraid = \"mirror\"".to_owned();
    let text = write(&draft);
    assert!(
        text.ends_with("\n\n# A pool:\n#\n# [zfs.data_zfs]\n# raid = \"mirror\"\n"),
        "{text}"
    );
    assert!(ClusterFile::parse("hk1.toml", &text).unwrap().pools.is_empty());
}

/// The draft that a file would have been written from; its comments are lost.
fn read_back(file: &ClusterFile) -> Draft {
    let cluster = &file.cluster;
    let link = |link: &LinkSpec| DraftLink {
        comment: String::new(),
        network: link.network.as_ref().map(|network| network.value),
        priority: link.priority.as_ref().map(|priority| priority.value),
    };
    let disks = |choice: &DiskChoice| -> DraftDisks {
        let names = |pick: &Pick| match pick {
            Pick::Named(names) => names.iter().map(|name| name.value.clone()).collect(),
            Pick::Matching(_) => panic!("a draft names disks"),
        };
        choice
            .on
            .iter()
            .map(|(node, pick)| (node.clone(), names(pick)))
            .collect()
    };
    let pool = |pool: &PoolSpec| DraftPool {
        raid: pool.raid.value,
        vdevs: pool.vdevs,
        disks: disks(&pool.disks),
        beside: pool
            .beside
            .iter()
            .map(|(class, choice)| (*class, disks(choice)))
            .collect(),
        ashift: pool.ashift,
        compression: pool.compression,
        autotrim: pool.autotrim,
        storage: pool.storage,
        content: pool
            .content
            .as_ref()
            .map(|content| content.value.clone())
            .unwrap_or_default(),
        thin: pool.thin.as_ref().map(|thin| thin.value),
    };
    let storage = |storage: &StorageSpec| DraftStorage {
        kind: storage.kind.value,
        properties: storage.properties.clone(),
        content: storage
            .content
            .as_ref()
            .map(|content| content.value.clone())
            .unwrap_or_default(),
        nodes: storage
            .nodes
            .as_ref()
            .map(|nodes| nodes.value.clone())
            .unwrap_or_default(),
    };
    Draft {
        comments: Vec::new(),
        name: cluster.name.value.clone(),
        links: cluster.links.iter().map(link).collect(),
        migration_network: cluster.migration_network.as_ref().map(|network| network.value),
        third_vote: cluster.third_vote.as_ref().map(|vote| vote.qdevice.value.clone()),
        maintenance: cluster.maintenance.iter().map(|window| window.value).collect(),
        nodes: file
            .nodes
            .iter()
            .map(|(name, spec)| (name.clone(), spec.into()))
            .collect(),
        pools: file
            .pools
            .iter()
            .map(|(name, spec)| (name.clone(), pool(spec)))
            .collect(),
        storages: file
            .storages
            .iter()
            .map(|(name, spec)| (name.clone(), storage(spec)))
            .collect(),
        proposals: String::new(),
    }
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
        let back = read_back(&file.unwrap());
        draft.comments.clear();
        draft.links.iter_mut().for_each(|link| link.comment.clear());
        draft.nodes.values_mut().for_each(|node| node.comment.clear());
        prop_assert_eq!(&back, &draft);
        prop_assert_eq!(write(&back), write(&draft));
    }
}
