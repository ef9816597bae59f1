//! Storages from the cluster file to where they are active, and what goes wrong on the way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use quorate_lab::plants::StorageIs;
use quorate_lab::{Lab, Plant, Script};
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};

use crate::secrets::files_with;

const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];
const MIRROR: &str =
    "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";
const NAS: &str = "\n[storage.nas]\ntype = \"nfs\"\nserver = \"192.168.1.5\"\nexport = \"/export/vm\"\n";
/// What the lab's backup server takes.
const PASSWORD: &str = "lab-backup-secret";

/// Three members, and the file that wants these pools and storages.
async fn three(stores: &str) -> (Fleet, String) {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&THREE, ONE_LINK).await;
    let file = fleet.linked_file("hk1.toml", &THREE, ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    let file = fleet.write_file("hk1.toml", &(text + stores));
    (fleet, file)
}

async fn storage_on(fleet: &Fleet, node: &str, id: &str, state: StorageIs) {
    let id = id.to_owned();
    let plant = Plant::StorageOn { id, state };
    fleet.lab.script(node, Script::Plant(plant)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_on_three_servers_are_one_storage_that_is_active_everywhere() {
    let (fleet, file) = three(MIRROR).await;
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan).last().unwrap(), "storage.add/data_zfs", "{plan:#}");
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("4 of 4 steps verified"), "{}", told(&applied));
    assert_eq!(fleet.calls("pvesm", "add").len(), 1);
    for node in THREE {
        let rows = fleet.tool(node, "pvesm status").await.stdout;
        let row = rows.lines().find(|row| row.starts_with("data_zfs ")).unwrap();
        assert!(row.contains(" active "), "{row}");
    }
    let again = fleet.json(&["plan", &file]).await;
    assert!(steps(&again).is_empty(), "{again:#}");
    let shown = fleet.ok(&["storage", "data_zfs"]).await.stdout;
    for words in ["images, rootdir", "prox1, prox2, prox3", "as in it"] {
        assert!(shown.contains(words), "{words} in\n{shown}");
    }
    let off = fleet.tool("prox1", "pvesm set data_zfs --nodes prox1,prox2").await;
    assert!(off.success(), "{}", told(&off));
    let drifted = fleet.run(&["storage", "data_zfs"]).await;
    assert!(drifted.stdout.contains("DIFFERS"), "{}", told(&drifted));
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(steps(&plan), ["storage.set/data_zfs"], "{plan:#}");
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.ok(&["storage", "data_zfs"]).await;
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_server_s_password_is_in_no_file_but_pve_s_own() {
    let (fleet, file) = three("").await;
    let secret = fleet.lab.layout().secrets().join("pbs.password");
    let pbs = format!(
        "\n[storage.backup]\ntype = \"pbs\"\nserver = \"192.168.1.5\"\ndatastore = \"store1\"\nusername = \"quorate@pbs\"\n\
         password_file = \"{}\"\n",
        secret.display()
    );
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    let file = fleet.write_file("hk1.toml", &(text + &pbs));
    let plan = fleet.json(&["plan", &file]).await;
    assert_eq!(findings(&plan, "QRT-STORAGE-NO-SECRET").len(), 1, "{plan:#}");

    std::fs::write(&secret, "wrong\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let refused = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(!refused.success(), "{}", told(&refused));
    let said = format!("{}{}", refused.stdout, refused.stderr);
    assert!(said.contains("refuses user or password"), "{}", told(&refused));
    assert!(!fleet.read("prox1", "/etc/pve/storage.cfg").contains("backup: backup"));

    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    fleet.ok(&["apply", &file, "--yes"]).await;
    for node in THREE {
        assert!(fleet.tool(node, "pvesm status").await.stdout.contains("pbs     active"));
    }
    let mut found = Vec::new();
    files_with(fleet.lab.layout().dir(), &[PASSWORD], &mut found);
    found.retain(|told| !told.contains("/etc/pve/priv/storage/") && !told.contains("pbs.password"));
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_another_storage_is_refused_and_what_is_inactive_on_one_server_is_not_done() {
    let (fleet, file) = three(NAS).await;
    let other = "pvesm add nfs nas --server 192.168.1.9 --export /export/vm";
    assert!(fleet.tool("prox2", other).await.success());
    let plan = fleet.json(&["plan", &file]).await;
    let taken = findings(&plan, "QRT-STORAGE-TAKEN");
    assert_eq!(taken.len(), 1, "{plan:#}");
    assert!(!fleet.run(&["apply", &file, "--yes"]).await.success());
    assert!(fleet.read("prox1", "/etc/pve/storage.cfg").contains("192.168.1.9"));
    assert!(fleet.tool("prox2", "pvesm remove nas").await.success());

    storage_on(&fleet, "prox3", "nas", StorageIs::Away).await;
    let applied = fleet.run(&["apply", &file, "--yes"]).await;
    assert!(!applied.success(), "{}", told(&applied));
    let said = format!("{}{}", applied.stdout, applied.stderr);
    assert!(said.contains("prox3 has storage nas inactive"), "{}", told(&applied));
    let shown = fleet.run(&["storage", "nas"]).await;
    assert!(
        !shown.success() && shown.stdout.contains("inactive on prox3: storage 'nas' is not online"),
        "{}",
        told(&shown)
    );
}
