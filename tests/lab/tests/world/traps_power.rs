//! Servers go off and come back.

use std::fs;
use std::time::Duration;

use quorate_lab::control::{Press, ToolScript};
use quorate_lab::process::Program;
use quorate_lab::{Lab, What};

use crate::network::{ask, connected};
use crate::pve::{quorate, read, rooted, run, status};
use crate::{adding, created, happened, lab, three, until, writable};

fn boot_id(lab: &Lab, node: &str) -> String {
    fs::read_to_string(rooted(lab, node, "proc/sys/kernel/random/boot_id")).expect("a boot id")
}

/// Simulated time from the server's loss of power until another one formed a membership without it.
fn missed_after(lab: &Lab, node: &str) -> Duration {
    let off = happened(lab, What::PoweredOff).pop().expect("it went off").ms;
    let missed = happened(lab, What::MembershipChanged)
        .into_iter()
        .find(|entry| entry.ms >= off && entry.node.as_deref() == Some(node))
        .expect("another membership");
    Duration::from_millis(missed.ms - off)
}

async fn members(lab: &Lab, node: &str, count: usize) {
    until(lab, "the membership", async || {
        status(lab, node).await.members.len() == count
    })
    .await;
}

#[tokio::test]
async fn poweroff_says_goodbye_and_power_on_boots_anew() {
    let lab = lab(|builder| builder.nodes(3).speed(20.0)).await;
    three(&lab).await;
    let before = boot_id(&lab, "prox3");
    let output = run(&lab, "prox3", "systemctl poweroff").await;
    assert!(output.success(), "the order is taken at once: {output:?}");
    until(&lab, "it to be off", async || status(&lab, "prox3").await.off).await;
    members(&lab, "prox1", 2).await;
    let log = run(&lab, "prox1", "journalctl -u corosync").await.stdout;
    assert!(log.contains("Members left: 3\n"), "{log}");
    assert!(
        !log.contains("A processor failed") && !log.contains("leave message"),
        "nobody waits for a token: {log}"
    );
    assert!(status(&lab, "prox1").await.quorate);
    assert!(read(&lab, "prox1", ".members").contains("\"prox3\": { \"id\": 3, \"online\": 0"));
    let output = run(&lab, "prox3", "pvecm status").await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("quorate-lab: prox3 is off\n", Some(90))
    );

    lab.power("prox3", Press::On).await.expect("on");
    quorate(&lab, "prox3", true).await;
    members(&lab, "prox1", 3).await;
    assert_ne!(boot_id(&lab, "prox3"), before);
    let uptime = fs::read_to_string(rooted(&lab, "prox3", "proc/uptime")).expect("there");
    assert!(
        uptime.split('.').next().and_then(|s| s.parse::<u32>().ok()) < Some(60),
        "{uptime}"
    );
    let log = run(&lab, "prox3", "journalctl -b -u corosync").await.stdout;
    assert_eq!(log.matches("starting up").count(), 1, "this boot's only: {log}");
    let log = run(&lab, "prox3", "journalctl -u corosync").await.stdout;
    assert_eq!(log.matches("starting up").count(), 2, "{log}");
}

#[tokio::test]
async fn a_pulled_plug_is_noticed_after_token_and_consensus() {
    let lab = lab(|builder| builder.nodes(3).speed(20.0)).await;
    three(&lab).await;
    lab.power("prox3", Press::Pull).await.expect("pulled");
    assert!(status(&lab, "prox3").await.off);
    members(&lab, "prox1", 2).await;
    assert!(missed_after(&lab, "prox1") >= Duration::from_millis(8030));
    // Nobody puts it in again by itself.
    lab.power("prox3", Press::On).await.expect("on");
    quorate(&lab, "prox3", true).await;
}

#[tokio::test]
async fn a_reboot_comes_back_by_itself() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let before = boot_id(&lab, "prox2");
    assert!(run(&lab, "prox2", "systemctl reboot").await.success());
    until(&lab, "it to come back", async || {
        !happened(&lab, What::PoweredOn).is_empty()
    })
    .await;
    quorate(&lab, "prox2", true).await;
    assert_ne!(boot_id(&lab, "prox2"), before);
    members(&lab, "prox1", 3).await;
    let at = |what: What| happened(&lab, what).pop().expect("it happened").ms;
    assert!(at(What::PoweredOn) - at(What::PoweredOff) >= 30_000);
}

