//! Pools after the first day: a try that failed, disks on which something is left, growth, a disk that is replaced.

use std::path::Path;

use quorate_lab::description::{DiskSpec, PartitionSpec};
use quorate_lab::{Lab, Plant, Script};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};
use serde_json::Value;

const ONE: &str = "\n[zfs.data_zfs]\nraid = \"mirror\"\n[zfs.data_zfs.disks]\nprox1 = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\nprox2 = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";

/// A cluster of two; the file wants this pool on prox1.
async fn two(pools: &str) -> (Fleet, String) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&["prox1", "prox2"], ONE_LINK).await;
    let file = file(&fleet, pools);
    (fleet, file)
}

fn file(fleet: &Fleet, pools: &str) -> String {
    let file = fleet.linked_file("hk1.toml", &["prox1", "prox2"], ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    fleet.write_file("hk1.toml", &(text + pools))
}

async fn add(fleet: &Fleet, disk: DiskSpec) {
    add_to(fleet, "prox1", disk).await;
}

async fn add_to(fleet: &Fleet, node: &str, disk: DiskSpec) {
    let script = Script::AddDisk(Box::new(disk));
    fleet.lab.script(node, script).await.unwrap();
}

fn ssd(name: &str, serial: &str) -> DiskSpec {
    DiskSpec {
        name: name.to_owned(),
        model: Some("SAMSUNG MZ7LH960HAJR-00005".to_owned()),
        serial: Some(serial.to_owned()),
        wwn: Some(format!("0x5002538e40{}", &serial[serial.len() - 6..])),
        hctl: Some("7:0:0:0".to_owned()),
        ..DiskSpec::default()
    }
}

async fn status(fleet: &Fleet) -> String {
    fleet.tool("prox1", "zpool status -P data_zfs").await.stdout
}

/// What the cluster's disks are called, by what the file's pool is made of on prox1.
async fn names(fleet: &Fleet) -> Vec<String> {
    let pools = fleet.json(&["zfs", "list", "prox1"]).await;
    let vdevs = pools["hk1/prox1"]["Known"]["value"][0]["vdevs"]
        .as_array()
        .or_else(|| pools["hk1/prox1"]["value"][0]["vdevs"].as_array())
        .unwrap_or_else(|| panic!("no pools: {pools:#}"))
        .clone();
    let leaves = vdevs
        .iter()
        .flat_map(|vdev| vdev["leaves"].as_array().cloned().unwrap_or_default());
    leaves
        .map(|leaf| leaf["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn code(plan: &Value, code: &str) -> String {
    let found = findings(plan, code);
    let first = found.first().unwrap_or_else(|| panic!("no {code}: {plan:#}"));
    format!(
        "{} {}",
        first["message"].as_str().unwrap_or_default(),
        first["next"].as_str().unwrap_or_default()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_failed_after_it_touched_the_disks_is_tried_again_when_the_reason_is_gone() {
    let (fleet, file) = two(ONE).await;
    let in_the_way = |text: Option<&str>| {
        Script::Plant(Plant::File {
            path: "/data_zfs/old".to_owned(),
            text: text.map(str::to_owned),
        })
    };
    fleet
        .lab
        .script("prox1", in_the_way(Some("of an earlier life\n")))
        .await
        .unwrap();
    let failed = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(!failed.success(), "{}", told(&failed));
    let said = format!("{}{}", failed.stdout, failed.stderr);
    assert!(said.contains("exists and is not empty"), "{said}");
    // What it left there is seen, and known as ours.
    let lsblk = fleet
        .tool("prox1", "lsblk --json --bytes --output NAME,PARTLABEL")
        .await
        .stdout;
    assert!(lsblk.contains("zfs-"), "{lsblk}");
    fleet.lab.script("prox1", in_the_way(None)).await.unwrap();
    fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(status(&fleet).await.contains("ONLINE"));
    let again = fleet.json(&["plan", &file]).await;
    assert!(steps(&again).is_empty(), "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_link_comes_late_is_waited_for() {
    let (fleet, _) = two(ONE).await;
    let slow = |name: &str, serial: &str| DiskSpec {
        link_comes_late: true,
        ..ssd(name, serial)
    };
    add(&fleet, slow("sdx", "S45NNA0NSLOW01")).await;
    let chosen = "\n[zfs.data_zfs]\nraid = \"single\"\n[zfs.data_zfs.disks]\nprox1 = [\"S45NNA0NSLOW01\"]\nprox2 = { count = 1, kind = \"ssd\" }\n";
    fleet.ok(&["apply", &file(&fleet, chosen), "--yes"]).await;
    assert!(status(&fleet).await.contains("ONLINE"));
    assert_eq!(
        fleet.calls("zpool", "create").len(),
        3,
        "twice there, once on the other"
    );

    add(&fleet, slow("sdy", "S45NNA0NSLOW02")).await;
    let old = names(&fleet).await.remove(0);
    fleet
        .ok(&[
            "zfs",
            "replace",
            "hk1/prox1",
            "data_zfs",
            &old,
            "--with",
            "S45NNA0NSLOW02",
            "--yes",
        ])
        .await;
    assert_eq!(fleet.calls("zpool", "replace").len(), 2);
    fleet
        .until("the new disk is in its place", async || {
            names(&fleet).await.iter().any(|name| name.contains("SLOW02"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_left_goes_only_by_a_word_for_just_that_disk() {
    let (fleet, _) = two(ONE).await;
    let mut used = ssd("sdx", "S45NNA0NLEFT01");
    used.pttype = Some("gpt".to_owned());
    used.partitions = vec![PartitionSpec {
        number: 1,
        size: 960_000_000_000,
        fstype: Some("ext4".to_owned()),
        ..PartitionSpec::default()
    }];
    add(&fleet, used).await;
    let file = file(
        &fleet,
        "\n[zfs.data_zfs]\nraid = \"single\"\n[zfs.data_zfs.disks]\nprox1 = [\"S45NNA0NLEFT01\"]\nprox2 = { count = 1, kind = \"ssd\" }\n",
    );
    let unasked = fleet.json(&["plan", &file]).await;
    let told_so = code(&unasked, "QRT-DESTROY-NOT-CONSENTED");
    let consent = told_so.split("--destroy ").nth(1).unwrap().trim().to_owned();
    assert!(
        fleet.run(&["apply", &file, "--yes"]).await.code() != Some(0),
        "--yes is no consent"
    );
    let shown = fleet.ok(&["plan", &file, "--destroy", &consent]).await.stdout;
    assert!(shown.contains("DESTROYED") && shown.contains("ext4"), "{shown}");
    fleet.ok(&["apply", &file, "--yes", "--destroy", &consent]).await;
    assert!(status(&fleet).await.contains("ONLINE"));
    assert_eq!(fleet.calls("wipefs", "--all").len(), 2, "the partition, then the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_put_to_use_between_plan_and_wipe_is_not_wiped() {
    let (fleet, _) = two(ONE).await;
    let mut used = ssd("sdx", "S45NNA0NLEFT02");
    used.pttype = Some("gpt".to_owned());
    add(&fleet, used).await;
    let file = file(
        &fleet,
        "\n[zfs.data_zfs]\nraid = \"single\"\n[zfs.data_zfs.disks]\nprox1 = [\"S45NNA0NLEFT02\"]\nprox2 = { count = 1, kind = \"ssd\" }\n",
    );
    let told_so = code(&fleet.json(&["plan", &file]).await, "QRT-DESTROY-NOT-CONSENTED");
    let consent = told_so.split("--destroy ").nth(1).unwrap().trim().to_owned();
    let planned = fleet.lab.layout().coordinator().join("plan.json");
    let planned = planned.to_str().unwrap();
    fleet
        .ok(&["plan", &file, "--destroy", &consent, "--out", planned])
        .await;
    let other = fleet.tool("prox1", "zpool create other /dev/sdx").await;
    assert!(other.success(), "{}", told(&other));
    let applied = fleet.run(&["apply", "--plan", planned, "--yes"]).await;
    assert!(!applied.success(), "{}", told(&applied));
    assert!(fleet.calls("wipefs", "--all").is_empty());
    assert!(
        fleet
            .tool("prox1", "zpool list -Hp -o name,health")
            .await
            .stdout
            .contains("other\tONLINE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_grows_by_a_pair() {
    let (fleet, first) = two(ONE).await;
    fleet.ok(&["apply", &first, "--yes"]).await;
    add(&fleet, ssd("sdx", "S45NNA0NMORE01")).await;
    add(&fleet, ssd("sdy", "S45NNA0NMORE02")).await;
    let more = file(
        &fleet,
        &ONE.replace("mirror", "raid10").replace("count = 2", "count = 4"),
    );
    let few = fleet.json(&["plan", &more]).await;
    assert!(code(&few, "QRT-DISKS-TOO-FEW").contains("prox2"), "{few:#}");
    add_to(&fleet, "prox2", ssd("sdx", "S45NNA0NMORE03")).await;
    add_to(&fleet, "prox2", ssd("sdy", "S45NNA0NMORE04")).await;
    let plan = fleet.json(&["plan", &more]).await;
    let expected = ["zfs.grow/prox1/data_zfs", "zfs.grow/prox2/data_zfs"];
    assert_eq!(steps(&plan), expected, "{plan:#}");
    fleet.ok(&["apply", &more, "--yes"]).await;
    let status = status(&fleet).await;
    assert!(status.contains("mirror-1") && status.contains("MORE02"), "{status}");
    let again = fleet.json(&["plan", &more]).await;
    assert!(steps(&again).is_empty(), "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_pulled_is_replaced_by_a_new_one() {
    let (fleet, file) = two(ONE).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    let before = names(&fleet).await;
    assert_eq!(before.len(), 2, "{before:?}");
    let old = before[1].clone();
    let lsblk = fleet.json(&["disks", "prox1", "--all"]).await.to_string();
    let kernel = ["sdb", "sda", "sdc", "sdd"]
        .into_iter()
        .find(|name| {
            let link = old.trim_start_matches("/dev/disk/by-id/").trim_end_matches("-part1");
            let at = lsblk.find(link).unwrap_or(0);
            lsblk[..at].rfind(&format!("/dev/{name}")).is_some()
                && lsblk[at..].find(&format!("/dev/{name}\"")).is_some()
        })
        .unwrap_or("sdb");
    fleet
        .lab
        .script("prox1", Script::RemoveDisk(kernel.to_owned()))
        .await
        .unwrap();
    add(&fleet, ssd("sdx", "S45NNA0NNEW001")).await;
    let replaced = fleet
        .run(&["zfs", "replace", "hk1/prox1", "data_zfs", &old, "--yes"])
        .await;
    assert!(replaced.success(), "{}", told(&replaced));
    assert!(replaced.stdout.contains("replace "), "{}", replaced.stdout);
    fleet
        .until("the new disk is in its place", async || {
            let names = names(&fleet).await;
            names.len() == 2 && names.iter().any(|name| name.contains("NEW001"))
        })
        .await;
    let again = fleet.json(&["plan", &file]).await;
    assert!(steps(&again).is_empty(), "{again:#}");
}
