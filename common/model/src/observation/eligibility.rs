//! May a disk be used for ZFS or as an OSD? Every reason against it is told, not the first.
//!
//! Only what the node itself can see is judged here; what needs the whole cluster (a LUN seen by several nodes,
//! a disk named raw in a guest's configuration) is the planner's part.

use serde::{Deserialize, Serialize};

use crate::facet::UnknownKind;
use crate::observation::disks::{Disk, Holder, HolderKind};
use crate::size::ByteSize;

mod hardware;

use hardware::Hardware;

/// What a disk could be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A vdev of a ZFS pool.
    Zfs,
    /// A Ceph OSD.
    Osd,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 2] = [Self::Zfs, Self::Osd];

    /// As typed on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zfs => "zfs",
            Self::Osd => "osd",
        }
    }

    /// Below this the tool itself refuses or the result is useless: zpool wants 64 MiB, `ceph-volume` 5 GiB.
    #[must_use]
    pub fn smallest(self) -> ByteSize {
        match self {
            Self::Zfs => ByteSize(64 << 20),
            Self::Osd => ByteSize(5 << 30),
        }
    }
}

/// Whether a disk may be used for a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The role.
    pub role: Role,
    /// Why not; empty: eligible.
    pub against: Vec<Reason>,
    /// What to know though it is eligible.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Nothing speaks against it.
    #[must_use]
    pub fn eligible(&self) -> bool {
        self.against.is_empty()
    }
}

/// One reason against a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// For machines.
    pub kind: ReasonKind,
    /// For people, with the names of what holds it.
    pub text: String,
}

/// Kinds of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonKind {
    /// Something on it is mounted, active or imported.
    InUse,
    /// It carries a partition table, file system or label that nobody uses now.
    Leftover,
    /// A volume of a RAID controller: ZFS and Ceph must see the disks themselves.
    RaidVolume,
    /// Behind a RAID-capable controller, and whether it is a plain disk can't be told.
    MaybeRaid,
    /// Removable media.
    Removable,
    /// Read-only.
    ReadOnly,
    /// Too small for the role.
    TooSmall,
    /// SMART says that it is failing.
    Failing,
    /// Neither serial, WWN nor by-id link: it can't be named safely.
    NoIdentity,
    /// Whether it carries a file system or label could not be seen: nobody may take it for empty.
    SignaturesUnseen,
    /// Another server, or another path of the same one, shows the same WWN: a LUN of shared storage, or one disk by several paths.
    SharedLun,
    /// A guest of the cluster is given it, or the controller that it hangs on.
    GivenToGuest,
    /// Which disks guests are given is not known: nobody may take it for free.
    GuestsUnseen,
    /// The server's own policy file says never to touch it.
    NeverTouch,
    /// Its first or last MiB holds something, though no signature that anybody knows.
    NotEmpty,
    /// Its first and last MiB could not be read, or were not: nobody may take it for empty.
    EdgesUnseen,
    /// A hypervisor's: what it lies on can't be told.
    Virtual,
    /// It is attached so that other servers may see it as well, and the disks of one of them could not be seen.
    MaybeShared,
}

/// Judges one disk for one role by what its node can see.
#[must_use]
pub fn judge(disk: &Disk, role: Role) -> Verdict {
    let mut against = Vec::new();
    let mut notes = Vec::new();
    let mut say = |kind, text: String| against.push(Reason { kind, text });

    for holder in &disk.holders {
        let (kind, text) = held(holder);
        say(kind, text);
    }
    if disk.read_only {
        say(ReasonKind::ReadOnly, "is read-only".to_owned());
    }
    if disk.removable {
        say(ReasonKind::Removable, "is removable".to_owned());
    }
    if disk.size < role.smallest() {
        say(
            ReasonKind::TooSmall,
            format!("is too small ({}, at least {})", disk.size, role.smallest()),
        );
    }
    if disk.stable_name().is_none() {
        say(
            ReasonKind::NoIdentity,
            "has neither serial, WWN nor by-id link".to_owned(),
        );
    }
    match hardware::of(disk) {
        Hardware::Plain => {}
        Hardware::PlainBehind(note) => notes.push(note),
        Hardware::Volume(why) => say(ReasonKind::RaidVolume, why),
        Hardware::Undecidable(why) => say(ReasonKind::MaybeRaid, why),
        Hardware::Virtual(why) => say(ReasonKind::Virtual, why),
    }
    match disk.smart.get() {
        Ok(smart) if smart.passed == Some(false) => {
            say(ReasonKind::Failing, "SMART says that it is failing".to_owned())
        }
        Ok(_) => {}
        Err(unknown) => notes.push(format!("SMART {unknown}")),
    }
    match disk.edges.get() {
        Ok(edges) => {
            if edges.claimed {
                let text = format!("{} is in use: the kernel does not give it to anybody else", disk.path);
                say(ReasonKind::InUse, text);
            }
            for (which, offset) in [("first", edges.first), ("last", edges.last)] {
                if let Some(offset) = offset {
                    let text = format!("its {which} MiB is not empty (offset {offset:#x})");
                    say(ReasonKind::NotEmpty, text);
                }
            }
        }
        Err(unknown) if unknown.kind == UnknownKind::NotAsked => {}
        Err(unknown) => {
            let text = format!(
                "whether its first and last MiB are empty is not known: {}",
                unknown.reason
            );
            say(ReasonKind::EdgesUnseen, text);
        }
    }
    Verdict { role, against, notes }
}

