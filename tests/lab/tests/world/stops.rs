//! How tools end before their time.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use quorate_lab::control::ToolScript;
use quorate_lab::process::Program;
use quorate_lab::{Script, What};

use crate::waiting::waiting_join;
use crate::{PATIENCE, happened, lab};

const SIGKILL: i32 = 9;
const SIGPIPE: i32 = 13;
const SIGTERM: i32 = 15;

#[tokio::test]
async fn a_tool_whose_output_nobody_reads_dies_of_it() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let lsblk = lab.node("prox1").expect("prox1").bin.join("lsblk");
    let status = Program::new(lsblk)
        .args(["--json", "--bytes"])
        .run_unread()
        .await
        .expect("it ends");
    assert_eq!(status.signal(), Some(SIGPIPE));
}

#[tokio::test]
async fn a_terminated_join_ends_its_task() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let (mut daemon, log) = waiting_join(&lab).await;
    let status = daemon.stop(PATIENCE).await.expect("it ends");
    assert_eq!(status.code(), Some(0));
    let output = std::fs::read_to_string(&log).expect("its output");
    assert!(
        output.ends_with("waiting for quorum...received interrupt\n"),
        "{output}"
    );
    let index = lab.node("prox2").expect("prox2").root.join("var/log/pve/tasks/index");
    assert!(
        std::fs::read_to_string(index)
            .expect("the index")
            .ends_with(" received interrupt\n")
    );
}

#[tokio::test]
async fn a_killed_join_is_left_half_done() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let (mut daemon, _) = waiting_join(&lab).await;
    daemon.kill_alone();
    // The worker goes on until it wants to print.
    lab.script("prox2", Script::UdpBlocked(false)).await.expect("free");
    lab.wait_for("the worker to die", PATIENCE, async || {
        !happened(&lab, What::ToolDied).is_empty()
    })
    .await
    .expect("it dies");
    assert_eq!(happened(&lab, What::JoinCompleted), Vec::new());
    assert_eq!(
        happened(&lab, What::QuorumGained)
            .last()
            .and_then(|e| e.node.clone())
            .as_deref(),
        Some("prox2")
    );
    let upid = happened(&lab, What::TaskStarted).last().expect("a task").detail.clone();
    let path = format!("/nodes/prox2/tasks/{upid}/status");
    let output = lab
        .tool("prox2", &["pvesh", "get", &path, "--output-format", "json"], None)
        .await
        .expect("pvesh runs");
    assert!(
        output.stdout.contains("\"exitstatus\":\"unexpected status\""),
        "{output:?}"
    );
}

#[tokio::test]
async fn tools_do_not_outlive_their_world() {
    let lab = lab(|builder| builder.nodes(1)).await;
    lab.script_tool("prox1", "ip", ToolScript::Hang { ms: None })
        .await
        .expect("scripted");
    let log = lab.layout().dir().join("ip.out");
    let mut daemon = lab
        .tool_in_background("prox1", &["ip", "-j", "addr"], None, &log)
        .expect("ip starts");
    lab.wait_for("the call", PATIENCE, async || {
        !happened(&lab, What::ToolCalled).is_empty()
    })
    .await
    .expect("called");
    lab.ask(quorate_lab::control::Request::Stop)
        .await
        .expect("the world stops");
    let mut status = None;
    lab.wait_for("the tool to die", PATIENCE, async || {
        status = daemon.ended();
        status.is_some()
    })
    .await
    .expect("it dies");
    assert_eq!(status.and_then(|status| status.signal()), Some(SIGKILL));
}

#[tokio::test]
async fn a_hanging_tool_can_be_terminated() {
    let lab = lab(|builder| builder.nodes(1)).await;
    lab.script_tool("prox1", "lsblk", ToolScript::Hang { ms: None })
        .await
        .expect("scripted");
    let log = lab.layout().dir().join("lsblk.out");
    let argv = ["lsblk", "--json", "--bytes"];
    let mut daemon = lab
        .tool_in_background("prox1", &argv, None, &log)
        .expect("lsblk starts");
    lab.wait_for("the call", PATIENCE, async || {
        !happened(&lab, What::ToolCalled).is_empty()
    })
    .await
    .expect("called");
    assert!(daemon.ended().is_none());
    let status = daemon.stop(Duration::from_secs(20)).await.expect("it ends");
    assert_eq!(status.signal(), Some(SIGTERM));
}
