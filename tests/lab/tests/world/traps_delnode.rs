//! `pvecm delnode` and `pvecm expected`: A 9, 11, 12 and 13 of the README.

use quorate_lab::{Lab, Output, Script, What};

use crate::pve::{CONF, place, quorate, read, run, status, version};
use crate::{add, created, happened, lab, three, until};

const NOT_KILLED: &str = "Could not kill node (error = CS_ERR_NOT_EXIST)\n";

/// Simulated milliseconds that the last call of a tool took.
fn took(lab: &Lab) -> u64 {
    let ended = happened(lab, What::ToolEnded).pop().expect("a call ended");
    let called = happened(lab, What::ToolCalled)
        .into_iter()
        .rfind(|entry| entry.argv == ended.argv)
        .expect("it began");
    ended.ms - called.ms
}

fn texts(output: &Output) -> (&str, &str, Option<i32>) {
    (&output.stdout, &output.stderr, output.code())
}

async fn two(lab: &Lab) {
    created(lab, "lab1").await;
    let output = add(lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(output.stdout.contains("successfully added"), "{output:?}");
}

#[tokio::test]
async fn a_stopped_node_is_removed_with_a_complaint_and_leaves_its_folder_and_key() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    lab.script("prox3", Script::StopCorosync).await.expect("stopped");
    until(&lab, "prox3 to have left", async || {
        status(&lab, "prox1").await.members.len() == 2
    })
    .await;
    let before = version(&read(&lab, "prox1", CONF));
    let output = run(&lab, "prox1", "pvecm delnode prox3").await;
    assert_eq!(texts(&output), ("Killing node 3\n", NOT_KILLED, Some(0)));
    let conf = read(&lab, "prox2", CONF);
    assert!(!conf.contains("prox3") && version(&conf) == before + 1, "{conf}");
    assert!(place(&lab, "prox1", "nodes/prox3/pve-ssl.pem").exists());
    assert!(read(&lab, "prox1", "priv/authorized_keys").contains(" root@prox3\n"));
    let state = run(&lab, "prox2", "corosync-quorumtool -s").await.stdout;
    assert!(
        state.contains("Expected votes:   2\n") && state.contains("Quorate:          Yes"),
        "{state}"
    );
    std::fs::remove_dir_all(place(&lab, "prox2", "nodes/prox3")).expect("the administrator's part");
    until(&lab, "the folder to go", async || {
        !place(&lab, "prox1", "nodes/prox3").exists()
    })
    .await;
}

#[tokio::test]
async fn a_node_is_found_by_its_address_too() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    lab.script("prox3", Script::StopCorosync).await.expect("stopped");
    until(&lab, "prox3 to have left", async || {
        status(&lab, "prox1").await.members.len() == 2
    })
    .await;
    let output = run(&lab, "prox1", "pvecm delnode 10.10.10.3").await;
    assert_eq!(texts(&output), ("Killing node 3\n", NOT_KILLED, Some(0)));
    assert!(!read(&lab, "prox1", CONF).contains("prox3"));
}

#[tokio::test]
async fn a_running_node_is_killed_and_missed_only_after_its_token() {
    let lab = lab(|builder| builder.nodes(3).speed(20.0)).await;
    three(&lab).await;
    let output = run(&lab, "prox1", "pvecm delnode prox3").await;
    assert_eq!(texts(&output), ("Killing node 3\n", "", Some(0)));
    assert!(took(&lab) >= 8030, "{} ms", took(&lab));
    assert!(status(&lab, "prox3").await.members.is_empty(), "its corosync is dead");
    quorate(&lab, "prox1", true).await;
}

#[tokio::test]
async fn itself_the_unknown_and_without_quorum() {
    let lab = lab(|builder| builder.nodes(2)).await;
    two(&lab).await;
    let output = run(&lab, "prox1", "pvecm delnode prox1").await;
    assert_eq!(texts(&output), ("", "Cannot delete myself from cluster!\n", Some(255)));
    let output = run(&lab, "prox1", "pvecm delnode prox7").await;
    assert_eq!(output.stderr, "Node/IP: prox7 is not a known host of the cluster.\n");
    assert!(!output.success());
    lab.script("prox2", Script::StopCorosync).await.expect("stopped");
    quorate(&lab, "prox1", false).await;
    let output = run(&lab, "prox1", "pvecm delnode prox2").await;
    assert_eq!(texts(&output), ("", "cluster not ready - no quorum?\n", Some(255)));
}

