//! Creating and joining: A of the README. What a good join prints and goes through is in
//! `recorded` and `joins`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use quorate_lab::{Lab, Output, Script, What};

use crate::captured::{self, comparable};
use crate::pve::{CONF, quorate, read, rooted, run, status, version};
use crate::waiting::waits_for_quorum;
use crate::{add, adding, created, fingerprint, happened, lab, nothing_unknown, three, until};

/// As recorded, and exit code 0.
pub(crate) fn is_recorded(output: &Output, fixture: &str) {
    let recorded = captured::read(&format!("pvecm/pve-8.4/{fixture}"));
    let text = |text: &str| {
        comparable(text)
            .replace("prox3", "prox5")
            .replace("A.3", "A.5")
            .replace("A.4", "A.1")
    };
    assert_eq!(text(&output.stdout), text(&recorded.stdout), "stdout: {fixture}");
    assert_eq!(text(&output.stderr), text(&recorded.stderr), "stderr: {fixture}");
    assert_eq!((output.code(), recorded.code), (Some(0), 0), "{fixture}");
}

/// The last line of a server's list of tasks.
fn last_task(lab: &Lab, node: &str) -> String {
    let index = fs::read_to_string(rooted(lab, node, "var/log/pve/tasks/index")).expect("the index");
    index.lines().last().expect("a task").to_owned()
}

#[tokio::test]
async fn item_1_failures_end_with_0_and_the_task_tells() {
    let lab = lab(|builder| builder.nodes(3)).await;
    created(&lab, "lab1").await;
    let output = add(&lab, "prox2", "wrong", &["--link0", "10.10.10.2"]).await;
    assert_eq!(output.code(), Some(0));
    assert!(last_task(&lab, "prox2").ends_with(" 401 authentication failure"));
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(
        output.stdout.ends_with("successfully added node 'prox2' to cluster.\n"),
        "{output:?}"
    );
    assert!(last_task(&lab, "prox2").ends_with(" OK"));
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("Check if node may join a cluster failed!\n", Some(0))
    );
}

#[tokio::test]
async fn item_3_status_ends_with_0_1_or_2() {
    let lab = lab(|builder| builder.nodes(3)).await;
    assert_eq!(run(&lab, "prox3", "pvecm status").await.code(), Some(2), "standalone");
    three(&lab).await;
    assert_eq!(run(&lab, "prox3", "pvecm status").await.code(), Some(0), "quorate");
    lab.cut("prox3").await.expect("cut");
    quorate(&lab, "prox3", false).await;
    let output = run(&lab, "prox3", "pvecm status").await;
    assert!(output.stdout.contains("Activity blocked\n") && output.stdout.contains("Quorate:          No\n"));
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(2)), "not quorate");
    assert_eq!(run(&lab, "prox3", "pvecm nodes").await.code(), Some(0));
    run(&lab, "prox3", "systemctl stop corosync").await;
    let output = run(&lab, "prox3", "pvecm status").await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("Cannot initialize CMAP service\n", Some(1))
    );
    assert!(output.stdout.ends_with("Secure auth:      on\n\n"), "{output:?}");
    run(&lab, "prox3", "systemctl stop pve-cluster").await;
    let output = run(&lab, "prox3", "pvecm status").await;
    assert_eq!(
        output.stderr.matches("failed: Connection refused\n").count(),
        3,
        "{output:?}"
    );
    assert!(!output.success());
}

#[tokio::test]
async fn item_4_a_new_cluster_is_read_only_for_some_seconds() {
    let lab = lab(|builder| builder.nodes(1).speed(10.0)).await;
    created(&lab, "lab1").await;
    let at = |what: What| happened(&lab, what).pop().expect("it happened").ms;
    // pmxcfs found no corosync when it started, and looks again six seconds later.
    let after = at(What::PmxcfsWritable) - at(What::PmxcfsMounted);
    assert!(after >= 6000, "{after} ms");
    assert!(
        at(What::PmxcfsWritable) > at(What::CorosyncStarted) && at(What::CorosyncStarted) > at(What::PmxcfsMounted)
    );
}

#[tokio::test]
async fn item_5_create_takes_an_address_that_the_host_does_not_have_and_add_does_not() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let output = run(&lab, "prox1", "pvecm create lab1 --link0 10.99.0.1").await;
    assert!(output.success() && output.stderr.is_empty(), "{output:?}");
    quorate(&lab, "prox1", true).await;
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.99.0.2"]).await;
    assert!(
        output
            .stdout
            .contains("cannot use IP '10.99.0.2', not found on local node!"),
        "{output:?}"
    );
}