#[tokio::test]
async fn a_join_dies_with_its_server_and_does_nothing_more() {
    let lab = lab(|builder| builder.nodes(2).speed(20.0)).await;
    created(&lab, "lab1").await;
    let (mut join, _) = adding(&lab, "prox2").await;
    until(&lab, "the member's answer", async || {
        !happened(&lab, What::AddnodeCommitted).is_empty()
    })
    .await;
    lab.power("prox2", Press::Pull).await.expect("pulled");
    until(&lab, "pvecm's end", async || join.ended().is_some()).await;
    assert!(join.ended().is_some_and(|status| !status.success()), "killed");
    until(&lab, "its end in the world", async || {
        !happened(&lab, What::ToolDied).is_empty()
    })
    .await;
    lab.power("prox2", Press::On).await.expect("on");
    until(&lab, "it to be up", async || !status(&lab, "prox2").await.off).await;
    assert_eq!(happened(&lab, What::JoinCompleted), Vec::new());
}

#[tokio::test]
async fn a_disabled_unit_stays_off_after_a_boot() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    assert!(run(&lab, "prox1", "systemctl disable corosync").await.success());
    assert_eq!(
        run(&lab, "prox1", "systemctl is-enabled corosync").await.stdout,
        "disabled\n"
    );
    lab.power("prox1", Press::Reset).await.expect("reset");
    until(&lab, "it to be up", async || {
        !happened(&lab, What::PoweredOn).is_empty()
    })
    .await;
    assert_eq!(
        run(&lab, "prox1", "systemctl is-active corosync").await.stdout,
        "inactive\n"
    );
    assert!(!status(&lab, "prox1").await.writable);
    assert!(run(&lab, "prox1", "systemctl enable --now corosync").await.success());
    writable(&lab, "prox1").await;
}

#[tokio::test]
async fn who_talks_to_a_server_without_power_hears_nothing() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let mut stream = connected(&lab, "prox1").await;
    assert_eq!(ask(&mut stream, 1).await, 2);
    lab.power("prox1", Press::Pull).await.expect("pulled");
    let silence = tokio::time::timeout(Duration::from_millis(200), ask(&mut stream, 3)).await;
    assert!(silence.is_err(), "neither an answer nor a reset");
}

/// The lab's multi-call tool stands in for the agent: what counts is the program's name, and that it runs on.
#[tokio::test]
async fn the_agent_ends_with_its_server_and_starts_with_it() {
    let lab = lab(|builder| builder.nodes(2)).await;
    for node in ["prox1", "prox2"] {
        lab.script_tool(node, "quorate-agent", ToolScript::Hang { ms: None })
            .await
            .expect("scripted");
        let bin = lab.node(node).expect("a server").bin;
        fs::copy(bin.join("ip"), bin.join("quorate-agent")).expect("copied");
    }
    let start = |node: &str| {
        let node = lab.node(node).expect("a server");
        let config = node.agent_config.to_string_lossy().into_owned();
        Program::new(node.bin.join("quorate-agent"))
            .args(["run", "--config", &config])
            .spawn(&node.root.join("tmp/agent.log"), false)
            .expect("it starts")
    };
    let (mut first, mut other) = (start("prox1"), start("prox2"));
    let runs = async |count: usize| {
        until(&lab, "the agents to run", async || {
            let calls = happened(&lab, What::ToolCalled);
            calls.iter().filter(|entry| entry.argv[0] == "quorate-agent").count() == count
        })
        .await;
    };
    runs(2).await;
    assert_eq!(lab.agent_pid("prox1"), Some(first.pid()));

    assert!(run(&lab, "prox1", "systemctl reboot").await.success());
    until(&lab, "its end", async || first.ended().is_some()).await;
    assert_eq!(lab.agent_pid("prox1"), None);
    runs(3).await;
    let second = lab.agent_pid("prox1").expect("it started with its server");
    assert_ne!(second, first.pid());
    assert!(other.ended().is_none(), "nobody else's");

    lab.power("prox1", Press::Pull).await.expect("pulled");
    until(&lab, "its end", async || lab.agent_pid("prox1").is_none()).await;
    lab.power("prox1", Press::On).await.expect("on");
    runs(4).await;
    lab.kill_agent("prox1");
    until(&lab, "its end", async || lab.agent_pid("prox1").is_none()).await;
    other.kill();
}
