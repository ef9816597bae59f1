//! Bad luck with disks, pools and storages: swapped disks, tools and servers that hang, pools that don't come back, room that is taken.

use std::path::Path;

use quorate_lab::control::Press;
use quorate_lab::description::DiskSpec;
use quorate_lab::plants::StorageIs;
use quorate_lab::zfs::{PoolLeft, PoolPlant, VdevPlant};
use quorate_lab::{Lab, Plant};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};

const TWO: [&str; 2] = ["prox1", "prox2"];
const MIRROR: &str =
    "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";

/// A cluster of two, and the file that wants these pools and storages.
async fn two(stores: &str) -> (Fleet, String) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&TWO, ONE_LINK).await;
    let file = with(&fleet, stores);
    (fleet, file)
}

fn with(fleet: &Fleet, stores: &str) -> String {
    let file = fleet.linked_file("hk1.toml", &TWO, ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    fleet.write_file("hk1.toml", &(text + stores))
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

/// How often the coordinator says this of whatever has this in its name.
async fn said(fleet: &Fleet, code: &str, of: &str) -> usize {
    let status = fleet.json(&["status"]).await;
    let list = status["findings"].as_array().unwrap().clone();
    let about = |f: &&serde_json::Value| f["code"] == code && f["subject"].as_str().unwrap().contains(of);
    list.iter().filter(about).count()
}

async fn until_said(fleet: &Fleet, code: &str, of: &str) {
    let what = format!("{code} of {of} is said");
    fleet.until(&what, async || said(fleet, code, of).await == 1).await;
}

/// One in the same slot, of the same model and size, under the same kernel's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_was_swapped_between_plan_and_use_is_not_used() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&TWO[..1], ONE_LINK).await;
    let file = with(&fleet, MIRROR);
    // While the rollout is at its first step, which is the join: the plan was good.
    fleet.hold("prox2", "pvecm", "add").await;
    let rollout = fleet.begins(&["apply", &file]).await;
    fleet
        .until("prox2 joins", async || fleet.under_way("prox2", "pvecm", "add") == 1)
        .await;
    fleet
        .plant(
            "prox2",
            Plant::Disk {
                disk: Box::new(ssd("sdb", "S45NNA0NSWAP01")),
            },
        )
        .await;
    fleet.let_go("prox2").await;
    fleet.until_told(&rollout, "is not there any more").await;
    assert!(
        fleet
            .calls("zpool", "create")
            .iter()
            .all(|call| call.node.as_deref() != Some("prox2"))
    );
    let shown = fleet.run(&["rollout", "show", &rollout]).await.stdout;
    assert!(shown.contains("zfs.create/prox2/data_zfs"), "{shown}");
    // Planned anew, by what is there now.
    fleet.run(&["rollout", "cancel", &rollout, "--yes"]).await;
    let anew = fleet.run(&["plan", &file]).await.stdout;
    assert!(anew.contains("SWAP01"), "{anew}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_imported_at_boot_is_told_and_never_made_anew() {
    let (fleet, file) = two(MIRROR).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    let fails = |fails| Plant::ImportFails {
        pool: "data_zfs".to_owned(),
        fails,
    };
    fleet.plant("prox1", fails(true)).await;
    fleet.lab.power("prox1", Press::Pull).await.unwrap();
    fleet.lab.power("prox1", Press::On).await.unwrap();
    fleet
        .until("prox1 is back, with its agent", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers.iter().any(|s| s.name == "prox1" && s.quorate && s.writable)
                && fleet.lab.agent_pid("prox1").is_some()
        })
        .await;
    fleet.connected(&fleet.lab.names()).await;
    fleet.run(&["storage"]).await;
    until_said(&fleet, "QRT-STORAGE-INACTIVE", "data_zfs").await;
    let plan = fleet.json(&["plan", &file]).await;
    let taken = findings(&plan, "QRT-POOL-NAME-TAKEN");
    assert!(steps(&plan).is_empty() && taken.len() == 1, "{plan:#}");
    let advice = taken[0]["next"].as_str().unwrap();
    assert!(advice.contains("on prox1: zpool import data_zfs"), "{advice}");
    fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert_eq!(fleet.calls("zpool", "create").len(), 2, "one for each server, long ago");

    let imported = fleet.tool("prox1", "zpool import data_zfs").await;
    assert!(imported.success(), "{}", told(&imported));
    fleet
        .until("all is as the file wants it", async || {
            let plan = fleet.json(&["plan", &file]).await;
            steps(&plan).is_empty() && findings(&plan, "QRT-POOL-NAME-TAKEN").is_empty()
        })
        .await;
}

/// Disks of a server that was taken apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_name_stands_on_other_disks_too_is_not_made() {
    let (fleet, file) = two(MIRROR).await;
    for (name, serial) in [("sdx", "S45NNA0NOLD001"), ("sdy", "S45NNA0NOLD002")] {
        fleet
            .plant(
                "prox2",
                Plant::Disk {
                    disk: Box::new(ssd(name, serial)),
                },
            )
            .await;
    }
    let old = PoolPlant {
        name: "data_zfs".to_owned(),
        vdevs: vec![VdevPlant {
            raid: Some("mirror".to_owned()),
            class: None,
            disks: vec!["sdx".to_owned(), "sdy".to_owned()],
        }],
        left: Some(PoolLeft::InUse),
    };
    fleet.plant("prox2", Plant::Pool(old)).await;
    let plan = fleet.json(&["plan", &file]).await;
    let taken = findings(&plan, "QRT-POOL-NAME-TAKEN");
    assert_eq!(taken.len(), 1, "{plan:#}");
    assert!(taken[0]["message"].as_str().unwrap().contains("OLD001"), "{plan:#}");
    fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert!(fleet.calls("zpool", "create").is_empty());
}

