//! Two links: one of them cut, both, and what corosync measures on them.

use quorate_reality_corosync::cluster::Cluster;
use quorate_reality_corosync::conf::Shape;
use quorate_reality_corosync::{note, until};

use crate::seen::{Seen, agent};

const TWO_LINKS: Shape = Shape {
    nodes: 3,
    links: 2,
    qdevice: None,
};

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn one_link_of_two_is_cut_and_the_cluster_lives_on_the_other() {
    let agent = agent();
    let cluster = Cluster::started(TWO_LINKS).await;
    let seen = Seen::by(&agent, cluster.node(1)).await;
    assert!(
        seen.links().len() == 4 && seen.links().iter().all(|link| link.connected),
        "{:?}",
        seen.links()
    );

    cluster.hub().cut(3, &[0]).await;
    until("link 0 to prox3 to be down", async || {
        let [one, three] = [
            Seen::by(&agent, cluster.node(1)).await,
            Seen::by(&agent, cluster.node(3)).await,
        ];
        !one.connected(3, 0) && !three.connected(1, 0) && !three.connected(2, 0)
    })
    .await;
    for (number, up) in [(1, [(2, 0), (2, 1), (3, 1)]), (3, [(1, 1), (2, 1), (2, 1)])] {
        let seen = Seen::by(&agent, cluster.node(number)).await;
        for (peer, link) in up {
            assert!(seen.connected(peer, link), "link {link} from prox{number} to {peer}");
        }
        // corosync still names it: it is enabled, and not connected.
        assert_eq!(seen.links().len(), 4);
        assert_eq!(
            (seen.online().len(), seen.votes(), seen.quorate()),
            (3, (3, 3, None), true)
        );
    }

    cluster.hub().cut(3, &[1]).await;
    until("prox3 to be out", async || {
        Seen::by(&agent, cluster.node(2)).await.online() == ["prox1", "prox2"]
    })
    .await;
    let gone = Seen::by(&agent, cluster.node(2)).await.links();
    assert!(
        gone.iter().all(|link| link.peer == 1),
        "who can't be reached is not listed: {gone:?}"
    );

    cluster.hub().restore(3, &[1]).await;
    until("prox3 to be back over link 1", async || {
        let seen = Seen::by(&agent, cluster.node(1)).await;
        seen.online().len() == 3 && seen.connected(3, 1)
    })
    .await;
    assert!(!Seen::by(&agent, cluster.node(1)).await.connected(3, 0));
    cluster.hub().restore(3, &[0]).await;
    cluster.complete().await;
}

#[tokio::test]
#[ignore = "needs root and Debian's corosync: .ci/corosync runs it"]
async fn what_corosync_measures_on_its_links_is_what_the_agent_tells() {
    let agent = agent();
    let cluster = Cluster::started(TWO_LINKS).await;
    let first = Seen::by(&agent, cluster.node(1)).await;
    let mut figures = Vec::new();
    for (peer, link) in [(2, 0), (2, 1), (3, 0), (3, 1)] {
        // A link is connected after two pings at the latest.
        let [average, shortest, longest, samples] = first.latency(peer, link).unwrap();
        assert!(
            shortest <= average && average <= longest && samples > 0,
            "link {link} to {peer}"
        );
        // Three daemons on one machine: whatever is slower than a token is no microseconds.
        assert!(
            average > 0 && longest < 3_650_000,
            "link {link} to {peer}: {longest} µs"
        );
        figures.push(format!("{peer}/{link} {average} µs"));
    }
    note(&format!(
        "from prox1, averages by peer and link: {}",
        figures.join(", ")
    ));
    assert_eq!(first.latency(1, 0), None, "there is no way to itself");
    let samples = |seen: &Seen, link| seen.latency(3, link).unwrap()[3];
    until("more pings", async || {
        let later = Seen::by(&agent, cluster.node(1)).await;
        samples(&later, 0) > samples(&first, 0) && samples(&later, 1) > samples(&first, 1)
    })
    .await;

    // The same figures by the tool, which nobody in between has read; pings go on meanwhile.
    let before = Seen::by(&agent, cluster.node(1)).await.latency(3, 1).unwrap();
    let key = "stats.knet.node3.link1.latency_samples";
    let said = cluster
        .node(1)
        .space()
        .does(&["corosync-cmapctl", "-m", "stats", key])
        .await;
    let told: u64 = said.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let after = Seen::by(&agent, cluster.node(1)).await.latency(3, 1).unwrap();
    assert!(before[3] <= told && told <= after[3], "{before:?} {told} {after:?}");

    // A link that is down is measured no more.
    cluster.hub().cut(3, &[1]).await;
    until("the link to be down", async || {
        !Seen::by(&agent, cluster.node(1)).await.connected(3, 1)
    })
    .await;
    let at_rest = samples(&Seen::by(&agent, cluster.node(1)).await, 1);
    let other = samples(&Seen::by(&agent, cluster.node(1)).await, 0);
    until("pings on the other", async || {
        samples(&Seen::by(&agent, cluster.node(1)).await, 0) > other + 1
    })
    .await;
    assert_eq!(samples(&Seen::by(&agent, cluster.node(1)).await, 1), at_rest);
}