/// What it means that something holds a disk, or has left its mark on it.
fn held(holder: &Holder) -> (ReasonKind, String) {
    use ReasonKind::{InUse, Leftover};
    let Holder { device, kind, name, .. } = holder;
    let named = !name.is_empty();
    match kind {
        HolderKind::Mounted => (InUse, format!("{device} is mounted at {name}")),
        HolderKind::Swap if named => (InUse, format!("{device} is swap space in use")),
        HolderKind::Swap => (Leftover, format!("{device} is swap space")),
        HolderKind::PartitionTable => (Leftover, format!("has a partition table ({name})")),
        HolderKind::FileSystem => (Leftover, format!("{device} holds a file system ({name})")),
        HolderKind::OtherSignature => (Leftover, format!("{device} carries a signature ({name})")),
        HolderKind::Boot => (Leftover, format!("{device} is what a server boots from ({name})")),
        // A volume group without active volumes may be that of a storage whose guests are all stopped.
        HolderKind::Lvm if named => (InUse, format!("{device} belongs to volume group {name}")),
        HolderKind::Lvm => (InUse, format!("{device} is an LVM physical volume")),
        HolderKind::Zfs if named => (InUse, format!("{device} belongs to pool {name}")),
        HolderKind::ZfsLabel if named => (
            Leftover,
            format!("{device} carries a ZFS label of pool {name}, which is not imported here"),
        ),
        HolderKind::Zfs | HolderKind::ZfsLabel => (
            Leftover,
            format!("{device} carries a ZFS label of a pool that is not imported here"),
        ),
        // An OSD that is stopped has the cluster's data all the same.
        HolderKind::CephOsd => (InUse, format!("{device} holds Ceph OSD {name}").trim_end().to_owned()),
        HolderKind::Multipath => (
            InUse,
            format!("{device} is a path of multipath device {name}")
                .trim_end()
                .to_owned(),
        ),
        HolderKind::Md if !named => (
            Leftover,
            format!("{device} is a member of an md array that does not run"),
        ),
        HolderKind::Luks if !named => (Leftover, format!("{device} is encrypted (LUKS)")),
        HolderKind::Bcache if !named => (Leftover, format!("{device} is a part of a bcache that does not run")),
        HolderKind::Drbd if !named => (Leftover, format!("{device} carries metadata of DRBD")),
        HolderKind::Ldm => (Leftover, format!("{device} is a dynamic disk of Windows (LDM)")),
        HolderKind::Md | HolderKind::Luks | HolderKind::Bcache | HolderKind::Drbd | HolderKind::DeviceMapper => (
            InUse,
            format!("{device} is held by {} {name}", kind.as_str())
                .trim_end()
                .to_owned(),
        ),
    }
}

