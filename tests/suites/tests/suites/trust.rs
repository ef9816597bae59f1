//! Who may do what, and the CA that says so: operators of some clusters, their removal, the CA's exchange, files that others could
//! have changed. Through the real programs.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use quorate_lab::Lab;
use quorate_suites::{Fleet, told};

/// Makes a bundle, and the configuration of a command line elsewhere that uses it.
async fn remote(fleet: &Fleet, who: &str, more: &[&str]) -> String {
    let number = std::fs::read_dir(fleet.lab.layout().coordinator()).unwrap().count();
    let bundle = fleet.lab.layout().coordinator().join(format!("{who}-{number}.pem"));
    let bundle = bundle.to_string_lossy().into_owned();
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let add = [
        "operator",
        "add",
        who,
        "--out",
        &bundle,
        "--passphrase-file",
        &passphrase,
    ];
    fleet.ok(&[&add[..], more].concat()).await;
    fleet.write_file(
        &format!("{who}-{number}.toml"),
        &format!(
            "[remote]\naddress = \"{}:7440\"\nbundle = \"{bundle}\"\n",
            fleet.lab.coordinator_address()
        ),
    )
}

fn with<'a>(config: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    [&["--config", config][..], args].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_of_one_cluster_sees_and_changes_that_one() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let own = remote(&fleet, "otto", &["--cluster", "hk1"]).await;
    let other = remote(&fleet, "olga", &["--cluster", "hk2"]).await;
    let as_own = async |args: &[&str]| fleet.run(&with(&own, args)).await;
    let as_other = async |args: &[&str]| fleet.run(&with(&other, args)).await;

    for args in [&["freeze", "hk1"][..], &["freeze", "hk1", "--off"]] {
        let (mine, theirs) = (as_own(args).await, as_other(args).await);
        assert_eq!(mine.code(), Some(0), "{args:?} {}", told(&mine));
        assert_eq!(theirs.code(), Some(6), "{args:?} {}", told(&theirs));
        assert!(theirs.stderr.contains("QRT-ROLE-NOT-ALLOWED"), "{}", told(&theirs));
        assert!(
            theirs.stderr.contains("operator olga is for hk2, not for hk1"),
            "{}",
            told(&theirs)
        );
    }
    fleet.ok(&["freeze", "hk1", "--reason", "moving house"]).await;
    let (mine, theirs) = (as_own(&["status"]).await, as_other(&["status"]).await);
    assert!(mine.stdout.contains("moving house"), "{}", told(&mine));
    assert!(!theirs.stdout.contains("hk1"), "{}", told(&theirs));
    fleet.ok(&["freeze", "hk1", "--off"]).await;
    let listed = as_own(&["node", "list"]).await;
    assert!(listed.stdout.contains("hk1/prox1"), "{}", told(&listed));
    let listed = as_other(&["node", "list"]).await;
    assert!(!listed.stdout.contains("hk1/prox1"), "{}", told(&listed));
    // What concerns the whole fleet is for those of the whole fleet.
    for args in [
        &["audit"][..],
        &["operator", "list"],
        &["operator", "remove", "olga"],
        &["ca", "switch"],
    ] {
        let refused = as_own(args).await;
        assert_eq!(refused.code(), Some(6), "{args:?} {}", told(&refused));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_operator_is_out_everywhere_and_at_once() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let mallory = remote(&fleet, "mallory", &[]).await;
    let anna = remote(&fleet, "anna", &[]).await;
    fleet.ok(&["--config", &mallory, "node", "list"]).await;
    let removed = fleet.json(&["operator", "remove", "mallory"]).await;
    assert_eq!(
        (&removed["revoked"], &removed["untold"]),
        (&1.into(), &serde_json::json!([])),
        "{removed:#}"
    );
    let refused = fleet.run(&["--config", &mallory, "node", "list"]).await;
    assert_ne!(refused.code(), Some(0), "{}", told(&refused));
    let log = std::fs::read_to_string(fleet.lab.layout().coordinator().join("coordinator.log")).unwrap();
    assert!(log.contains("QRT-TLS-REVOKED"), "{log}");
    fleet.ok(&["--config", &anna, "node", "list"]).await;
    let list = fleet.json(&["operator", "list"]).await;
    let of = |name: &str| {
        list.as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()
            .clone()
    };
    assert!(
        !of("mallory")["removed_at"].is_null() && of("anna")["removed_at"].is_null(),
        "{list:#}"
    );
    fleet.ends(&["operator", "remove", "nobody"], 7).await;

    // Also after a restart.
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&[]).await;
    assert_ne!(fleet.run(&["--config", &mallory, "node", "list"]).await.code(), Some(0));
    fleet.ok(&["--config", &anna, "node", "list"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_is_exchanged_while_everything_goes_on() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let names = fleet.lab.names();
    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let before = fleet.json(&["ca", "status"]).await;
    assert_eq!(
        (&before["stage"], before["roots"].as_array().map(Vec::len)),
        (&"none".into(), Some(1)),
        "{before:#}"
    );
    let old = remote(&fleet, "old", &[]).await;
    for too_early in ["switch", "finish"] {
        fleet.ends(&["ca", too_early], 3).await;
    }

    // One server is away when it begins: nobody goes on without it.
    fleet.lab.stop_agent("prox3").await.unwrap();
    fleet.ok(&["ca", "begin", "--passphrase-file", &passphrase]).await;
    fleet.ends(&["ca", "begin", "--passphrase-file", &passphrase], 3).await;
    let lacks = async |missing: &[&str]| {
        fleet
            .until("the status tells whom the exchange lacks", async || {
                fleet.json(&["ca", "status"]).await["missing"] == serde_json::json!(missing)
            })
            .await;
    };
    lacks(&["hk1/prox3"]).await;
    let refused = fleet.ends(&["ca", "switch"], 3).await;
    assert!(
        refused.stderr.contains("hk1/prox3 does not trust the new CA yet"),
        "{}",
        told(&refused)
    );
    fleet.lab.start_agent("prox3").unwrap();
    lacks(&[]).await;

    // In the middle of it, a cluster is made.
    let file = fleet.cluster_file(&names);
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.ok(&["--config", &old, "node", "list"]).await;
    fleet.ok(&["ca", "switch"]).await;
    lacks(&[]).await;
    let status = fleet.json(&["ca", "status"]).await;
    assert_eq!(
        (&status["stage"], &status["roots"][1]),
        (&"switched".into(), &before["roots"][0]),
        "{status:#}"
    );
    assert_eq!(status["operators_of_old"], serde_json::json!(["old"]), "{status:#}");
    let new = remote(&fleet, "new", &[]).await;
    fleet.ok(&["--config", &new, "node", "list"]).await;

    // One that is away for a moment is waited for.
    fleet.lab.stop_agent("prox2").await.unwrap();
    let back = async {
        fleet
            .until("whoever can be told is", async || {
                let status = fleet.json(&["ca", "status"]).await;
                (&status["stage"], &status["missing"]) == (&"finishing".into(), &serde_json::json!(["hk1/prox2"]))
            })
            .await;
        fleet.lab.start_agent("prox2").unwrap();
    };
    let (finished, ()) = tokio::join!(fleet.run(&["ca", "finish"]), back);
    assert!(finished.success(), "{}", told(&finished));

    let status = fleet.json(&["ca", "status"]).await;
    assert_eq!(
        (&status["stage"], status["roots"].as_array().map(Vec::len)),
        (&"none".into(), Some(1)),
        "{status:#}"
    );
    assert_ne!(status["roots"][0], before["roots"][0]);
    fleet.ok(&["--config", &new, "node", "list"]).await;
    assert_ne!(
        fleet.run(&["--config", &old, "node", "list"]).await.code(),
        Some(0),
        "the old CA is over"
    );
    fleet.connected(&names).await;
    fleet.ok(&["plan", &file]).await;
    fleet.is_one_quorate_cluster(&names).await;

    // What was made of the new CA alone carries a restart of everybody, and a further server.
    fleet.lab.stop_coordinator().await.unwrap();
    for node in &names {
        fleet.lab.restart_agent(node).await.unwrap();
    }
    fleet.start_coordinator(&[]).await;
    fleet.connected(&names).await;
    assert!(
        !fleet.lab.layout().coordinator().join("state/ca/old").exists(),
        "the old keys are gone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_root_key_away_everything_goes_on_but_new_operators() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    let state = fleet.lab.layout().coordinator().join("state");
    let (key, away) = (
        state.join("ca/root.key"),
        fleet.lab.layout().coordinator().join("root.key.away"),
    );
    std::fs::rename(&key, &away).unwrap();
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.start_coordinator(&[]).await;
    fleet.connected(&fleet.lab.names()).await;

    let passphrase = fleet.passphrase_file().to_string_lossy().into_owned();
    let out = fleet
        .lab
        .layout()
        .coordinator()
        .join("x.pem")
        .to_string_lossy()
        .into_owned();
    let add = [
        "operator",
        "add",
        "anna",
        "--out",
        &out,
        "--passphrase-file",
        &passphrase,
    ];
    for needs_it in [&add[..], &["renew", "--passphrase-file", &passphrase]] {
        let refused = fleet.run(needs_it).await;
        assert_ne!(refused.code(), Some(0), "{needs_it:?}");
        assert!(refused.stderr.contains("the root key is not at"), "{}", told(&refused));
    }
    // Nodes are signed by the other CA: they are removed and enrolled as ever, and clusters are made.
    fleet.ok(&["node", "remove", "hk1/prox2", "--yes"]).await;
    let token = fleet.invite("prox2").await;
    let host = fleet.lab.enrolment("prox2").unwrap().to_string();
    fleet.lab.stop_agent("prox2").await.unwrap();
    let again = ["enroll", &host, "--replace"];
    let claimed = fleet
        .lab
        .agent_cli("prox2", &again, Some(format!("{token}\n").as_bytes()))
        .await
        .unwrap();
    assert!(claimed.success(), "{}", told(&claimed));
    fleet.lab.start_agent("prox2").unwrap();
    fleet.connected(&fleet.lab.names()).await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet.ok(&["apply", &file, "--yes"]).await;
    fleet.is_one_quorate_cluster(&fleet.lab.names()).await;
    std::fs::rename(&away, &key).unwrap();
    fleet.ok(&add).await;
}

/// Starts a daemon with a file that others could have changed, and sees that it does not start and says why.
async fn refuses(what: &str, file: &Path, mode: Option<u32>, start: impl AsyncFn() -> String) {
    let before = std::fs::metadata(file).unwrap().permissions();
    match mode {
        Some(mode) => std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap(),
        None => chown(file, Some(12345), None).unwrap(),
    }
    let said = start().await;
    let file_name = file.to_string_lossy();
    let remedy = if mode.is_some() { "chmod 0" } else { "chown -h" };
    for part in [what, &file_name, remedy] {
        assert!(said.contains(part), "{file_name}: {part} is not said\n{said}");
    }
    chown(file, Some(own_uid()), None).unwrap();
    std::fs::set_permissions(file, before).unwrap();
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").unwrap().uid()
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_others_could_have_changed_is_not_believed() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let layout = fleet.lab.layout();
    let (state, log) = (
        layout.coordinator().join("state"),
        layout.coordinator().join("coordinator.log"),
    );
    fleet.lab.stop_coordinator().await.unwrap();
    fleet.lab.stop_agent("prox1").await.unwrap();

    let coordinator = async || {
        let from = std::fs::read(&log).unwrap().len();
        fleet.lab.start_coordinator(&[]).unwrap();
        fleet
            .until("it ends", async || fleet.lab.coordinator_ended().is_some())
            .await;
        assert_eq!(fleet.lab.coordinator_ended().unwrap().code(), Some(3));
        String::from_utf8_lossy(&std::fs::read(&log).unwrap()[from..]).into_owned()
    };
    let agent_state = layout.root("prox1").join("var/lib/quorate-agent");
    let agent = async || {
        let ended = fleet.lab.agent_cli("prox1", &["run"], None).await.unwrap();
        assert_eq!(ended.code(), Some(3), "{}", told(&ended));
        ended.stderr
    };
    for (name, what, mode) in [
        ("ca/issuing.key", "the issuing CA's key", 0o640),
        ("ca/root.pem", "the root certificates", 0o666),
        ("nodes.json", "the fleet's books", 0o620),
        ("audit.jsonl", "the audit log", 0o606),
        ("ca", "a folder of the state", 0o777),
    ] {
        refuses(what, &state.join(name), Some(mode), &coordinator).await;
    }
    for (name, what, mode) in [
        ("identity/node.key", "this node's key", 0o604),
        ("identity/root.pem", "the root certificates", 0o664),
        ("identity", "a folder of the state", 0o770),
    ] {
        refuses(what, &agent_state.join(name), Some(mode), &agent).await;
    }
    // Only root can give files away.
    if own_uid() == 0 {
        refuses("the fleet's books", &state.join("nodes.json"), None, &coordinator).await;
        refuses(
            "the root certificates",
            &agent_state.join("identity/root.pem"),
            None,
            &agent,
        )
        .await;
    }
    // Put right, both start.
    fleet.start_coordinator(&[]).await;
    fleet.lab.start_agent("prox1").unwrap();
    fleet.connected(&fleet.lab.names()).await;
}
