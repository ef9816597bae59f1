//! A server is lost, its guest is recovered elsewhere, and the server comes back: what it wrote last is there until somebody decides.

use quorate_lab::control::{GuestStatus, Press, VolumeStatus};
use quorate_lab::{Entry, What};
use quorate_suites::hand::steps;
use quorate_suites::{Fleet, told};

use crate::protection::{nothing_to_do, owner, three};

/// What really is of the guest on a server.
async fn guest_on(fleet: &Fleet, node: &str) -> GuestStatus {
    let servers = fleet.lab.status().await.expect("the world answers");
    let server = servers
        .into_iter()
        .find(|server| server.name == node)
        .expect("the server");
    let mut guests = server.guests.into_iter();
    guests.find(|guest| guest.vmid == 100).expect("something of the guest")
}

/// The volumes that are really there, by whether PVE takes them for the guest's.
async fn volumes_on(fleet: &Fleet, node: &str) -> (Vec<VolumeStatus>, Vec<VolumeStatus>) {
    let volumes = guest_on(fleet, node).await.volumes;
    volumes
        .into_iter()
        .partition(|volume| volume.dataset == "data_zfs/vm-100-disk-0")
}

/// What prox1 wrote and was overwritten there. A third server's copy that was newer than the one that the guest was recovered from is overwritten
/// as well, but nobody wrote there.
fn discarded_on_prox1(fleet: &Fleet) -> Vec<Entry> {
    let mut all = fleet.all(What::WritesDiscarded);
    all.retain(|entry| entry.node.as_deref() == Some("prox1"));
    all
}

fn jobs(fleet: &Fleet, node: &str) -> String {
    fleet.read(node, "/etc/pve/replication.cfg")
}

/// The guest is copied and under HA on prox1; prox1 loses its power while nobody coordinates, and is back when the guest runs on prox2. Returns the
/// last number that prox1 wrote.
async fn lost_and_back(fleet: &Fleet, file: &str) -> u64 {
    fleet.ok(&["apply", file, "--yes"]).await;
    fleet
        .until("HA looks after it", async || {
            let shown = fleet.run(&["ha"]).await;
            shown.stdout.contains("started  started")
        })
        .await;
    fleet
        .until("more is written than was copied", async || {
            let copy = volumes_on(fleet, "prox2").await.0[0].number;
            guest_on(fleet, "prox1").await.number > copy + 20
        })
        .await;
    fleet.lab.kill_coordinator();
    // What it writes between this and the last moment is there as well.
    let before = guest_on(fleet, "prox1").await.number;
    fleet.lab.power("prox1", Press::Pull).await.unwrap();
    fleet
        .until("its job is off, without any coordinator", async || {
            let jobs = jobs(fleet, "prox2");
            fleet.all(What::GuestRecovered).len() == 1 && jobs.contains("disable 1") && jobs.contains("kept on prox1")
        })
        .await;
    fleet.lab.power("prox1", Press::On).await.unwrap();
    fleet.start_coordinator(&[]).await;
    fleet
        .connected(&["prox1".to_owned(), "prox2".to_owned(), "prox3".to_owned()])
        .await;
    fleet
        .until("prox1 is back, and the other copy goes on", async || {
            let third = fleet.run(&["replication"]).await.stdout;
            let servers = fleet.lab.status().await.expect("the world answers");
            let prox1 = servers.iter().find(|server| server.name == "prox1");
            let back = prox1.is_some_and(|server| server.quorate && server.members.len() == 3);
            back && third
                .lines()
                .any(|line| line.contains("prox3") && line.ends_with("fresh"))
        })
        .await;
    let written = volumes_on(fleet, "prox1").await.0[0].number;
    assert!(written >= before, "{written} of {before}: all of it is there");
    written
}

