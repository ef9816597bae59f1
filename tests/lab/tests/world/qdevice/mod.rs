//! The third vote: each state that real nodes and their QNetd host were seen in.

mod setup;
mod states;

use quorate_lab::plants::Plant;
use quorate_lab::{Builder, Lab, Output, What};

use crate::captured::{self, comparable};
use crate::{PATIENCE, add, created, happened};

pub(super) const WITNESS: &str = "192.168.1.13";

pub(super) fn shape(builder: Builder) -> Builder {
    builder
        .nodes(2)
        .plant("prox1", installed("corosync-qdevice"))
        .plant("prox2", installed("corosync-qdevice"))
        .qnetd("witness1")
        .plant("witness1", installed("corosync-qnetd"))
}

pub(super) fn installed(name: &str) -> Plant {
    Plant::Package {
        name: name.to_owned(),
        installed: Some("3.0.3-1".to_owned()),
        candidate: Some("3.0.3-1".to_owned()),
        residual: false,
    }
}

pub(super) async fn run(lab: &Lab, node: &str, argv: &[&str]) -> Output {
    lab.tool(node, argv, None).await.expect("the tool runs")
}

pub(super) async fn status(lab: &Lab, node: &str) -> Output {
    run(lab, node, &["pvecm", "status"]).await
}

pub(super) async fn setup(lab: &Lab, more: &[&str]) -> Output {
    let mut argv = vec!["pvecm", "qdevice", "setup", WITNESS];
    argv.extend(more);
    run(lab, "prox1", &argv).await
}

/// Lets prox1's root in, with these options before its key, and makes prox1 know the host.
pub(super) fn let_in(lab: &Lab, options: &str) {
    know(lab);
    let key =
        std::fs::read_to_string(lab.node("prox1").expect("prox1").root.join("root/.ssh/id_rsa.pub")).expect("a key");
    let file = lab
        .node("witness1")
        .expect("witness1")
        .root
        .join("root/.ssh/authorized_keys");
    std::fs::write(file, format!("{options}{key}")).expect("written");
}

pub(super) fn know(lab: &Lab) {
    let host = lab.node("witness1").expect("witness1").root;
    let key = std::fs::read_to_string(host.join("etc/ssh/ssh_host_ed25519_key.pub")).expect("a host key");
    let file = lab.node("prox1").expect("prox1").root.join("root/.ssh/known_hosts");
    std::fs::write(file, format!("{WITNESS} {key}")).expect("written");
}

pub(super) async fn two(lab: &Lab) {
    created(lab, "lab2").await;
    let output = add(lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(
        output.stdout.ends_with("successfully added node 'prox2' to cluster.\n"),
        "{output:?}"
    );
    until(lab, "prox1", &["Total votes:      2"]).await;
    // What is set up reads pmxcfs' view, which follows.
    lab.wait_for("both to be online", PATIENCE, async || {
        let text = std::fs::read_to_string(lab.node("prox1").expect("prox1").root.join("etc/pve/.members"));
        text.is_ok_and(|text| text.matches("\"online\": 1").count() == 2)
    })
    .await
    .expect("online");
}

/// Two nodes and a connected quorum device.
pub(super) async fn with_device(lab: &Lab) {
    two(lab).await;
    let_in(lab, "");
    let output = setup(lab, &[]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    let ms = |what: What| happened(lab, what).pop().expect("it happened").ms;
    let took = ms(What::ToolEnded) - ms(What::ToolCalled);
    assert!(took >= 6600, "{took} ms, 6.6 to 7.5 s were seen");
    until(lab, "prox1", &["Total votes:      3"]).await;
    until(lab, "prox2", &["Total votes:      3"]).await;
}

/// Waits until `pvecm status` shows all of this on a node; gives what it printed.
pub(super) async fn until(lab: &Lab, node: &str, wanted: &[&str]) -> Output {
    let mut last = None;
    let done = lab
        .wait_for("a state", PATIENCE, async || {
            let output = status(lab, node).await;
            let holds = wanted.iter().all(|text| output.stdout.contains(text));
            last = Some(output);
            holds
        })
        .await;
    let last = last.expect("asked at least once");
    assert!(done.is_ok(), "{node} never showed {wanted:?}: {}", last.stdout);
    last
}

/// Simulated milliseconds of the first such thing on a node after another.
pub(super) fn after(lab: &Lab, from: What, node: &str, what: What) -> u64 {
    let log = lab.operations().expect("the log");
    let start = log.iter().rposition(|entry| entry.what == from).expect("it began");
    let began = log.get(start).expect("it began").ms;
    let found = log
        .iter()
        .skip(start)
        .find(|entry| entry.what == what && entry.node.as_deref() == Some(node));
    found.expect("it happened").ms - began
}

/// What was recorded of `pvecm status`, with the names of this lab: its nodes are prox1, prox2 and prox4.
pub(super) fn recorded(name: &str) -> String {
    let text = captured::read(&format!("corosync-quorumtool/3.1.7/{name}")).stdout;
    let here = text
        .replace("10.77.0.4", "10.10.10.1")
        .replace("10.77.0.5", "10.10.10.2")
        .replace("10.77.0.6", "10.10.10.4");
    shown(&here)
}

/// What a node's `pvecm status` shows of votes and members, comparable with the recorded; not all of that has a head.
pub(super) fn shown(text: &str) -> String {
    let from = text.find("Quorum information\n").expect("a status");
    comparable(text.get(from..).expect("a status"))
}
