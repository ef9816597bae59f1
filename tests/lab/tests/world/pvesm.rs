//! Storages: defined for all, tried where they are added, taken back where that fails.

use quorate_lab::plants::StorageIs;
use quorate_lab::{Lab, Plant, Script};

use crate::{lab, nothing_unknown};

const TANK: &str = "add zfspool tank --pool tank --sparse 1 --content images,rootdir --nodes prox1";
const BACKUP: &str = "add pbs backup --server 192.168.1.5 --datastore store1 --username root@pam --password";

async fn pvesm(lab: &Lab, line: &str, stdin: Option<&str>) -> (String, String, bool) {
    let argv: Vec<&str> = ["pvesm"].into_iter().chain(line.split(' ')).collect();
    let output = lab
        .tool("prox1", &argv, stdin.map(str::as_bytes))
        .await
        .expect("the tool runs");
    let ended_well = output.success();
    (output.stdout, output.stderr, ended_well)
}

fn said(stderr: &str) -> (String, String, bool) {
    (String::new(), format!("{stderr}\n"), false)
}

fn quiet() -> (String, String, bool) {
    (String::new(), String::new(), true)
}

async fn storage_on(lab: &Lab, id: &str, state: StorageIs) {
    let id = id.to_owned();
    let plant = Plant::StorageOn { id, state };
    lab.script("prox1", Script::Plant(plant)).await.expect("planted");
}

#[tokio::test]
async fn a_pool_s_storage_needs_the_pool_where_it_is_added() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let no_pool = "create storage failed: could not activate storage 'tank', zfs error: cannot import 'tank': no such pool available";
    assert_eq!(pvesm(&lab, TANK, None).await, said(no_pool));
    // It was taken back; where it is not to be, nothing is tried.
    assert_eq!(pvesm(&lab, &TANK.replace("prox1", "prox2"), None).await, quiet());
    assert_eq!(
        pvesm(&lab, TANK, None).await,
        said("create storage failed: storage ID 'tank' already defined")
    );
    assert_eq!(pvesm(&lab, "remove tank", None).await, quiet());
    lab.tool("prox1", &["zpool", "create", "tank", "/dev/sda"], None)
        .await
        .expect("the tool runs");
    assert_eq!(pvesm(&lab, TANK, None).await, quiet());
    let rows = pvesm(&lab, "status", None).await.0;
    let tank: Vec<&str> = rows
        .lines()
        .find(|line| line.starts_with("tank "))
        .expect("a row")
        .split_whitespace()
        .take(3)
        .collect();
    assert_eq!(tank, ["tank", "zfspool", "active"]);
    assert_eq!(
        pvesm(&lab, "set tank --pool other", None).await,
        said("update storage failed: can't change value of fixed parameter 'pool'")
    );
    assert_eq!(pvesm(&lab, "set tank --nodes prox1,prox2", None).await, quiet());
    nothing_unknown(&lab);
}

#[tokio::test]
async fn the_table_is_the_one_of_the_version() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let rows = pvesm(&lab, "status", None).await.0;
    assert!(
        rows.contains("        Type     Status           Total            Used       Available        %\n"),
        "{rows}"
    );
    assert!(rows.contains("        dir     active         6291456"), "{rows}");
}

#[tokio::test]
async fn a_password_is_one_line_of_stdin_and_a_wrong_one_leaves_nothing() {
    let lab = lab(|builder| builder.nodes(1)).await;
    assert_eq!(
        pvesm(&lab, BACKUP, Some("wrong\n")).await,
        said("create storage failed: backup: error fetching datastores - 401 authentication failure")
    );
    storage_on(&lab, "backup", StorageIs::Away).await;
    assert_eq!(
        pvesm(&lab, BACKUP, Some("lab-backup-secret\n")).await,
        said(
            "create storage failed: backup: error fetching datastores - 500 Can't connect to 192.168.1.5:8007 (No route to host)"
        )
    );
    storage_on(&lab, "backup", StorageIs::Usual).await;
    assert_eq!(pvesm(&lab, BACKUP, Some("lab-backup-secret\n")).await, quiet());
    storage_on(&lab, "backup", StorageIs::Away).await;
    let (rows, stderr, well) = pvesm(&lab, "status", None).await;
    assert!(
        rows.contains("inactive") && stderr.contains("No route to host") && well,
        "{rows}{stderr}"
    );
}

#[tokio::test]
async fn content_that_a_kind_does_not_keep_is_dropped_with_a_warning_only() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let line = "add nfs nas --server 192.168.1.5 --export /export/vm --content images";
    storage_on(&lab, "nas", StorageIs::Away).await;
    assert_eq!(
        pvesm(&lab, line, None).await,
        said("create storage failed: storage 'nas' is not online")
    );
    let warned = pvesm(&lab, &TANK.replace("prox1", "prox2").replace("images", "iso"), None).await;
    let expected = (
        String::new(),
        "storage does not support content type 'iso'\n".to_owned(),
        true,
    );
    assert_eq!(warned, expected);
}
