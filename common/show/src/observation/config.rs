//! What the files of /etc/pve say.

use quorate_model::Facet;
use quorate_model::observation::PveConfig;
use quorate_model::observation::config::{Firewall, FirewallRule, Storage};
use quorate_model::observation::guests::{GuestDevice, HostDevice};

use crate::table::count;

pub(super) fn config(config: &PveConfig) -> String {
    let mut text = String::new();
    let mut line = |what: &str, shown: String| text.push_str(&format!("{what}: {shown}\n"));
    line("storages", listed(&config.storages, storage));
    line("users but root@pam", listed(&config.users, Clone::clone));
    line("API tokens", listed(&config.tokens, Clone::clone));
    line(
        "second factor of root@pam",
        said(&config.root_tfa, |yes| if *yes { "yes" } else { "no" }.to_owned()),
    );
    let own = if config.own_certificate {
        "its own"
    } else {
        "the cluster's"
    };
    line("certificate of the web interface", own.to_owned());
    line(
        "keys that root lets in",
        listed(&config.authorized_keys, |key| key.name.clone()),
    );
    line("firewall", said(&config.firewall, firewall));
    line(
        "replication",
        listed(&config.replication, |job| format!("{} to {}", job.id, job.target)),
    );
    line(
        "HA groups and rules",
        said(&config.ha_placements, |all| {
            row(all.iter().map(|(name, nodes)| format!("{name} ({})", nodes.join(", "))))
        }),
    );
    line(
        "Ceph monitors",
        said(&config.ceph_monitors, |found| match found {
            None => "no ceph.conf".to_owned(),
            Some(names) => row(names.iter().cloned()),
        }),
    );
    line("Ceph's daemons here", listed(&config.ceph_daemons, Clone::clone));
    line("MAC addresses of guests", listed(&config.guest_macs, Clone::clone));
    line(
        "devices of hosts that guests are given",
        listed(&config.guest_devices, device),
    );
    line(
        "guests",
        listed(&config.guests, |one| {
            let vmid = one.guest.vmid;
            match one.config.get() {
                Ok(config) => config
                    .name
                    .as_ref()
                    .map_or(vmid.to_string(), |name| format!("{vmid} {name}")),
                Err(unknown) => format!("{vmid} ({unknown})"),
            }
        }),
    );
    if config.qdevice_key {
        line(
            "left by a QDevice set-up",
            "/etc/pve/qdevice-net-node.p12, with a private key".to_owned(),
        );
    }
    line(
        "folders of nodes",
        said(&config.node_folders, |folders| {
            row(folders.iter().map(|(name, folder)| match folder.guests.len() {
                0 => name.clone(),
                guests => format!("{name} ({})", count(guests, "guest")),
            }))
        }),
    );
    line(
        "cluster file",
        said(&config.spec, |spec| match spec {
            None => "none is kept".to_owned(),
            Some(spec) => {
                let start: String = spec.digest.chars().take(12).collect();
                format!("{start}…, applied {}", spec.applied_at)
            }
        }),
    );
    text
}

fn said<T>(facet: &Facet<T>, show: impl FnOnce(&T) -> String) -> String {
    match facet.get() {
        Ok(known) => show(known),
        Err(unknown) => unknown.to_string(),
    }
}

fn listed<T>(facet: &Facet<Vec<T>>, show: impl Fn(&T) -> String) -> String {
    said(facet, |items| row(items.iter().map(show)))
}

fn row(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

fn device(given: &GuestDevice) -> String {
    let (HostDevice::Path(name) | HostDevice::Pci(name)) = &given.device;
    format!("{name} of {} ({} of guest {})", given.node, given.key, given.vmid)
}

fn storage(storage: &Storage) -> String {
    let on = if storage.nodes.is_empty() {
        String::new()
    } else {
        format!(" on {}", storage.nodes.join(", "))
    };
    format!("{} ({}{on})", storage.id, storage.kind)
}

fn firewall(firewall: &Firewall) -> String {
    if !firewall.enabled {
        return "off".to_owned();
    }
    let here = if firewall.host_enabled {
        ""
    } else {
        ", but not on this node"
    };
    let active = |rules: &[FirewallRule]| rules.iter().filter(|rule| !rule.disabled).count();
    format!(
        "on{here}, policy {}, {} of the cluster and {} of this node",
        firewall.policy_in,
        count(active(&firewall.rules), "rule"),
        active(&firewall.host_rules)
    )
}
