//! HA: what arms the watchdog, what disarms it, and what it does when nobody feeds it.

use quorate_lab::control::Press;
use quorate_lab::plants::Plant;
use quorate_lab::{GuestSpec, Lab, Output, Script, What};

use crate::{PATIENCE, happened, lab, nothing_unknown, three};

async fn run(lab: &Lab, node: &str, argv: &[&str]) -> Output {
    lab.tool(node, argv, None).await.expect("the tool runs")
}

fn armed(lab: &Lab, node: &str) -> bool {
    lab.node(node)
        .expect("a node")
        .root
        .join("run/watchdog-mux.active")
        .is_dir()
}

async fn until(lab: &Lab, what: &str, check: impl Fn() -> bool) {
    lab.wait_for(what, PATIENCE, async || check()).await.expect("in time");
}

fn guest(vmid: u32) -> Plant {
    Plant::HaGuest { vmid, state: None }
}

/// Three nodes, vm:100 under HA on prox3, which is not the master.
async fn protected(lab: &Lab) {
    three(lab).await;
    lab.script("prox3", Script::Plant(guest(100))).await.expect("planted");
    until(lab, "the LRM to be armed", || armed(lab, "prox3")).await;
    until(lab, "a master", || !happened(lab, What::WatchdogArmed).is_empty()).await;
}

