//! Joining through `pvesh`, what creating and joining say when they fail, and what they leave alone: A of the README.

use std::fs;

use quorate_lab::process::Program;
use quorate_lab::{Lab, Output, Script, What};
use serde_json::Value;

use crate::captured;
use crate::pve::{CONF, read, rooted, run};
use crate::{add, created, fingerprint, happened, lab, nothing_unknown, three};

async fn join(lab: &Lab, node: &str, password: &str, more: &[&str]) -> Output {
    let mut argv = vec![
        "pvesh",
        "create",
        "/cluster/config/join",
        "--hostname",
        "192.168.1.11",
        "--password",
        password,
    ];
    argv.extend(more);
    lab.tool(node, &argv, None).await.expect("pvesh runs")
}

/// The task's number is the last line, whatever became of it.
fn upid(output: &Output, node: &str) -> String {
    let line = output.stdout.lines().last().expect("a line");
    assert!(
        line.starts_with(&format!("UPID:{node}:")) && line.ends_with(":clusterjoin::root@pam:"),
        "{output:?}"
    );
    line.to_owned()
}

#[tokio::test]
async fn items_1_and_14_a_join_by_pvesh_ends_with_0_and_its_task_s_number() {
    let lab = lab(|builder| builder.nodes(2)).await;
    created(&lab, "lab1").await;
    let fp = fingerprint(&lab, "prox1").await;
    let with = ["--fingerprint", &fp, "--link0", "10.10.10.2"];

    let output = join(&lab, "prox2", "labpass", &[]).await;
    assert_eq!(output.code(), Some(2), "no fingerprint: {output:?}");
    assert!(
        output
            .stderr
            .contains("fingerprint: property is missing and it is not optional\n")
    );
    let output = join(&lab, "prox2", &"x".repeat(129), &with).await;
    assert_eq!(output.code(), Some(2), "{output:?}");
    assert!(
        output
            .stderr
            .contains("password: value may only be 128 characters long\n")
    );

    let output = join(&lab, "prox2", "wrong", &with).await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        ("401 authentication failure\n", Some(0))
    );
    let task = upid(&output, "prox2");
    let index = fs::read_to_string(rooted(&lab, "prox2", "var/log/pve/tasks/index")).expect("the index");
    assert!(
        index.contains(&task) && index.ends_with(" 401 authentication failure\n"),
        "{index}"
    );
    let at = |what: What| happened(&lab, what).pop().expect("it happened").ms;
    assert!(
        at(What::TaskEnded) - at(What::TaskStarted) >= 3000,
        "a refusal takes its time"
    );
    let seen = happened(&lab, What::ToolCalled).pop().expect("called").argv;
    assert!(
        seen.contains(&"wrong".to_owned()),
        "everybody sees the password: {seen:?}"
    );

    let output = join(&lab, "prox2", "labpass", &with).await;
    assert_eq!((output.stderr.as_str(), output.code()), ("", Some(0)));
    upid(&output, "prox2");
    assert!(output.stdout.contains("successfully added node 'prox2' to cluster.\n"));

    // And once more, which is refused as it was recorded.
    let recorded = captured::read("pvecm/pve-8.4/add-already-member");
    let output = join(&lab, "prox2", "labpass", &with).await;
    let list = |text: &str| {
        text.rsplit_once("UPID:")
            .map(|(list, _)| list.to_owned())
            .expect("a number")
    };
    assert_eq!(list(&output.stdout), list(&recorded.stdout));
    assert_eq!((&output.stderr, output.code()), (&recorded.stderr, Some(recorded.code)));
    upid(&output, "prox2");
    nothing_unknown(&lab);
}

#[tokio::test]
async fn item_1_a_create_whose_task_fails_ends_with_0() {
    let lab = lab(|builder| builder.nodes(1)).await;
    assert!(run(&lab, "prox1", "systemctl mask corosync").await.success());
    let output = run(&lab, "prox1", "pvecm create lab1 --link0 10.10.10.1").await;
    assert_eq!(
        (output.stderr.as_str(), output.code()),
        (
            "command 'systemctl restart corosync pve-cluster' failed: exit code 1\n",
            Some(0)
        )
    );
    assert!(
        read(&lab, "prox1", CONF).contains("cluster_name: lab1\n"),
        "and it is half made"
    );
}

#[tokio::test]
async fn item_2_wrong_arguments_and_places_end_with_another_code() {
    let lab = lab(|builder| builder.nodes(1)).await;
    let node = lab.node("prox1").expect("prox1");
    let output = Program::new(node.bin.join("pvecm"))
        .args(["add", "192.168.1.11"])
        .dir(node.root.join("etc/pve"))
        .run()
        .await
        .expect("pvecm runs");
    let recorded = captured::read("pvecm/pve-8.4/add-in-etc-pve");
    assert_eq!(
        (&output.stdout, &output.stderr, output.code()),
        (&recorded.stdout, &recorded.stderr, Some(recorded.code))
    );
}

