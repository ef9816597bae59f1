//! The disks of the machine that the captures of OpenZFS and util-linux are from, so that texts can be compared as they are.

use quorate_lab::description::{DiskSpec, PartitionSpec};
use quorate_lab::{Lab, Output};

use crate::captured::{self, Recorded};
use crate::lab;

pub(super) const S1: &str = "/dev/disk/by-id/wwn-0x5000c500a1b2c301";
pub(super) const S2: &str = "/dev/disk/by-id/wwn-0x5000c500a1b2c302";
pub(super) const S3: &str = "/dev/disk/by-id/wwn-0x5000c500a1b2c303";
pub(super) const PERC: &str = "/dev/disk/by-id/wwn-0x61866da07a4d2b00";
pub(super) const SMALL: &str = "/dev/disk/by-id/wwn-0x5002538f31234567";
pub(super) const OLD: &str = "/dev/disk/by-id/nvme-QEMU_NVMe_Ctrl_S4EVNX0M123456";

const SIZE: u64 = 512 << 20;

fn scsi(name: &str, wwn: &str, place: u8) -> DiskSpec {
    DiskSpec {
        name: name.to_owned(),
        size: SIZE,
        wwn: Some(wwn.to_owned()),
        hctl: Some(format!("0:0:{place}:0")),
        ..DiskSpec::default()
    }
}

fn all() -> Vec<DiskSpec> {
    let part = |number, size, fstype: Option<&str>| PartitionSpec {
        number,
        size,
        fstype: fstype.map(str::to_owned),
        ..PartitionSpec::default()
    };
    vec![
        DiskSpec {
            size: SIZE / 2,
            ..scsi("sdd", "0x5002538f31234567", 3)
        },
        scsi("sda", "0x61866da07a4d2b00", 0),
        scsi("sdb", "0x5000c500a1b2c302", 1),
        scsi("sdc", "0x5000c500a1b2c303", 2),
        scsi("sde", "0x5000c500a1b2c301", 4),
        DiskSpec {
            fstype: Some("LVM2_member".to_owned()),
            ..scsi("sdg", "0x5000000000000001", 6)
        },
        DiskSpec {
            fstype: Some("ext4".to_owned()),
            ..scsi("sdh", "0x5000000000000002", 7)
        },
        DiskSpec {
            read_only: true,
            ..scsi("sdl", "0x5000000000000003", 11)
        },
        DiskSpec {
            model: Some("QEMU NVMe Ctrl".to_owned()),
            serial: Some("S4EVNX0M123456".to_owned()),
            transport: Some("nvme".to_owned()),
            hctl: None,
            pttype: Some("gpt".to_owned()),
            partitions: vec![
                PartitionSpec {
                    label: Some("oldtank".to_owned()),
                    uuid: Some("16401617999545000977".to_owned()),
                    ..part(1, 526_385_152, Some("zfs_member"))
                },
                part(9, 8 << 20, None),
            ],
            ..scsi("nvme1n1", "nvme.1b36-1", 0)
        },
    ]
}

/// One server with these disks.
pub(super) async fn machine() -> Lab {
    lab(|builder| builder.nodes(1).server("prox1", |server| server.disks = all())).await
}

/// The same, with the mirror `tank` of two disks.
pub(super) async fn with_tank() -> Lab {
    let lab = machine().await;
    done(
        &lab,
        &format!("zpool create -o ashift=12 -o autotrim=on -O compression=lz4 tank mirror {S1} {S2}"),
    )
    .await;
    lab
}

pub(super) async fn run(lab: &Lab, line: &str) -> Output {
    let argv: Vec<&str> = line.split(' ').collect();
    lab.tool("prox1", &argv, None).await.expect("the tool runs")
}

/// It ends with 0 and says nothing.
pub(super) async fn done(lab: &Lab, line: &str) {
    let output = run(lab, line).await;
    let told = (output.code(), output.stdout.as_str(), output.stderr.as_str());
    assert_eq!(told, (Some(0), "", ""), "{line}");
}

/// It says and ends as the real one did.
pub(super) async fn as_recorded(lab: &Lab, fixture: &str, line: &str) {
    let output = run(lab, line).await;
    let Recorded { stdout, stderr, code } = captured::read(fixture);
    let told = (output.code(), output.stdout, output.stderr);
    assert_eq!(told, (Some(code), stdout, stderr), "{fixture}: {line}");
}

/// What is on each partition of a disk.
pub(super) async fn partitions(lab: &Lab, disk: &str) -> Vec<(String, Option<String>)> {
    let argv = ["lsblk", "--json", "--bytes", "--output", "NAME,PARTTYPE,FSTYPE", disk];
    let output = lab.tool("prox1", &argv, None).await.expect("the tool runs");
    let seen: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let children = seen
        .pointer("/blockdevices/0/children")
        .and_then(|children| children.as_array());
    let text = |part: &serde_json::Value, key: &str| part.get(key).and_then(|text| text.as_str()).map(str::to_owned);
    let of = |part: &serde_json::Value| (text(part, "name").unwrap_or_default(), text(part, "fstype"));
    children.into_iter().flatten().map(of).collect()
}

pub(super) fn part(name: &str, fstype: Option<&str>) -> (String, Option<String>) {
    (name.to_owned(), fstype.map(str::to_owned))
}
