//! The ways back that worked on real servers: A 8 and A 18 of the README.

use std::fs;

use quorate_lab::What;

use crate::pve::{CONF, as_program, place, quorate, read, rooted, run, status};
use crate::{adding_two, created, happened, lab, three, until};

#[tokio::test]
async fn a_half_joined_node_is_brought_in() {
    let lab = lab(|builder| builder.nodes(5)).await;
    three(&lab).await;
    let joins = adding_two(&lab, ["prox4", "prox5"]).await;
    let mut left = None;
    until(&lab, "one corosync to give up, and the other join", async || {
        left = happened(&lab, What::CorosyncExited)
            .into_iter()
            .find(|entry| entry.detail.contains("is different than my config version"))
            .and_then(|entry| entry.node);
        let joined = happened(&lab, What::JoinCompleted);
        left.is_some() && joined.iter().skip(2).any(|entry| entry.node != left)
    })
    .await;
    let left = left.expect("a node");
    for mut join in joins {
        join.kill();
    }
    // pvecm on the node that was left: the file's version, and no corosync.
    let output = run(&lab, &left, "pvecm status").await;
    assert_eq!(output.code(), Some(1));
    assert_eq!(output.stderr, "Cannot initialize CMAP service\n");

    let conf = read(&lab, "prox1", CONF);
    fs::write(rooted(&lab, &left, "etc/corosync/corosync.conf"), &conf).expect("written");
    let output = run(&lab, &left, "systemctl restart corosync").await;
    assert!(output.success(), "{output:?}");
    quorate(&lab, &left, true).await;
    let output = run(&lab, &left, "pvecm updatecerts").await;
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        ("(re)generate node files\n", "", Some(0))
    );
    assert!(
        run(&lab, &left, "systemctl reload-or-restart pvedaemon pveproxy")
            .await
            .success()
    );
    until(&lab, "its certificate on the others", async || {
        place(&lab, "prox1", &format!("nodes/{left}/pve-ssl.pem")).exists()
    })
    .await;
    assert!(read(&lab, "prox1", "priv/authorized_keys").contains(&format!(" root@{left}\n")));
    let state = run(&lab, &left, "pvecm nodes").await.stdout;
    for node in ["prox1", "prox2", "prox3", "prox4", "prox5"] {
        assert!(state.contains(node), "{state}");
    }
}

#[tokio::test]
async fn a_node_is_made_standalone_again() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    assert!(
        run(&lab, "prox1", "systemctl stop pve-cluster corosync")
            .await
            .success()
    );
    assert!(!status(&lab, "prox1").await.mounted);
    let output = run(&lab, "prox1", "pmxcfs -l").await;
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        (
            "",
            "[main] notice: resolved node name 'prox1' to '192.168.1.11' for default node IP address\n\
             [main] notice: forcing local mode (although corosync.conf exists)\n",
            Some(0)
        )
    );
    assert!(status(&lab, "prox1").await.writable, "local mode asks nobody");
    fs::remove_file(place(&lab, "prox1", CONF)).expect("removed");
    for file in ["corosync.conf", "authkey"] {
        fs::remove_file(rooted(&lab, "prox1", "etc/corosync").join(file)).expect("removed");
    }
    assert!(run(&lab, "prox1", "killall pmxcfs").await.success());
    let again = run(&lab, "prox1", "killall pmxcfs").await;
    assert_eq!(
        (again.stderr.as_str(), again.code()),
        ("pmxcfs: no process found\n", Some(1))
    );
    assert!(run(&lab, "prox1", "systemctl start pve-cluster").await.success());

    let output = run(&lab, "prox1", "pvecm status").await;
    assert_eq!(
        output.stderr,
        "Error: Corosync config '/etc/pve/corosync.conf' does not exist - is this node part of a cluster?\n"
    );
    assert!(!place(&lab, "prox1", CONF).exists());
    let file = place(&lab, "prox1", "x");
    let output = as_program(&["/usr/bin/touch", &file.to_string_lossy()]).await;
    assert!(output.success(), "{output:?}");
    // Without a configuration corosync's unit has nothing to do, which is no failure.
    assert!(run(&lab, "prox1", "systemctl start corosync").await.success());
    assert_eq!(
        run(&lab, "prox1", "systemctl is-active corosync").await.stdout,
        "inactive\n"
    );
    // It can create or join anew: nothing is in the way.
    created(&lab, "lab2").await;
}

#[tokio::test]
async fn the_old_key_alone_still_stands_in_the_way_of_a_join() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    fs::write(rooted(&lab, "prox2", "etc/corosync/authkey"), "left over").expect("written");
    let output = crate::add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(
        output
            .stdout
            .contains("* authentication key '/etc/corosync/authkey' already exists\n"),
        "{output:?}"
    );
    fs::remove_file(rooted(&lab, "prox2", "etc/corosync/authkey")).expect("removed");
    let output = crate::add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(output.stdout.contains("successfully added"), "{output:?}");
}

#[tokio::test]
async fn certificates_wait_for_quorum_and_give_up() {
    let lab = lab(|builder| builder.nodes(3).speed(200.0)).await;
    three(&lab).await;
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let output = run(&lab, "prox3", "pvecm updatecerts").await;
    assert!(
        output
            .stdout
            .starts_with("waiting for pmxcfs mount to appear and get quorate...\n"),
        "{output:?}"
    );
    assert!(
        output
            .stderr
            .starts_with("got timeout when trying to ensure cluster certificates"),
        "{output:?}"
    );
    assert!(!output.success());
    lab.heal("prox3").await.expect("healed");
    quorate(&lab, "prox3", true).await;
    let before = fs::read_to_string(place(&lab, "prox3", "nodes/prox3/pve-ssl.pem")).expect("a certificate");
    let output = run(&lab, "prox3", "pvecm updatecerts --force 1").await;
    assert!(output.stdout.contains("generate new node certificate\n"), "{output:?}");
    until(&lab, "another certificate", async || {
        read(&lab, "prox1", "nodes/prox3/pve-ssl.pem") != before
    })
    .await;
}