fn json(output: &Output) -> Value {
    assert!(output.success(), "{output:?}");
    serde_json::from_str(&output.stdout).expect("JSON")
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(|entry| Some(entry.get("name")?.as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn item_15_numbers_are_strings_here_and_numbers_there_and_nothing_has_an_order() {
    let lab = lab(|builder| builder.nodes(3)).await;
    three(&lab).await;
    let recorded: Value = serde_json::from_str(&captured::read("pvesh/pve-8.4/join-three-nodes").stdout).expect("JSON");
    let mut orders = Vec::new();
    for node in ["prox1", "prox2", "prox3"] {
        let value = json(&run(&lab, node, "pvesh get /cluster/config/join --output-format json").await);
        let keys = |value: &Value| {
            value
                .as_object()
                .expect("an object")
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&value), keys(&recorded));
        assert_eq!(keys(&value["totem"]), keys(&recorded["totem"]));
        assert_eq!(keys(&value["nodelist"][0]), keys(&recorded["nodelist"][0]));
        assert!(value["nodelist"][0]["nodeid"].is_string() && value["nodelist"][0]["quorum_votes"].is_string());
        assert!(value["totem"]["config_version"].is_string());
        orders.push(names(&value["nodelist"]));
        let status = json(&run(&lab, node, "pvesh get /cluster/status --output-format json").await);
        let nodes: Vec<&Value> = status
            .as_array()
            .expect("a list")
            .iter()
            .filter(|entry| entry["type"] == "node")
            .collect();
        assert!(nodes.len() == 3 && nodes.iter().all(|entry| entry["nodeid"].is_u64()));
    }
    let mut sorted = orders.clone();
    sorted.iter_mut().for_each(|order| order.sort());
    assert!(sorted.iter().all(|order| *order == names_of_three()), "{sorted:?}");
    assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
}

fn names_of_three() -> Vec<String> {
    (1..=3).map(|number| format!("prox{number}")).collect()
}

#[tokio::test]
async fn item_15_without_its_locale_perl_complains_and_goes_on() {
    let lab = lab(|builder| builder.nodes(1)).await;
    created(&lab, "lab1").await;
    let usual = run(&lab, "prox1", "pvecm nodes").await;
    lab.script("prox1", Script::LocaleMissing(true))
        .await
        .expect("scripted");
    let output = run(&lab, "prox1", "pvecm nodes").await;
    assert_eq!((&output.stdout, output.code()), (&usual.stdout, Some(0)));
    assert_eq!(output.stderr.lines().count(), 7, "{output:?}");
    assert!(output.stderr.starts_with("perl: warning: Setting locale failed.\n"));
    assert!(output.stderr.contains("\tLANG = \"de_DE.UTF-8\"\n"));
    let corosync = run(&lab, "prox1", "corosync-quorumtool -s").await;
    assert_eq!(corosync.stderr, "", "it is not in Perl");
}

#[tokio::test]
async fn items_6_and_16_a_join_changes_sshd_and_neither_hosts_nor_known_hosts() {
    let lab = lab(|builder| builder.nodes(2)).await;
    let read = |node: &str, path: &str| fs::read_to_string(rooted(&lab, node, path)).unwrap_or_default();
    let hosts = ["prox1", "prox2"].map(|node| read(node, "etc/hosts"));
    assert!(read("prox1", "etc/ssh/sshd_config").contains("\n#PermitRootLogin prohibit-password\n"));
    created(&lab, "lab1").await;
    assert!(read("prox1", "etc/ssh/sshd_config").contains("\nPermitRootLogin yes\n"));
    let reloads = async |node: &str| {
        let log = run(&lab, node, "journalctl -u ssh").await.stdout;
        log.matches("Received SIGHUP; restarting.").count()
    };
    assert_eq!(reloads("prox1").await, 1);

    // A join that fails at login has done it, too; the next one finds it done.
    assert_eq!(reloads("prox2").await, 0);
    let output = add(&lab, "prox2", "wrong", &["--link0", "10.10.10.2"]).await;
    assert_eq!(output.stderr, "401 authentication failure\n");
    assert!(read("prox2", "etc/ssh/sshd_config").contains("\nPermitRootLogin yes\n"));
    assert_eq!(reloads("prox2").await, 1);
    let output = add(&lab, "prox2", "labpass", &["--link0", "10.10.10.2"]).await;
    assert!(output.stdout.contains("successfully added"), "{output:?}");
    assert_eq!(reloads("prox2").await, 1);

    assert_eq!(["prox1", "prox2"].map(|node| read(node, "etc/hosts")), hosts);
    for node in ["prox1", "prox2"] {
        for path in ["root/.ssh/known_hosts", "etc/ssh/ssh_known_hosts"] {
            assert!(!rooted(&lab, node, path).exists(), "{node}: {path}");
        }
    }
}
