//! A guest from the cluster file to its copies and HA, through moves, restarts of all servers, and the loss of one.

use std::path::Path;

use quorate_lab::control::Press;
use quorate_lab::{Entry, Lab, What};
use quorate_suites::hand::{ONE_LINK, steps};
use quorate_suites::life::newer;
use quorate_suites::{Fleet, told};

pub(crate) const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];
pub(crate) const POOL: &str =
    "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";
const PROTECTED: &str = "\n[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\", \"prox3\"]\nevery = \"5m\"\n\n[ha]\nguests = [100]\n";
const CREATE: &str = "qm create 100 --name web --memory 512 --cores 1 --net0 virtio,bridge=vmbr0 --scsihw virtio-scsi-single --scsi0 \
                      data_zfs:4 --ostype l26";

/// Three members with their pools and a guest that runs on the first, and the file that wants it protected.
pub(crate) async fn three(new: bool) -> (Fleet, String) {
    let builder = Lab::builder().nodes(3).speed(20.0);
    let fleet = Fleet::enrolled(if new { newer(builder, &THREE) } else { builder }).await;
    fleet.made_by_hand(&THREE, ONE_LINK).await;
    let file = fleet.linked_file("hk1.toml", &THREE, ONE_LINK, "");
    let text = std::fs::read_to_string(Path::new(&file)).unwrap() + POOL;
    let file = fleet.write_file("hk1.toml", &text);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.tool("prox1", CREATE).await;
    fleet.tool("prox1", "qm start 100").await;
    let file = fleet.write_file("hk1.toml", &(text + PROTECTED));
    (fleet, file)
}

/// The same file, by which PVE may overwrite what a server that returns still has.
fn discarding(fleet: &Fleet, file: &str) -> String {
    let text = std::fs::read_to_string(Path::new(file)).unwrap();
    let every = "every = \"5m\"\n";
    assert!(text.contains(every), "{text}");
    fleet.write_file(
        "hk1.toml",
        &text.replace(every, &format!("{every}returning_node = \"discard\"\n")),
    )
}

pub(crate) async fn owner(fleet: &Fleet) -> String {
    let shown = fleet.json(&["guests", "100"]).await;
    shown["guests"][0]["guest"]["node"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) async fn nothing_to_do(fleet: &Fleet, file: &str) {
    let plan = fleet.json(&["plan", file]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}");
}

fn stops(fleet: &Fleet) -> Vec<Entry> {
    fleet.all(What::GuestStopped)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_copied_put_under_ha_and_keeps_running_while_all_servers_restart() {
    let (fleet, file) = three(true).await;
    let plan = fleet.json(&["plan", &file]).await;
    let planned = steps(&plan);
    for step in [
        "replication.create/100/prox2",
        "replication.create/100/prox3",
        "ha.add/vm:100",
    ] {
        assert!(planned.iter().any(|one| one == step), "{step}: {plan:#}");
    }
    let applied = fleet.ok(&["apply", &file, "--yes"]).await;
    assert!(applied.stdout.contains("steps verified"), "{}", told(&applied));
    nothing_to_do(&fleet, &file).await;
    fleet
        .until("both copies are fresh", async || {
            fleet.run(&["replication"]).await.code() == Some(0)
        })
        .await;

    let shown = fleet.ok(&["ha", "--if-lost", "prox1"]).await.stdout;
    assert!(shown.contains("prox1, prox2, prox3 only"), "{shown}");
    assert!(shown.contains("started on prox2"), "{shown}");

    let moved = fleet.ok(&["migrate", "100", "hk1/prox3", "--yes"]).await;
    assert!(moved.stdout.contains("TASK OK"), "{}", told(&moved));
    assert_eq!(owner(&fleet).await, "prox3");
    nothing_to_do(&fleet, &file).await;

    fleet.ok(&["reboot", "--rolling", "--cluster", "hk1", "--yes"]).await;
    assert_eq!(fleet.all(What::PoweredOn).len(), 3);
    assert_eq!(stops(&fleet), [], "it was moved while it ran");
    nothing_to_do(&fleet, &file).await;
    fleet.nothing_twice();
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_loss_of_its_server_it_runs_where_its_copy_was_and_nothing_is_to_be_done() {
    let (fleet, file) = three(false).await;
    let file = discarding(&fleet, &file);
    fleet.ok(&["apply", &file, "--yes"]).await;
    nothing_to_do(&fleet, &file).await;
    fleet
        .until("HA looks after it", async || {
            let shown = fleet.run(&["ha"]).await;
            shown.stdout.contains("started  started")
        })
        .await;
    fleet.lab.power("prox1", Press::Pull).await.unwrap();
    fleet
        .until("it runs elsewhere", async || {
            fleet.all(What::GuestRecovered).len() == 1 && fleet.all(What::GuestStarted).len() == 2
        })
        .await;
    let started = fleet.all(What::GuestStarted).pop().expect("it was started");
    assert_eq!(
        started.node.as_deref(),
        Some("prox2"),
        "the first by name of those that are as empty"
    );
    fleet.lab.power("prox1", Press::On).await.unwrap();
    fleet
        .until("all is well again", async || {
            let plan = fleet.run(&["plan", &file]).await;
            let shown = fleet.run(&["replication"]).await;
            plan.code() == Some(0) && shown.code() == Some(0)
        })
        .await;
    let discarded = fleet.all(What::WritesDiscarded);
    assert!(
        discarded.iter().any(|entry| entry.node.as_deref() == Some("prox1")),
        "as the file wants it: {discarded:?}"
    );
    nothing_to_do(&fleet, &file).await;
    fleet.nothing_twice();
    fleet.nothing_unknown();
}
