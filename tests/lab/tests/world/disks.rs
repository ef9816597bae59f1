//! Disks as lsblk, sysfs and smartctl show them.

use std::path::Path;

use quorate_lab::{DiskSpec, Plant, Script, SmartSpec, zoo};

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

async fn listed(lab: &quorate_lab::Lab) -> Vec<serde_json::Value> {
    let columns = "NAME,KNAME,PATH,TYPE,SERIAL,WWN,FSTYPE,LABEL,MOUNTPOINTS,RO,RM";
    let argv = ["lsblk", "--json", "--bytes", "--output", columns];
    let output = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let list = value.get("blockdevices").and_then(serde_json::Value::as_array);
    list.expect("a list").clone()
}

#[tokio::test]
async fn a_zoo_of_disks_shows_what_lies_on_each() {
    let lab = lab(|builder| builder.nodes(1).server("prox1", |server| server.disks = zoo())).await;
    let root = lab.node("prox1").expect("prox1").root;
    let list = listed(&lab).await;
    let disk = |name: &str| list.iter().find(|disk| disk["name"] == name).expect(name);
    let children = |name: &str| {
        let below = disk(name)["children"].as_array().cloned().unwrap_or_default();
        let told = |child: &serde_json::Value| format!("{} {}", child["type"].as_str().unwrap_or("-"), child["path"]);
        below.iter().map(told).collect::<Vec<_>>()
    };
    // As util-linux shows them: bcache's and DRBD's devices are disks.
    assert_eq!(children("sds"), ["raid1 \"/dev/md0\""]);
    assert_eq!(children("sdt"), ["raid1 \"/dev/md0\""]);
    assert_eq!(children("sdu"), ["crypt \"/dev/mapper/secret\""]);
    assert_eq!(children("sdv"), ["disk \"/dev/bcache0\""]);
    assert_eq!(children("sdw"), ["disk \"/dev/drbd0\""]);
    assert_eq!(children("sdx"), ["mpath \"/dev/mapper/mpatha\""]);
    assert_eq!(children("sdz"), [""; 0]);
    for holder in [
        "block/sdz/holders/dm-9",
        "class/block/sdz/holders/dm-9",
        "class/block/nvme0n1p3/holders/dm-0",
    ] {
        assert!(std::fs::canonicalize(root.join("sys").join(holder)).is_ok(), "{holder}");
    }
    assert_eq!(
        std::fs::read_to_string(root.join("sys/block/dm-9/dm/uuid")).expect("its maker"),
        "CRYPT-LUKS2-secret2\n"
    );
    assert_eq!((&disk("sdac")["ro"], &disk("sdad")["rm"]), (&true.into(), &true.into()));
    assert_eq!(disk("sdn")["children"][0]["label"], "oldtank");
    assert_eq!(disk("sdaa")["mountpoints"][0], "[SWAP]");
    assert_eq!(
        (&disk("vda")["serial"], &disk("vda")["wwn"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    // What a read finds.
    let device = std::fs::File::open(root.join("dev/sdb")).expect("a device");
    let mut byte = [0_u8; 2];
    std::os::unix::fs::FileExt::read_exact_at(&device, &mut byte, 0x7fff).expect("a read");
    assert_eq!((byte[0], byte[1] == 0), (0, false));
    let dying = std::fs::File::open(root.join("dev/sde")).expect("a device");
    let error = std::os::unix::fs::FileExt::read_exact_at(&dying, &mut byte, 0).expect_err("it is dying");
    assert_eq!(error.to_string(), "Input/output error (os error 5)");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn smartctl_says_of_volumes_and_virtual_disks_what_it_was_seen_to_say() {
    let lab = lab(|builder| builder.nodes(1).server("prox1", |server| server.disks = zoo())).await;
    let ask = async |device: &str| {
        let argv = ["smartctl", "-j", "-n", "standby", "-i", "-H", "-A", device];
        let output = lab.tool("prox1", &argv, None).await.expect("smartctl runs");
        let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        (
            value["smartctl"]["messages"][0]["string"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            output.code(),
        )
    };
    let perc = "Smartctl open device: /dev/sdag failed: DELL or MegaRaid controller, please try adding '-d megaraid,N'";
    assert_eq!(ask("/dev/sdag").await, (perc.to_owned(), Some(2)));
    assert_eq!(
        ask("/dev/vda").await,
        ("/dev/vda: Unable to detect device type".to_owned(), Some(1))
    );
    assert_eq!(ask("/dev/sdah").await, (String::new(), Some(0)));
    assert_eq!(ask("/dev/sdaf").await, (String::new(), Some(8)));
    nothing_unknown(&lab);
}

#[tokio::test]
async fn what_is_plugged_pulled_and_ages_shows_at_once() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let root = lab.node("prox1").expect("prox1").root;
    let partitions = || std::fs::read_to_string(root.join("proc/partitions")).expect("the kernel's list");
    let before = partitions();
    assert!(before.contains(" sda\n") && before.contains(" nvme0n1p3\n"), "{before}");
    let plant = async |plant| lab.script("prox1", Script::Plant(plant)).await.expect("planted");
    plant(Plant::NoDisk { name: "sda".to_owned() }).await;
    assert!(!partitions().contains(" sda\n"));
    // One of its name takes its place.
    let put_to_use = zoo()
        .into_iter()
        .find(|disk| disk.name == "sdf")
        .expect("one with ext4");
    let disk = Box::new(DiskSpec {
        name: "sdb".to_owned(),
        ..put_to_use
    });
    plant(Plant::Disk { disk }).await;
    let list = listed(&lab).await;
    let names: Vec<_> = list.iter().filter_map(|disk| disk["name"].as_str()).collect();
    assert_eq!(names, ["nvme0n1", "sdb", "sdc", "sdd"]);
    assert_eq!(
        (&list[1]["fstype"], &list[1]["label"]),
        (&"ext4".into(), &"wholefs".into())
    );
    let smart = SmartSpec::Answers {
        passed: true,
        used_percent: 0,
        hours: 1,
        temperature: 30,
        bad_sectors: 24,
    };
    plant(Plant::Smart {
        name: "sdc".to_owned(),
        smart,
    })
    .await;
    let argv = ["smartctl", "-j", "-n", "standby", "-i", "-H", "-A", "/dev/sdc"];
    let output = lab.tool("prox1", &argv, None).await.expect("smartctl runs");
    let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(value["ata_smart_attributes"]["table"][0]["raw"]["value"], 24);
    nothing_unknown(&lab);
}

/// From util-linux's source (lsblk.c, `string_to_idarray`): 2.36 does not know MOUNTPOINTS, and names it with all that follows.
#[tokio::test]
async fn the_lsblk_of_pve_7_does_not_know_mountpoints() {
    let lab = lab(|builder| {
        builder
            .nodes(1)
            .server("prox1", |server| server.pve_version = "7.4-20".to_owned())
    })
    .await;
    let argv = ["lsblk", "--json", "--bytes", "--output", "NAME,MOUNTPOINTS,HCTL"];
    let output = lab.tool("prox1", &argv, None).await.expect("lsblk runs");
    assert_eq!(
        (output.code(), output.stderr.as_str()),
        (Some(1), "lsblk: unknown column: MOUNTPOINTS,HCTL\n")
    );
}
