//! Guests: what each is configured to be, which lies in `/etc/pve`, and which of them run on a server.

use std::collections::BTreeMap;

use super::clock::SimTime;
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

/// A guest's process on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) since: SimTime,
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

    /// Sets a line of its configuration, or takes it away.
    pub(crate) fn set_value(&mut self, key: &str, value: Option<&str>) {
        let (now, rest) = match self.conf.find("\n[") {
            Some(at) => self.conf.split_at(at + 1),
            None => (self.conf.as_str(), ""),
        };
        let others = now
            .lines()
            .filter(|line| line.split_once(':').is_none_or(|(name, _)| name != key));
        let mut lines: Vec<String> = others.map(str::to_owned).collect();
        if let Some(value) = value {
            lines.push(format!("{key}: {value}"));
        }
        let now: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.conf = format!("{now}{rest}");
    }

    pub(crate) fn is_template(&self) -> bool {
        self.value("template") == Some("1")
    }
}

/// `32G`, as PVE writes sizes.
fn bytes(text: &str) -> u64 {
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

    /// A guest's process begins.
    pub(crate) fn start_guest(&mut self, vmid: u32, now: SimTime) {
        if !self.running.contains_key(&vmid) {
            let pid = self.pid();
            self.running.insert(vmid, Process { pid, since: now });
        }
    }

    /// What PVE starts at boot: `onboot` guests that HA does not look after. Source: pve-manager PVE/API2/Nodes.pm (`startall`).
    pub(crate) fn start_guests_at_boot(&mut self, now: SimTime) {
        let under_ha = |vmid: u32| {
            let resources = &self.pmxcfs.replica.ha.resources;
            ["vm", "ct"]
                .iter()
                .any(|kind| resources.contains_key(&format!("{kind}:{vmid}")))
        };
        let wanted: Vec<u32> = self
            .guests()
            .filter(|(vmid, guest)| guest.value("onboot") == Some("1") && !guest.is_template() && !under_ha(*vmid))
            .map(|(vmid, _)| vmid)
            .collect();
        for vmid in wanted {
            self.start_guest(vmid, now);
        }
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
}
