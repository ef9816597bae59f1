//! Members and QNetd hosts that come and go.

use quorate_lab::plants::Plant;
use quorate_lab::{Lab, Script, What};

use super::{after, installed, recorded, run, setup, shape, shown, until, with_device};
use crate::{add, happened, lab, nothing_unknown};

#[tokio::test]
async fn with_a_member_cut_off_the_other_stays_quorate_after_a_long_stall() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    lab.cut("prox2").await.expect("cut");
    let output = until(&lab, "prox1", &["Nodes:            1", "Quorate:          Yes"]).await;
    assert!(output.stdout.contains("Total votes:      2\n"), "{}", output.stdout);
    let output = until(&lab, "prox2", &["Quorate:          No"]).await;
    assert_eq!(output.code(), Some(2));
    assert!(output.stdout.contains("Total votes:      1\n"), "{}", output.stdout);
    let kept = after(&lab, What::Cut, "prox1", What::MembershipChanged);
    let lost = after(&lab, What::Cut, "prox2", What::QuorumLost);
    // How late, at most, is held by the unit tests of `world::state::seen`, where no busy machine interferes.
    assert!(kept >= 11_500, "membership stands after {kept} ms, 11600 were seen");
    assert!(lost >= 14_900, "quorum is lost after {lost} ms, 15100 were seen");
    let polled = after(&lab, What::Cut, "prox1", What::DevicePolled);
    assert!(polled >= 6500, "the device is asked after {polled} ms, 6600 were seen");
    let log = run(&lab, "prox1", &["journalctl", "-u", "corosync"]).await.stdout;
    let last = |text: &str| log.rfind(text).unwrap_or_else(|| panic!("{text}: {log}"));
    let order = [
        last("[QUORUM] Sync left[1]: 2\n"),
        last("[VOTEQ ] waiting for quorum device Qdevice poll (but maximum for 30000 ms)\n"),
        last("was formed. Members left: 2\n"),
        last("[TOTEM ] Failed to receive the leave message. failed: 2\n"),
        last("[QUORUM] Members[1]: 1\n"),
    ];
    assert!(order.is_sorted(), "{log}");
    assert!(
        !happened(&lab, What::QuorumLost)
            .iter()
            .any(|entry| entry.node.as_deref() == Some("prox1") && entry.detail.contains("of 3"))
    );

    lab.heal("prox2").await.expect("healed");
    for node in ["prox1", "prox2"] {
        until(&lab, node, &["Total votes:      3", "Nodes:            2"]).await;
    }
}

#[tokio::test]
async fn writes_block_until_the_device_was_asked() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    let guest = Plant::HaGuest {
        vmid: 100,
        state: Some("stopped".to_owned()),
    };
    lab.script("prox1", Script::Plant(guest)).await.expect("planted");
    lab.cut("prox2").await.expect("cut");
    // The cut is seen first: before that the world still holds that all is well.
    let output = run(&lab, "prox1", &["ha-manager", "remove", "vm:100"]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    let blocked = after(&lab, What::Cut, "prox1", What::ToolEnded);
    assert!(blocked >= 11_400, "{blocked} ms");
}

#[tokio::test]
async fn without_the_daemons_host_two_of_three_votes_are_enough_and_one_is_not() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    lab.cut("witness1").await.expect("cut");
    let output = until(&lab, "prox1", &["A,NV,NMW 10.10.10.1", "A,NV,NMW 10.10.10.2"]).await;
    assert!(output.stdout.contains("Quorate:          Yes\n") && output.code() == Some(0));
    assert!(output.stdout.contains("Total votes:      2\n"));
    let noticed = after(&lab, What::Cut, "prox1", What::QdeviceLost);
    assert!(noticed >= 8_500, "{noticed} ms");
    assert_eq!(
        happened(&lab, What::QuorumLost).len(),
        quorum_losses_while_growing(&lab)
    );

    lab.cut("prox2").await.expect("cut");
    for node in ["prox1", "prox2"] {
        let output = until(&lab, node, &["Quorate:          No", "Flags:            Qdevice \n"]).await;
        assert_eq!(output.code(), Some(2));
        if node == "prox1" {
            assert_eq!(shown(&output.stdout), recorded("qdevice-not-quorate"));
        }
        let lost = after(&lab, What::Cut, node, What::QuorumLost);
        assert!(lost >= 8_300, "{lost} ms");
    }
    lab.heal("witness1").await.expect("healed");
    until(&lab, "prox1", &["Quorate:          Yes", "Nodes:            1"]).await;
}

/// prox1 alone loses quorum from the reload that takes prox2 in until it is there.
fn quorum_losses_while_growing(lab: &Lab) -> usize {
    let log = lab.operations().expect("the log");
    let added = log
        .iter()
        .position(|entry| entry.what == What::QdeviceAdded)
        .expect("added");
    log.iter()
        .take(added)
        .filter(|entry| entry.what == What::QuorumLost)
        .count()
}

