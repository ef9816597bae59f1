//! Guests: what each is configured to be, which lies in `/etc/pve`, and which of them run on a server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clock::SimTime;
use super::guest_times::WRITES_EVERY;
use super::server::Server;
use crate::description::{GuestKind, GuestSpec};

/// A guest, as pmxcfs knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    pub(crate) node: String,
    pub(crate) kind: GuestKind,
    /// Of the list of guests when this one came into it, or moved.
    pub(crate) version: u32,
    /// Its configuration file.
    pub(crate) conf: String,
}

/// A guest's process on a server. It writes a number into all of the guest's disks, one more each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) since: SimTime,
    /// The last number that it found when it began.
    pub(crate) base: u64,
    /// Of the program in the guest that writes: it goes on through a live migration.
    pub(crate) writer: Writer,
}

/// One run of the program in a guest that writes, from its start to the guest's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Writer {
    /// What it found when it began.
    pub(crate) resumed: u64,
    /// Nobody else's: of the run, and of the guest's boot.
    pub(crate) run: u64,
}

impl Process {
    /// The number that it has written by now.
    pub(crate) fn number(&self, now: SimTime) -> u64 {
        let writes = now.saturating_sub(self.since).as_millis() / WRITES_EVERY.as_millis();
        self.base + u64::try_from(writes).unwrap_or(0)
    }

    /// How long ago that was.
    pub(crate) fn age(&self, now: SimTime) -> Duration {
        let age = now.saturating_sub(self.since).as_millis() % WRITES_EVERY.as_millis();
        Duration::from_millis(u64::try_from(age).unwrap_or(0))
    }
}

/// What a guest's configuration says of one of its drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drive {
    /// `scsi0`, `rootfs`, `unused1`.
    pub(crate) key: String,
    /// Nothing for a path of the server's own.
    pub(crate) storage: Option<String>,
    /// Within the storage: `vm-100-disk-0`; or the path.
    pub(crate) name: String,
    /// Bytes, as `size=` says.
    pub(crate) size: u64,
    pub(crate) cdrom: bool,
    /// Not `replicate=0`.
    pub(crate) replicate: bool,
    /// Not attached to anything.
    pub(crate) unused: bool,
}

