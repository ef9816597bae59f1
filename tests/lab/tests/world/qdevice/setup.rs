//! Setting a quorum device up, and what refuses it.

use quorate_lab::plants::Plant;
use quorate_lab::{Script, What};

use super::{WITNESS, installed, know, let_in, recorded, run, setup, shape, shown, two, until, with_device};
use crate::{PATIENCE, add, created, happened, lab, nothing_unknown};

#[tokio::test]
async fn a_host_that_is_no_pve_node_has_none_of_pves_tools() {
    let lab = lab(|builder| builder.nodes(1).qnetd("witness1")).await;
    let node = lab.node("witness1").expect("witness1");
    assert!(!node.root.join("etc/pve").exists() && !node.bin.join("pveversion").exists());
    assert!(node.bin.join("apt-get").exists() && !node.bin.join("corosync-qnetd-tool").exists());
    let argv = ["systemctl", "show", "-p", "LoadState", "pve-cluster", "corosync-qnetd"];
    assert_eq!(
        run(&lab, "witness1", &argv).await.stdout,
        "LoadState=not-found\n\nLoadState=not-found\n"
    );

    let argv = ["apt-get", "-y", "--no-install-recommends", "install", "corosync-qnetd"];
    assert_eq!(run(&lab, "witness1", &argv).await.code(), Some(0));
    let argv = ["systemctl", "is-active", "corosync-qnetd"];
    assert_eq!(run(&lab, "witness1", &argv).await.stdout, "active\n");
    let tool = run(&lab, "witness1", &["corosync-qnetd-tool", "-s"]).await;
    assert_eq!(
        tool.stdout,
        "QNetd address:\t\t\t*:5403\nTLS:\t\t\t\tSupported (client certificate required)\nConnected clients:\t\t0\n\
         Connected clusters:\t\t0\n"
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_set_up_needs_a_known_host_and_a_key_that_is_let_in() {
    let lab = lab(shape).await;
    two(&lab).await;
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(1));
    assert!(
        output.stderr.contains("ERROR: Host key verification failed."),
        "{output:?}"
    );

    know(&lab);
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(1));
    assert!(
        output
            .stderr
            .contains("root@192.168.1.13: Permission denied (publickey,password).\ncommand 'ssh-copy-id"),
        "{output:?}"
    );

    for options in [
        "from=\"192.168.1.99\" ",
        "expiry-time=\"202001010000Z\" ",
        "command=\"/bin/true\" ",
    ] {
        let_in(&lab, options);
        assert_eq!(setup(&lab, &[]).await.code(), Some(1), "{options}");
    }
    assert_eq!(happened(&lab, What::QdeviceAdded), []);

    let_in(&lab, "restrict,from=\"192.168.1.11\",expiry-time=\"209901010000Z\" ");
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stdout.ends_with("Reloading corosync.conf...\nDone\n"));
    until(&lab, "prox1", &["Total votes:      3"]).await;
    nothing_unknown(&lab);
}

