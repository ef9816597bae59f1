//! A guest's configuration, qemu-server/ID.conf or lxc/ID.conf: the MAC addresses of its cards, and devices of its host.

use super::pci;

/// The MAC addresses of `net0`, `net1` …, in lower case. What follows a line in brackets is of snapshots, and describes what was.
///
/// A card is `virtio=MAC,bridge=…` of a machine and `name=eth0,…,hwaddr=MAC,…` of a container; PVE writes the address down for each.
#[must_use]
pub fn macs(text: &str) -> Vec<String> {
    let now = text.lines().take_while(|line| !line.starts_with('['));
    let cards = now.filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        let number = key.strip_prefix("net")?;
        number.bytes().all(|b| b.is_ascii_digit()).then_some(value)
    });
    let words = cards.flat_map(|card| card.split(','));
    let values = words.filter_map(|word| word.split_once('=').map(|(_, value)| value.trim()));
    values
        .filter(|value| is_mac(value))
        .map(str::to_ascii_lowercase)
        .collect()
}

pub(super) fn is_mac(text: &str) -> bool {
    let mut parts = 0;
    let fine = text.split(':').all(|part| {
        parts += 1;
        part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit())
    });
    fine && parts == 6
}

/// A device of its host that a guest's configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The line's key, such as `scsi1` or `lxc.mount.entry`.
    pub key: String,
    /// What it names.
    pub device: Device,
}

/// How it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// A path below /dev, as written.
    Path(String),
    /// A PCI address with its domain, with or without a function.
    Pci(String),
    /// A resource mapping, which says for each node what is meant.
    Mapping(String),
}

/// The devices of its host that the guest is given: every path below /dev, whatever names it (drives, mount points, `args`, raw
/// lxc lines), and what `hostpciN` names. Snapshots and pending changes count: the guest may have the device tomorrow.
///
/// Paths that are no disks (`serial0: /dev/ttyS0`) are among them.
#[must_use]
pub fn devices(text: &str) -> Vec<Named> {
    let mut found = Vec::new();
    // A description stands in comments above.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once([':', '=']) else {
            continue;
        };
        let key = key.trim();
        let named = if is_numbered(key, "hostpci") {
            passed_through(value)
        } else {
            paths(value)
        };
        let key = key.to_owned();
        found.extend(named.into_iter().map(|device| Named {
            key: key.clone(),
            device,
        }));
    }
    found
}

fn is_numbered(key: &str, name: &str) -> bool {
    let number = key.strip_prefix(name);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn paths(value: &str) -> Vec<Device> {
    let words = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | '=' | ';' | '"' | '\''));
    words
        .filter(|word| word.starts_with("/dev/"))
        .map(|word| Device::Path(word.to_owned()))
        .collect()
}

/// `[host=]ADDRESS[;ADDRESS…]` or `mapping=NAME`, among other options.
fn passed_through(value: &str) -> Vec<Device> {
    let mut found = Vec::new();
    for (index, word) in value.split(',').map(str::trim).enumerate() {
        match word.split_once('=') {
            Some(("mapping", name)) => found.push(Device::Mapping(name.to_owned())),
            Some(("host", hosts)) => found.extend(addresses(hosts)),
            None if index == 0 => found.extend(addresses(word)),
            Some(_) | None => {}
        }
    }
    found
}

fn addresses(hosts: &str) -> impl Iterator<Item = Device> {
    hosts.split(';').filter_map(pci::with_domain).map(Device::Pci)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_containers_have_their_addresses_in_other_places() {
        let machine = "boot: order=scsi0\nnet0: virtio=BC:24:11:0A:0B:0C,bridge=vmbr0,firewall=1\nnet1: \
                       e1000=BC:24:11:0A:0B:0D,bridge=vmbr1\nnetwork: x=00:11:22:33:44:55\nsmbios1: uuid=1\n\n[before]\nnet0: \
                       virtio=BC:24:11:FF:FF:FF,bridge=vmbr0\n";
        assert_eq!(macs(machine), ["bc:24:11:0a:0b:0c", "bc:24:11:0a:0b:0d"]);
        let container =
            "arch: amd64\nnet0: name=eth0,bridge=vmbr0,gw6=fd00::1,hwaddr=BC:24:11:01:02:03,ip=dhcp,type=veth\n";
        assert_eq!(macs(container), ["bc:24:11:01:02:03"]);
        assert!(macs("").is_empty());
    }

    #[test]
    fn raw_disks_are_found_wherever_they_are_named() {
        let machine = "# was on /dev/sdz\nargs: -drive file=/dev/disk/by-id/ata-A,if=none\nscsi0: local-zfs:vm-100-disk-0,size=32G\nscsi1: \
                       /dev/disk/by-id/ata-B,backup=0,size=1T\nsata0: file=/dev/sdc\nserial0: /dev/ttyS0\n\n[PENDING]\nscsi2: \
                       /dev/sdd\n\n[before]\nscsi3: /dev/sde\n";
        let of = |key: &str, path: &str| Named {
            key: key.into(),
            device: Device::Path(path.into()),
        };
        assert_eq!(
            devices(machine),
            [
                of("args", "/dev/disk/by-id/ata-A"),
                of("scsi1", "/dev/disk/by-id/ata-B"),
                of("sata0", "/dev/sdc"),
                of("serial0", "/dev/ttyS0"),
                of("scsi2", "/dev/sdd"),
                of("scsi3", "/dev/sde"),
            ]
        );
        let container = "rootfs: local-zfs:subvol-101-disk-0,size=8G\nmp0: /dev/sdb1,mp=/srv\nlxc.mount.entry: /dev/sdf1 srv ext4\ndev0: \
                         /dev/sdg,uid=100\n";
        assert_eq!(
            devices(container),
            [
                of("mp0", "/dev/sdb1"),
                of("lxc.mount.entry", "/dev/sdf1"),
                of("dev0", "/dev/sdg")
            ]
        );
    }

    #[test]
    fn passed_through_controllers_are_found_by_address_and_by_mapping() {
        let machine =
            "hostpci0: 03:00,pcie=1\nhostpci1: host=0000:04:00.0;0000:04:00.1,rombar=0\nhostpci2: mapping=hba,pcie=1\n";
        let of = |key: &str, device: Device| Named {
            key: key.into(),
            device,
        };
        assert_eq!(
            devices(machine),
            [
                of("hostpci0", Device::Pci("0000:03:00".into())),
                of("hostpci1", Device::Pci("0000:04:00.0".into())),
                of("hostpci1", Device::Pci("0000:04:00.1".into())),
                of("hostpci2", Device::Mapping("hba".into())),
            ]
        );
    }
}
