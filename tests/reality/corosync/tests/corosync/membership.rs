//! Membership, votes and quorum as the agent sees them: by the command that needs no fleet.

use quorate_reality_corosync::cluster::Cluster;
use quorate_reality_corosync::conf::{CLUSTER, Shape};
use quorate_reality_corosync::until;

use crate::seen::{Seen, agent};

pub(crate) const THREE: Shape = Shape {
    nodes: 3,
    links: 1,
    qdevice: None,
};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn three_daemons_are_one_cluster_for_every_agent() {
    let agent = agent();
    let cluster = Cluster::started(THREE).await;
    for node in cluster.nodes() {
        let seen = Seen::by(&agent, node).await;
        assert_eq!(seen.member()["cluster"], CLUSTER);
        assert_eq!(
            (seen.online(), seen.quorate(), seen.votes()),
            (ALL.into(), true, (3, 3, None))
        );
        assert_eq!(seen.known("votes")["quorum"], 2);
        let links = seen.links();
        assert!(links.len() == 2 && links.iter().all(|link| link.connected), "{links:?}");
        let running = seen.known("running_versions").as_array().unwrap().iter();
        assert_eq!(running.filter(|r| r["version"] == 3).count(), 3);
    }
}

/// The minority's own word, the majority's, and what both say when corosync ends in an orderly way, is killed, and comes back.
#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn who_is_there_and_whether_that_is_enough() {
    let agent = agent();
    let mut cluster = Cluster::started(THREE).await;

    cluster.cut(3).await;
    until("prox3 to be alone", async || {
        Seen::by(&agent, cluster.node(3)).await.online() == ["prox3"]
    })
    .await;
    let alone = Seen::by(&agent, cluster.node(3)).await;
    assert_eq!((alone.quorate(), alone.votes()), (false, (1, 3, None)));
    assert!(alone.links().is_empty(), "nobody can be reached: {:?}", alone.links());
    let others = Seen::by(&agent, cluster.node(1)).await;
    assert_eq!(
        (others.online(), others.quorate(), others.votes()),
        (vec!["prox1", "prox2"], true, (2, 3, None))
    );
    cluster.restore(3).await;
    cluster.complete().await;

    // It takes its leave: the others need not wait for its token.
    cluster.node_mut(2).stop().await;
    until("prox2 to have left", async || {
        Seen::by(&agent, cluster.node(1)).await.online() == ["prox1", "prox3"]
    })
    .await;
    let stopped = Seen::by(&agent, cluster.node(2)).await;
    assert!(
        !stopped.is_member() && stopped.reason().contains("corosync-quorumtool failed"),
        "{stopped:?}"
    );
    cluster.node_mut(2).start();
    cluster.complete().await;

    cluster.node_mut(2).kill();
    until("prox2 to be missed", async || {
        Seen::by(&agent, cluster.node(3)).await.online() == ["prox1", "prox3"]
    })
    .await;
    cluster.node_mut(3).kill();
    until("prox1 to be without quorum", async || {
        let seen = Seen::by(&agent, cluster.node(1)).await;
        !seen.quorate() && seen.online() == ["prox1"]
    })
    .await;
    for number in [2, 3] {
        cluster.node_mut(number).start();
    }
    cluster.complete().await;
    assert!(Seen::by(&agent, cluster.node(1)).await.quorate());
}
