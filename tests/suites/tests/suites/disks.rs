//! The report of disks: what each is, and for what it may be used; and what becomes of them while somebody watches.

use quorate_lab::description::DiskSpec;
use quorate_lab::{Lab, Plant, Script, SmartSpec, zoo};
use quorate_suites::{Fleet, told};
use serde_json::Value;

/// What of each disk of the zoo is to be told against it: kinds, and words of the texts.
const EXPECTED: [(&str, &[&str], &str); 42] = [
    (
        "nvme0n1",
        &["leftover", "in_use"],
        "/dev/nvme0n1p2 is mounted at /boot/efi",
    ),
    ("sda", &[], ""),
    ("sdb", &["not_empty"], "its first MiB is not empty (offset 0x8000)"),
    ("sdc", &["not_empty"], "its last MiB is not empty (offset 0xdf90355000)"),
    ("sdd", &[], ""),
    ("sde", &["edges_unseen"], "Input/output error"),
    ("sdal", &["edges_unseen"], "did not finish within"),
    ("sdf", &["leftover"], "/dev/sdf holds a file system (ext4)"),
    (
        "sdg",
        &["leftover"],
        "/dev/sdg1 is what a server boots from (EFI system partition)",
    ),
    ("sdh", &["leftover"], "has a partition table (gpt)"),
    (
        "sdi",
        &["leftover"],
        "/dev/sdi is a member of an md array that does not run",
    ),
    ("sdj", &["leftover"], "/dev/sdj is encrypted (LUKS)"),
    ("sdk", &["leftover"], "/dev/sdk is a part of a bcache that does not run"),
    ("sdl", &["leftover"], "/dev/sdl carries metadata of DRBD"),
    ("sdm", &["leftover"], "/dev/sdm1 is a dynamic disk of Windows (LDM)"),
    (
        "sdn",
        &["leftover"],
        "/dev/sdn1 carries a ZFS label of pool oldtank, which is not imported here",
    ),
    ("sdo", &["leftover"], "/dev/sdo is swap space"),
    ("sdp", &["leftover"], "/dev/sdp carries a signature (BitLocker)"),
    ("sdq", &["in_use"], "/dev/sdq belongs to volume group vgold"),
    ("sdr", &["in_use"], "/dev/sdr holds Ceph OSD 3"),
    ("sds", &["in_use"], "/dev/sds is held by md md0"),
    ("sdt", &["in_use"], "/dev/sdt is mounted at /srv"),
    ("sdu", &["in_use"], "/dev/sdu is held by LUKS secret"),
    ("sdv", &["in_use"], "/dev/sdv is held by bcache bcache0"),
    ("sdw", &["in_use"], "/dev/sdw is held by DRBD drbd0"),
    (
        "sdx",
        &["in_use", "shared_lun"],
        "/dev/sdx is a path of multipath device mpatha",
    ),
    (
        "sdy",
        &["in_use", "shared_lun"],
        "has the same WWN as /dev/sdx of prox1",
    ),
    ("sdz", &["in_use"], "/dev/sdz is held by LUKS secret2"),
    ("sdaa", &["in_use"], "/dev/sdaa is swap space in use"),
    ("sdab", &["in_use", "leftover"], "/dev/sdab is mounted at /mnt/backup"),
    ("sdac", &["read_only"], "is read-only"),
    ("sdad", &["removable"], "is removable"),
    ("sdae", &["too_small"], "is too small"),
    ("sdaf", &["failing"], "SMART says that it is failing"),
    (
        "sdag",
        &["raid_volume"],
        "is a volume of a RAID controller (model says PERC)",
    ),
    ("sdah", &[], ""),
    (
        "sdai",
        &["maybe_raid"],
        "is behind megaraid_sas, and whether it is a plain disk can't be told",
    ),
    ("sdaj", &[], ""),
    ("sdak", &[], ""),
    (
        "vda",
        &["no_identity", "virtual"],
        "has neither serial, WWN nor by-id link",
    ),
    ("vdb", &["virtual"], "is a hypervisor's disk (0x1af4)"),
    ("nvme1n1", &[], ""),
];

