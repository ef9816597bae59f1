//! Two nodes and a third vote from a real qnetd: who has quorum when one of the three is away.

use quorate_reality_corosync::cluster::Cluster;
use quorate_reality_corosync::conf::Shape;
use quorate_reality_corosync::until;
use quorate_reality_corosync::vote::{self, Vote};

use crate::seen::{Seen, agent};

const TWO_AND_A_VOTE: Shape = Shape {
    nodes: 2,
    links: 1,
    qdevice: Some(vote::ADDRESS),
};

#[tokio::test]
#[ignore = "needs root, Debian's corosync, corosync-qdevice and corosync-qnetd: .ci/corosync runs it"]
async fn a_third_vote_decides_when_a_node_is_down_and_is_missed_when_it_is_down_itself() {
    let agent = agent();
    let mut cluster = Cluster::started(TWO_AND_A_VOTE).await;
    let mut vote = Vote::beside(&cluster).await;
    let votes = async |cluster: &Cluster, number, wanted: (u64, u64, Option<u64>), quorate: bool| {
        let what = format!("prox{number} to have {wanted:?} votes");
        until(&what, async || {
            let seen = Seen::by(&agent, cluster.node(number)).await;
            seen.votes() == wanted && seen.quorate() == quorate
        })
        .await;
    };
    for number in [1, 2] {
        votes(&cluster, number, (3, 3, Some(1)), true).await;
    }
    let seen = Seen::by(&agent, cluster.node(1)).await;
    assert_eq!(seen.member()["qdevice"]["host"], vote::ADDRESS);
    assert_eq!(seen.member()["qdevice"]["algorithm"], "ffsplit");
    let rows = seen.known("votes")["rows"].as_array().unwrap().clone();
    assert!(
        rows.len() == 2 && rows.iter().all(|row| row["qdevice"] == "A,V,NMW"),
        "{rows:#?}"
    );

    // A node is down: the other goes on with the device's vote.
    cluster.node_mut(2).stop().await;
    votes(&cluster, 1, (2, 3, Some(1)), true).await;
    assert_eq!(Seen::by(&agent, cluster.node(1)).await.online(), ["prox1"]);
    cluster.node_mut(2).start();
    cluster.complete().await;
    vote.again(&cluster, 2).await;
    votes(&cluster, 2, (3, 3, Some(1)), true).await;

    // qnetd is down: the two are enough for one another, and its vote is gone.
    vote.cut(cluster.hub()).await;
    for number in [1, 2] {
        votes(&cluster, number, (2, 3, Some(0)), true).await;
    }
    // And a node with it: the one that is left has too little.
    cluster.cut(2).await;
    votes(&cluster, 1, (1, 3, Some(0)), false).await;
    vote.restore(cluster.hub()).await;
    votes(&cluster, 1, (2, 3, Some(1)), true).await;
    cluster.restore(2).await;
    votes(&cluster, 2, (3, 3, Some(1)), true).await;
}
