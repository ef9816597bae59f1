//! Disks as lsblk, sysfs and smartctl show them.

use std::path::Path;

use quorate_lab::{DiskSpec, Script};

use crate::{captured, lab, nothing_unknown};

#[tokio::test]
async fn lsblk_and_sysfs_agree() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let root = lab.node("prox1").expect("prox1").root;
    let columns =
        "NAME,KNAME,PATH,TYPE,SIZE,ROTA,MODEL,VENDOR,SERIAL,WWN,TRAN,FSTYPE,PTTYPE,PARTTYPE,MOUNTPOINTS,PKNAME";
    let output = lab
        .tool("prox1", &["lsblk", "--json", "--bytes", "--output", columns], None)
        .await
        .expect("lsblk runs");
    let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let list = value["blockdevices"].as_array().expect("a list");
    let names: Vec<&str> = list.iter().filter_map(|disk| disk["name"].as_str()).collect();
    assert_eq!(names, ["nvme0n1", "sda", "sdb", "sdc", "sdd"]);
    for (disk, driver) in list.iter().zip(["nvme", "ahci", "ahci", "ahci", "megaraid_sas"]) {
        let name = disk["name"].as_str().expect("a name");
        let sys = std::fs::canonicalize(root.join("sys/block").join(name)).expect("in sysfs");
        let sectors = std::fs::read_to_string(sys.join("size")).expect("its size");
        assert_eq!(
            disk["size"].as_u64(),
            sectors.trim().parse::<u64>().ok().map(|count| count * 512)
        );
        assert_eq!(controller(&sys), driver, "{name}");
        assert!(std::fs::canonicalize(sys.join("device")).is_ok(), "{name}");
    }
    let boot = &list[0]["children"][2]["children"][1];
    assert_eq!(
        (boot["name"].as_str(), boot["mountpoints"][0].as_str()),
        (Some("pve-root"), Some("/"))
    );
    assert!(std::fs::canonicalize(sys_holder(&root)).is_ok());
    nothing_unknown(&lab);
}

fn sys_holder(root: &Path) -> std::path::PathBuf {
    root.join("sys/block/nvme0n1/nvme0n1p3/holders/dm-0")
}

/// The driver of the first PCI device above.
fn controller(sys: &Path) -> String {
    let driver = sys
        .ancestors()
        .map(|folder| folder.join("driver"))
        .find(|link| link.exists())
        .expect("a driver");
    let target = std::fs::canonicalize(driver).expect("a link");
    target.file_name().expect("a name").to_string_lossy().into_owned()
}

#[tokio::test]
async fn by_id_links_lead_to_their_disks() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let root = lab.node("prox1").expect("prox1").root;
    let target = |link: &str| {
        let path = std::fs::canonicalize(root.join("dev/disk/by-id").join(link)).expect(link);
        path.strip_prefix(&root).expect("inside").to_string_lossy().into_owned()
    };
    assert_eq!(target("wwn-0x5002538e4011a2b1"), "dev/sda");
    assert_eq!(target("ata-ST4000NM0035-1V4107_ZC1AAAA1-part1"), "dev/sdc1");
}

#[tokio::test]
async fn an_unknown_column_is_refused_as_recorded() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let output = lab
        .tool("prox1", &["lsblk", "--json", "-o", "NAME,FROB"], None)
        .await
        .expect("lsblk runs");
    let recorded = captured::read("lsblk/2.38.1/bad-column");
    assert_eq!(
        (output.code(), output.stdout, output.stderr),
        (Some(recorded.code), recorded.stdout, recorded.stderr)
    );
}

#[tokio::test]
async fn disks_come_and_go() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let names = async || {
        let output = lab
            .tool("prox1", &["lsblk", "-J", "-b", "-d", "-o", "NAME"], None)
            .await
            .expect("lsblk runs");
        let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        let list = value["blockdevices"].as_array().expect("a list").clone();
        list.iter()
            .map(|disk| disk["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    lab.script("prox1", Script::RemoveDisk("sda".to_owned()))
        .await
        .expect("gone");
    assert_eq!(names().await, ["nvme0n1", "sdb", "sdc", "sdd"]);
    let root = lab.node("prox1").expect("prox1").root;
    assert!(!root.join("sys/block/sda").exists() && root.join("sys/block/sdb").exists());
    let fresh = DiskSpec {
        name: "sde".to_owned(),
        hctl: Some("5:0:0:0".to_owned()),
        ..DiskSpec::default()
    };
    lab.script("prox1", Script::AddDisk(Box::new(fresh)))
        .await
        .expect("there");
    assert_eq!(names().await, ["nvme0n1", "sdb", "sdc", "sdd", "sde"]);
}

#[tokio::test]
async fn smart_answers_for_drives_and_not_for_volumes() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let ask = async |device: &str| {
        let argv = ["smartctl", "-j", "-n", "standby", "-i", "-H", "-A", device];
        let output = lab.tool("prox1", &argv, None).await.expect("smartctl runs");
        let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        (value, output.code())
    };
    let (nvme, code) = ask("/dev/nvme0n1").await;
    assert_eq!(
        (
            nvme["nvme_smart_health_information_log"]["percentage_used"].as_u64(),
            code
        ),
        (Some(3), Some(0))
    );
    let (volume, code) = ask("/dev/sdd").await;
    assert!(volume.get("smart_status").is_none());
    assert_ne!(code, Some(0));
    let (nothing, code) = ask("/dev/nope").await;
    assert_eq!(
        nothing["smartctl"]["messages"][0]["string"],
        "/dev/nope: Unable to detect device type"
    );
    assert_eq!(code, Some(1));
    nothing_unknown(&lab);
}
