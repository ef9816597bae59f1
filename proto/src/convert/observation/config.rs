//! What the files of /etc/pve say.

use std::collections::BTreeMap;

use quorate_model::observation::config::{
    Firewall, FirewallRule, KeptSpec, NodeFolder, PveConfig, ReplicationJob, Storage,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(PveConfig = v1::ConfigFacet: v1::config_facet::State);
message!(
    PveConfig = v1::Config {
        storages,
        users,
        tokens,
        root_tfa,
        own_certificate,
        authorized_keys,
        firewall,
        replication,
        ha_placements,
        ceph_monitors,
        node_folders,
        spec,
    }
);
facet!(Vec<Storage> = v1::StoragesFacet: v1::storages_facet::State);
list!(Storage = v1::Storages { storages });
message!(Storage = v1::Storage { id, kind, nodes });
facet!(Firewall = v1::FirewallFacet: v1::firewall_facet::State);
message!(
    Firewall = v1::Firewall {
        enabled,
        host_enabled,
        policy_in,
        rules,
        host_rules
    }
);
message!(
    FirewallRule = v1::FirewallRule {
        text,
        disabled,
        direction,
        action,
        source,
        protocol,
        ports,
        narrowed
    }
);
facet!(Vec<ReplicationJob> = v1::ReplicationFacet: v1::replication_facet::State);
list!(ReplicationJob = v1::ReplicationJobs { jobs });
message!(ReplicationJob = v1::ReplicationJob { id, guest, target });
facet!(BTreeMap<String, Vec<String>> = v1::HaPlacementsFacet: v1::ha_placements_facet::State);
wrapped!(BTreeMap<String, Vec<String>> = v1::HaPlacements { placements });
facet!(Option<Vec<String>> = v1::CephMonitorsFacet: v1::ceph_monitors_facet::State);
wrapped!(Option<Vec<String>> = v1::MaybeCephMonitors { value });
facet!(BTreeMap<String, NodeFolder> = v1::NodeFoldersFacet: v1::node_folders_facet::State);
wrapped!(BTreeMap<String, NodeFolder> = v1::NodeFolders { folders });
message!(NodeFolder = v1::NodeFolder { guests });
facet!(Option<KeptSpec> = v1::KeptSpecFacet: v1::kept_spec_facet::State);
wrapped!(Option<KeptSpec> = v1::MaybeKeptSpec { value });
message!(
    KeptSpec = v1::KeptSpec {
        digest,
        applied_at,
        rollout,
        text
    }
);
