//! Joins beyond their texts: tickets, clocks, what the first node goes through, and what remains after failures.

use quorate_lab::process::Daemon;
use quorate_lab::{Lab, Script, What};

use crate::{PATIENCE, add, adding_two, created, happened, lab, nothing_unknown, three};

const TICKET: &str = "use PVE::AccessControl; print PVE::AccessControl::assemble_ticket('root@pam')";

#[tokio::test]
async fn the_first_node_is_inquorate_until_the_second_is_there() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let log = lab.operations().expect("the log");
    let at = |what: What, node: &str| {
        let found = log
            .iter()
            .position(|e| e.what == what && e.node.as_deref() == Some(node));
        found.unwrap_or_else(|| panic!("{node}: no {what:?}"))
    };
    let order = [
        at(What::ClusterCreated, "prox1"),
        at(What::AddnodeCommitted, "prox1"),
        at(What::QuorumLost, "prox1"),
        at(What::CorosyncStarted, "prox2"),
        at(What::QuorumGained, "prox2"),
        at(What::JoinCompleted, "prox2"),
        at(What::JoinCompleted, "prox3"),
    ];
    assert!(order.is_sorted(), "{order:?}");
    // Once: the third node's join costs nobody the quorum.
    assert_eq!(happened(&lab, What::QuorumLost).len(), 1);
    // pmxcfs follows corosync, never the other way round.
    assert!(at(What::QuorumGained, "prox2") < at(What::PmxcfsWritable, "prox2"));
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_ticket_is_as_good_as_the_password() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    let ticket = lab
        .tool("prox1", &["perl", "-e", TICKET], None)
        .await
        .expect("perl runs");
    assert_eq!((ticket.stdout.len(), ticket.code()), (367, Some(0)));
    let output = add(&lab, "prox2", &ticket.stdout, &["--link0", "10.10.10.2"]).await;
    assert!(
        output.stdout.ends_with("successfully added node 'prox2' to cluster.\n"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_clock_hours_behind_rotates_the_ticket_key() {
    let hours = -5 * 3_600_000;
    let lab = lab(|builder| builder.nodes(2).clock_offset("prox2", hours)).await;
    created(&lab, "lab1").await;
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(
        output.stdout.contains("successfully added"),
        "a password knows no clocks: {output:?}"
    );
    assert_eq!(happened(&lab, What::AuthkeyRotated), Vec::new());
    let ticket = lab
        .tool("prox2", &["perl", "-e", TICKET], None)
        .await
        .expect("perl runs");
    assert!(
        ticket.stderr.starts_with("auth key pair generated in the future (key "),
        "{ticket:?}"
    );
    assert_eq!(happened(&lab, What::AuthkeyRotated).len(), 1);
}

/// A ticket that prox1 makes while its clock is off by so many minutes.
async fn ticket_off_by(lab: &Lab, minutes: i64) -> String {
    lab.script("prox1", Script::ClockOffset(minutes * 60_000))
        .await
        .expect("set");
    let ticket = lab
        .tool("prox1", &["perl", "-e", TICKET], None)
        .await
        .expect("perl runs");
    assert!(ticket.success() && ticket.stdout.len() == 367, "{ticket:?}");
    lab.script("prox1", Script::ClockOffset(0)).await.expect("set back");
    ticket.stdout
}

#[tokio::test]
async fn a_ticket_is_good_from_two_hours_after_to_five_minutes_before_it_was_made() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    for minutes in [10, 6, -125] {
        let ticket = ticket_off_by(&lab, minutes).await;
        let output = add(&lab, "prox2", &ticket, &["--link0", "10.10.10.2"]).await;
        assert_eq!(
            (output.stderr.as_str(), output.code()),
            ("401 authentication failure\n", Some(0)),
            "made {minutes} min ahead"
        );
        let at = |what: What| happened(&lab, what).pop().expect("it happened").ms;
        assert!(at(What::TaskEnded) - at(What::TaskStarted) >= 3000);
    }
    // The key is still the one that it was: the refusals were for the time alone.
    assert_eq!(happened(&lab, What::AuthkeyRotated), Vec::new());
    let ticket = ticket_off_by(&lab, 4).await;
    let output = add(&lab, "prox2", &ticket, &["--link0", "10.10.10.2"]).await;
    assert!(
        output.stdout.ends_with("successfully added node 'prox2' to cluster.\n"),
        "{output:?}"
    );
}

#[tokio::test]
async fn two_joins_at_once_leave_one_waiting_for_ever() {
    let lab = lab(|builder| builder.nodes(5)).await;
    three(&lab).await;
    let mut daemons = adding_two(&lab, ["prox4", "prox5"]).await;
    lab.wait_for("one corosync to give up", PATIENCE, async || {
        happened(&lab, What::CorosyncExited)
            .iter()
            .any(|e| e.detail.contains("different than my config version"))
    })
    .await
    .expect("the earlier one exits");
    lab.wait_for("the other join", PATIENCE, async || {
        happened(&lab, What::JoinCompleted).len() == 3
    })
    .await
    .expect("the later one succeeds");
    let ended = |daemons: &mut [Daemon; 2]| daemons.iter_mut().filter_map(Daemon::ended).count();
    lab.wait_for("the winner to end", PATIENCE, async || ended(&mut daemons) > 0)
        .await
        .expect("it ends");
    assert_eq!(ended(&mut daemons), 1, "the other still waits");
    daemons.iter_mut().for_each(Daemon::kill);
}

#[tokio::test]
async fn a_member_without_quorum_takes_nobody_in() {
    let lab = lab(|builder| builder.nodes(3)).await;
    created(&lab, "lab1").await;
    assert!(
        add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"])
            .await
            .success()
    );
    lab.script("prox2", Script::StopCorosync).await.expect("stopped");
    lab.wait_for("prox1 to lose quorum", PATIENCE, async || {
        lab.status()
            .await
            .is_ok_and(|list| list.iter().any(|s| s.name == "prox1" && !s.quorate))
    })
    .await
    .expect("lost");
    let output = add(&lab, "prox3", "labpass", &["--link0", "10.10.10.3"]).await;
    assert!(
        output
            .stdout
            .ends_with("An error occurred on the cluster node: cluster not ready - no quorum?\n"),
        "{output:?}"
    );
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("Cluster join aborted!\n", Some(0))
    );
    let read_only = std::fs::metadata(lab.node("prox1").expect("prox1").root.join("etc/pve")).expect("there");
    assert!(read_only.permissions().readonly());
}

#[tokio::test]
async fn a_name_that_leads_nowhere_stops_pvecm() {
    use quorate_lab::description::OwnName;
    let lab = lab(|builder| builder.nodes(2)).await;
    lab.script("prox2", Script::OwnName(OwnName::Loopback))
        .await
        .expect("changed");
    let output = lab.tool("prox2", &["pvecm", "status"], None).await.expect("pvecm runs");
    assert_eq!(
        output.stderr,
        "address lookup for 'prox2' did not find any IP address\n"
    );
    assert_eq!(output.code(), Some(255));
    let output = lab
        .tool("prox2", &["getent", "ahosts", "prox2"], None)
        .await
        .expect("getent runs");
    assert!(output.stdout.starts_with("127.0.1.1       STREAM"), "{output:?}");
}

#[tokio::test]
async fn a_member_whose_proxy_is_down_refuses_the_connection() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    lab.script("prox1", Script::PveproxyDown(true)).await.expect("down");
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert_eq!(output.stdout, "Establishing API connection with host '192.168.1.11'\n");
    assert_eq!(
        output.stderr,
        "500 Can't connect to 192.168.1.11:8006 (Connection refused)\n"
    );
    assert_eq!(output.code(), Some(0));
}
