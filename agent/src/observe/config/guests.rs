//! The configurations of all guests of the cluster: by what a guest is known from outside, and which devices of hosts they are given.

use quorate_model::facet::Unknown;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::guests::{GuestDevice, HostDevice};
use quorate_model::observation::{Guest, GuestKind};
use quorate_tools::pve_config::guest::{self, Device, Named};
use quorate_tools::pve_config::{guest_config, pci};

use super::NODES;
use crate::host::{Host, HostRoot, ReadError, unparsable, unreadable};
use crate::observe::cluster::published_for_sure;
use crate::observe::finished;

const PCI_MAPPINGS: &str = "/etc/pve/mapping/pci.cfg";

/// One guest's configuration.
#[derive(Debug)]
pub(super) struct Configured {
    node: String,
    vmid: u32,
    kind: GuestKind,
    text: String,
}

/// All of them, in one go.
pub(super) async fn read(host: &Host) -> Result<Vec<Configured>, Unknown> {
    match host.patiently(NODES, read_all).await {
        Err(ReadError::NotFound { .. }) => Ok(Vec::new()),
        read => read.map_err(unreadable),
    }
}

fn read_all(root: &HostRoot) -> Result<Vec<Configured>, ReadError> {
    let mut found = Vec::new();
    for node in root.read_dir(NODES)? {
        for (kind, folder) in [(GuestKind::Vm, "qemu-server"), (GuestKind::Container, "lxc")] {
            let path = format!("{NODES}/{node}/{folder}");
            let names = match root.read_dir(&path) {
                Err(ReadError::NotFound { .. }) => continue,
                names => names?,
            };
            for name in names {
                let Some(vmid) = name.strip_suffix(".conf").and_then(|id| id.parse().ok()) else {
                    continue;
                };
                // A comment may have been written in another encoding; no line that counts can.
                match root.read_text_lossily(&format!("{path}/{name}")) {
                    // It moved to another node, or was removed, in this moment.
                    Err(ReadError::NotFound { .. }) => {}
                    text => found.push(Configured {
                        node: node.clone(),
                        vmid,
                        kind,
                        text: text?,
                    }),
                }
            }
        }
    }
    Ok(found)
}

/// What each is configured to be.
pub(super) fn configured(
    host: &Host,
    guests: &Result<Vec<Configured>, Unknown>,
) -> Result<Vec<ConfiguredGuest>, Unknown> {
    let guests = guests.as_ref().map_err(Clone::clone)?;
    let configured = |one: &Configured| ConfiguredGuest {
        guest: Guest {
            vmid: one.vmid,
            node: one.node.clone(),
            kind: one.kind,
        },
        config: finished(host, guest_config::read(one.kind, &one.text).map_err(unparsable)),
    };
    let mut found: Vec<ConfiguredGuest> = guests.iter().map(configured).collect();
    found.sort_by_key(|one| one.guest.vmid);
    Ok(found)
}

/// The MAC addresses of their cards.
pub(super) fn macs(guests: &Result<Vec<Configured>, Unknown>) -> Result<Vec<String>, Unknown> {
    let guests = guests.as_ref().map_err(Clone::clone)?;
    let mut found: Vec<String> = guests.iter().flat_map(|guest| guest::macs(&guest.text)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The devices that they are given.
pub(super) async fn devices(
    host: &Host,
    guests: &Result<Vec<Configured>, Unknown>,
) -> Result<Vec<GuestDevice>, Unknown> {
    let guests = guests.as_ref().map_err(Clone::clone)?;
    let mappings = published_for_sure(host, PCI_MAPPINGS).await?.unwrap_or_default();
    let mappings = pci::read_mappings(&mappings);
    let mut found = Vec::new();
    for guest in guests {
        for Named { key, device } in guest::devices(&guest.text) {
            let means: Vec<(&str, HostDevice)> = match device {
                Device::Path(path) => vec![(&guest.node, HostDevice::Path(path))],
                Device::Pci(address) => vec![(&guest.node, HostDevice::Pci(address))],
                Device::Mapping(name) => {
                    let entries = mappings.get(&name).into_iter().flatten();
                    entries
                        .flat_map(|(node, all)| all.iter().map(move |at| (node.as_str(), HostDevice::Pci(at.clone()))))
                        .collect()
                }
            };
            found.extend(means.into_iter().map(|(node, device)| GuestDevice {
                vmid: guest.vmid,
                key: key.clone(),
                node: node.to_owned(),
                device,
            }));
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