impl Drive {
    fn of(key: &str, value: &str) -> Option<Self> {
        let (volume, options) = value.split_once(',').unwrap_or((value, ""));
        let volume = volume
            .strip_prefix("file=")
            .or(volume.strip_prefix("volume="))
            .unwrap_or(volume);
        let option = |name: &str| {
            options
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        if matches!(volume, "none" | "cdrom") {
            return None;
        }
        let (storage, name) = match volume.split_once(':') {
            Some((storage, name)) if !volume.starts_with('/') => (Some(storage.to_owned()), name),
            _ => (None, volume),
        };
        Some(Self {
            key: key.to_owned(),
            storage,
            name: name.to_owned(),
            size: option("size").map_or(0, bytes),
            cdrom: option("media") == Some("cdrom"),
            replicate: option("replicate") != Some("0"),
            unused: key.starts_with("unused"),
        })
    }

    /// Made anew from the configuration whenever the machine starts, where it is missing. Source: qemu-server QemuServer/Cloudinit.pm
    /// (`commit_cloudinit_disk`).
    pub(crate) fn is_cloudinit(&self) -> bool {
        self.cdrom && self.name.ends_with("-cloudinit")
    }

    /// `data_zfs:vm-100-disk-0`.
    pub(crate) fn volid(&self) -> String {
        match &self.storage {
            Some(storage) => format!("{storage}:{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Is it one of the keys that stand for drives?
pub(crate) fn is_drive(kind: GuestKind, key: &str) -> bool {
    let number = |name: &str| {
        let rest = key.strip_prefix(name);
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    match kind {
        GuestKind::Qemu => {
            matches!(key, "efidisk0" | "tpmstate0")
                || ["ide", "sata", "scsi", "virtio", "unused"]
                    .iter()
                    .any(|name| number(name))
        }
        GuestKind::Lxc => key == "rootfs" || number("mp") || number("unused"),
    }
}

/// Guests by their number.
pub(crate) type Guests = BTreeMap<u32, Guest>;

/// What the next change of the list is called.
pub(crate) fn next_version(guests: &Guests) -> u32 {
    guests.values().map(|guest| guest.version).max().unwrap_or(0) + 1
}

/// The configuration of a guest of which nothing is known but its name.
pub(crate) fn plain(kind: GuestKind, name: &str) -> String {
    format!("{}: {name}\nmemory: 512\n", name_key(kind))
}

fn name_key(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Qemu => "name",
        GuestKind::Lxc => "hostname",
    }
}

impl GuestSpec {
    pub(crate) fn guest(&self, node: &str, version: u32) -> Guest {
        Guest {
            node: node.to_owned(),
            kind: self.kind,
            version,
            conf: self.conf.clone().unwrap_or_else(|| plain(self.kind, &self.name)),
        }
    }
}

impl Guest {
    /// A line of its configuration, above snapshots and pending changes.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        let now = self.conf.lines().take_while(|line| !line.starts_with('['));
        let mut values = now.filter_map(|line| line.split_once(':'));
        values.find_map(|(name, value)| (name == key).then_some(value.trim()))
    }

    /// A key with a number, such as each `scsiN`.
    pub(crate) fn numbered(&self, name: &str) -> impl Iterator<Item = &str> {
        let now = self.conf.lines().take_while(|line| !line.starts_with('['));
        let values = now.filter_map(|line| line.split_once(':'));
        values.filter_map(move |(key, value)| {
            let number = key.strip_prefix(name)?;
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| value.trim())
        })
    }

    pub(crate) fn name(&self, vmid: u32) -> String {
        // Source: qemu-server QemuServer.pm (`vmstatus`): a machine without a name is called so.
        let default = match self.kind {
            GuestKind::Qemu => format!("VM {vmid}"),
            GuestKind::Lxc => format!("CT{vmid}"),
        };
        self.value(name_key(self.kind)).map_or(default, str::to_owned)
    }

    /// In MiB.
    pub(crate) fn memory(&self) -> u64 {
        let memory = self.value("memory").and_then(|memory| memory.parse().ok());
        memory.unwrap_or(512)
    }

    pub(crate) fn cpus(&self) -> u64 {
        let number = |key: &str| self.value(key).and_then(|value| value.parse::<u64>().ok()).unwrap_or(1);
        match self.kind {
            GuestKind::Qemu => number("sockets") * number("cores"),
            GuestKind::Lxc => number("cores"),
        }
    }

    /// Bytes of its first disk, as `size=` says.
    pub(crate) fn boot_disk(&self) -> u64 {
        let first = match self.kind {
            GuestKind::Lxc => self.value("rootfs"),
            GuestKind::Qemu => ["scsi", "virtio", "sata", "ide"].into_iter().find_map(|bus| {
                let mut disks = self.numbered(bus);
                disks.find(|disk| !disk.contains("media=cdrom"))
            }),
        };
        let size = first.and_then(|disk| disk.split(',').find_map(|part| part.strip_prefix("size=")));
        size.map_or(0, bytes)
    }

    pub(crate) fn is_template(&self) -> bool {
        self.value("template") == Some("1")
    }

    /// Its drives, the first one first.
    pub(crate) fn drives(&self) -> Vec<Drive> {
        let now = self.conf.lines().take_while(|line| !line.starts_with('['));
        let pairs = now.filter_map(|line| line.split_once(':'));
        let mut drives: Vec<Drive> = pairs
            .filter(|(key, _)| is_drive(self.kind, key))
            .filter_map(|(key, value)| Drive::of(key, value.trim()))
            .collect();
        // What is attached comes before what is not.
        drives.sort_by_key(|drive| drive.unused);
        drives
    }

    /// The drives of all its snapshots: of sections but `[PENDING]` and `[special:…]`.
    pub(crate) fn drives_of_snapshots(&self) -> Vec<Drive> {
        let mut inside = false;
        let mut found = Vec::new();
        for line in self.conf.lines() {
            if let Some(name) = line
                .trim_end()
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                inside = !name.eq_ignore_ascii_case("pending") && !name.contains(':');
                continue;
            }
            let pair = line
                .split_once(':')
                .filter(|(key, _)| inside && is_drive(self.kind, key));
            found.extend(pair.and_then(|(key, value)| Drive::of(key, value.trim())));
        }
        found
    }

    /// Is the host's own CD drive given to it, now or in a snapshot?
    pub(crate) fn has_drive_of_the_host(&self) -> bool {
        let pairs = self.conf.lines().filter_map(|line| line.split_once(':'));
        let mut drives = pairs.filter(|(key, _)| is_drive(self.kind, key));
        drives.any(|(_, value)| matches!(value.trim().split(',').next(), Some("cdrom" | "file=cdrom")))
    }

    /// Sets a line of its configuration, above snapshots and pending changes, or takes it away. PVE keeps them sorted.
    pub(crate) fn set(&mut self, key: &str, value: Option<&str>) {
        let (top, rest) = match self.conf.find("\n[") {
            Some(end) => self.conf.split_at(end + 1),
            None if self.conf.starts_with('[') => ("", self.conf.as_str()),
            None => (self.conf.as_str(), ""),
        };
        let mut lines: Vec<String> = top
            .lines()
            .filter(|line| !line.is_empty() && line.split_once(':').is_none_or(|(name, _)| name != key))
            .map(str::to_owned)
            .collect();
        if let Some(value) = value {
            lines.push(format!("{key}: {value}"));
        }
        // Its notes come first.
        lines.sort_by_key(|line| {
            (
                !line.starts_with('#'),
                line.split(':').next().unwrap_or_default().to_owned(),
            )
        });
        let gap = if rest.is_empty() { "" } else { "\n" };
        let top: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.conf = format!("{top}{gap}{rest}");
    }

    /// What of it only its server has: devices that are passed through, and ports. Source: qemu-server QemuServer.pm
    /// (`check_local_resources`).
    pub(crate) fn local_devices(&self) -> Vec<&str> {
        let now = self.conf.lines().take_while(|line| !line.starts_with('['));
        let pairs = now.filter_map(|line| line.split_once(':'));
        let local = |(key, value): &(&str, &str)| {
            let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
            match name {
                "usb" => !value.contains("spice") && !value.contains("mapping="),
                "hostpci" => !value.contains("mapping="),
                "serial" => value.trim() != "socket",
                "parallel" | "ivshmem" => true,
                _ => false,
            }
        };
        if self.kind == GuestKind::Lxc {
            return Vec::new();
        }
        pairs.filter(local).map(|(key, _)| key).collect()
    }

    /// Its address, as cloud-init or PVE sets it inside; `None`: it gets one from somebody else, or none.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        let line = match self.kind {
            GuestKind::Qemu => self.value("ipconfig0")?,
            GuestKind::Lxc => self.value("net0")?,
        };
        let address = line.split(',').find_map(|part| part.trim().strip_prefix("ip="))?;
        address.split('/').next()?.parse().ok()
    }

