//! The list of guests that a node knows of.

use serde::{Deserialize, Serialize};

/// A virtual machine or container. Source: /etc/pve/.vmlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its id, unique in the cluster.
    pub vmid: u32,
    /// The node that owns it.
    pub node: String,
    /// What it is.
    pub kind: GuestKind,
}

/// Virtual machine or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// A virtual machine (`qemu`).
    Vm,
    /// A container (`lxc`).
    Container,
}

/// A device of a host that a guest is given directly, whether the guest runs or not. Source: /etc/pve/nodes/*/{qemu-server,lxc}/*.conf.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GuestDevice {
    /// The guest's id.
    pub vmid: u32,
    /// The key of its configuration that names the device, such as `scsi1`.
    pub key: String,
    /// The node whose device is meant: the guest's own, or each that a resource mapping has an entry for.
    pub node: String,
    /// What it names.
    pub device: HostDevice,
}

/// How a guest's configuration names a device of its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostDevice {
    /// A path below /dev, as written. Source: drives, mount points and whatever else names one.
    Path(String),
    /// A PCI function, or a slot with all its functions: `0000:03:00.0`, `0000:03:00`; the domain is always there. Source: `hostpciN`,
    /// /etc/pve/mapping/pci.cfg.
    Pci(String),
}

impl GuestDevice {
    /// Is this the PCI function, or one of the slot's, that it names?
    #[must_use]
    pub fn is_pci(&self, address: &str) -> bool {
        match &self.device {
            HostDevice::Pci(named) => {
                let rest = address.strip_prefix(named.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }
            HostDevice::Path(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_means_all_its_functions_and_a_function_only_itself() {
        let named = |address: &str| GuestDevice {
            vmid: 100,
            key: "hostpci0".into(),
            node: "prox1".into(),
            device: HostDevice::Pci(address.into()),
        };
        assert!(named("0000:03:00").is_pci("0000:03:00.1"));
        assert!(named("0000:03:00.1").is_pci("0000:03:00.1"));
        assert!(!named("0000:03:00.1").is_pci("0000:03:00.0"));
        assert!(!named("0000:03:0").is_pci("0000:03:00.0"));
    }
}