#[tokio::test]
async fn items_6_and_17_what_a_join_takes_and_leaves() {
    let lab = lab(|builder| builder.nodes(2).speed(20.0)).await;
    created(&lab, "lab1").await;
    let before = read(&lab, "prox2", "nodes/prox2/pve-ssl.pem");
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    let (_, after) = output.stdout.split_once("backup old database to '").expect("a backup");
    let (backup, _) = after.split_once('\'').expect("its name");
    assert!(rooted(&lab, "prox2", backup.trim_start_matches('/')).is_file());
    let after = read(&lab, "prox2", "nodes/prox2/pve-ssl.pem");
    assert!(!after.is_empty() && before != after, "a new certificate");
    let ms = |what: What| happened(&lab, what).pop().expect("it happened").ms;
    let took = ms(What::JoinCompleted) - ms(What::TaskStarted);
    assert!(took >= 14_000, "{took} ms, 14.0 to 15.4 s were seen");
    let mode = |node| {
        let data = fs::metadata(rooted(&lab, node, "etc/corosync/authkey")).expect("a key");
        data.permissions().mode() & 0o777
    };
    assert_eq!((mode("prox1"), mode("prox2")), (0o400, 0o644));
    let keys = read(&lab, "prox1", "priv/authorized_keys");
    assert!(
        keys.contains(" root@prox1\n") && keys.contains(" root@prox2\n"),
        "{keys}"
    );
}

#[tokio::test]
async fn item_6_a_peer_that_never_comes_costs_the_first_node_its_quorum_for_good() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    lab.script("prox2", Script::UdpBlocked(true)).await.expect("blocked");
    let (mut join, log) = adding(&lab, "prox2").await;
    waits_for_quorum(&lab, &log).await;
    quorate(&lab, "prox1", false).await;
    join.kill();
    let output = run(&lab, "prox1", "pvecm delnode prox2").await;
    assert_eq!(output.stderr, "cluster not ready - no quorum?\n");
}

#[tokio::test]
async fn item_7_a_file_under_the_empty_mount_point_stops_a_join_half_way() {
    let lab = lab(|builder| builder.nodes(2).speed(5.0)).await;
    created(&lab, "lab1").await;
    let (mut join, log) = adding(&lab, "prox2").await;
    until(&lab, "the mount to go", async || !status(&lab, "prox2").await.mounted).await;
    fs::write(crate::pve::place(&lab, "prox2", "mon"), "a monitor").expect("written");
    until(&lab, "the join's end", async || join.ended().is_some()).await;
    assert_eq!(join.ended().and_then(|status| status.code()), Some(0));
    let text = fs::read_to_string(&log).expect("its output");
    let recorded = captured::read("pvecm/pve-8.4/add-start-failed").stderr;
    assert!(text.ends_with(&recorded), "{text}");
    assert!(last_task(&lab, "prox2").ends_with(" starting pve-cluster failed: exit code 1"));
    let log = crate::pve::journal(&lab, "prox2").await;
    for line in [
        "fuse: if you are sure this is safe, use the 'nonempty' mount option\n",
        "[main] crit: fuse_mount error: File exists\n",
        "[main] notice: exit proxmox configuration filesystem (-1)\n",
    ] {
        assert!(log.contains(line), "{log}");
    }
    let output = run(&lab, "prox2", "pvecm status").await;
    assert_eq!(output.code(), Some(111));
    assert!(
        read(&lab, "prox1", CONF).contains("name: prox2\n"),
        "the member has taken it in"
    );
}

#[tokio::test]
async fn item_9_a_number_in_use_is_accepted() {
    let lab = lab(|builder| builder.nodes(3)).await;
    // As it was recorded: on the network to which the own name leads.
    assert!(
        run(&lab, "prox1", "pvecm create lab1 --link0 192.168.1.11")
            .await
            .success()
    );
    quorate(&lab, "prox1", true).await;
    assert!(
        add(&lab, "prox2", "labpass", &[])
            .await
            .stdout
            .contains("successfully added")
    );
    is_recorded(
        &add(&lab, "prox3", "labpass", &["--nodeid", "2"]).await,
        "add-duplicate-nodeid",
    );
    let members = read(&lab, "prox1", ".members");
    let file = version(&read(&lab, "prox1", CONF));
    assert!(
        members.contains(&format!("\"version\": {}, \"nodes\": 2", file - 1)),
        "{members}"
    );
}

