//! The lab against what real servers were seen to do.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, and says why"
)]

mod answers;
mod captured;
mod disks;
mod faults;
mod guests;
mod ha;
mod joins;
mod journal;
mod links;
mod network;
mod packages;
mod plants;
mod pve;
mod pvesm;
mod qdevice;
mod recorded;
mod replication;
mod stops;
mod traps_adverse;
mod traps_conf;
mod traps_delnode;
mod traps_files;
mod traps_joins;
mod traps_power;
mod traps_pvesh;
mod traps_recovery;
mod waiting;
mod zpool;

use std::path::PathBuf;
use std::time::Duration;

use quorate_lab::process::Daemon;
use quorate_lab::{Builder, Entry, Lab, Output, What};

/// Fast enough for tests; the real start of a process still costs less than a second of simulated time.
const SPEED: f64 = 50.0;

/// Long in real time: nothing waits for it but a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn lab(shape: impl FnOnce(Builder) -> Builder) -> Lab {
    shape(Lab::builder().speed(SPEED))
        .start()
        .await
        .expect("the lab starts")
}

/// `prox1` with a cluster of this name, writable.
pub(crate) async fn created(lab: &Lab, name: &str) {
    let output = lab
        .tool("prox1", &["pvecm", "create", name, "--link0", "10.10.10.1"], None)
        .await
        .expect("pvecm runs");
    assert!(output.success(), "{output:?}");
    writable(lab, "prox1").await;
}

pub(crate) async fn writable(lab: &Lab, node: &str) {
    let done = lab
        .wait_for("/etc/pve to be writable", PATIENCE, async || {
            lab.status()
                .await
                .is_ok_and(|list| list.iter().any(|server| server.name == node && server.writable))
        })
        .await;
    done.expect("writable in time");
}

pub(crate) async fn fingerprint(lab: &Lab, node: &str) -> String {
    let args = ["pvesh", "get", "/cluster/config/join", "--output-format", "json"];
    let output = lab.tool(node, &args, None).await.expect("pvesh runs");
    let value: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let list = value
        .get("nodelist")
        .and_then(|list| list.as_array())
        .expect("a list")
        .clone();
    let own = list
        .iter()
        .find(|entry| entry.get("name").is_some_and(|name| name == node))
        .expect("the node itself");
    own.get("pve_fp")
        .and_then(|fp| fp.as_str())
        .expect("a fingerprint")
        .to_owned()
}

/// `pvecm add` on a node, by password, over the public network.
pub(crate) async fn add(lab: &Lab, node: &str, password: &str, more: &[&str]) -> Output {
    let fp = fingerprint(lab, "prox1").await;
    let mut argv = vec!["pvecm", "add", "192.168.1.11", "--fingerprint", &fp];
    argv.extend(more);
    lab.tool(node, &argv, Some(format!("{password}\n").as_bytes()))
        .await
        .expect("pvecm runs")
}

/// Starts `pvecm add` of a node over the cluster network, by password, in the background. Its output goes to the file.
pub(crate) async fn adding(lab: &Lab, node: &str) -> (Daemon, PathBuf) {
    let fp = fingerprint(lab, "prox1").await;
    adding_with(lab, node, &fp)
}

/// Starts `pvecm add` of two nodes in the same instant.
pub(crate) async fn adding_two(lab: &Lab, nodes: [&str; 2]) -> [Daemon; 2] {
    let fp = fingerprint(lab, "prox1").await;
    nodes.map(|node| adding_with(lab, node, &fp).0)
}

fn adding_with(lab: &Lab, node: &str, fp: &str) -> (Daemon, PathBuf) {
    let address = format!("10.10.10.{}", node.trim_start_matches("prox"));
    let argv = ["pvecm", "add", "192.168.1.11", "--fingerprint", fp, "--link0", &address];
    let log = lab.layout().dir().join(format!("{node}.out"));
    let daemon = lab
        .tool_in_background(node, &argv, Some(b"labpass\n"), &log)
        .expect("pvecm starts");
    (daemon, log)
}

/// Waits until something shown by the world is true.
pub(crate) async fn until(lab: &Lab, what: &str, check: impl AsyncFnMut() -> bool) {
    lab.wait_for(what, PATIENCE, check).await.expect("in time");
}

/// Three quorate nodes, linked over the cluster network.
pub(crate) async fn three(lab: &Lab) {
    created(lab, "lab1").await;
    for (node, address) in [("prox2", "10.10.10.2"), ("prox3", "10.10.10.3")] {
        let output = add(lab, node, "labpass", &["--link0", address]).await;
        assert!(
            output
                .stdout
                .ends_with(&format!("successfully added node '{node}' to cluster.\n")),
            "{output:?}"
        );
    }
}

pub(crate) fn happened(lab: &Lab, what: What) -> Vec<Entry> {
    lab.operations()
        .expect("the log")
        .into_iter()
        .filter(|entry| entry.what == what)
        .collect()
}

pub(crate) fn nothing_unknown(lab: &Lab) {
    assert_eq!(happened(lab, What::UnknownInvocation), Vec::new());
}
