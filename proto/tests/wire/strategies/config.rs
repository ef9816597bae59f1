//! What the files of /etc/pve say.

use proptest::prelude::*;
use quorate_model::observation::config::{
    Firewall, FirewallRule, KeptSpec, NodeFolder, PveConfig, ReplicationJob, Storage,
};

use super::types::{facet, time};
use super::{by_text, maybe, some, text};

prop_compose! {
    pub(super) fn config()(
        storages in facet(some(storage())),
        (users, tokens, authorized_keys) in (facet(some(text())), facet(some(text())), facet(some(text()))),
        root_tfa in facet(any::<bool>()),
        own_certificate: bool,
        firewall in facet(firewall()),
        replication in facet(some(job())),
        ha_placements in facet(by_text(some(text()))),
        ceph_monitors in facet(maybe(some(text()))),
        node_folders in facet(by_text(some(any::<u32>()).prop_map(|guests| NodeFolder { guests }))),
        spec in facet(maybe(kept())),
    ) -> PveConfig {
        PveConfig {
            storages, users, tokens, root_tfa, own_certificate, authorized_keys, firewall, replication, ha_placements,
            ceph_monitors, node_folders, spec,
        }
    }
}

prop_compose! {
    fn storage()((id, kind) in (text(), text()), nodes in some(text())) -> Storage {
        Storage { id, kind, nodes }
    }
}

prop_compose! {
    fn firewall()(
        (enabled, host_enabled) in any::<(bool, bool)>(),
        policy_in in text(),
        (rules, host_rules) in (some(rule()), some(rule())),
    ) -> Firewall {
        Firewall { enabled, host_enabled, policy_in, rules, host_rules }
    }
}

prop_compose! {
    fn rule()(
        (text, direction, action) in (text(), text(), text()),
        (disabled, narrowed) in any::<(bool, bool)>(),
        (source, protocol, ports) in (maybe(text()), maybe(text()), maybe(text())),
    ) -> FirewallRule {
        FirewallRule { text, disabled, direction, action, source, protocol, ports, narrowed }
    }
}

prop_compose! {
    fn job()((id, target) in (text(), text()), guest: u32) -> ReplicationJob {
        ReplicationJob { id, guest, target }
    }
}

prop_compose! {
    fn kept()((digest, rollout, text) in (text(), text(), text()), applied_at in time()) -> KeptSpec {
        KeptSpec { digest, applied_at, rollout, text }
    }
}
