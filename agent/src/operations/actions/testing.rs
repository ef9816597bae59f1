//! Clusters as a member sees them, for tests of what stands against an action.

use std::collections::BTreeMap;

use quorate_model::Timestamp;
use quorate_model::facet::Facet;
use quorate_model::observation::cluster::{Cluster, ConfiguredNode, Member, MemberNode, Pmxcfs, RunningVersion};
use quorate_model::observation::{Membership, PveConfig};

/// `hk1` of these, all of them online and well, with the ids 1, 2 …
pub(crate) fn member(names: &[&str]) -> Cluster {
    let ids = || (1u32..).zip(names);
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
        running_versions: Facet::known(
            ids().map(|(id, _)| RunningVersion { id, version: 3 }).collect(),
            Timestamp(0),
        ),
        votes: Facet::not_asked(),
        links: Facet::not_asked(),
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

/// A server in no cluster.
pub(crate) fn alone(pmxcfs: Pmxcfs) -> Cluster {
    Cluster {
        membership: Membership::Standalone,
        pmxcfs,
        authkey_present: false,
        local_config_present: false,
        local_config: Facet::known(None, Timestamp(0)),
        config_lock_age: None,
        changes: vec![],
    }
}

/// A configuration of which nothing was read.
pub(crate) fn config() -> PveConfig {
    PveConfig {
        storages: Facet::not_asked(),
        users: Facet::not_asked(),
        tokens: Facet::not_asked(),
        root_tfa: Facet::not_asked(),
        own_certificate: false,
        authorized_keys: Facet::not_asked(),
        firewall: Facet::not_asked(),
        replication: Facet::not_asked(),
        ha_placements: Facet::not_asked(),
        ceph_monitors: Facet::not_asked(),
        ceph_daemons: Facet::not_asked(),
        guest_macs: Facet::not_asked(),
        guest_devices: Facet::not_asked(),
        guests: Facet::not_asked(),
        qdevice_key: false,
        node_folders: Facet::not_asked(),
        spec: Facet::not_asked(),
        files: Facet::not_asked(),
        datacenter: Facet::not_asked(),
        guest_pools: Facet::not_asked(),
    }
}