#[tokio::test]
async fn when_only_the_members_link_is_cut_the_lowest_node_keeps_the_vote() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    lab.cut_link("prox2", 0).await.expect("cut");
    until(&lab, "prox1", &["Nodes:            1", "Quorate:          Yes"]).await;
    until(&lab, "prox2", &["Nodes:            1", "Quorate:          No"]).await;
    let since = lab.operations().expect("the log");
    let cut = since.iter().rposition(|entry| entry.what == What::Cut).expect("cut");
    let both = since.iter().skip(cut).any(|entry| entry.what == What::QuorumGained);
    assert!(!both, "never two partitions at once");
}

#[tokio::test]
async fn a_member_that_stops_in_order_costs_no_quorum_and_one_alone_starts_with_the_device() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    lab.script("prox2", Script::StopCorosync).await.expect("stopped");
    until(
        &lab,
        "prox1",
        &["Nodes:            1", "Quorate:          Yes", "Total votes:      2"],
    )
    .await;
    let log = run(&lab, "prox1", &["journalctl", "-u", "corosync"]).await.stdout;
    assert!(!log.contains("A processor failed"), "nobody waits for a token: {log}");

    lab.script("prox1", Script::StopCorosync).await.expect("stopped");
    let output = run(&lab, "prox1", &["systemctl", "start", "corosync"]).await;
    assert_eq!(output.code(), Some(0));
    let output = until(&lab, "prox1", &["Quorate:          Yes"]).await;
    assert!(output.stdout.contains("Expected votes:   2\n"), "{}", output.stdout);
}

#[tokio::test]
async fn a_third_node_is_taken_in_without_a_word_and_disagrees() {
    let lab = lab(|builder| {
        shape(builder)
            .another("prox4")
            .plant("prox4", installed("corosync-qdevice"))
    })
    .await;
    with_device(&lab).await;
    let output = add(&lab, "prox4", "labpass", &["--link0", "10.10.10.4"]).await;
    assert!(output.success() && !output.stdout.contains("evice"), "{output:?}");
    let old = until(&lab, "prox1", &["Nodes:            3"]).await.stdout;
    assert_eq!(shown(&old), recorded("qdevice-third-node"));
    let fresh = until(&lab, "prox4", &["Nodes:            3"]).await.stdout;
    assert_eq!(shown(&fresh), recorded("qdevice-third-node-itself"));
    let argv = ["pvesh", "get", "/cluster/config/qdevice", "--output-format", "json"];
    assert_eq!(run(&lab, "prox4", &argv).await.stdout, "{}\n");
    let tool = run(&lab, "prox4", &["corosync-qdevice-tool", "-s"]).await;
    assert_eq!(tool.code(), Some(3));

    // Its daemon registers with corosync, finds no certificates, and dies.
    let output = run(&lab, "prox4", &["systemctl", "start", "corosync-qdevice"]).await;
    assert_ne!(output.code(), Some(0));
    let log = run(&lab, "prox4", &["journalctl", "-u", "corosync-qdevice"])
        .await
        .stdout;
    assert!(log.contains("Can't init nss (-8174)"), "{log}");

    let output = run(&lab, "prox1", &["pvecm", "qdevice", "remove"]).await;
    assert_eq!(
        (output.stdout.as_str(), output.code()),
        ("Reloading corosync.conf...\nDone\n\nRemoved Qdevice.\n", Some(0))
    );
    let ended = happened(&lab, What::ToolEnded).pop().expect("it ended").ms;
    let called = happened(&lab, What::ToolCalled).pop().expect("it began").ms;
    assert!(ended - called >= 3300, "{} ms, 3.3 s were seen", ended - called);
    let after = until(&lab, "prox1", &["Expected votes:   3", "NA,NV,NMW"]).await.stdout;
    assert_eq!(shown(&after), recorded("qdevice-removed"));
    let itself = until(&lab, "prox4", &["Expected votes:   3"]).await.stdout;
    for text in [
        "Flags:            Quorate Qdevice \n",
        "         NR 10.10.10.1\n",
        "  NA,NV,NMW 10.10.10.4 (local)\n",
        "0x00000000          0            Qdevice (votes 0)\n",
    ] {
        assert!(itself.contains(text), "{text}: {itself}");
    }
    assert!(
        !lab.node("prox2")
            .expect("prox2")
            .root
            .join("etc/corosync/qdevice")
            .exists()
    );
    let list = run(&lab, "witness1", &["corosync-qnetd-tool", "-l"]).await;
    assert_eq!((list.stdout.as_str(), list.code()), ("", Some(0)));
    let store = lab
        .node("witness1")
        .expect("witness1")
        .root
        .join("etc/corosync/qnetd/nssdb/cluster-lab2.crt");
    assert!(store.exists(), "the host keeps its certificates");
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(255));
    nothing_unknown(&lab);
}
