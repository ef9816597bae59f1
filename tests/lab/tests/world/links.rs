//! One link of two is cut: what the tools show of it. How long it takes is held by the unit tests of `world::state::seen`.

use quorate_lab::{Lab, What};

use crate::captured::comparable;
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
