//! What the files of /etc/pve say.

use proptest::prelude::*;
use quorate_model::observation::config::{
    Firewall, FirewallRule, KeptSpec, NodeFolder, PveConfig, PveFile, RootKey, Storage,
};
use quorate_model::observation::guests::{GuestDevice, HostDevice};

use super::guests::configured;
use super::replication::job;
use super::types::{facet, time};
use super::{by_text, maybe, some, text};

prop_compose! {
    pub(super) fn config()(
        storages in facet(some(storage())),
        (users, tokens, authorized_keys) in (facet(some(text())), facet(some(text())), facet(some(key()))),
        root_tfa in facet(any::<bool>()),
        own_certificate: bool,
        firewall in facet(firewall()),
        replication in facet(some(job())),
        ha_placements in facet(by_text(some(text()))),
        ceph_monitors in facet(maybe(some(text()))),
        node_folders in facet(by_text(some(any::<u32>()).prop_map(|guests| NodeFolder { guests }))),
        (spec, files) in (facet(maybe(kept())), facet(some(file()))),
        (ceph_daemons, guest_macs) in (facet(some(text())), facet(some(text()))),
        (qdevice_key, guest_devices) in (any::<bool>(), facet(some(guest_device()))),
        guests in facet(some(configured())),
        (datacenter, guest_pools) in (facet(by_text(text())), facet(by_text(some(any::<u32>())))),
    ) -> PveConfig {
        PveConfig {
            storages, users, tokens, root_tfa, own_certificate, authorized_keys, firewall, replication, ha_placements,
            ceph_monitors, node_folders, spec, files, ceph_daemons, guest_macs, qdevice_key, guest_devices, guests,
            datacenter, guest_pools,
        }
    }
}

prop_compose! {
    fn storage()((id, kind, digest) in (text(), text(), text()), nodes in some(text())) -> Storage {
        Storage { id, kind, nodes, digest }
    }
}

prop_compose! {
    fn guest_device()((key, node) in (text(), text()), vmid: u32, device in host_device()) -> GuestDevice {
        GuestDevice { vmid, key, node, device }
    }
}

fn host_device() -> impl Strategy<Value = HostDevice> {
    prop_oneof![text().prop_map(HostDevice::Path), text().prop_map(HostDevice::Pci)]
}

prop_compose! {
    fn key()((name, digest) in (text(), text())) -> RootKey {
        RootKey { name, digest }
    }
}

prop_compose! {
    fn file()((path, digest) in (text(), maybe(text()))) -> PveFile {
        PveFile { path, digest }
    }
}

prop_compose! {
    fn firewall()(
        (enabled, host_enabled) in any::<(bool, bool)>(),
        (policy_in, policy_out, management) in (text(), text(), some(text())),
        (rules, host_rules) in (some(rule()), some(rule())),
    ) -> Firewall {
        Firewall { enabled, host_enabled, policy_in, policy_out, management, rules, host_rules }
    }
}

prop_compose! {
    fn rule()(
        (text, direction, action) in (text(), text(), text()),
        (disabled, narrowed) in any::<(bool, bool)>(),
        (source, dest, protocol, ports) in (maybe(text()), maybe(text()), maybe(text()), maybe(text())),
    ) -> FirewallRule {
        FirewallRule { text, disabled, direction, action, source, dest, protocol, ports, narrowed }
    }
}

prop_compose! {
    fn kept()((digest, rollout, text) in (text(), text(), text()), applied_at in time()) -> KeptSpec {
        KeptSpec { digest, applied_at, rollout, text }
    }
}