/// Items 9, 11 and 12 one after another, as they were met.
#[tokio::test]
async fn a_number_given_twice_ends_with_a_healthy_node_killed_and_a_lock_left() {
    let lab = lab(|builder| builder.nodes(3).speed(40.0)).await;
    two(&lab).await;
    let output = add(&lab, "prox3", "labpass", &["--link0", "10.10.10.3", "--nodeid", "2"]).await;
    assert_eq!(output.code(), Some(0));
    assert_eq!(
        output.stderr,
        "starting pve-cluster failed: Job for corosync.service failed because the control process exited with error code.\n"
    );
    let conf = read(&lab, "prox1", CONF);
    assert_eq!(conf.matches("nodeid: 2\n").count(), 2, "{conf}");
    let log = crate::pve::journal(&lab, "prox3").await;
    assert!(
        log.contains("  [MAIN  ] Nodeid 2 appears twice in corosync.conf\n"),
        "{log}"
    );
    let log = crate::pve::journal(&lab, "prox1").await;
    assert!(
        log.contains("[dcdb] crit: corosync-cfgtool -R failed with exit code 7#010"),
        "{log}"
    );
    quorate(&lab, "prox1", true).await;

    let output = run(&lab, "prox1", "pvecm delnode prox3").await;
    let denied = "unable to open file '/etc/pve/corosync.conf.new.tmp.1133' - Permission denied\n";
    assert_eq!(texts(&output), ("Killing node 2\n", denied, Some(13)));
    assert!(took(&lab) >= 6600, "{} ms", took(&lab));
    assert!(
        status(&lab, "prox2").await.members.is_empty(),
        "the healthy node is dead"
    );
    assert!(!status(&lab, "prox1").await.quorate);
    assert_eq!(read(&lab, "prox1", CONF), conf, "and all for nothing");

    assert_eq!(texts(&run(&lab, "prox1", "pvecm expected 1").await), ("", "", Some(0)));
    quorate(&lab, "prox1", true).await;
    let lock = place(&lab, "prox1", "priv/lock/file-corosync_conf");
    assert!(lock.is_dir());
    let output = run(&lab, "prox1", "pvecm delnode prox3").await;
    let waits = "trying to acquire cfs lock 'file-corosync_conf' ...\n".repeat(9);
    let text = format!("{waits}cfs-lock 'file-corosync_conf' error: got lock request timeout\n");
    assert_eq!(texts(&output), ("", text.as_str(), Some(17)));
    assert!(took(&lab) >= 9000, "{} ms", took(&lab));

    until(&lab, "the lock's end after two minutes", async || !lock.exists()).await;
    let output = run(&lab, "prox1", "pvecm delnode prox3").await;
    assert_eq!(texts(&output), ("Killing node 2\n", NOT_KILLED, Some(0)));
    assert!(!read(&lab, "prox1", CONF).contains("prox3"));
    // The reload counts votes anew: with the second node dead, quorum is gone, and the lock could not be given back.
    quorate(&lab, "prox1", false).await;
    assert!(lock.is_dir(), "left by a delnode that succeeded");
}

#[tokio::test]
async fn a_lock_can_be_taken_away_by_hand() {
    let lab = lab(|builder| builder.nodes(2)).await;
    two(&lab).await;
    let lock = place(&lab, "prox1", "priv/lock/file-corosync_conf");
    std::fs::create_dir(&lock).expect("somebody holds it");
    let seen = place(&lab, "prox2", "priv/lock/file-corosync_conf");
    until(&lab, "the other node to see it", async || seen.is_dir()).await;
    let output = run(&lab, "prox2", "pvecm delnode prox1").await;
    assert_eq!(output.code(), Some(17));
    std::fs::remove_dir(&seen).expect("taken away");
    lab.script("prox1", Script::StopCorosync).await.expect("stopped");
    quorate(&lab, "prox2", false).await;
    run(&lab, "prox2", "pvecm expected 1").await;
    quorate(&lab, "prox2", true).await;
    let output = run(&lab, "prox2", "pvecm delnode prox1").await;
    assert_eq!(texts(&output), ("Killing node 1\n", NOT_KILLED, Some(0)));
}

#[tokio::test]
async fn expected_votes_are_bound_by_those_present_and_undone_by_the_next_change() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let refused = ("", "Unable to set expected votes: CS_ERR_INVALID_PARAM\n", Some(1));
    assert_eq!(texts(&run(&lab, "prox1", "pvecm expected 2").await), refused);
    assert_eq!(
        texts(&run(&lab, "prox1", "pvecm addnode prox9 --new_node_ip 10.10.10.9").await),
        ("", "", Some(0))
    );
    assert_eq!(texts(&run(&lab, "prox1", "pvecm expected 3").await), ("", "", Some(0)));
    assert_eq!(texts(&run(&lab, "prox1", "pvecm expected 4").await), ("", "", Some(0)));
    let output = run(&lab, "prox1", "pvecm delnode prox9").await;
    assert_eq!(output.stderr, NOT_KILLED);

    lab.script("prox3", Script::StopCorosync).await.expect("stopped");
    lab.script("prox2", Script::StopCorosync).await.expect("stopped");
    quorate(&lab, "prox1", false).await;
    assert_eq!(texts(&run(&lab, "prox1", "pvecm expected 1").await), ("", "", Some(0)));
    quorate(&lab, "prox1", true).await;
    crate::pve::edit(&lab, "prox1", |text| text.replace("  debug: off\n", "  debug: on\n"));
    quorate(&lab, "prox1", false).await;
    let state = run(&lab, "prox1", "corosync-quorumtool -s").await.stdout;
    assert!(state.contains("Expected votes:   3\n"), "{state}");
}