#[tokio::test]
async fn healthy_it_shows_everywhere_but_in_the_cluster_status() {
    let lab = lab(shape).await;
    with_device(&lab).await;
    let output = until(&lab, "prox1", &["A,V,NMW 10.10.10.2"]).await;
    assert_eq!(output.code(), Some(0));
    assert_eq!(shown(&output.stdout), recorded("qdevice"));
    let tool = run(&lab, "prox1", &["corosync-quorumtool", "-s"]).await.stdout;
    assert!(tool.ends_with("         1          1    A,V,NMW prox1 (local)\n         2          1    A,V,NMW prox2\n         0          1            Qdevice\n"), "{tool}");
    let argv = ["pvesh", "get", "/cluster/config/qdevice", "--output-format", "json"];
    let value: serde_json::Value = serde_json::from_str(&run(&lab, "prox2", &argv).await.stdout).expect("JSON");
    assert_eq!(value["State"], "Connected");
    assert_eq!(value["QNetd host"], "192.168.1.13:5403");
    assert_eq!(value["Algorithm"], "Fifty-Fifty split");
    assert!(
        value["Last poll call"]
            .as_str()
            .is_some_and(|text| text.ends_with(" (cast vote)"))
    );
    let argv = ["pvesh", "get", "/cluster/status", "--output-format", "json"];
    assert!(!run(&lab, "prox1", &argv).await.stdout.contains("evice"));
    let conf =
        std::fs::read_to_string(lab.node("prox2").expect("prox2").root.join("etc/pve/corosync.conf")).expect("read");
    assert!(conf.contains(
        "quorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 192.168.1.13\n      tls: on\n    \
         }\n    votes: 1\n  }\n  provider: corosync_votequorum\n}\n"
    ));
    let tool = run(&lab, "prox1", &["corosync-qdevice-tool", "-s"]).await.stdout;
    assert!(
        tool.ends_with("Tie-breaker:\t\tNode with lowest node ID\nState:\t\t\tConnected\n"),
        "{tool}"
    );
    let list = run(&lab, "witness1", &["corosync-qnetd-tool", "-l"]).await.stdout;
    assert!(
        list.starts_with("Cluster \"lab2\":\n    Algorithm:\t\tFifty-Fifty split (KAP Tie-breaker)\n"),
        "{list}"
    );
    assert_eq!(list.matches("        Membership node list:\t1, 2\n").count(), 2);
    let p12 = lab
        .node("prox1")
        .expect("prox1")
        .root
        .join("etc/pve/qdevice-net-node.p12");
    assert!(!p12.exists(), "the private key does not stay");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_set_up_ends_well_while_the_daemon_does_not_run_and_comes_right_by_itself() {
    let lab = lab(shape).await;
    two(&lab).await;
    let_in(&lab, "");
    let stop = Plant::Qnetd { running: false };
    lab.script("witness1", Script::Plant(stop)).await.expect("stopped");
    assert_eq!(setup(&lab, &[]).await.code(), Some(0));
    let output = until(&lab, "prox1", &["A,NV,NMW 10.10.10.2"]).await;
    assert_eq!(output.code(), Some(0));
    assert_eq!(shown(&output.stdout), recorded("qdevice-away"));
    let tool = run(&lab, "prox1", &["corosync-qdevice-tool", "-s"]).await.stdout;
    assert!(tool.ends_with("State:\t\t\tConnect failed\n"), "{tool}");
    let start = Plant::Qnetd { running: true };
    lab.script("witness1", Script::Plant(start)).await.expect("started");
    until(&lab, "prox1", &["Total votes:      3"]).await;
}

#[tokio::test]
async fn every_refusal_has_its_words() {
    let lab = lab(shape).await;
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(2), "in no cluster: {output:?}");
    created(&lab, "lab2").await;
    let_in(&lab, "");
    let output = setup(&lab, &[]).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        (
            "Clusters with an odd node count are not officially supported!\n",
            Some(255)
        )
    );
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(output.success());
    lab.script("prox2", Script::StopCorosync).await.expect("stopped");
    lab.wait_for("prox2 to be offline", PATIENCE, async || {
        let text = std::fs::read_to_string(lab.node("prox1").expect("prox1").root.join("etc/pve/.members"));
        text.is_ok_and(|text| text.contains("\"id\": 2, \"online\": 0"))
    })
    .await
    .expect("offline");
    for argv in [
        ["pvecm", "qdevice", "setup", WITNESS].as_slice(),
        &["pvecm", "qdevice", "remove"],
    ] {
        let output = run(&lab, "prox1", argv).await;
        assert_eq!(
            (output.stderr.as_str(), output.code()),
            (
                "All nodes must be online! Node prox2 is offline, aborting.\n",
                Some(255)
            )
        );
    }
    run(&lab, "prox2", &["systemctl", "start", "corosync"]).await;
    lab.wait_for("prox2 to be online", PATIENCE, async || {
        let text = std::fs::read_to_string(lab.node("prox1").expect("prox1").root.join("etc/pve/.members"));
        text.is_ok_and(|text| text.contains("\"id\": 2, \"online\": 1"))
    })
    .await
    .expect("online");
    let output = run(&lab, "prox1", &["pvecm", "qdevice", "remove"]).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("No QDevice configured!\n", Some(255))
    );
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    let output = setup(&lab, &[]).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("QDevice already configured!\n", Some(255))
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_package_that_is_missing_on_one_node_fails_late_and_leaves_a_private_key() {
    let lab = lab(|builder| {
        builder
            .nodes(2)
            .plant("prox1", installed("corosync-qdevice"))
            .qnetd("witness1")
            .plant("witness1", installed("corosync-qnetd"))
    })
    .await;
    two(&lab).await;
    let_in(&lab, "");
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(127), "{output:?}");
    assert!(output.stderr.contains("root@192.168.1.12 -- corosync-qdevice-net-certutil -m -c /etc/pve/qdevice-net-node.p12' failed: exit code 127\n"));
    assert!(
        output
            .stdout
            .ends_with("node 'prox1': pk12util: PKCS12 IMPORT SUCCESSFUL\n")
    );
    let root = |node: &str| lab.node(node).expect("a node").root;
    assert!(root("prox2").join("etc/pve/qdevice-net-node.p12").exists());
    assert!(root("prox1").join("etc/corosync/qdevice/net/nssdb").is_dir());
    let conf = std::fs::read_to_string(root("prox1").join("etc/pve/corosync.conf")).expect("read");
    assert!(!conf.contains("device"), "the configuration is untouched");

    let argv = [
        "apt-get",
        "-y",
        "--no-install-recommends",
        "install",
        "corosync-qdevice",
    ];
    assert_eq!(run(&lab, "prox2", &argv).await.code(), Some(0));
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(255));
    assert!(
        output
            .stderr
            .ends_with("QDevice certificate store already initialised, set force to delete!\n"),
        "{output:?}"
    );
    let output = setup(&lab, &["--force", "1"]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(!root("prox2").join("etc/pve/qdevice-net-node.p12").exists());
    until(&lab, "prox2", &["Total votes:      3"]).await;
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_missing_daemon_package_on_the_host_fails_with_127() {
    let lab = lab(shape).await;
    two(&lab).await;
    let_in(&lab, "");
    // Its store is there from before, as where the package was removed.
    let store = lab
        .node("witness1")
        .expect("witness1")
        .root
        .join("etc/corosync/qnetd/nssdb");
    std::fs::create_dir_all(&store).expect("made");
    std::fs::write(store.join("qnetd-cacert.crt"), "").expect("written");
    let gone = Plant::Package {
        name: "corosync-qnetd".to_owned(),
        installed: None,
        candidate: Some("3.0.3-1".to_owned()),
        residual: true,
    };
    lab.script("witness1", Script::Plant(gone)).await.expect("planted");
    let output = setup(&lab, &[]).await;
    assert_eq!(output.code(), Some(127), "{output:?}");
    assert!(output.stderr.contains(
        "-lroot 192.168.1.13 corosync-qnetd-certutil -s -c /tmp/qdevice-net-node.crq -n lab2' failed: exit code 127\n"
    ));
}
