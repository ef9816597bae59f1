//! Agents that get another version: one after another, with a package that a pinned key has signed, while operations go on; and all that is
//! refused.

use std::fs;
use std::path::PathBuf;

use minisign::KeyPair;
use quorate_lab::Lab;
use quorate_lab::process::Daemon;
use quorate_suites::hand::{ONE_LINK, findings, steps};
use quorate_suites::{Fleet, told};
use serde_json::Value;

const THREE: [&str; 3] = ["prox1", "prox2", "prox3"];

/// Members of one cluster whose release key is known, and their cluster file.
pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) file: String,
    keys: KeyPair,
}

impl Stage {
    pub(crate) async fn new(servers: usize) -> Self {
        let fleet = Fleet::enrolled(Lab::builder().nodes(servers)).await;
        let nodes = &THREE[..servers];
        fleet.made_by_hand(nodes, ONE_LINK).await;
        let file = fleet.linked_file("hk1.toml", nodes, ONE_LINK, "");
        let stage = Self {
            fleet,
            file,
            keys: KeyPair::generate_unencrypted_keypair().unwrap(),
        };
        for node in nodes {
            stage.pin(node, &stage.keys);
        }
        stage
    }

    fn pin(&self, node: &str, keys: &KeyPair) {
        let folder = self.fleet.lab.layout().root(node).join("etc/quorate");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("release.pub"),
            format!("untrusted comment: ours\n{}\n", keys.pk.to_base64()),
        )
        .unwrap();
    }

    /// A package of this version, with more lines in its control file, signed with these keys.
    fn package_by(&self, keys: &KeyPair, version: &str, more: &str) -> String {
        let name = format!("quorate-agent_{version}_amd64.deb");
        let text = format!("Package: quorate-agent\nVersion: {version}\nArchitecture: amd64\n{more}");
        let path = self.fleet.write_file(&name, &text);
        let signed = minisign::sign(Some(&keys.pk), &keys.sk, text.as_bytes(), None, None).unwrap();
        let signature = self.fleet.write_file(&format!("{name}.minisig"), &signed.to_string());
        assert_eq!(signature, format!("{path}.minisig"));
        path
    }

    pub(crate) fn package(&self, version: &str) -> String {
        self.package_by(&self.keys, version, "")
    }

    fn args<'a>(&'a self, who: &[&'a str], package: &'a str) -> Vec<&'a str> {
        let how = ["--package", package, "--file", &self.file, "--yes"];
        [&["node", "upgrade"], who, &how].concat()
    }

    async fn upgrade(&self, who: &[&str], package: &str, code: i32) -> String {
        told(&self.fleet.ends(&self.args(who, package), code).await)
    }

    /// Begins one, and tells where its words go.
    fn begin(&self, who: &[&str], package: &str) -> (Daemon, PathBuf) {
        let log = self.fleet.lab.layout().coordinator().join("upgrade.log");
        let begun = self.fleet.lab.quorate_in_background(&self.args(who, package), &log);
        (begun.unwrap(), log)
    }

    async fn versions(&self) -> Vec<String> {
        let nodes = self.fleet.json(&["node", "list"]).await;
        let nodes = nodes.as_array().unwrap();
        nodes
            .iter()
            .map(|node| node["agent_version"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The patch version after ours: within reach of every coordinator.
pub(crate) fn next() -> String {
    let own: Vec<u32> = env!("CARGO_PKG_VERSION")
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    format!("{}.{}.{}", own[0], own[1], own[2] + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_after_another_and_each_once() {
    let stage = Stage::new(3).await;
    let package = stage.package(&next());
    let said = stage.upgrade(&["--cluster", "hk1"], &package, 0).await;
    assert!(said.contains("3 of 3 steps verified"), "{said}");
    let fleet = &stage.fleet;
    fleet
        .until("all of them say so", async || stage.versions().await == vec![next(); 3])
        .await;
    let installed = fleet.calls("dpkg", "--install");
    let nodes: Vec<_> = installed.iter().filter_map(|entry| entry.node.as_deref()).collect();
    assert_eq!(nodes, THREE, "in this order, and each once");
    // All of them have it: there is nothing to do, and nothing is done.
    let again = stage.upgrade(&["--cluster", "hk1"], &package, 0).await;
    assert_eq!(fleet.calls("dpkg", "--install").len(), 3, "{again}");
    fleet.is_one_quorate_cluster(&THREE.map(str::to_owned)).await;
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_by_a_pinned_key_is_not_installed() {
    let stage = Stage::new(2).await;
    let others = KeyPair::generate_unencrypted_keypair().unwrap();
    let foreign = stage.package_by(&others, &next(), "");
    let said = stage.upgrade(&["hk1/prox1"], &foreign, 4).await;
    assert!(
        said.contains("QRT-PACKAGE-NOT-TRUSTED") && said.contains("none of the 1 release keys"),
        "{said}"
    );
    // While keys are changed, both count.
    let both = format!("{}\n{}\n", stage.keys.pk.to_base64(), others.pk.to_base64());
    let pinned = stage.fleet.lab.layout().root("prox1").join("etc/quorate/release.pub");
    fs::write(&pinned, both).unwrap();
    stage.upgrade(&["hk1/prox1"], &foreign, 0).await;
    // A word was changed since it was signed.
    let package = stage.package(&next());
    let text = fs::read_to_string(&package).unwrap();
    fs::write(&package, text + "Section: admin\n").unwrap();
    let said = stage.upgrade(&["hk1/prox2"], &package, 4).await;
    assert!(said.contains("QRT-PACKAGE-NOT-TRUSTED"), "{said}");
    fs::remove_file(stage.fleet.lab.layout().root("prox2").join("etc/quorate/release.pub")).unwrap();
    let said = stage.upgrade(&["hk1/prox2"], &stage.package(&next()), 4).await;
    assert!(said.contains("no release key is pinned"), "{said}");
    assert_eq!(stage.fleet.calls("dpkg", "--install").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn never_backwards_and_never_another_package_under_the_name() {
    let stage = Stage::new(2).await;
    stage.upgrade(&["hk1/prox1"], &stage.package(&next()), 0).await;
    let older = stage.package("0.0.1");
    let said = stage.upgrade(&["hk1/prox1"], &older, 3).await;
    assert!(said.contains("QRT-DOWNGRADE-REFUSED"), "{said}");
    // The name says one version, and the package itself another.
    let package = stage.package("0.0.2");
    let named = package.replace("0.0.2", &next());
    for end in ["", ".minisig"] {
        fs::rename(format!("{package}{end}"), format!("{named}{end}")).unwrap();
    }
    let said = stage.upgrade(&["hk1/prox2"], &named, 4).await;
    assert!(said.contains("it is of version 0.0.2"), "{said}");
    assert_eq!(stage.fleet.calls("dpkg", "--install").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_stops_the_rest_and_says_why() {
    let stage = Stage::new(3).await;
    let half = stage.package_by(&stage.keys, &next(), "Lab-Postinst: 7\n");
    let said = stage.upgrade(&["--cluster", "hk1"], &half, 4).await;
    assert!(
        said.contains("error exit status 7") && said.contains("dpkg --configure --pending"),
        "{said}"
    );
    let needs = stage.package_by(&stage.keys, &next(), "Depends: nonexistent-thing\n");
    let said = stage.upgrade(&["--cluster", "hk1"], &needs, 4).await;
    assert!(said.contains("nonexistent-thing is not installed"), "{said}");
    let calls = stage.fleet.calls("dpkg", "--install");
    assert!(
        calls.iter().all(|call| call.node.as_deref() == Some("prox1")),
        "{calls:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_forbids_it_and_a_frozen_cluster_are_left_alone() {
    let stage = Stage::new(2).await;
    let fleet = &stage.fleet;
    let config = fleet.lab.layout().agent_config("prox1");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replacen("[policy]\n", "[policy]\nallow_upgrade = false\n", 1);
    assert!(text.contains("allow_upgrade"), "{text}");
    fs::write(&config, text).unwrap();
    fleet.lab.restart_agent("prox1").await.unwrap();
    fleet.connected(&["prox1".to_owned()]).await;
    let package = stage.package(&next());
    let said = stage.upgrade(&["hk1/prox1"], &package, 4).await;
    assert!(said.contains("allow_upgrade = true"), "{said}");
    fleet.ok(&["freeze", "hk1", "--reason", "moving house"]).await;
    let (_waits, log) = stage.begin(&["hk1/prox2"], &package);
    fleet
        .until("it waits", async || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            said.contains("waiting: frozen by ") && said.contains("moving house")
        })
        .await;
    assert!(fleet.calls("dpkg", "--install").is_empty());
    fleet.ok(&["freeze", "hk1", "--off"]).await;
    fleet
        .until("prox2 has it, and prox1 has not", async || {
            stage.versions().await == vec![env!("CARGO_PKG_VERSION").to_owned(), next()]
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_dies_meanwhile_upgrades_nobody_twice() {
    let stage = Stage::new(2).await;
    let fleet = &stage.fleet;
    let package = stage.package(&next());
    fleet.hold("prox1", "dpkg", "--install").await;
    let (mut background, _log) = stage.begin(&["--cluster", "hk1"], &package);
    fleet
        .until("dpkg was called", async || {
            fleet.under_way("prox1", "dpkg", "--install") == 1
        })
        .await;
    fleet.lab.kill_coordinator();
    background.kill();
    fleet.let_go("prox1").await;
    fleet.start_coordinator(&[]).await;
    fleet
        .until("all of them have it", async || {
            stage.versions().await == vec![next(); 2]
        })
        .await;
    let rollouts: Value = fleet.json(&["rollout", "list"]).await;
    assert_eq!(fleet.calls("dpkg", "--install").len(), 2, "{rollouts:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_two_versions_away_is_told_and_not_driven() {
    let stage = Stage::new(2).await;
    let fleet = &stage.fleet;
    let own: Vec<u32> = env!("CARGO_PKG_VERSION")
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    for (minor, apart) in [(own[1] + 1, false), (own[1] + 2, true)] {
        let path = fleet.lab.layout().root("prox2").join("usr/share/quorate-agent/version");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{}.{minor}.0", own[0])).unwrap();
        fleet.lab.restart_agent("prox2").await.unwrap();
        fleet
            .connected(&THREE[..2].iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
            .await;
        let plan = fleet.json(&["plan", &stage.file]).await;
        let told = findings(&plan, "QRT-AGENT-VERSION-APART");
        assert_eq!(told.len(), usize::from(apart), "{plan:#}");
        assert!(steps(&plan).is_empty());
    }
}
