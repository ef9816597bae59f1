//! A server's worth of disks, no two in the same state: what a report of disks must tell apart.

use crate::description::{ControllerSpec, DiskSpec, PartitionSpec, SmartSpec, StackedSpec};
use crate::roots::disks::standard;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The usual boot disk, and one of each kind. Their models say what they are.
#[must_use]
pub fn zoo() -> Vec<DiskSpec> {
    let mut disks: Vec<DiskSpec> = standard(0).into_iter().take(1).collect();
    disks.extend(free());
    disks.extend(leftovers());
    disks.extend(in_use());
    disks.extend(hardware());
    for (number, disk) in disks.iter_mut().enumerate() {
        let plain = disk.controller.driver == "ahci";
        if plain && disk.hctl.is_some() {
            disk.hctl = Some(format!("{number}:0:0:0"));
        }
    }
    disks
}

fn disk(name: &str, model: &str) -> DiskSpec {
    let number = name
        .bytes()
        .fold(0_u32, |sum, byte| sum * 31 % 65_521 + u32::from(byte));
    DiskSpec {
        name: name.to_owned(),
        model: Some(model.to_owned()),
        serial: Some(format!("ZOO{}", name.to_uppercase())),
        wwn: Some(format!("0x5002538e000{number:05x}")),
        rev: Some("0001".to_owned()),
        smart: SmartSpec::Answers {
            passed: true,
            used_percent: 2,
            hours: 100,
            temperature: 30,
            bad_sectors: 0,
        },
        ..DiskSpec::default()
    }
}

fn carries(name: &str, model: &str, fstype: &str) -> DiskSpec {
    DiskSpec {
        fstype: Some(fstype.to_owned()),
        ..disk(name, model)
    }
}

fn under(name: &str, kname: &str, kind: &str) -> StackedSpec {
    StackedSpec {
        name: name.to_owned(),
        kname: kname.to_owned(),
        kind: kind.to_owned(),
        size: 500 * GIB,
        ..StackedSpec::default()
    }
}

fn partition(number: u32, parttype: &str, fstype: Option<&str>) -> PartitionSpec {
    PartitionSpec {
        number,
        size: 100 * GIB,
        parttype: Some(parttype.to_owned()),
        fstype: fstype.map(str::to_owned),
        ..PartitionSpec::default()
    }
}

/// Empty, or seemingly so.
fn free() -> Vec<DiskSpec> {
    let size = DiskSpec::default().size;
    vec![
        disk("sda", "BLANK"),
        DiskSpec {
            filled: vec![0x8000],
            ..disk("sdb", "FIRST MIB")
        },
        DiskSpec {
            filled: vec![MIB, size - 4096],
            ..disk("sdc", "LAST MIB")
        },
        DiskSpec {
            filled: vec![MIB, size / 2],
            ..disk("sdd", "MIDDLE ONLY")
        },
        DiskSpec {
            unreadable: true,
            ..disk("sde", "DYING")
        },
        DiskSpec {
            hangs: true,
            ..disk("sdal", "HANGING")
        },
    ]
}

