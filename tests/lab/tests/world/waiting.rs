//! A join that can't reach its cluster.

use std::path::{Path, PathBuf};

use quorate_lab::control::ToolScript;
use quorate_lab::process::Daemon;
use quorate_lab::{Lab, Script, What};

use crate::captured::{self, comparable};
use crate::{PATIENCE, adding, created, happened, lab};

pub(crate) async fn waits_for_quorum(lab: &Lab, log: &Path) {
    lab.wait_for("the join to wait for quorum", PATIENCE, async || {
        std::fs::read_to_string(log).is_ok_and(|text| text.ends_with("waiting for quorum..."))
    })
    .await
    .expect("it waits");
}

/// A join of `prox2` whose corosync is heard by nobody, waiting.
pub(crate) async fn waiting_join(lab: &Lab) -> (Daemon, PathBuf) {
    created(lab, "lab1").await;
    lab.script("prox2", Script::UdpBlocked(true)).await.expect("blocked");
    let (daemon, log) = adding(lab, "prox2").await;
    waits_for_quorum(lab, &log).await;
    (daemon, log)
}

#[tokio::test]
async fn it_waits_for_quorum_for_ever_and_goes_on_when_it_can() {
    let lab = lab(|builder| builder.nodes(2).speed(400.0)).await;
    let (mut join, log) = waiting_join(&lab).await;

    // Meanwhile the first node knows the second one by name only, and has lost its quorum over it.
    let members = lab.node("prox1").expect("prox1").root.join("etc/pve/.members");
    let recorded = comparable(&captured::read("pmxcfs/pve-8.4/members-joining").stdout);
    lab.wait_for("prox1 to see the newcomer", PATIENCE, async || {
        std::fs::read_to_string(&members).is_ok_and(|text| comparable(&text) == recorded)
    })
    .await
    .expect("as recorded");

    // Twenty simulated minutes, told by a tool that takes as long.
    let script = ToolScript::Hang { ms: Some(1_200_000) };
    lab.script_tool("prox1", "pveversion", script).await.expect("scripted");
    assert!(
        lab.tool("prox1", &["pveversion"], None)
            .await
            .expect("it runs")
            .success()
    );
    assert!(join.ended().is_none(), "no time limit ends it");
    assert_eq!(happened(&lab, What::JoinCompleted), Vec::new());

    lab.script("prox2", Script::UdpBlocked(false)).await.expect("free");
    lab.wait_for("the join's end", PATIENCE, async || join.ended().is_some())
        .await
        .expect("it ends");
    let output = std::fs::read_to_string(&log).expect("its output");
    assert!(
        output.ends_with("successfully added node 'prox2' to cluster.\n"),
        "{output}"
    );
}
