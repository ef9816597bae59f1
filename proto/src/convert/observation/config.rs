//! What the files of /etc/pve say.

use std::collections::BTreeMap;

use quorate_model::observation::config::{
    Firewall, FirewallRule, KeptSpec, NodeFolder, PveConfig, PveFile, RootKey, Storage,
};
use quorate_model::observation::guests::{GuestDevice, HostDevice};

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
        files,
        ceph_daemons,
        guest_macs,
        qdevice_key,
        guest_devices,
        guests,
        datacenter,
        guest_pools,
    }
);
facet!(BTreeMap<String, String> = v1::SettingsFacet: v1::settings_facet::State);
wrapped!(BTreeMap<String, String> = v1::Settings { settings });
facet!(BTreeMap<String, Vec<u32>> = v1::GuestPoolsFacet: v1::guest_pools_facet::State);
wrapped!(BTreeMap<String, Vec<u32>> = v1::GuestPools { pools });
wrapped!(Vec<u32> = v1::GuestPool { guests });
facet!(Vec<GuestDevice> = v1::GuestDevicesFacet: v1::guest_devices_facet::State);
list!(GuestDevice = v1::GuestDevices { devices });
message!(
    GuestDevice = v1::GuestDevice {
        vmid,
        key,
        node,
        device
    }
);
oneof!(HostDevice = v1::HostDevice [device: v1::host_device::Device] {} holding { path: Path, pci: Pci });
facet!(Vec<RootKey> = v1::RootKeysFacet: v1::root_keys_facet::State);
list!(RootKey = v1::RootKeys { keys });
message!(RootKey = v1::RootKey { name, digest });
facet!(Vec<PveFile> = v1::PveFilesFacet: v1::pve_files_facet::State);
list!(PveFile = v1::PveFiles { files });
message!(PveFile = v1::PveFile { path, digest });
facet!(Vec<Storage> = v1::StoragesFacet: v1::storages_facet::State);
list!(Storage = v1::Storages { storages });
message!(
    Storage = v1::Storage {
        id,
        kind,
        nodes,
        digest
    }
);
facet!(Firewall = v1::FirewallFacet: v1::firewall_facet::State);
message!(
    Firewall = v1::Firewall {
        enabled,
        host_enabled,
        policy_in,
        policy_out,
        management,
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
        dest,
        protocol,
        ports,
        narrowed
    }
);
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