#[tokio::test]
async fn item_10_an_address_in_use_is_accepted_as_fallback_only_and_a_name_in_use_never() {
    let lab = lab(|builder| builder.nodes(5)).await;
    assert!(
        run(&lab, "prox1", "pvecm create lab1 --link0 192.168.1.11")
            .await
            .success()
    );
    quorate(&lab, "prox1", true).await;
    assert!(
        add(&lab, "prox2", "labpass", &[])
            .await
            .stdout
            .contains("successfully added")
    );
    // What would have been the third node's vote is missing now: two of three.
    let output = run(
        &lab,
        "prox1",
        "pvecm addnode prox4 --new_node_ip 192.168.1.12 --apiversion 1",
    )
    .await;
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
    assert_eq!(
        read(&lab, "prox1", CONF).matches("ring0_addr: 192.168.1.12\n").count(),
        2
    );
    let output = run(&lab, "prox1", "pvecm addnode prox5 --link0 192.168.1.12").await;
    assert_eq!(
        output.stderr,
        "corosync: address '192.168.1.12' already used on link ring0_addr by node 'prox2'\n"
    );
    for (line, text) in [
        (
            "addnode prox2 --new_node_ip 192.168.1.44",
            "can't add existing node 'prox2'\n",
        ),
        (
            "addnode prox5 --link0 192.168.1.15 --link1 10.10.10.5",
            "corosync: link 1 specified for new node doesn't exist in cluster config\n",
        ),
        (
            "addnode prox5",
            "no links and no fallback ip (new_node_ip) given, cannot join cluster\n",
        ),
    ] {
        let output = run(&lab, "prox1", &format!("pvecm {line} --apiversion 1")).await;
        assert_eq!((output.stderr.as_str(), output.success()), (text, false), "{line}");
    }
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_name_that_a_member_knows_joins_by_force_only() {
    let lab = lab(|builder| builder.nodes(5)).await;
    assert!(
        run(&lab, "prox1", "pvecm create lab1 --link0 192.168.1.11")
            .await
            .success()
    );
    quorate(&lab, "prox1", true).await;
    assert!(
        add(&lab, "prox2", "labpass", &[])
            .await
            .stdout
            .contains("successfully added")
    );
    // While a node of the list has no certificate, there is no join information to be had.
    let fp = fingerprint(&lab, "prox1").await;
    let argv = ["pvecm", "add", "192.168.1.11", "--fingerprint", &fp, "--force"];
    let join = async |force| {
        let argv: Vec<&str> = argv.into_iter().chain([force]).collect();
        lab.tool("prox5", &argv, Some(b"labpass\n")).await.expect("pvecm runs")
    };
    let half = run(&lab, "prox1", "pvecm addnode prox5 --new_node_ip 192.168.1.15").await;
    assert!(half.success(), "{half:?}");
    let information = run(&lab, "prox1", "pvesh get /cluster/config/join --output-format json").await;
    assert!(!information.success(), "{information:?}");
    let output = join("0").await;
    assert_eq!(output.stderr, "Cluster join aborted!\n");
    assert!(
        output
            .stdout
            .ends_with("An error occurred on the cluster node: can't add existing node 'prox5'\n"),
        "{output:?}"
    );
    let again = run(
        &lab,
        "prox1",
        "pvecm addnode prox5 --force 1 --nodeid 9 --new_node_ip 192.168.1.15",
    )
    .await;
    assert!(!again.success(), "not with another number: {again:?}");
    let again = run(
        &lab,
        "prox1",
        "pvecm addnode prox5 --force 1 --new_node_ip 192.168.1.15",
    )
    .await;
    assert_eq!(
        (again.stdout.as_str(), again.code()),
        ("forcing overwrite of configured node 'prox5'\n", Some(0))
    );
    let output = join("1").await;
    assert!(
        output.stdout.ends_with("successfully added node 'prox5' to cluster.\n"),
        "{output:?}"
    );
    assert_eq!(read(&lab, "prox1", CONF).matches("name: prox5\n").count(), 1);
}

#[tokio::test]
async fn item_11_a_lock_that_somebody_left_stops_a_join() {
    let lab = lab(|builder| builder.nodes(3)).await;
    assert!(
        run(&lab, "prox1", "pvecm create lab1 --link0 192.168.1.11")
            .await
            .success()
    );
    quorate(&lab, "prox1", true).await;
    assert!(
        add(&lab, "prox2", "labpass", &[])
            .await
            .stdout
            .contains("successfully added")
    );
    fs::create_dir(crate::pve::place(&lab, "prox1", "priv/lock/file-corosync_conf")).expect("left");
    let output = add(&lab, "prox3", "labpass", &[]).await;
    assert!(
        output.stdout.ends_with(
            "An error occurred on the cluster node: cfs-lock 'file-corosync_conf' error: got lock request timeout\n"
        ),
        "{output:?}"
    );
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("Cluster join aborted!\n", Some(0))
    );
}

#[tokio::test]
async fn item_14_without_a_fingerprint_it_asks() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    let fp = fingerprint(&lab, "prox1").await;
    let argv = ["pvecm", "add", "192.168.1.11", "--link0", "10.10.10.2"];
    let output = lab
        .tool("prox2", &argv, Some(b"labpass\nno\n"))
        .await
        .expect("pvecm runs");
    assert!(
        output
            .stdout
            .contains(&format!("X509 SHA256 key fingerprint is {fp}.\n")),
        "{output:?}"
    );
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("Fingerprint not verified, abort!\n", Some(0))
    );
}