/// What is not seen is not taken for absent, and holds up nothing but itself.
#[tokio::test(flavor = "multi_thread")]
async fn tools_that_hang_leave_their_own_things_unknown_and_nothing_is_planned_on_them() {
    let (fleet, file) = two(MIRROR).await;
    fleet.hold("prox1", "zpool", "status").await;
    let plan = fleet.json(&["plan", &file]).await;
    let unknown = findings(&plan, "QRT-FACET-UNKNOWN");
    assert!(!unknown.is_empty(), "{plan:#}");
    assert!(
        unknown.iter().all(|f| f["subject"].as_str().unwrap().contains("prox1")),
        "{plan:#}"
    );
    fleet.ends(&["apply", &file, "--yes"], 3).await;
    assert!(fleet.calls("zpool", "create").is_empty());
    fleet.let_go("prox1").await;
    fleet.hold("prox2", "lsblk", "--json").await;
    let disks = fleet.ends(&["disks"], 9).await.stdout;
    assert!(disks.contains("hk1/prox2") && disks.contains("lsblk"), "{disks}");
    fleet.ends(&["apply", &file, "--yes"], 3).await;
    fleet.let_go("prox2").await;
    fleet.ok(&["apply", &file, "--yes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_server_that_hangs_is_told_where_it_hangs() {
    let nas = "\n[storage.nas]\ntype = \"nfs\"\nserver = \"192.168.1.5\"\nexport = \"/export/vm\"\n";
    let (fleet, file) = two(nas).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    let hangs = Plant::StorageOn {
        id: "nas".to_owned(),
        state: StorageIs::Hangs,
    };
    fleet.plant("prox2", hangs).await;
    let shown = fleet.ends(&["storage"], 9).await.stdout;
    let told_of = shown
        .lines()
        .find(|line| line.contains("prox2") && line.contains("pvesm"));
    assert!(told_of.is_some(), "{shown}");
    // On the other server it is seen as before.
    let row = shown.lines().find(|line| line.contains(" nas ")).unwrap();
    assert!(row.contains("  prox1  "), "{shown}");
    // What hangs is another thing than the pool that is wanted now.
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    let more = fleet.write_file("hk1.toml", &(text + MIRROR));
    let plan = fleet.json(&["plan", &more]).await;
    assert!(
        steps(&plan).contains(&"zfs.create/prox2/data_zfs".to_owned()),
        "{plan:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_is_taken_is_told_before_it_is_all() {
    let nas = "\n[storage.nas]\ntype = \"nfs\"\nserver = \"192.168.1.5\"\nexport = \"/export/vm\"\n";
    let (fleet, file) = two(nas).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    let filled = |percent| Plant::StorageOn {
        id: "nas".to_owned(),
        state: StorageIs::Filled(percent),
    };
    // Storages are asked for every two minutes, and whenever somebody looks.
    let after = async |percent| {
        fleet.plant("prox1", filled(percent)).await;
        fleet.run(&["storage"]).await;
        let filling = said(&fleet, "QRT-STORAGE-FILLING", "nas").await;
        (filling, said(&fleet, "QRT-STORAGE-FULL", "nas").await)
    };
    assert_eq!(after(85).await, (1, 0));
    assert_eq!(after(96).await, (0, 1), "the graver one alone");
    assert_eq!(after(10).await, (0, 0));
}

/// util-linux 2.36 knows fewer columns.
#[tokio::test(flavor = "multi_thread")]
async fn disks_are_told_by_an_older_lsblk_too() {
    let lab = Lab::builder()
        .nodes(1)
        .server("prox1", |server| server.pve_version = "7.4-20".to_owned());
    let fleet = Fleet::enrolled(lab).await;
    let shown = fleet.ok(&["disks", "--role", "zfs"]).await.stdout;
    assert!(shown.contains("S45NNA0N104171"), "{shown}");
    fleet.nothing_unknown();
}

/// A cluster that has all this already.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_pools_and_storages_is_adopted_as_it_is() {
    let (fleet, _) = two("").await;
    for node in TWO {
        let made = fleet
            .tool(node, "zpool create -o ashift=12 tank mirror /dev/sda /dev/sdb")
            .await;
        assert!(made.success(), "{}", told(&made));
    }
    for line in [
        "pvesm add zfspool tank --pool tank --content images,rootdir --sparse 1",
        "pvesm add nfs nas --server 192.168.1.5 --export /export/vm --content iso",
    ] {
        let added = fleet.tool("prox1", line).await;
        assert!(added.success(), "{}", told(&added));
    }
    let path = fleet.lab.layout().coordinator().join("adopted.toml");
    let path = path.to_str().unwrap();
    let adopted = fleet.ok(&["adopt", "hk1", "--out", path]).await;
    assert!(adopted.stderr.contains("Its plan is empty"), "{}", told(&adopted));
    let text = std::fs::read_to_string(path).unwrap();
    for words in [
        "[zfs.tank]\nraid = \"mirror\"",
        "raid = \"mirror\"",
        "[zfs.tank.disks]",
        "[storage.nas]",
        "content = [\"iso\"]",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(
        !text.contains("storage = false") && !text.contains("[storage.tank]"),
        "its own storage:\n{text}"
    );
    let shown = fleet.ok(&["apply", path, "--yes"]).await;
    assert!(shown.stdout.contains("Nothing to do"), "{}", told(&shown));
    let storages = fleet.ok(&["storage"]).await.stdout;
    assert!(!storages.contains("DIFFERS"), "{storages}");
}