async fn with(disks: Vec<DiskSpec>) -> Fleet {
    let lab = Lab::builder().nodes(1).server("prox1", |server| server.disks = disks);
    Fleet::enrolled(lab).await
}

/// The disks of prox1 as `quorate disks` tells them to a program.
async fn disks(fleet: &Fleet) -> Vec<Value> {
    let told = fleet.json(&["disks", "--all"]).await;
    let list = told["hk1/prox1"]["value"]["disks"].as_array();
    list.unwrap_or_else(|| panic!("no disks: {told:#}")).clone()
}

fn of<'v>(disks: &'v [Value], name: &str) -> &'v Value {
    let path = format!("/dev/{name}");
    let disk = disks.iter().find(|disk| disk["path"] == path.as_str());
    disk.unwrap_or_else(|| panic!("{name} is not listed"))
}

/// Kinds (each once, sorted) and texts of what is told against a disk for ZFS.
fn against(disk: &Value) -> (Vec<String>, Vec<String>) {
    let verdict = &disk["verdicts"][0];
    assert_eq!(verdict["role"], "zfs");
    let list = verdict["against"].as_array().unwrap();
    let texts = |key: &str| {
        list.iter()
            .map(|r| r[key].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut kinds = texts("kind");
    kinds.sort();
    kinds.dedup();
    (kinds, texts("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_disk_of_a_zoo_is_told_for_what_it_is() {
    let fleet = with(zoo()).await;
    let found = disks(&fleet).await;
    for (name, kinds, words) in EXPECTED {
        let (told, texts) = against(of(&found, name));
        let mut kinds = kinds.to_vec();
        kinds.sort_unstable();
        assert_eq!(told, kinds, "{name}: {texts:?}");
        assert!(
            words.is_empty() || texts.iter().any(|text| text.contains(words)),
            "{name}: {texts:?}"
        );
    }
    assert_eq!(found.len(), EXPECTED.len());

    let notes = |name: &str| of(&found, name)["verdicts"][0]["notes"].to_string();
    assert!(
        notes("sdah").contains("shows itself as a plain disk"),
        "{}",
        notes("sdah")
    );
    let twin = "shares its serial number 0000000000000001 with /dev/sdak: it can be named only by WWN";
    assert!(notes("sdaj").contains(twin), "{}", notes("sdaj"));

    // One of them fails by SMART, and one can't be read.
    let shown = fleet.ends(&["disks"], 9).await.stdout;
    assert!(shown.lines().all(|line| line.chars().count() <= 140), "{shown}");
    assert!(
        shown.contains("sdn1 carries a ZFS label of pool oldtank") && !shown.contains("zram"),
        "{shown}"
    );
    let free = fleet.ok(&["disks", "prox1", "--role", "zfs"]).await.stdout;
    let named = |name: &str| free.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
    assert!(
        named("sda") && named("nvme1n1") && !named("sdb") && !named("vdb"),
        "{free}"
    );
    fleet.nothing_unknown();
}

/// How often the coordinator says this of the servers, and how grave it is.
async fn said(fleet: &Fleet, code: &str, of: &str) -> usize {
    let status = fleet.json(&["status"]).await;
    let list = status["findings"].as_array().unwrap().clone();
    let about = |finding: &&Value| finding["code"] == code && finding["subject"].as_str().unwrap().contains(of);
    list.iter().filter(about).count()
}

async fn until_said(fleet: &Fleet, code: &str, of: &str, times: usize) {
    let what = format!("{code} of {of} is said {times} times");
    fleet.until(&what, async || said(fleet, code, of).await == times).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_disks_is_told_while_it_happens() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let (first, second) = ("S45NNA0N104171", "S45NNA0N104172");
    disks(&fleet).await;
    assert_eq!(
        said(&fleet, "QRT-DISK-NEW", "").await,
        0,
        "what is there at first is not new"
    );
    let spec = |name: &str| zoo().into_iter().find(|disk| disk.name == name).unwrap();

    // Nobody asks for disks: the server's own stream tells.
    fleet
        .lab
        .script("prox1", Script::RemoveDisk("sdb".to_owned()))
        .await
        .unwrap();
    until_said(&fleet, "QRT-DISK-PULLED", second, 1).await;
    let fresh = DiskSpec {
        name: "sde".to_owned(),
        hctl: Some("7:0:0:0".to_owned()),
        ..spec("sdc")
    };
    fleet
        .plant(
            "prox1",
            Plant::Disk {
                disk: Box::new(DiskSpec {
                    filled: vec![],
                    ..fresh
                }),
            },
        )
        .await;
    until_said(&fleet, "QRT-DISK-NEW", "ZOOSDC", 1).await;
    let status = fleet.run(&["status"]).await;
    assert!(status.success(), "neither is a reason for an alarm\n{}", told(&status));

    // A disk of a pool is another matter, and the coordinator does not forget it when it starts anew.
    let made = fleet.tool("prox1", "zpool create tank mirror /dev/sda /dev/sde").await;
    assert!(made.success(), "{}", told(&made));
    let held = |disks: &[Value]| of(disks, "sda")["holders"].to_string().contains("\"tank\"");
    fleet
        .until("the pool is seen", async || held(&disks(&fleet).await))
        .await;
    fleet.plant("prox1", Plant::NoDisk { name: "sda".to_owned() }).await;
    until_said(&fleet, "QRT-DISK-GONE", first, 1).await;
    fleet.ends(&["status"], 9).await;
    fleet.lab.kill_coordinator();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;
    until_said(&fleet, "QRT-DISK-GONE", first, 1).await;
    assert_eq!(
        said(&fleet, "QRT-DISK-NEW", "").await,
        1,
        "nothing is new because the coordinator is"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_whose_health_turns_bad_is_told() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    disks(&fleet).await;
    let smart = |passed, bad_sectors| Plant::Smart {
        name: "sdc".to_owned(),
        smart: SmartSpec::Answers {
            passed,
            used_percent: 0,
            hours: 31_900,
            temperature: 34,
            bad_sectors,
        },
    };
    fleet.plant("prox1", smart(true, 24)).await;
    disks(&fleet).await;
    let status = fleet.json(&["status"]).await;
    let decays = |finding: &&Value| finding["code"] == "QRT-DISK-DECAYS";
    let finding = status["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(decays)
        .expect("it is told")
        .clone();
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("has 24 bad sectors, and had 0"), "{message}");
    assert_eq!(said(&fleet, "QRT-DISK-FAILING", "").await, 0);
    fleet.plant("prox1", smart(false, 24)).await;
    let (kinds, _) = against(of(&disks(&fleet).await, "sdc"));
    assert!(kinds.contains(&"failing".to_owned()), "{kinds:?}");
    assert_eq!(said(&fleet, "QRT-DISK-FAILING", "ZC1AAAA1").await, 1);
    assert_eq!(said(&fleet, "QRT-DISK-DECAYS", "ZC1AAAA1").await, 1, "once, as before");
}

/// Somebody wrote to a disk after it was planned, and left nothing that a tool has a name for.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_not_empty_any_more_is_refused_before_use() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let address = fleet.lab.node("prox1").unwrap().public_address;
    let file = format!(
        "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox1]\naddress = \"{address}\"\n\
         [zfs.data_zfs]\nraid = \"mirror\"\ndisks = {{ count = 2, kind = \"ssd\", min_size = \"900GB\" }}\n"
    );
    let file = fleet.write_file("hk1.toml", &file);
    // It happens while the rollout is at its first step: the plan was good.
    fleet.hold("prox1", "pvecm", "create").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("the cluster is being made", async || {
            fleet.under_way("prox1", "pvecm", "create") == 1
        })
        .await;
    let disk = fleet.rooted("prox1", "/dev/sdb");
    let device = std::fs::OpenOptions::new().write(true).open(disk).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&device, b"raw data", 0x4000).unwrap();
    fleet.let_go("prox1").await;
    fleet
        .until_told(&rollout, "its first MiB is not empty (offset 0x4000)")
        .await;
    assert!(fleet.calls("zpool", "create").is_empty());
    let plan = fleet.run(&["plan", &file]).await;
    let told_of = format!("{}{}", plan.stdout, plan.stderr);
    assert!(told_of.contains("QRT-DISKS-TOO-FEW"), "{}", told(&plan));
}
