//! What a guest is configured to be. Source: /etc/pve/nodes/NODE/{qemu-server,lxc}/ID.conf, which every member of a cluster can read.

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::observation::guests::Guest;
use crate::size::ByteSize;
use crate::time::Timestamp;

/// A guest, and what its configuration says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfiguredGuest {
    /// Its id, its owner and its kind, by where its file lies.
    pub guest: Guest,
    /// What the file says; unknown where a line of it can't be understood: one odd guest does not hide the others.
    pub config: Facet<GuestConfig>,
}

/// What stands in a guest's configuration, above its first section (snapshots and pending changes).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestConfig {
    /// `name` of a machine, `hostname` of a container.
    pub name: Option<String>,
    /// The most memory that it can have (`memory`); PVE takes 512 MiB where the line is missing.
    pub memory: ByteSize,
    /// Processors that it may use: `sockets` × `cores`, or `vcpus` of them; `None`: a container that may use all.
    pub cpus: Option<u32>,
    /// The kind of processor that a machine sees (`cpu`), such as `host` or `x86-64-v2-AES`; `None`: PVE's default.
    pub cpu_type: Option<String>,
    /// `tags`.
    pub tags: Vec<String>,
    /// It is a template: nothing can be started.
    pub template: bool,
    /// What holds it (`lock`), such as `backup` or `migrate`.
    pub lock: Option<String>,
    /// It is started when its node boots (`onboot`).
    pub starts_at_boot: bool,
    /// The guest agent is switched on (`agent`); whether one answers is another thing. Never of a container.
    pub agent: bool,
    /// Its disks and mount points, without CD drives.
    pub disks: Vec<GuestDisk>,
    /// What lies in its CD drives: images, or the host's own drive (a device called `cdrom`). Neither empty drives, nor the disc with
    /// cloud-init's settings, which PVE makes anew wherever it is missing.
    #[serde(default)]
    pub discs: Vec<GuestDisk>,
    /// Its snapshots, in the file's order.
    #[serde(default)]
    pub snapshots: Vec<GuestSnapshot>,
    /// Its network cards.
    pub nics: Vec<GuestNic>,
    /// Keys of what binds it to devices of its host: `hostpci0`, `usb1`, `serial0` …
    pub bound_by: Vec<String>,
    /// When it was created, by the clock of the server that did (`ctime` of `meta`); `None`: it does not say, as no container does and no
    /// machine from before PVE wrote it.
    #[serde(default)]
    pub created: Option<Timestamp>,
}

/// A disk of a machine, or a mount point of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestDisk {
    /// Its key, such as `scsi0`, `rootfs`, `mp1` or `unused0`.
    pub key: String,
    /// What is behind it.
    pub backing: Backing,
    /// As the configuration has it (`size`).
    pub size: Option<ByteSize>,
    /// PVE's replication takes it along (`replicate` is not 0).
    pub replicate: bool,
    /// What is no volume is said to be the same on every server (`shared=1`): PVE leaves it alone when the guest moves.
    #[serde(default)]
    pub shared: bool,
}

/// A snapshot of a guest: a section of its own in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSnapshot {
    /// Its name.
    pub name: String,
    /// The disks that it holds on to.
    pub disks: Vec<GuestDisk>,
    /// What lay in its CD drives.
    pub discs: Vec<GuestDisk>,
}

impl GuestConfig {
    /// What lies in a CD drive, now or in a snapshot; of a snapshot with its name.
    pub fn all_discs(&self) -> impl Iterator<Item = (&GuestDisk, Option<&str>)> {
        let now = self.discs.iter().map(|disc| (disc, None));
        let before = self.snapshots.iter();
        let before = before.flat_map(|one| one.discs.iter().map(|disc| (disc, Some(one.name.as_str()))));
        now.chain(before)
    }
}

impl GuestDisk {
    /// The storage that it lies on, if it lies on one.
    #[must_use]
    pub fn storage(&self) -> Option<&str> {
        match &self.backing {
            Backing::Volume { storage, .. } => Some(storage),
            Backing::Device(_) | Backing::Folder(_) => None,
        }
    }

    /// How PVE writes what is behind it: `STORAGE:VOLUME`, or a path.
    #[must_use]
    pub fn written(&self) -> String {
        match &self.backing {
            Backing::Volume { storage, volume } => format!("{storage}:{volume}"),
            Backing::Device(path) | Backing::Folder(path) => path.clone(),
        }
    }

    /// It belongs to the guest, which does not use it now.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.key.starts_with("unused")
    }
}

/// What is behind a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backing {
    /// A volume of a storage.
    Volume {
        /// The storage's id.
        storage: String,
        /// Its name there, such as `vm-100-disk-0`.
        volume: String,
    },
    /// A device of the host, or a file by its path.
    Device(String),
    /// A folder of the host (a container's bind mount).
    Folder(String),
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestNic {
    /// Its key, such as `net0`.
    pub key: String,
    /// The bridge of the host that it is plugged into; `None`: QEMU's own network.
    pub bridge: Option<String>,
    /// Its VLAN (`tag`).
    pub vlan: Option<u16>,
    /// Its address, in lower case.
    pub mac: Option<String>,
}
