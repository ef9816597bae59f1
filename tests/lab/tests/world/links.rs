//! One link of two is cut: what the tools show of it. How long it takes is held by the unit tests of `world::state::seen`.

use quorate_lab::{Lab, Way, What};

use crate::captured::{self, comparable};
use crate::pve::{quorate, read, run};
use crate::recorded::compare;
use crate::{add, happened, lab, until};

async fn two_links(lab: &Lab) {
    let line = "pvecm create lab --link0 10.10.10.1 --link1 192.168.1.11";
    assert!(run(lab, "prox1", line).await.success());
    quorate(lab, "prox1", true).await;
    for (node, number) in [("prox2", 2), ("prox3", 3)] {
        let (zero, one) = (format!("10.10.10.{number}"), format!("192.168.1.1{number}"));
        // The way to the member is the public network.
        let output = add(lab, node, "labpass", &["--link0", &zero, "--link1", &one]).await;
        assert!(output.stdout.contains("successfully added"), "{output:?}");
    }
    for node in ["prox1", "prox3"] {
        connected(lab, node, 4).await;
    }
    until(lab, "all to be online", async || {
        read(lab, "prox1", ".members").matches("\"online\": 1").count() == 3
    })
    .await;
}

/// So many links to peers are up.
async fn connected(lab: &Lab, node: &str, count: usize) {
    until(lab, "the links", async || {
        let links = run(lab, node, "corosync-cfgtool -n").await.stdout;
        links.matches(" enabled connected").count() == count
    })
    .await;
}

async fn statistics(lab: &Lab, node: &str, key: &str) -> String {
    let output = run(lab, node, &format!("corosync-cmapctl -m stats stats.knet.{key}")).await;
    let line = output.stdout.lines().next().unwrap_or_default().to_owned();
    line.rsplit(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn one_link_of_two_cut_shows_in_the_links_and_nowhere_else() {
    let lab = lab(|builder| builder.nodes(3)).await;
    two_links(&lab).await;
    let status = comparable(&run(&lab, "prox1", "pvecm status").await.stdout);
    let members = read(&lab, "prox1", ".members");
    let before = happened(&lab, What::MembershipChanged).len();
    assert_eq!(statistics(&lab, "prox3", "node1.link0.down_count").await, "1");

    lab.cut_link("prox3", 0).await.expect("cut");
    connected(&lab, "prox3", 2).await;
    connected(&lab, "prox1", 3).await;
    let cut: &[(&str, &[&str])] = &[("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/link0-cut-to-all"])];
    compare(&lab, "prox3", cut).await;
    let shown = run(&lab, "prox1", "corosync-cfgtool -s").await.stdout;
    assert_eq!(
        comparable(&shown),
        "Local node ID 1, transport knet\n\
         LINK ID 0 udp\n\taddr\t= A.1\n\tstatus:\n\t\tnodeid:          1:\tlocalhost\n\t\tnodeid:          2:\tconnected\n\
         \t\tnodeid:          3:\tdisconnected\n\
         LINK ID 1 udp\n\taddr\t= A.1\n\tstatus:\n\t\tnodeid:          1:\tlocalhost\n\t\tnodeid:          2:\tconnected\n\
         \t\tnodeid:          3:\tconnected\n"
    );
    assert_eq!(statistics(&lab, "prox3", "node1.link0.down_count").await, "2");
    assert_eq!(statistics(&lab, "prox3", "node1.link0.connected").await, "0");
    let log = run(&lab, "prox1", "journalctl -u corosync").await.stdout;
    assert!(log.contains("[KNET  ] link: host: 3 link: 0 is down\n"), "{log}");
    assert!(
        log.contains("[KNET  ] host: host: 3 (passive) best link: 1 (pri: 1)\n"),
        "{log}"
    );
    lab.heal("prox3").await.expect("healed");
    connected(&lab, "prox3", 4).await;
    connected(&lab, "prox1", 4).await;

    lab.cut_link("prox3", 1).await.expect("cut");
    connected(&lab, "prox1", 3).await;
    let cut: &[(&str, &[&str])] = &[("corosync-cfgtool -n", &["corosync-cfgtool/3.1.7/link1-cut"])];
    compare(&lab, "prox1", cut).await;
    assert_eq!(statistics(&lab, "prox1", "node3.link1.down_count").await, "2");

    assert_eq!(comparable(&run(&lab, "prox1", "pvecm status").await.stdout), status);
    assert_eq!(read(&lab, "prox1", ".members"), members);
    assert_eq!(happened(&lab, What::MembershipChanged).len(), before);
}

/// A cluster of one with one link, as it was recorded: what corosync makes of its token, down to the pings.
#[tokio::test]
async fn timers_run_as_recorded() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let line = "pvecm create lab --link0 10.10.10.1";
    assert!(run(&lab, "prox1", line).await.success());
    quorate(&lab, "prox1", true).await;
    let printed = run(&lab, "prox1", "corosync-cmapctl -b runtime.config.totem.").await;
    let recorded = captured::read("corosync-cmapctl/3.1.7/timers").stdout;
    assert_eq!(printed.stdout, recorded);
}

/// The keys are those that corosync has, in its order; and what its pings take is what the way takes.
#[tokio::test]
async fn knet_counts_and_measures_as_recorded() {
    let slow = Way::between(&["prox1", "prox3"]).on(1).rtt_ms(8.0);
    let lab = lab(|builder| builder.nodes(3).way(slow)).await;
    two_links(&lab).await;
    let printed = run(&lab, "prox1", "corosync-cmapctl -m stats stats.knet.node").await;
    assert!(printed.success());
    let keys = |text: &str| -> Vec<String> {
        let key = |line: &str| line.split(" = ").next().unwrap_or_default().to_owned();
        text.lines().map(key).collect()
    };
    let recorded = captured::read("corosync-cmapctl/3.1.7/knet-two-links").stdout;
    assert_eq!(keys(&printed.stdout), keys(&recorded));
    let alone = captured::read("corosync-cmapctl/3.1.7/knet-alone").stdout;
    let own: Vec<&str> = printed.stdout.lines().take(8).collect();
    assert_eq!(own, alone.lines().take(8).collect::<Vec<_>>());

    for (link, wanted) in [
        ("node2.link0", "200"),
        ("node2.link1", "200"),
        ("node3.link0", "200"),
        ("node3.link1", "8000"),
    ] {
        assert_eq!(
            statistics(&lab, "prox1", &format!("{link}.latency_ave")).await,
            wanted,
            "{link}"
        );
    }
    let samples = async || -> u32 {
        let samples = statistics(&lab, "prox1", "node3.link1.latency_samples").await;
        samples.parse().expect("a number")
    };
    let before = samples().await;
    assert!(before >= 2, "{before}");
    until(&lab, "more pings", async || samples().await > before).await;
}