/// It is told wherever somebody looks, and no plan of the file touches it.
async fn is_told(fleet: &Fleet, file: &str) {
    fleet
        .until("health tells it", async || {
            let status = fleet.run(&["status"]).await.stdout;
            status.contains("QRT-COPY-HELD") && status.contains("guest 100 is unprotected: the copy on prox1 holds")
        })
        .await;
    let shown = fleet.ends(&["replication"], 9).await;
    assert!(shown.stdout.contains("HELD"), "{}", told(&shown));
    assert!(
        shown.stdout.contains("quorate replication resolve 100 --keep"),
        "{}",
        told(&shown)
    );
    let plan = fleet.json(&["plan", file]).await;
    assert!(steps(&plan).is_empty(), "{plan:#}");
    let plan = fleet.run(&["plan", file]).await;
    assert!(plan.stdout.contains("QRT-COPY-HELD"), "{}", told(&plan));
    let back = fleet.run(&["migrate", "100", "hk1/prox1", "--yes"]).await;
    assert!(!back.success() && told(&back).contains("is held"), "{}", told(&back));
    assert_eq!(discarded_on_prox1(fleet), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_server_wrote_is_held_without_a_coordinator_and_kept_by_a_word() {
    let (fleet, file) = three(false).await;
    let written = lost_and_back(&fleet, &file).await;
    is_told(&fleet, &file).await;
    // An agent that starts anew has not forgotten it, and decides nothing.
    fleet.lab.restart_agent("prox2").await.unwrap();
    fleet.connected(&["prox2".to_owned()]).await;
    fleet
        .ends(&["replication", "resolve", "100", "--keep", "--node", "prox3"], 3)
        .await;

    let kept = fleet.ok(&["replication", "resolve", "100", "--keep", "--yes"]).await;
    assert!(kept.stdout.contains("quorate-kept-vm-100-disk-0-"), "{}", told(&kept));
    let (copies, aside) = volumes_on(&fleet, "prox1").await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0].number, written, "not a write of it is lost");
    assert_eq!(copies.len(), 1, "and the whole guest was copied anew");
    assert_eq!(discarded_on_prox1(&fleet), []);
    fleet
        .until("all copies are fresh, and nothing is told any more", async || {
            let status = fleet.run(&["status"]).await.stdout;
            fleet.run(&["replication"]).await.code() == Some(0) && !status.contains("QRT-COPY-HELD")
        })
        .await;
    nothing_to_do(&fleet, &file).await;
    fleet.ends(&["replication", "resolve", "100", "--keep"], 3).await;
    fleet.nothing_twice();
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_server_wrote_is_overwritten_by_a_word_and_by_nothing_else() {
    let (fleet, file) = three(false).await;
    let written = lost_and_back(&fleet, &file).await;
    is_told(&fleet, &file).await;
    let discarded = fleet.ok(&["replication", "resolve", "100", "--discard", "--yes"]).await;
    assert!(
        discarded
            .stdout
            .contains("what prox1 wrote to VM 100 (web) after its last copy"),
        "{}",
        told(&discarded)
    );
    let lost = discarded_on_prox1(&fleet);
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].detail.contains(&format!("from {written} back to")), "{lost:?}");
    let (copies, aside) = volumes_on(&fleet, "prox1").await;
    assert_eq!((copies.len(), aside.len()), (1, 0));
    nothing_to_do(&fleet, &file).await;
    fleet.nothing_twice();
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_migration_switches_nothing_off() {
    let (fleet, file) = three(false).await;
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet
        .until("HA looks after it", async || {
            let shown = fleet.run(&["ha"]).await;
            shown.stdout.contains("started  started")
        })
        .await;
    // There, on, back, and with agents that start anew in between.
    for target in ["prox2", "prox3", "prox1", "prox2"] {
        fleet.ok(&["migrate", "100", &format!("hk1/{target}"), "--yes"]).await;
        assert_eq!(owner(&fleet).await, target);
        fleet.lab.restart_agent(target).await.unwrap();
        fleet.connected(&[target.to_owned()]).await;
        fleet
            .until("its copies are fresh from there", async || {
                fleet.run(&["replication"]).await.code() == Some(0)
            })
            .await;
        assert!(!jobs(&fleet, target).contains("disable"), "{}", jobs(&fleet, target));
    }
    assert!(
        fleet.calls("pvesr", "--disable").is_empty(),
        "{:?}",
        fleet.calls("pvesr", "--disable")
    );
    nothing_to_do(&fleet, &file).await;
}