/// What nobody uses now.
fn leftovers() -> Vec<DiskSpec> {
    vec![
        DiskSpec {
            label: Some("wholefs".to_owned()),
            ..carries("sdf", "WHOLE EXT4", "ext4")
        },
        DiskSpec {
            pttype: Some("gpt".to_owned()),
            partitions: vec![
                partition(1, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Some("vfat")),
                partition(2, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", None),
            ],
            ..disk("sdg", "OLD BOOT")
        },
        DiskSpec {
            pttype: Some("gpt".to_owned()),
            ..disk("sdh", "EMPTY GPT")
        },
        carries("sdi", "OLD MD", "linux_raid_member"),
        carries("sdj", "CLOSED LUKS", "crypto_LUKS"),
        carries("sdk", "OLD BCACHE", "bcache"),
        carries("sdl", "OLD DRBD", "drbd"),
        DiskSpec {
            pttype: Some("gpt".to_owned()),
            partitions: vec![
                partition(1, "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", None),
                partition(2, "af9b60a0-1431-4f62-bc68-3311714a69ad", None),
            ],
            ..disk("sdm", "DYNAMIC")
        },
        DiskSpec {
            pttype: Some("gpt".to_owned()),
            partitions: vec![
                PartitionSpec {
                    label: Some("oldtank".to_owned()),
                    ..partition(1, "6a898cc3-1dd2-11b2-99a6-080020736631", Some("zfs_member"))
                },
                partition(9, "6a945a3b-1dd2-11b2-99a6-080020736631", None),
            ],
            ..disk("sdn", "OLD ZFS")
        },
        carries("sdo", "OLD SWAP", "swap"),
        carries("sdp", "STRANGE", "BitLocker"),
    ]
}

/// What somebody uses.
fn in_use() -> Vec<DiskSpec> {
    let on = |disk: DiskSpec, device: StackedSpec| DiskSpec {
        stacked: vec![device],
        ..disk
    };
    let osd = StackedSpec {
        tags: "ceph.cluster_fsid=6d5f1e0c,ceph.osd_id=3,ceph.type=block".to_owned(),
        ..under("ceph--1f2e-osd--block--0a", "dm-5", "lvm")
    };
    let array = StackedSpec {
        mountpoint: Some("/srv".to_owned()),
        ..under("md0", "md0", "raid1")
    };
    let hidden = StackedSpec {
        hidden: true,
        ..under("secret2", "dm-9", "crypt")
    };
    let paths = ["sdx", "sdy"].map(|name| DiskSpec {
        serial: Some("MPATH1".to_owned()),
        wwn: Some("0x600a098000000001".to_owned()),
        ..on(carries(name, "LUN", "mpath_member"), under("mpatha", "dm-8", "mpath"))
    });
    let mut disks = vec![
        on(carries("sdq", "LVM", "LVM2_member"), under("vgold-lv", "dm-4", "lvm")),
        on(carries("sdr", "OSD", "LVM2_member"), osd),
        on(carries("sds", "MD 1", "linux_raid_member"), array.clone()),
        on(carries("sdt", "MD 2", "linux_raid_member"), array),
        on(
            carries("sdu", "OPEN LUKS", "crypto_LUKS"),
            under("secret", "dm-7", "crypt"),
        ),
        on(carries("sdv", "BCACHE", "bcache"), under("bcache0", "bcache0", "disk")),
        on(carries("sdw", "DRBD", "drbd"), under("drbd0", "drbd0", "disk")),
    ];
    disks.extend(paths);
    disks.push(on(disk("sdz", "HIDDEN"), hidden));
    disks.push(DiskSpec {
        mountpoint: Some("[SWAP]".to_owned()),
        ..carries("sdaa", "SWAP", "swap")
    });
    disks.push(DiskSpec {
        mountpoint: Some("/mnt/backup".to_owned()),
        ..carries("sdab", "MOUNTED", "ext4")
    });
    disks
}

/// What is no plain, healthy disk with a name of its own.
fn hardware() -> Vec<DiskSpec> {
    let megaraid = |target: u8| {
        let controller = ControllerSpec {
            address: "0000:03:00.0".to_owned(),
            driver: "megaraid_sas".to_owned(),
        };
        (controller, Some(format!("10:2:{target}:0")))
    };
    let behind = |target, disk: DiskSpec| {
        let (controller, hctl) = megaraid(target);
        DiskSpec {
            controller,
            hctl,
            transport: None,
            ..disk
        }
    };
    let twin = |name: &str, model: &str| DiskSpec {
        serial: Some("0000000000000001".to_owned()),
        ..disk(name, model)
    };
    let virtio = |name: &str, serial: Option<&str>, address: &str| DiskSpec {
        name: name.to_owned(),
        vendor: Some("0x1af4".to_owned()),
        serial: serial.map(str::to_owned),
        rotational: true,
        transport: None,
        hctl: None,
        controller: ControllerSpec {
            address: address.to_owned(),
            driver: "virtio-pci".to_owned(),
        },
        ..DiskSpec::default()
    };
    vec![
        DiskSpec {
            read_only: true,
            ..disk("sdac", "READ-ONLY")
        },
        DiskSpec {
            removable: true,
            transport: Some("usb".to_owned()),
            ..disk("sdad", "STICK")
        },
        DiskSpec {
            size: 32 * MIB,
            ..disk("sdae", "TINY")
        },
        DiskSpec {
            smart: SmartSpec::Answers {
                passed: false,
                used_percent: 2,
                hours: 50_000,
                temperature: 41,
                bad_sectors: 212,
            },
            ..disk("sdaf", "FAILING")
        },
        behind(
            0,
            DiskSpec {
                vendor: Some("DELL    ".to_owned()),
                smart: SmartSpec::Silent,
                ..disk("sdag", "PERC H730 Mini")
            },
        ),
        behind(
            1,
            DiskSpec {
                vendor: Some("SEAGATE ".to_owned()),
                ..disk("sdah", "ST1200MM0099")
            },
        ),
        behind(
            2,
            DiskSpec {
                wwn: None,
                smart: SmartSpec::Silent,
                ..disk("sdai", "VD 7")
            },
        ),
        twin("sdaj", "TWIN 1"),
        twin("sdak", "TWIN 2"),
        virtio("vda", None, "0000:00:0a.0"),
        virtio("vdb", Some("VBLK1"), "0000:00:0b.0"),
        DiskSpec {
            name: "nvme1n1".to_owned(),
            vendor: None,
            wwn: Some("eui.0100000001000000e4d25c0000000001".to_owned()),
            transport: Some("nvme".to_owned()),
            hctl: None,
            controller: ControllerSpec {
                address: "0000:02:00.0".to_owned(),
                driver: "nvme".to_owned(),
            },
            ..disk("nvme1n1", "INTEL SSDPE2KX010T8")
        },
    ]
}
