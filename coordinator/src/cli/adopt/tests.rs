//! What a cluster's servers show, and the file that comes of it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::failure::Failure;
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Member, MemberNode, Membership, Pmxcfs, QdeviceConfig,
};
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::network::{AddressState, Interface, InterfaceAddress, InterfaceKind, Network};
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevClass, VdevHealth, VdevState};
use quorate_model::observation::storages::{DefinedStorage, Storages};
use quorate_model::spec::{ClusterFile, Draft, write};
use quorate_model::{ByteSize, Observation, Timestamp};

use super::derive::{Server, derive};

const AT: Timestamp = Timestamp(0);

fn server(n: u8, links: &[&str]) -> Observation {
    let addresses = |m: u8| {
        links
            .iter()
            .enumerate()
            .map(move |(i, net)| (i as u8, net.replace('N', &m.to_string())))
    };
    let configured = (1..=2_u8).map(|m| ConfiguredNode {
        name: format!("prox{m}"),
        id: m.into(),
        votes: 1,
        addresses: addresses(m)
            .map(|(i, text)| (i, text.split('/').next().unwrap().to_owned()))
            .collect(),
    });
    let member = Member {
        cluster: "hk1".into(),
        running_version: 2,
        file_version: 2,
        quorate: true,
        nodes: (1..=2_u8)
            .map(|m| MemberNode {
                name: format!("prox{m}"),
                id: m.into(),
                online: true,
                address: Some(format!("192.168.1.1{m}").parse().unwrap()),
            })
            .collect(),
        configured: configured.collect(),
        interfaces: BTreeMap::from([(0, Some(20))]),
        qdevice: None,
        running_versions: Facet::not_asked(),
        votes: Facet::not_asked(),
        links: Facet::not_asked(),
        latencies: Facet::not_asked(),
        totem: Facet::not_asked(),
    };
    let interface = |(i, text): (u8, String)| {
        let net: IpNet = text.parse().unwrap();
        Interface {
            name: format!("eno{i}"),
            kind: InterfaceKind::Physical,
            mac: String::new(),
            mtu: 1500,
            up: true,
            carrier: Some(true),
            speed_mbps: None,
            duplex: None,
            master: None,
            parent: None,
            addresses: vec![InterfaceAddress {
                address: net.addr(),
                prefix: net.prefix_len(),
                state: AddressState::Usable,
            }],
        }
    };
    let mut observation = Observation::empty(format!("prox{n}"), AT);
    observation.network = Facet::known(
        Network {
            interfaces: addresses(n).map(interface).collect(),
            own_name: Facet::not_asked(),
            names: BTreeMap::new(),
        },
        AT,
    );
    observation.disks = Facet::known(disks(n), AT);
    observation.pools = Facet::known(vec![], AT);
    observation.storages = Facet::known(storages(&[]), AT);
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
        AT,
    );
    observation
}

/// Eight disks.
fn disks(n: u8) -> Disks {
    let disk = |disk: u8| Disk {
        path: format!("/dev/sd{}", char::from(b'a' + disk)),
        by_id: vec![format!("ata-S_{n}{disk}")],
        serial: Some(format!("{n}{disk}")),
        size: ByteSize(960_197_124_096),
        transport: Some("sata".into()),
        ..Disk::default()
    };
    Disks {
        disks: (0..8).map(disk).collect(),
    }
}

/// A pool of server `n`: its vdevs by class, name and disks.
fn pool(n: u8, name: &str, vdevs: &[(VdevClass, &str, &[u8])]) -> Pool {
    let health = VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    };
    let vdev = |(class, name, disks): &(VdevClass, &str, &[u8])| Vdev {
        class: *class,
        name: (*name).to_owned(),
        health: health.clone(),
        leaves: disks
            .iter()
            .map(|disk| Leaf {
                name: format!("/dev/disk/by-id/ata-S_{n}{disk}-part1"),
                health: health.clone(),
                group: None,
            })
            .collect(),
    };
    Pool {
        name: name.to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vdevs.iter().map(vdev).collect(),
        size: ByteSize(960_000_000_000),
        allocated: ByteSize(0),
        fragmentation: None,
        ashift: Some(12),
        autotrim: Some(false),
        compression: Some("lz4".to_owned()),
        scrub_scheduled: None,
        import_enabled: None,
        volumes: Facet::not_asked(),
        created: None,
    }
}

/// As in storage.cfg: id, kind, properties.
type Written<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

