//! Uses a server's `/etc/pve` as an ordinary program would.

use std::fs;
use std::path::PathBuf;

use quorate_lab::control::ServerStatus;
use quorate_lab::process::Program;
use quorate_lab::{Lab, Output};

use crate::until;

pub(crate) const CONF: &str = "corosync.conf";

/// A path below a server's `/etc/pve`.
pub(crate) fn place(lab: &Lab, node: &str, path: &str) -> PathBuf {
    lab.node(node).expect("a server").root.join("etc/pve").join(path)
}

/// A path below a server's root.
pub(crate) fn rooted(lab: &Lab, node: &str, path: &str) -> PathBuf {
    lab.node(node).expect("a server").root.join(path)
}

pub(crate) fn read(lab: &Lab, node: &str, path: &str) -> String {
    fs::read_to_string(place(lab, node, path)).unwrap_or_default()
}

/// Writes beside it, then moves it over.
pub(crate) fn replace(lab: &Lab, node: &str, path: &str, text: &str) {
    let target = place(lab, node, path);
    let temporary = target.with_extension("new");
    fs::write(&temporary, text).expect("written");
    fs::rename(&temporary, &target).expect("renamed");
}

/// The safe edit procedure: a changed copy with a higher version, moved over.
pub(crate) fn edit(lab: &Lab, node: &str, change: impl FnOnce(String) -> String) {
    let text = change(raised(&read(lab, node, CONF), 1));
    replace(lab, node, CONF, &text);
}

/// The configuration's version.
pub(crate) fn version(text: &str) -> i64 {
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("config_version: "));
    line.and_then(|number| number.parse().ok()).expect("a version")
}

pub(crate) fn raised(text: &str, by: i64) -> String {
    let before = version(text);
    text.replace(
        &format!("config_version: {before}"),
        &format!("config_version: {}", before + by),
    )
}

/// Every node on the public network too, as link 1.
pub(crate) fn with_link1(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(&format!("{line}\n"));
        if let Some(number) = line.trim().strip_prefix("ring0_addr: 10.10.10.") {
            out.push_str(&format!("    ring1_addr: 192.168.1.1{number}\n"));
        }
        if line == "    linknumber: 0" {
            out.push_str("  }\n  interface {\n    linknumber: 1\n");
        }
    }
    out
}

pub(crate) async fn run(lab: &Lab, node: &str, line: &str) -> Output {
    let argv: Vec<&str> = line.split(' ').collect();
    lab.tool(node, &argv, None).await.expect("the tool runs")
}

/// The journal of corosync and pmxcfs.
pub(crate) async fn journal(lab: &Lab, node: &str) -> String {
    run(lab, node, "journalctl -u corosync -u pve-cluster --no-pager")
        .await
        .stdout
}

/// What version each member runs with, as a node's corosync knows it.
pub(crate) async fn running(lab: &Lab, node: &str) -> Vec<i64> {
    let output = run(lab, node, "corosync-cmapctl -b runtime.members.").await.stdout;
    output
        .lines()
        .filter_map(|line| line.split_once(".config_version (u64) = ")?.1.parse().ok())
        .collect()
}

pub(crate) async fn runs_with(lab: &Lab, node: &str, wanted: i64) {
    until(lab, "the running version", async || {
        let versions = running(lab, node).await;
        !versions.is_empty() && versions.iter().all(|version| *version == wanted)
    })
    .await;
}

pub(crate) async fn status(lab: &Lab, node: &str) -> ServerStatus {
    let list = lab.status().await.expect("the status");
    list.into_iter().find(|server| server.name == node).expect("the server")
}

pub(crate) async fn quorate(lab: &Lab, node: &str, wanted: bool) {
    until(lab, "its quorum", async || {
        let server = status(lab, node).await;
        server.quorate == wanted && server.writable == wanted
    })
    .await;
}

/// What a program of the server gets to hear, whom file modes bind as they would there.
pub(crate) async fn as_program(argv: &[&str]) -> Output {
    let (program, args) = argv.split_first().expect("a program");
    Program::new(*program)
        .args(args)
        .bound_by_modes()
        .run()
        .await
        .expect("it runs")
}

/// On every one of these servers the file has this text.
pub(crate) async fn everywhere(lab: &Lab, nodes: &[&str], path: &str, text: &str) {
    until(lab, path, async || {
        nodes.iter().all(|node| read(lab, node, path) == text)
    })
    .await;
}
