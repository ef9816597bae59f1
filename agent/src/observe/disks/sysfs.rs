//! What only the kernel's own files tell: the controller, its driver, RAID volumes, by-id links, holders.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use quorate_model::facet::Unknown;
use quorate_model::observation::disks::Controller;
use quorate_tools::lsblk::Device;

use crate::host::{Host, ReadError, unreadable};

const BY_ID: &str = "/dev/disk/by-id";

/// Links of /dev/disk/by-id by the kernel name they lead to, sorted. Links made from what a disk holds, rather than from
/// what it is, are no names of the disk.
pub(super) fn by_id_links(host: &Host) -> Result<BTreeMap<String, Vec<String>>, Unknown> {
    let names = match host.root().read_dir(BY_ID) {
        Ok(names) => names,
        // No udev, or no disk with an identity.
        Err(ReadError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(unreadable(error)),
    };
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in names
        .into_iter()
        .filter(|name| !name.starts_with("lvm-pv-uuid-") && !name.starts_with("md-"))
    {
        if let Some(target) = host
            .root()
            .read_link(&format!("{BY_ID}/{name}"))
            .ok()
            .as_deref()
            .and_then(kernel_name)
        {
            links.entry(target).or_default().push(name);
        }
    }
    Ok(links)
}

/// The device that a link of /dev/disk/by-id leads to now, by the kernel's path.
pub(crate) fn led_to(host: &Host, link: &str) -> Option<String> {
    let target = host.root().read_link(&format!("{BY_ID}/{link}")).ok()?;
    kernel_name(&target).map(|name| format!("/dev/{name}"))
}

/// `../../sda` → `sda`, `../../cciss/c0d0` → `cciss/c0d0`, `/dev/sda` → `sda`.
fn kernel_name(target: &Path) -> Option<String> {
    let target = target.strip_prefix("/dev").unwrap_or(target);
    let parts = target.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let name = parts.collect::<Vec<_>>().join("/");
    (!name.is_empty()).then_some(name)
}

/// Is it a device of the kernel's own making (zram, zvol, nbd)?
pub(super) fn is_virtual(host: &Host, name: &str) -> bool {
    host.root()
        .follow(&format!("/sys/block/{name}"))
        .is_ok_and(|path| path.starts_with("/sys/devices/virtual/block"))
}

/// The PCI function that a disk hangs on: the last one on the device's path in /sys.
pub(super) fn controller(host: &Host, name: &str) -> Option<Controller> {
    let device = host.root().follow(&format!("/sys/block/{name}")).ok()?;
    let function = pci_function(&device).or_else(|| nvme_paths(host, name).find_map(|path| pci_function(&path)))?;
    let driver = host.root().read_link(&format!("{function}/driver")).ok();
    let driver = driver
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    let class = host.root().read_text(&format!("{function}/class")).ok();
    Some(Controller {
        pci_address: function.rsplit('/').next()?.to_owned(),
        driver,
        class: class.map(|class| class.trim().to_owned()),
    })
}

/// With native multipath an NVMe namespace hangs on a subsystem that is virtual; its controllers are linked there.
fn nvme_paths(host: &Host, name: &str) -> impl Iterator<Item = std::path::PathBuf> {
    let folder = format!("/sys/block/{name}/device");
    let is_controller = |entry: &str| {
        let number = entry.strip_prefix("nvme");
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let entries = if name.starts_with("nvme") {
        host.root().read_dir(&folder).unwrap_or_default()
    } else {
        Vec::new()
    };
    let controllers = entries.into_iter().filter(move |entry| is_controller(entry));
    controllers.filter_map(move |entry| host.root().follow(&format!("{folder}/{entry}")).ok())
}

/// The path up to its last part that is a PCI address.
fn pci_function(device: &Path) -> Option<String> {
    let function = device.ancestors().find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_pci_address)
    });
    function.and_then(Path::to_str).map(str::to_owned)
}

/// `0000:03:00.0`; domains of volume management devices have five digits.
fn is_pci_address(name: &str) -> bool {
    let hex = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut parts = name.split([':', '.']);
    let fits = [4..=8, 2..=2, 2..=2, 1..=1]
        .into_iter()
        .all(|lengths| parts.next().is_some_and(|part| hex(part, lengths)));
    fits && parts.next().is_none()
}

/// The RAID level of a controller's volume; `N/A` is what plain disks behind it say.
pub(super) fn raid_level(host: &Host, name: &str) -> Option<String> {
    let level = host
        .root()
        .read_text(&format!("/sys/block/{name}/device/raid_level"))
        .ok()?;
    Some(level.trim().to_owned()).filter(|level| !level.is_empty() && !level.eq_ignore_ascii_case("n/a"))
}

/// Names of the devices that the kernel says lie on this disk or partition.
pub(super) fn holders(host: &Host, device: &Device) -> Vec<String> {
    host.root()
        .read_dir(&format!("/sys/class/block/{}/holders", device.sysfs_name()))
        .unwrap_or_default()
}

/// Uuid and name of a device-mapper device.
pub(super) fn mapped(host: &Host, name: &str) -> Option<(String, String)> {
    let read = |what: &str| host.root().read_text(&format!("/sys/block/{name}/dm/{what}")).ok();
    Some((read("uuid")?.trim().to_owned(), read("name")?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pci_function_is_the_controller() {
        let path = Path::new("/sys/devices/pci0000:00/0000:00:04.0/virtio0/host0/target0:0:1/0:0:1:0/block/sda");
        assert_eq!(pci_function(path).unwrap(), "/sys/devices/pci0000:00/0000:00:04.0");
        let path = Path::new("/sys/devices/pci0000:00/0000:00:01.1/10000:e1:00.0/nvme/nvme0/nvme0n1");
        assert_eq!(
            pci_function(path).unwrap(),
            "/sys/devices/pci0000:00/0000:00:01.1/10000:e1:00.0"
        );
        assert_eq!(pci_function(Path::new("/sys/devices/virtual/block/zram0")), None);
    }

    #[test]
    fn links_lead_to_kernel_names() {
        for (target, name) in [
            ("../../sda", "sda"),
            ("../../cciss/c0d0", "cciss/c0d0"),
            ("/dev/nvme0n1", "nvme0n1"),
        ] {
            assert_eq!(kernel_name(Path::new(target)).unwrap(), name);
        }
    }
}