fn storages(defined: &[Written<'_>]) -> Storages {
    let one = |(id, kind, properties): &Written<'_>| DefinedStorage {
        id: (*id).to_owned(),
        kind: (*kind).to_owned(),
        properties: properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    Storages {
        defined: defined.iter().map(one).collect(),
        status: Facet::not_asked(),
    }
}

const LINKS: [&str; 2] = ["10.10.10.N/24", "192.168.1.N/24"];

/// The file of two servers with these pools and storages.
fn with_pools(pools: impl Fn(u8) -> Vec<Pool>, defined: &[Written<'_>]) -> String {
    let draft = changed(&LINKS, |n, observation| {
        observation.pools = Facet::known(pools(n), AT);
        observation.storages = Facet::known(storages(defined), AT);
    });
    let text = write(&draft.unwrap());
    ClusterFile::parse("hk1.toml", &text).unwrap();
    text
}

fn derived(links: &[&str], change: impl Fn(&mut Member)) -> Result<Draft, Failure> {
    changed(links, |_, observation| {
        if let Facet::Known { value, .. } = &mut observation.cluster
            && let Membership::Member(member) = &mut value.membership
        {
            change(member);
        }
    })
}

fn changed(links: &[&str], change: impl Fn(u8, &mut Observation)) -> Result<Draft, Failure> {
    let mut seen = [server(1, links), server(2, links)];
    for (n, observation) in (1..).zip(&mut seen) {
        change(n, observation);
    }
    let servers: Vec<Server<'_>> = (1..)
        .zip(&seen)
        .map(|(n, observation)| Server {
            name: format!("prox{n}").parse().unwrap(),
            address: None,
            observation,
        })
        .collect();
    derive(&"hk1".parse().unwrap(), &servers)
}

#[test]
fn networks_tell_the_links_where_each_server_has_one_address_in_them() {
    let draft = derived(&["10.10.10.N/24", "192.168.1.N/24"], |_| {}).unwrap();
    let file = ClusterFile::parse("hk1.toml", &write(&draft)).unwrap();
    let networks: Vec<String> = file
        .cluster
        .links
        .iter()
        .map(|l| l.network.as_ref().unwrap().value.to_string())
        .collect();
    assert_eq!(networks, ["10.10.10.0/24", "192.168.1.0/24"]);
    assert_eq!(file.cluster.links[0].priority.as_ref().unwrap().value, 20);
    assert!(file.nodes.values().all(|node| node.links.is_none()));
    assert_eq!(file.nodes.len(), 2);
}

#[test]
fn two_links_in_one_network_are_written_address_by_address() {
    let draft = derived(&["10.10.10.N/24", "10.10.10.1N/24"], |_| {}).unwrap();
    let file = ClusterFile::parse("hk1.toml", &write(&draft)).unwrap();
    let links: Vec<String> = file.nodes[&"prox2".parse().unwrap()]
        .links
        .as_ref()
        .unwrap()
        .iter()
        .map(|l| l.value.to_string())
        .collect();
    assert_eq!(links, ["10.10.10.2", "10.10.10.12"]);
}

#[test]
fn what_a_file_can_not_say_is_refused() {
    let gap = derived(&["10.10.10.N/24"], |member| {
        for node in &mut member.configured {
            node.addresses = [(2, "10.10.10.1".to_owned())].into();
        }
    });
    assert!(gap.unwrap_err().message.contains("numbered 2"));
    let name = derived(&["10.10.10.N/24"], |member| {
        for node in &mut member.configured {
            node.addresses = [(0, node.name.clone())].into();
        }
    });
    assert!(name.unwrap_err().message.contains("host name"));
}

#[test]
fn a_qdevice_that_nobody_looks_after_is_told_in_a_comment() {
    let draft = derived(&["10.10.10.N/24"], |member| {
        member.qdevice = Some(QdeviceConfig {
            host: "192.0.2.9".into(),
            algorithm: "ffsplit".into(),
            votes: Some(1),
        });
    });
    let text = write(&draft.unwrap());
    assert!(text.contains("QDevice at 192.0.2.9"), "{text}");
    assert!(
        ClusterFile::parse("hk1.toml", &text)
            .unwrap()
            .cluster
            .third_vote
            .is_none()
    );
}

#[test]
fn pools_and_storages_are_written_as_they_are() {
    let pools = |n| {
        let data = |name, disks| (VdevClass::Data, name, disks);
        vec![
            pool(
                n,
                "data_zfs",
                &[
                    data("mirror-0", &[0, 1][..]),
                    data("mirror-1", &[2, 3]),
                    (VdevClass::Log, "/dev/disk/by-id/log", &[4]),
                ],
            ),
            pool(n, "tank", &[data("raidz1-0", &[5, 6, 7][..])]),
        ]
    };
    let text = with_pools(
        pools,
        &[
            (
                "local",
                "dir",
                &[("path", "/var/lib/vz"), ("content", "iso,vztmpl,backup")],
            ),
            (
                "data_zfs",
                "zfspool",
                &[
                    ("pool", "data_zfs"),
                    ("content", "rootdir,images"),
                    ("mountpoint", "/data_zfs"),
                    ("sparse", ""),
                ],
            ),
            ("slow", "zfspool", &[("pool", "tank/vm"), ("nodes", "prox2")]),
            (
                "nas",
                "nfs",
                &[
                    ("server", "192.168.1.6"),
                    ("export", "/tank/iso"),
                    ("path", "/mnt/pve/nas"),
                    ("content", "iso"),
                ],
            ),
            ("local-lvm", "lvmthin", &[("vgname", "pve"), ("thinpool", "data")]),
            ("old", "dir", &[("path", "/old"), ("disable", "")]),
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_pool_that_not_all_have_is_said_to_be_none_elsewhere() {
    let pools = |n| match n {
        1 => vec![pool(1, "tank", &[(VdevClass::Data, "mirror-0", &[0, 1])])],
        _ => vec![],
    };
    let text = with_pools(pools, &[("tank", "zfspool", &[("pool", "tank"), ("nodes", "prox1")])]);
    assert!(
        text.contains("prox1 = [\"ata-S_10\", \"ata-S_11\"]\nprox2 = []\n"),
        "{text}"
    );
    assert!(
        !text.contains("storage"),
        "its own storage, on those that have it: {text}"
    );
}

#[test]
fn what_a_file_can_not_say_of_pools_stands_in_a_comment() {
    let left = |pools: &dyn Fn(u8) -> Vec<Pool>| {
        let text = with_pools(pools, &[("rpool", "zfspool", &[("pool", "rpool")])]);
        assert!(!text.contains("[zfs."), "{text}");
        let line = text.lines().find(|line| line.contains("is left as it is"));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        line.split_once("looked after: ").unwrap().1.to_owned()
    };
    let one = |vdevs: &[(VdevClass, &str, &[u8])], n| vec![pool(n, "rpool", vdevs)];
    let striped = left(&|n| {
        one(
            &[
                (VdevClass::Data, "/dev/disk/by-id/a", &[0]),
                (VdevClass::Data, "/dev/disk/by-id/b", &[1]),
            ],
            n,
        )
    });
    assert_eq!(striped, "how its disks are laid out on prox1 has no word here.");
    let boot = left(&|n| {
        let mut pools = one(&[(VdevClass::Data, "mirror-0", &[0, 1])], n);
        for leaf in pools.iter_mut().flat_map(|p| &mut p.vdevs).flat_map(|v| &mut v.leaves) {
            leaf.name = leaf.name.replace("-part1", "-part3");
        }
        pools
    });
    assert_eq!(
        boot,
        "on prox1 it lies on parts of disks that have others (/dev/disk/by-id/ata-S_10-part3)."
    );
    let unequal = left(&|n| match n {
        1 => one(&[(VdevClass::Data, "mirror-0", &[0, 1])], 1),
        _ => one(&[(VdevClass::Data, "raidz1-0", &[0, 1, 2])], 2),
    });
    assert_eq!(
        unequal,
        "its disks are laid out otherwise on each (prox1: mirror, prox2: raidz)."
    );
    let gone = left(&|n| {
        let mut pools = one(&[(VdevClass::Data, "mirror-0", &[0, 1])], n);
        pools[0].vdevs[0].leaves[1].name = "1234567890".into();
        pools
    });
    assert_eq!(
        gone,
        "which disk 1234567890 of prox1 is can't be told; replace it, and adopt again."
    );
}

#[test]
fn a_disk_that_is_being_replaced_is_written_as_its_successor() {
    let pools = |n| {
        let mut all = vec![pool(n, "tank", &[(VdevClass::Data, "mirror-0", &[0, 1, 2])])];
        let leaves = &mut all[0].vdevs[0].leaves;
        leaves[1].name = "1234567890".into();
        for leaf in &mut leaves[1..] {
            leaf.group = Some("replacing-1".into());
        }
        all
    };
    let whole = |n| vec![pool(n, "tank", &[(VdevClass::Data, "mirror-0", &[0, 2])])];
    assert_eq!(with_pools(pools, &[]), with_pools(whole, &[]));
    assert!(with_pools(whole, &[]).contains("[zfs.tank]"));
}

#[test]
fn pools_or_storages_that_were_not_seen_are_not_taken_for_none() {
    let unknown = |what: fn(&mut Observation, Unknown)| {
        let refused = changed(&LINKS, |n, observation| {
            if n == 1 {
                what(observation, Unknown::new(UnknownKind::TimedOut, "it hangs"));
            }
        });
        refused.unwrap_err().message
    };
    let pools = unknown(|seen, unknown| seen.pools = Facet::Unknown(unknown));
    assert_eq!(pools, "its pools can't be seen on prox1: it hangs");
    let storages = unknown(|seen, unknown| seen.storages = Facet::Unknown(unknown));
    assert_eq!(storages, "its storages can't be seen on prox1: it hangs");
}
