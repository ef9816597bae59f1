//! Plays the scenarios of `scenarios/`, and what no scenario may be.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::fs;
use std::path::{Path, PathBuf};

use quorate_lab_ha::{ScenarioError, check, run};

fn scenarios() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

#[test]
fn every_scenario_comes_as_it_is_written() {
    let found = scenarios();
    assert!(found.len() >= 12, "only {} scenarios were found", found.len());
    let wrong: Vec<String> = found
        .iter()
        .filter_map(|dir| {
            let agreement = check(dir).unwrap();
            let name = dir.file_name().unwrap().to_string_lossy();
            (!agreement.is_identical() || !agreement.is_full()).then(|| format!("{name}: {agreement}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_scenario_says_why() {
    for dir in scenarios() {
        let why = fs::read_to_string(dir.join("README")).unwrap();
        assert!(why.len() > 100, "{}", dir.display());
    }
}

#[test]
fn the_same_scenario_comes_the_same_way_again() {
    let dir = &scenarios()[0];
    assert_eq!(run(dir).unwrap(), run(dir).unwrap());
}

/// A scenario of one node and one service.
fn small(dir: &Path) {
    let file = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    file(
        "hardware_status",
        "{\n  \"n1\": { \"power\": \"off\", \"network\": \"off\" }\n}\n",
    );
    file(
        "service_config",
        "{\n  \"vm:1\": { \"node\": \"n1\", \"state\": \"started\" }\n}\n",
    );
    file("cmdlist", "[\n  [ \"power n1 on\" ]\n]\n");
    file("manager_status", "{}\n");
}

/// What is said of the small scenario when one of its files has another text.
fn complaint(name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    fs::write(dir.path().join(name), text).unwrap();
    let error = run(dir.path()).unwrap_err().to_string();
    error.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn what_cannot_be_is_named_with_file_line_and_reason() {
    for (name, text, said) in [
        (
            "cmdlist",
            "[\n [\"power n1 on\"],\n [\"power n1 up\"]\n]",
            "cmdlist:3: 'up' is neither on nor off",
        ),
        (
            "cmdlist",
            "[\n [\"power n1 on\"],\n [\"reboot n2\"]\n]",
            "cmdlist:3: 'reboot n2': there is no node 'n2'",
        ),
        ("cmdlist", "[\n [\"power n1 on\",]\n]", "cmdlist:2: trailing comma"),
        ("cmdlist", "", "cmdlist:1: EOF while parsing a value"),
        ("cmdlist", "{}", "cmdlist:1: invalid type: map, expected a sequence"),
        ("hardware_status", "{}", "hardware_status:1: there is no node"),
        (
            "hardware_status",
            "{\n\"n1\":\n{\"power\":1}}",
            "hardware_status:3: invalid type: integer `1`",
        ),
        (
            "hardware_status",
            "{\"n1\":{\"power\":\"on\"}}",
            "hardware_status:1: missing field `network`",
        ),
        (
            "service_config",
            "{\n\"web\": {\"node\":\"n1\"}}",
            "service_config:2: 'web' names no service",
        ),
        (
            "service_config",
            "{\n\"vm:1\": {\"node\":\"n7\"}}",
            "service_config:2: 'vm:1' is on 'n7', which is no node",
        ),
        (
            "service_config",
            "{\"vm:1\": {\"node\":\"n1\",\"state\":\"on\"}}",
            "service_config:1: 'on' is nothing that",
        ),
        (
            "manager_status",
            "{\"node_status\":\n{\"n1\":\"tired\"}}",
            "manager_status:2: 'tired' is none of: online",
        ),
        (
            "rules_config",
            "node-affinity: a\n\tresources vm:1\n\tnodes\n\tstrict x\n",
            "rules_config:4: 'x' is neither",
        ),
        ("groups", "group: a\n\tnodes n1:x\n", "groups:2: 'n1:x' is no node"),
        (
            "datacenter.cfg",
            "{\"ha\":{\"policy\":\"x\"}}",
            "datacenter.cfg:1: unknown field `policy`",
        ),
        (
            "static_service_stats",
            "{\"vm:1\":{\"maxcpu\":\"x\"}}",
            "static_service_stats:1: invalid type: string",
        ),
        (
            "service_status_n1",
            "{\"vm:1\":\"x\"}",
            "service_status_n1:1: invalid type: string",
        ),
    ] {
        let seen = complaint(name, text);
        assert!(seen.starts_with(said), "{said}\n{seen}");
    }
}

#[test]
fn what_cannot_be_done_is_named_with_its_time() {
    let seen = complaint("cmdlist", "[[\"power n1 on\"],[\"service vm:7 started\"]]");
    assert_eq!(seen, "at 120 s: 'service vm:7 started': no such service 'vm:7'");
    let seen = complaint("cmdlist", "[[\"power n1 on\"],[\"service vm:1 manual-migrate n1\"]]");
    assert!(seen.contains("requires service in 'ignored' state"), "{seen}");
    let seen = complaint("cmdlist", "[[\"delay 100000\"]]");
    assert_eq!(seen, "the simulation was still running after 10000 s");
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        run(&dir.path().join("none")),
        Err(ScenarioError::NoDirectory { .. })
    ));
    small(dir.path());
    assert!(run(dir.path()).is_ok());
    let Err(ScenarioError::Unreadable { path, .. }) = check(dir.path()) else {
        panic!("there is no log.expect");
    };
    assert!(path.ends_with("log.expect"));
    fs::remove_file(dir.path().join("cmdlist")).unwrap();
    assert!(
        run(dir.path())
            .unwrap_err()
            .to_string()
            .ends_with("cmdlist: cannot be read")
    );
}

#[test]
fn too_many_nodes_are_refused() {
    let node = |n: usize| format!("\"n{n}\": {{\"power\":\"off\",\"network\":\"off\"}}");
    let nodes: Vec<String> = (1..=30).map(node).collect();
    let seen = complaint("hardware_status", &format!("{{{}}}", nodes.join(",")));
    assert!(
        seen.starts_with("30 nodes are too many: one loop would take 60 s"),
        "{seen}"
    );
}

/// Cuts and bends every file of a scenario all over: it may be refused, but nothing may break.
#[test]
fn bent_files_break_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for name in ["priorities-and-failback"] {
        let dir = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(root.join(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
        }
        for file in [
            "cmdlist",
            "hardware_status",
            "service_config",
            "rules_config",
            "manager_status",
        ] {
            let path = dir.path().join(file);
            let whole = fs::read_to_string(&path).unwrap();
            for at in (0..whole.len()).step_by(2).filter(|at| whole.is_char_boundary(*at)) {
                let (head, tail) = whole.split_at(at);
                for bent in [
                    head.to_owned(),
                    format!("{head}9{tail}"),
                    format!("{head}{}", tail.get(1..).unwrap_or("")),
                ] {
                    fs::write(&path, bent).unwrap();
                    drop(run(dir.path()));
                }
            }
            fs::write(&path, whole).unwrap();
        }
        assert!(check(dir.path()).unwrap().is_identical());
    }
}
