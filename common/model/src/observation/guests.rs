//! The list of guests that a node knows of.

use serde::{Deserialize, Serialize};

use crate::observation::disks::Disk;

/// How the kernel's names of disks begin, and those of devices that are none. Any other name right below /dev may be a link to anything.
const KNOWN: [&str; 37] = [
    "sd", "nvme", "vd", "hd", "xvd", "mmcblk", "dm-", "md", "loop", "nbd", "rbd", "zd", "drbd", "bcache", "zram",
    "ram", "tty", "null", "zero", "full", "random", "urandom", "kvm", "fuse", "nvidia", "hwrng", "watchdog", "ppp",
    "vhost", "kmsg", "rtc", "video", "hidraw", "lirc", "uinput", "apex", "zfs",
];

/// Which disk a path below /dev means, or whether it means one, can't be told: its name stands in no observation.
fn is_untold(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/dev/") else {
        return false;
    };
    match name.split_once('/') {
        // Others hold what lies on disks (mapper, zvol, volume groups) or is none (dri, bus, net, vfio).
        Some((folder, _)) => matches!(folder, "disk" | "block"),
        None => !KNOWN.iter().any(|stem| name.starts_with(stem)),
    }
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

    /// What it means that a guest is given this device, if it is this disk of this node, a part of it, or what it hangs on; in words that
    /// follow the disk's name. `None`: it is another one.
    #[must_use]
    pub fn names(&self, node: &str, disk: &Disk) -> Option<String> {
        let here = self.node == node;
        let Self { vmid, key, .. } = self;
        match &self.device {
            HostDevice::Pci(address) => {
                let controller = disk.controller.as_ref().filter(|_| here)?;
                self.is_pci(&controller.pci_address).then(|| {
                    format!(
                        "hangs on {}, which guest {vmid} is given ({key}: {address})",
                        controller.pci_address
                    )
                })
            }
            // A link by identity names the same disk on whatever server it is.
            HostDevice::Path(path) => {
                if let Some(link) = path.strip_prefix("/dev/disk/by-id/") {
                    let of_part = |own: &String| own == link;
                    let is_it = disk.by_id.iter().any(|own| own == whole(link))
                        || disk.partitions.iter().any(|part| part.by_id.iter().any(of_part));
                    return is_it.then(|| format!("guest {vmid} is given it ({key}: {path})"));
                }
                if !here {
                    return None;
                }
                if is_untold(path) {
                    return Some(format!(
                        "guest {vmid} is given {path} ({key}), and which disk that is can't be told"
                    ));
                }
                let part = disk.partitions.iter().any(|partition| partition.path == *path);
                (disk.path == *path || part).then(|| format!("guest {vmid} is given {path} ({key})"))
            }
        }
    }
}

/// The disk's link of a partition's: `ata-X-part3` is a part of `ata-X`.
fn whole(link: &str) -> &str {
    match link.rsplit_once("-part") {
        Some((whole, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => whole,
        _ => link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_may_lead_to_any_disk_is_told_apart_from_those_that_lead_to_none() {
        for untold in [
            "/dev/disk/by-path/pci-0000:00:1f.2-ata-1",
            "/dev/disk/by-diskseq/12",
            "/dev/block/8:16",
            "/dev/vmdata",
            "/dev/sg2",
        ] {
            assert!(is_untold(untold), "{untold}");
        }
        for told in [
            "/dev/sdb",
            "/dev/nvme0n1p2",
            "/dev/mapper/pve-vm--100--disk--0",
            "/dev/pve/vm-100-disk-0",
            "/dev/zvol/tank/vm-100-disk-0",
            "/dev/dri/renderD128",
            "/dev/net/tun",
            "/dev/ttyUSB0",
            "/mnt/bindings",
        ] {
            assert!(!is_untold(told), "{told}");
        }
    }

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