    pub(crate) fn lock(&self) -> Option<&str> {
        self.value("lock")
    }
}

/// `32G`, as PVE writes sizes.
pub(crate) fn bytes(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => 0,
    };
    digits.parse::<u64>().unwrap_or(0) << shift
}

impl Server {
    /// Its own guests, by their number.
    pub(crate) fn guests(&self) -> impl Iterator<Item = (u32, &Guest)> {
        let all = self.pmxcfs.replica.guests.iter();
        all.filter(|(_, guest)| guest.node == self.name())
            .map(|(vmid, guest)| (*vmid, guest))
    }

    /// One of its own guests.
    pub(crate) fn guest(&self, vmid: u32) -> Option<&Guest> {
        let guest = self.pmxcfs.replica.guests.get(&vmid)?;
        (guest.node == self.name()).then_some(guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_configuration_says() {
        let guest = Guest {
            node: "prox1".to_owned(),
            kind: GuestKind::Qemu,
            version: 1,
            conf: "cores: 2\nide2: none,media=cdrom\nmemory: 4096\nname: web\nscsi0: data_zfs:vm-100-disk-0,size=32G\nsockets: 2\n\n[old]\nmemory: \
                   1\ntemplate: 1\n"
                .to_owned(),
        };
        assert_eq!((guest.memory(), guest.cpus(), guest.boot_disk()), (4096, 4, 32 << 30));
        assert_eq!(guest.name(100), "web");
        assert!(!guest.is_template());
        let bare = Guest {
            conf: String::new(),
            ..guest
        };
        assert_eq!((bare.memory(), bare.cpus(), bare.boot_disk()), (512, 1, 0));
        assert_eq!(bare.name(100), "VM 100");
    }

    #[test]
    fn drives_are_found_and_lines_are_set() {
        let mut guest = Guest {
            node: "prox1".to_owned(),
            kind: GuestKind::Qemu,
            version: 1,
            conf: "boot: order=scsi0\nide2: none,media=cdrom\nname: web\nscsi0: data_zfs:vm-100-disk-0,replicate=0,size=4G\nscsihw: \
                   virtio-scsi-single\nunused0: local-lvm:vm-100-disk-1\n\n[old]\nscsi0: data_zfs:vm-100-disk-9,size=1G\n"
                .to_owned(),
        };
        let drives = guest.drives();
        let found: Vec<_> = drives
            .iter()
            .map(|drive| (drive.volid(), drive.size, drive.replicate, drive.unused))
            .collect();
        assert_eq!(
            found,
            [
                ("data_zfs:vm-100-disk-0".to_owned(), 4 << 30, false, false),
                ("local-lvm:vm-100-disk-1".to_owned(), 0, true, true)
            ]
        );
        guest.set("lock", Some("migrate"));
        assert_eq!(guest.lock(), Some("migrate"));
        assert!(
            guest
                .conf
                .contains("ide2: none,media=cdrom\nlock: migrate\nname: web\n"),
            "{}",
            guest.conf
        );
        guest.set("lock", None);
        assert!(
            guest
                .conf
                .ends_with("\n\n[old]\nscsi0: data_zfs:vm-100-disk-9,size=1G\n"),
            "{}",
            guest.conf
        );
        assert_eq!(guest.lock(), None);
    }

    #[test]
    fn what_only_one_server_has_is_known() {
        let guest = Guest {
            node: "prox1".to_owned(),
            kind: GuestKind::Qemu,
            version: 1,
            conf: "hostpci0: 0000:01:00.0\nhostpci1: mapping=gpu\nserial0: socket\nusb0: host=1-1\nusb1: spice\n"
                .to_owned(),
        };
        assert_eq!(guest.local_devices(), ["hostpci0", "usb0"]);
    }

    #[test]
    fn a_process_writes_ten_numbers_a_second() {
        let process = Process {
            pid: 1,
            since: SimTime::from_secs(10),
            base: 7,
            writer: Writer { resumed: 7, run: 1 },
        };
        assert_eq!(process.number(SimTime::from_secs(10)), 7);
        assert_eq!(process.number(SimTime::from_secs(12)), 27);
        assert_eq!(process.age(SimTime::from_millis(12_070)), Duration::from_millis(70));
    }

    #[test]
    fn an_address_stands_elsewhere_for_each_kind() {
        let guest = |kind, conf: &str| Guest {
            node: "prox1".to_owned(),
            kind,
            version: 1,
            conf: conf.to_owned(),
        };
        let machine = guest(
            GuestKind::Qemu,
            "ipconfig0: gw=127.16.1.1,ip=127.16.1.210/24\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\n",
        );
        assert_eq!(machine.address(), Some(Ipv4Addr::new(127, 16, 1, 210)));
        let container = guest(GuestKind::Lxc, "net0: name=eth0,bridge=vmbr0,ip=127.16.1.211/24\n");
        assert_eq!(container.address(), Some(Ipv4Addr::new(127, 16, 1, 211)));
        assert_eq!(guest(GuestKind::Lxc, "net0: name=eth0,ip=dhcp\n").address(), None);
        assert_eq!(guest(GuestKind::Qemu, "name: web\n").address(), None);
    }
}