impl ReasonKind {
    /// May an operator say that a disk is used nevertheless? Only what can't be told of its nature, never that something is on it.
    #[must_use]
    pub fn may_be_accepted(self) -> bool {
        matches!(self, Self::MaybeRaid | Self::Virtual | Self::MaybeShared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facet::{Facet, UnknownKind};
    use crate::observation::disks::{Controller, Edges, Smart};
    use crate::time::Timestamp;

    fn blank() -> Disk {
        Disk {
            path: "/dev/sdb".into(),
            by_id: vec!["ata-SAMSUNG_MZ7LH960_S45NNA0M".into()],
            wwn: Some("0x5002538e".into()),
            serial: Some("S45NNA0M".into()),
            model: Some("SAMSUNG MZ7LH960".into()),
            vendor: Some("ATA".into()),
            size: ByteSize(960_197_124_096),
            transport: Some("sata".into()),
            smart: Facet::known(
                Smart {
                    passed: Some(true),
                    wear_percent: Some(2),
                    temperature: None,
                    power_on_hours: None,
                    bad_sectors: None,
                },
                Timestamp(0),
            ),
            edges: Facet::known(Edges::default(), Timestamp(0)),
            ..Disk::default()
        }
    }

    fn kinds(disk: &Disk) -> Vec<ReasonKind> {
        judge(disk, Role::Zfs).against.into_iter().map(|r| r.kind).collect()
    }

    #[test]
    fn a_blank_disk_is_eligible() {
        assert!(judge(&blank(), Role::Zfs).eligible());
        assert!(judge(&blank(), Role::Osd).eligible());
    }

    #[test]
    fn all_reasons_are_told() {
        let mut disk = blank();
        disk.holders.push(Holder {
            device: "/dev/sdb".into(),
            kind: HolderKind::PartitionTable,
            name: "gpt".into(),
            uuid: None,
        });
        disk.holders.push(Holder {
            device: "/dev/sdb1".into(),
            kind: HolderKind::Mounted,
            name: "/mnt".into(),
            uuid: None,
        });
        disk.read_only = true;
        disk.size = ByteSize(1000);
        assert_eq!(
            kinds(&disk),
            [
                ReasonKind::Leftover,
                ReasonKind::InUse,
                ReasonKind::ReadOnly,
                ReasonKind::TooSmall
            ]
        );
    }

    #[test]
    fn a_raid_volume_is_refused_and_a_plain_disk_behind_the_same_controller_is_not() {
        let controller = Some(Controller {
            pci_address: "0000:03:00.0".into(),
            driver: Some("megaraid_sas".into()),
            class: None,
        });
        let mut volume = blank();
        volume.controller.clone_from(&controller);
        volume.model = Some("PERC H730 Mini".into());
        assert_eq!(kinds(&volume), [ReasonKind::RaidVolume]);

        let mut plain = blank();
        plain.controller = controller;
        assert_eq!(kinds(&plain), []);
        let note = "is behind megaraid_sas, and shows itself as a plain disk: own model, serial, WWN and SMART";
        assert_eq!(judge(&plain, Role::Zfs).notes, [note]);
        plain.smart = Facet::unknown(UnknownKind::ToolMissing, "smartctl is not installed");
        assert_eq!(kinds(&plain), [ReasonKind::MaybeRaid]);
    }

    #[test]
    fn without_identity_it_cannot_be_named() {
        let mut disk = blank();
        disk.by_id.clear();
        disk.wwn = None;
        disk.serial = None;
        assert_eq!(kinds(&disk), [ReasonKind::NoIdentity]);
    }

    #[test]
    fn a_virtual_disk_is_not_taken_without_a_word() {
        for (vendor, model) in [
            (Some("QEMU"), Some("QEMU HARDDISK")),
            (Some("0x1af4"), None),
            (None, Some("QEMU NVMe Ctrl")),
            (Some("VMware"), Some("Virtual disk")),
            (Some("Msft"), Some("Virtual Disk")),
        ] {
            let mut disk = blank();
            disk.vendor = vendor.map(str::to_owned);
            disk.model = model.map(str::to_owned);
            assert_eq!(kinds(&disk), [ReasonKind::Virtual], "{model:?}");
        }
        assert!(ReasonKind::Virtual.may_be_accepted() && !ReasonKind::InUse.may_be_accepted());
    }

    #[test]
    fn what_reading_it_tells_speaks_against_it() {
        let mut disk = blank();
        disk.edges = Facet::known(
            Edges {
                first: Some(512),
                last: Some(960_197_123_584),
                claimed: true,
            },
            Timestamp(0),
        );
        let texts: Vec<String> = judge(&disk, Role::Osd).against.into_iter().map(|r| r.text).collect();
        let expected = [
            "/dev/sdb is in use: the kernel does not give it to anybody else",
            "its first MiB is not empty (offset 0x200)",
            "its last MiB is not empty (offset 0xdf90355e00)",
        ];
        assert_eq!(texts, expected);
        disk.edges = Facet::unknown(UnknownKind::TimedOut, "it did not answer");
        assert_eq!(kinds(&disk), [ReasonKind::EdgesUnseen]);
        // Not looked into is nothing that the disk itself says; whoever chooses disks minds it.
        disk.edges = Facet::not_asked();
        assert_eq!(kinds(&disk), []);
    }

    #[test]
    fn what_nobody_uses_is_a_leftover_and_what_somebody_uses_is_not() {
        use HolderKind::*;
        for (kind, name, expected) in [
            (Md, "md0", ReasonKind::InUse),
            (Md, "", ReasonKind::Leftover),
            (Luks, "secret", ReasonKind::InUse),
            (Luks, "", ReasonKind::Leftover),
            (Bcache, "bcache0", ReasonKind::InUse),
            (Bcache, "", ReasonKind::Leftover),
            (Drbd, "drbd0", ReasonKind::InUse),
            (Drbd, "", ReasonKind::Leftover),
            (Swap, "/dev/sdb", ReasonKind::InUse),
            (Swap, "", ReasonKind::Leftover),
            (Zfs, "tank", ReasonKind::InUse),
            (ZfsLabel, "tank", ReasonKind::Leftover),
            (ZfsLabel, "", ReasonKind::Leftover),
            (Lvm, "", ReasonKind::InUse),
            (CephOsd, "", ReasonKind::InUse),
            (Multipath, "", ReasonKind::InUse),
            (Ldm, "", ReasonKind::Leftover),
            (Boot, "EFI system partition", ReasonKind::Leftover),
            (PartitionTable, "gpt", ReasonKind::Leftover),
            (FileSystem, "ext4", ReasonKind::Leftover),
            (OtherSignature, "stratis", ReasonKind::Leftover),
            (Mounted, "/srv", ReasonKind::InUse),
            (DeviceMapper, "dm-3", ReasonKind::InUse),
        ] {
            let mut disk = blank();
            disk.holders = vec![Holder {
                device: "/dev/sdb".into(),
                kind,
                name: name.into(),
                uuid: None,
            }];
            assert_eq!(kinds(&disk), [expected], "{kind:?} {name}");
        }
    }
}