fn file(lab: &Lab, node: &str, path: &str) -> serde_json::Value {
    let path = lab.node(node).expect("a node").root.join("etc/pve").join(path);
    std::fs::read_to_string(path)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn master(lab: &Lab) -> String {
    let status = file(lab, "prox1", "ha/manager_status");
    let name = status.get("master_node").and_then(serde_json::Value::as_str);
    name.unwrap_or_default().to_owned()
}

fn newer(builder: quorate_lab::Builder) -> quorate_lab::Builder {
    ["prox1", "prox2", "prox3"].iter().fold(builder, |builder, node| {
        let package = Plant::Package {
            name: "pve-ha-manager".to_owned(),
            installed: Some("5.2.0".to_owned()),
            candidate: Some("5.2.0".to_owned()),
            residual: false,
        };
        builder
            .server(node, |s| "9.1.1".clone_into(&mut s.pve_version))
            .plant(node, package)
    })
}

#[tokio::test]
async fn a_guest_under_ha_arms_its_node_and_the_master() {
    let lab = lab(|builder| builder).await;
    protected(&lab).await;
    let config = run(&lab, "prox1", &["ha-manager", "config"]).await;
    assert_eq!(config.stdout, "vm:100\n\tstate started\n\n");
    let root = lab.node("prox2").expect("prox2").root;
    let resources = std::fs::read_to_string(root.join("etc/pve/ha/resources.cfg")).expect("read");
    assert_eq!(resources, "vm: 100\n\tstate started\n\n");
    let argv = ["ha-manager", "status"];
    lab.wait_for("the guest to be started", PATIENCE, async || {
        run(&lab, "prox1", &argv)
            .await
            .stdout
            .contains("service vm:100 (prox3, started)\n")
    })
    .await
    .expect("started");
    let status = run(&lab, "prox1", &argv).await.stdout;
    let master = master(&lab);
    assert!(
        status.starts_with(&format!("quorum OK\nmaster {master} (active, ")),
        "{status}"
    );
    assert!(
        status.contains("lrm prox3 (active, ") && !status.contains("watchdog"),
        "{status}"
    );
    assert_eq!(file(&lab, "prox1", "nodes/prox3/lrm_status")["state"], "active");
    let idle = ["prox1", "prox2"]
        .into_iter()
        .find(|node| *node != master)
        .expect("one");
    if master != "prox3" {
        assert!(armed(&lab, &master) && !armed(&lab, idle));
    }
    let argv = ["ha-manager", "status", "--verbose"];
    let verbose = run(&lab, "prox1", &argv).await.stdout;
    assert!(
        verbose.contains(
            "full cluster state:\n{\n   \"lrm_status\" : {\n      \"prox1\" : {\n         \"mode\" : \"active\",\n"
        ),
        "{verbose}"
    );
    let argv = ["pvesh", "get", "/cluster/ha/status/current", "--output-format", "json"];
    let list: serde_json::Value = serde_json::from_str(&run(&lab, "prox2", &argv).await.stdout).expect("JSON");
    assert!(
        list.as_array()
            .expect("a list")
            .iter()
            .any(|entry| entry["id"] == "service:vm:100" && entry["node"] == "prox3")
    );
    nothing_unknown(&lab);
}

#[tokio::test]
async fn an_armed_node_without_quorum_is_reset_after_a_minute() {
    let lab = lab(|builder| builder).await;
    protected(&lab).await;
    lab.cut("prox3").await.expect("cut");
    until(&lab, "the reset", || !happened(&lab, What::WatchdogReset).is_empty()).await;
    let log = lab.operations().expect("the log");
    let cut = log.iter().find(|entry| entry.what == What::Cut).expect("cut").ms;
    let reset = log
        .iter()
        .find(|entry| entry.what == What::WatchdogReset)
        .expect("reset");
    assert_eq!(reset.node.as_deref(), Some("prox3"));
    assert!(reset.ms - cut >= 53_000, "{} ms", reset.ms - cut);
    until(&lab, "it to boot", || {
        happened(&lab, What::PoweredOn)
            .iter()
            .any(|e| e.node.as_deref() == Some("prox3"))
    })
    .await;
    assert!(!armed(&lab, "prox3"));
    for node in ["prox1", "prox2"] {
        assert!(
            happened(&lab, What::PoweredOff)
                .iter()
                .all(|entry| entry.node.as_deref() != Some(node))
        );
    }
}

#[tokio::test]
async fn an_idle_node_without_quorum_just_waits() {
    let lab = lab(|builder| builder).await;
    protected(&lab).await;
    let idle = ["prox1", "prox2"]
        .into_iter()
        .find(|node| *node != master(&lab))
        .expect("one");
    lab.cut(idle).await.expect("cut");
    let began = happened(&lab, What::Cut).first().expect("cut").ms;
    // Something that happens every ten seconds shows that time goes on.
    lab.wait_for("two minutes", PATIENCE, async || {
        run(&lab, "prox3", &["hostname"]).await;
        happened(&lab, What::ToolEnded)
            .last()
            .is_some_and(|entry| entry.ms > began + 120_000)
    })
    .await
    .expect("in time");
    assert_eq!(happened(&lab, What::WatchdogReset), []);
}

#[tokio::test]
async fn stopping_the_daemons_in_order_disarms_and_starting_them_arms_again() {
    let lab = lab(|builder| builder).await;
    protected(&lab).await;
    let output = run(&lab, "prox3", &["systemctl", "stop", "pve-ha-lrm"]).await;
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(
        file(&lab, "prox1", "ha/manager_status")["service_status"]["vm:100"]["state"],
        "freeze"
    );
    let argv = ["systemctl", "is-active", "pve-ha-lrm"];
    assert_eq!(run(&lab, "prox3", &argv).await.stdout, "inactive\n");
    for node in ["prox1", "prox2", "prox3"] {
        run(&lab, node, &["systemctl", "stop", "pve-ha-lrm"]).await;
    }
    for node in ["prox1", "prox2", "prox3"] {
        run(&lab, node, &["systemctl", "stop", "pve-ha-crm"]).await;
    }
    for node in ["prox1", "prox2", "prox3"] {
        until(&lab, "no watchdog", || !armed(&lab, node)).await;
    }
    for unit in ["pve-ha-crm", "pve-ha-lrm"] {
        for node in ["prox1", "prox2", "prox3"] {
            assert!(run(&lab, node, &["systemctl", "start", unit]).await.success());
        }
    }
    until(&lab, "the watchdog", || armed(&lab, "prox3")).await;
    until(&lab, "the guest to be started again", || {
        file(&lab, "prox1", "ha/manager_status")["service_status"]["vm:100"]["state"] == "started"
    })
    .await;
    assert_eq!(happened(&lab, What::WatchdogReset), []);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn newer_versions_disarm_the_whole_cluster_at_once() {
    let lab = lab(newer).await;
    protected(&lab).await;
    let output = run(&lab, "prox2", &["ha-manager", "crm-command", "disarm-ha", "freeze"]).await;
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str(), output.code()),
        ("", "", Some(0))
    );
    until(&lab, "HA to be disarmed", || {
        file(&lab, "prox1", "ha/manager_status")["disarm"]["state"] == "disarmed"
    })
    .await;
    for node in ["prox1", "prox2", "prox3"] {
        until(&lab, "no watchdog", || !armed(&lab, node)).await;
    }
    let argv = ["pvesh", "get", "/cluster/ha/status/current", "--output-format", "json"];
    let list: serde_json::Value = serde_json::from_str(&run(&lab, "prox2", &argv).await.stdout).expect("JSON");
    let fencing = list
        .as_array()
        .expect("a list")
        .iter()
        .find(|entry| entry["id"] == "fencing")
        .expect("an entry");
    assert_eq!(
        (&fencing["armed-state"], &fencing["resource_mode"]),
        (&"disarmed".into(), &"freeze".into())
    );
    // Disarmed, a node may lose its quorum for long.
    let output = run(&lab, "prox1", &["ha-manager", "crm-command", "arm-ha"]).await;
    assert_eq!(output.code(), Some(0));
    until(&lab, "the watchdog", || armed(&lab, "prox3")).await;
    assert_eq!(happened(&lab, What::WatchdogReset), []);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn older_versions_do_not_know_the_order() {
    let lab = lab(|builder| builder.nodes(1)).await;
    for word in ["disarm-ha", "arm-ha"] {
        let mut argv = vec!["ha-manager", "crm-command", word];
        if word == "disarm-ha" {
            argv.push("freeze");
        }
        let output = run(&lab, "prox1", &argv).await;
        assert_eq!(output.code(), Some(255));
        assert!(
            output
                .stderr
                .starts_with(&format!("ERROR: unknown command 'ha-manager crm-command {word}'\n"))
        );
    }
}

#[tokio::test]
async fn without_its_guests_the_lrm_stays_armed_for_ten_minutes() {
    let lab = lab(|builder| builder.speed(400.0)).await;
    protected(&lab).await;
    lab.script("prox1", Script::Plant(Plant::NoHa)).await.expect("planted");
    until(&lab, "the watchdog to be closed", || {
        happened(&lab, What::WatchdogClosed)
            .iter()
            .any(|entry| entry.node.as_deref() == Some("prox3"))
    })
    .await;
    assert!(!armed(&lab, "prox3"));
    let log = lab.operations().expect("the log");
    let taken = log
        .iter()
        .rfind(|entry| entry.what == What::Scripted)
        .expect("scripted")
        .ms;
    let closed = log
        .iter()
        .rfind(|entry| entry.what == What::WatchdogClosed && entry.node.as_deref() == Some("prox3"))
        .expect("closed")
        .ms;
    assert!(closed - taken >= 580_000, "{} ms", closed - taken);
}

#[tokio::test]
async fn the_status_of_a_removed_nodes_lrm_goes_with_its_folder() {
    let lab = lab(|builder| builder).await;
    protected(&lab).await;
    let master = master(&lab);
    let gone = ["prox1", "prox2"]
        .into_iter()
        .find(|node| *node != master)
        .expect("one");
    lab.power(gone, Press::Pull).await.expect("pulled");
    let stay: Vec<String> = lab.names().into_iter().filter(|node| node != gone).collect();
    lab.wait_for("it to be missed", PATIENCE, async || {
        let servers = lab.status().await.expect("the world answers");
        servers.iter().filter(|server| server.members == stay).count() == 2
    })
    .await
    .expect("missed");
    let left = run(&lab, "prox3", &["pvecm", "delnode", gone]).await;
    assert!(left.success(), "{left:?}");
    let folder = |node: &str| {
        lab.node(node)
            .expect("a node")
            .root
            .join(format!("etc/pve/nodes/{gone}"))
    };
    std::fs::remove_dir_all(folder("prox3")).expect("the administrator's part");
    let other = stay.iter().find(|node| *node != "prox3").expect("another");
    until(&lab, "the folder to go", || !folder(other).exists()).await;
    // And what the daemons write goes on appearing everywhere.
    for node in ["prox3", other.as_str()] {
        let before = file(&lab, node, "ha/manager_status")["timestamp"].as_i64();
        until(&lab, "the master to write", || {
            file(&lab, node, "ha/manager_status")["timestamp"].as_i64() > before
        })
        .await;
    }
    assert!(!folder("prox3").exists() && !folder(other).exists());
}

#[tokio::test]
async fn a_guest_that_can_t_be_moved_is_tried_again_in_every_round() {
    let lab = lab(|builder| builder.speed(100.0)).await;
    three(&lab).await;
    let guest = GuestSpec {
        vmid: 200,
        conf: Some("ide2: local:iso/x.iso,media=cdrom\nmemory: 512\nname: web\n".to_owned()),
        running: true,
        ..GuestSpec::default()
    };
    lab.script("prox3", Script::AddGuest(guest)).await.expect("a guest");
    let added = run(&lab, "prox3", &["ha-manager", "add", "vm:200", "--state", "started"]).await;
    assert!(added.status.success(), "{}", added.stderr);
    let place = |key: &str| {
        let status = file(&lab, "prox1", "ha/manager_status");
        let value = status.pointer(&format!("/service_status/vm:200/{key}"));
        value.and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    until(&lab, "HA to have it", || place("state") == "started").await;
    run(
        &lab,
        "prox1",
        &["ha-manager", "crm-command", "node-maintenance", "enable", "prox3"],
    )
    .await;
    let requests = std::sync::Mutex::new(std::collections::BTreeSet::new());
    until(&lab, "three tries", || {
        let mut requests = requests.lock().expect("whole");
        if place("state") == "migrate" {
            requests.insert(place("uid"));
        }
        requests.len() >= 3
    })
    .await;
    assert_eq!(place("node"), "prox3");
    // Why, stands in a line of the task's log that is not marked as an error.
    let tasks = lab.node("prox3").expect("a node").root.join("var/log/pve/tasks");
    let shelves = std::fs::read_dir(tasks).expect("shelves").flatten();
    let logs = shelves
        .filter_map(|shelf| std::fs::read_dir(shelf.path()).ok())
        .flatten()
        .flatten();
    let logs = logs.filter(|log| log.file_name().to_string_lossy().contains(":qmigrate:200:"));
    let logs: Vec<String> = logs
        .map(|log| std::fs::read_to_string(log.path()).expect("its log"))
        .collect();
    // The newest may only have begun.
    assert!(
        logs.iter()
            .any(|log| log.contains(" can't migrate local disk 'local:iso/x.iso': local cdrom image\n")),
        "{logs:?}"
    );
}
