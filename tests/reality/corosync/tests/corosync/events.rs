//! Events of the membership, as the health streams of enrolled agents bring them to the coordinator.

use std::time::{Duration, SystemTime};

use quorate_reality_corosync::cluster::Cluster;
use quorate_reality_corosync::conf::Shape;
use quorate_reality_corosync::{note, until};

use crate::fleet::Fleet;
use crate::membership::THREE;

/// An agent looks every second, and its tools take their time on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// Waits until a node's newest changes are these, and tells when it saw the last one.
async fn changes(fleet: &Fleet, node: &str, wanted: &[&str]) -> SystemTime {
    let newest = async || fleet.status(node).await.changes();
    until(&format!("{node} to tell {wanted:?}"), async || {
        let told = newest().await;
        wanted.len() <= told.len()
            && told[told.len() - wanted.len()..]
                .iter()
                .map(|(_, words)| words)
                .eq(wanted)
    })
    .await;
    let at = newest().await.last().unwrap().0;
    SystemTime::UNIX_EPOCH + Duration::from_micros(at.try_into().unwrap())
}

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn who_left_and_who_came_stands_in_the_status() {
    let mut fleet = Fleet::around(Cluster::started(THREE).await).await;
    for node in ["prox1", "prox2", "prox3"] {
        until("a first look", async || fleet.status(node).await.is_member()).await;
        assert_eq!(
            fleet.status(node).await.changes(),
            [],
            "nothing changed while they looked"
        );
    }

    let cut = SystemTime::now();
    fleet.cluster.cut(3).await;
    let mut late = Vec::new();
    for (node, words, said) in [
        ("prox1", "+[] -[prox3] same", "Members[2]: 1 2"),
        ("prox2", "+[] -[prox3] same", "Members[2]: 1 2"),
        ("prox3", "+[] -[prox1 prox2] lost", "Members[1]: 3"),
    ] {
        let seen = changes(&fleet, node, &[words]).await.duration_since(cut).unwrap();
        let number = node.trim_start_matches("prox").parse().unwrap();
        let happened = fleet.cluster.node(number).log().waits_for(cut, said).await;
        let late_by = seen.saturating_sub(happened);
        assert!(
            late_by < SEEN_WITHIN && seen + Duration::from_millis(50) > happened,
            "{node}: {seen:?}, {happened:?}"
        );
        late.push(format!("{node} {} ms", late_by.as_millis()));
    }
    note(&format!("cut off: told after corosync said so: {}", late.join(", ")));
    let findings = fleet.findings().await;
    let about = |code: &str, subject: &str| findings.contains(&(code.to_owned(), subject.to_owned()));
    assert!(
        about("QRT-CLUSTER-NOT-QUORATE", "hk1") && about("QRT-MEMBER-OFFLINE", "hk1/prox3"),
        "{findings:?}"
    );
    assert!(about("QRT-PMXCFS-NOT-READY", "hk1/prox1"), "{findings:?}");

    fleet.cluster.restore(3).await;
    changes(&fleet, "prox1", &["+[prox3] -[] same"]).await;
    changes(&fleet, "prox3", &["+[prox1 prox2] -[] gained"]).await;
    fleet.cluster.complete().await;

    // In an orderly way, and back.
    fleet.cluster.node_mut(2).stop().await;
    changes(&fleet, "prox1", &["+[] -[prox2] same"]).await;
    until("prox2 to be unknown", async || !fleet.status("prox2").await.is_member()).await;
    let stopped = fleet.status("prox2").await;
    assert!(stopped.reason().contains("corosync-quorumtool failed"), "{stopped:?}");
    fleet.cluster.node_mut(2).start();
    changes(&fleet, "prox1", &["+[] -[prox2] same", "+[prox2] -[] same"]).await;
    fleet.cluster.complete().await;
    let shown = fleet.quorate(&["status"]).await.stdout;
    assert!(
        shown.contains("Membership, as prox1 saw it change:") && shown.contains("ago  prox2 joined\n"),
        "{shown}"
    );
}

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn a_cut_link_is_told_and_the_latency_of_the_other_shown() {
    let shape = Shape { links: 2, ..THREE };
    let fleet = Fleet::around(Cluster::started(shape).await).await;
    until("a first look", async || fleet.status("prox1").await.is_member()).await;
    let shown = fleet.quorate(&["status", "--fresh"]).await.stdout;
    let links = |shown: &str, what: &str| {
        shown
            .lines()
            .any(|line| line.starts_with("prox1") && line.contains(what))
    };
    assert!(links(&shown, "4/4, ") && shown.contains(" ms"), "{shown}");
    fleet.cluster.hub().cut(3, &[1]).await;
    let down = |node: &str| ("QRT-LINK-DOWN".to_owned(), format!("hk1/{node}"));
    until("the link to be told as down", async || {
        let findings = fleet.findings().await;
        ["prox1", "prox2", "prox3"]
            .iter()
            .all(|node| findings.contains(&down(node)))
    })
    .await;
    assert!(
        fleet.status("prox1").await.changes().is_empty(),
        "the membership is as it was"
    );
    assert!(links(&fleet.quorate(&["status"]).await.stdout, "3/4, "));
    fleet.cluster.hub().restore(3, &[1]).await;
    until("it to be well again", async || {
        let findings = fleet.findings().await;
        !findings.iter().any(|(code, _)| code == "QRT-LINK-DOWN")
    })
    .await;
}
