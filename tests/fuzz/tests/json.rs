//! Every reader of JSON, with every fixture: fields that nobody knows change nothing, and a field that is missing makes an error or
//! something that is said to be unknown, never another fact.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};

use quorate_fuzz::{Target, fixtures, targets};
use serde_json::Value;

/// Objects whose keys are names and not fields: what is added there is one more, and what is taken away is one less.
const MAPS: [(&str, &str); 12] = [
    ("ha-manager-status", "/node_status"),
    ("ha-manager-status", "/service_status"),
    ("pmxcfs-members", "/nodelist"),
    ("pmxcfs-vmlist", "/ids"),
    ("pve-replication-state", ""),
    ("pve-replication-state", "/100"),
    ("pve-replication-state", "/101"),
    // Nodes, and of each what is in the way by its kind.
    ("pvesh-migrate", "/not_allowed_nodes"),
    ("pvesh-migrate", "/not_allowed_nodes/prox2"),
    ("revocation-list", "/entries"),
    ("tfa-cfg", "/users"),
    // A kind of factor that is not known here is a factor all the same.
    ("tfa-cfg", "/users/root@pam"),
];

/// Fields without which another fact is right, and why.
const MEANT: [(&str, &str, &str); 12] = [
    ("guest-exec", "err-data", "PVE leaves out what printed nothing"),
    ("guest-exec", "out-data", "PVE leaves out what printed nothing"),
    ("ip", "address", "a tunnel has none, and so it is shown"),
    ("ip", "dadfailed", "ip prints it only where it is so"),
    ("ip", "deprecated", "ip prints it only where it is so"),
    ("ip", "info_kind", "only virtual interfaces have one"),
    ("ip", "linkinfo", "only virtual interfaces have one"),
    ("ip", "temporary", "ip prints it only where it is so"),
    ("nft-table", "elem", "nft leaves it out where a set is empty"),
    ("pmxcfs-vmlist", "ids", "pmxcfs leaves it out where there is no guest"),
    (
        "smartctl",
        "messages",
        "that it could not be asked is told by the exit status alone",
    ),
    ("tfa-cfg", "users", "proxmox-tfa leaves out what is empty"),
];

/// A place in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{}", escaped(key)), found)),
        Value::Array(items) => (0..)
            .zip(items)
            .for_each(|(index, value): (usize, _)| places(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

fn objects(document: &Value) -> Vec<String> {
    let mut all = Vec::new();
    places(document, "", &mut all);
    all.retain(|at| document.pointer(at).is_some_and(Value::is_object));
    all
}

fn is_map(target: &Target, at: &str) -> bool {
    MAPS.contains(&(target.name, at))
}

/// The documents for a target, with where they are from.
fn documents(target: &Target) -> Vec<(String, Value)> {
    let list = fixtures::list().unwrap();
    let mut found = Vec::new();
    for tool in list
        .tool
        .iter()
        .filter(|tool| tool.reads.iter().any(|name| name == target.name))
    {
        for case in &tool.cases {
            let bytes = tool.bytes(case, target).unwrap();
            if let Ok(document) = serde_json::from_slice::<Value>(&bytes) {
                found.push((format!("{}/{}", tool.folder, case.name), document));
            }
        }
    }
    found
}

/// What the target makes of it, line by line; `None`: an error.
fn told(target: &Target, document: &Value) -> Option<Vec<String>> {
    let told = format!("{:#?}", (target.read)(&serde_json::to_vec(document).unwrap()));
    (!told.starts_with("Err(")).then(|| told.lines().map(str::to_owned).collect())
}

#[test]
fn unknown_fields_change_nothing() {
    let mut tried = 0;
    for target in targets().filter(|target| target.json) {
        for (from, document) in documents(target) {
            let Some(plain) = told(target, &document) else { continue };
            for at in objects(&document).iter().filter(|at| !is_map(target, at)) {
                for unknown in [Value::Null, serde_json::json!({ "x": [1, "y"] }), Value::from("more")] {
                    let mut more = document.clone();
                    more.pointer_mut(at)
                        .unwrap()
                        .as_object_mut()
                        .unwrap()
                        .insert("frob_nicator".to_owned(), unknown);
                    assert_eq!(
                        told(target, &more).as_ref(),
                        Some(&plain),
                        "{}: {from} at `{at}`",
                        target.name
                    );
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 500, "only {tried} were tried");
}

/// Lines that stand in one and not in the other.
fn new_lines(before: &[String], after: &[String]) -> Vec<String> {
    let mut counts = BTreeMap::<&str, isize>::new();
    before
        .iter()
        .for_each(|line| *counts.entry(line.trim()).or_default() -= 1);
    after
        .iter()
        .for_each(|line| *counts.entry(line.trim()).or_default() += 1);
    counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(line, _)| line.to_owned())
        .collect()
}

#[test]
fn a_missing_field_is_an_error_or_unknown() {
    let (mut tried, mut wrong, mut met) = (0, BTreeSet::new(), BTreeSet::new());
    for target in targets().filter(|target| target.json) {
        for (from, document) in documents(target) {
            let Some(plain) = told(target, &document) else { continue };
            for at in objects(&document).iter().filter(|at| !is_map(target, at)) {
                let keys: Vec<String> = document
                    .pointer(at)
                    .unwrap()
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect();
                for key in keys {
                    let mut less = document.clone();
                    less.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(&key);
                    tried += 1;
                    // An error says what is missing.
                    let Some(found) = told(target, &less) else { continue };
                    let facts: Vec<String> = new_lines(&plain, &found)
                        .into_iter()
                        .filter(|line| !line.ends_with("None,"))
                        .collect();
                    if facts.is_empty() {
                        continue;
                    }
                    if MEANT
                        .iter()
                        .any(|(name, meant, _)| *name == target.name && *meant == key)
                    {
                        met.insert((target.name, key));
                    } else {
                        wrong.insert(format!(
                            "{}: without `{key}` (as in {from} at `{at}`): {facts:?}",
                            target.name
                        ));
                    }
                }
            }
        }
    }
    // One of a kind is enough to see what is wrong.
    let mut kinds = BTreeSet::new();
    wrong.retain(|text| kinds.insert(text.split(" (as in").next().unwrap_or_default().to_owned()));
    assert!(
        wrong.is_empty(),
        "{} kinds:\n{}",
        wrong.len(),
        wrong.into_iter().collect::<Vec<_>>().join("\n")
    );
    assert!(tried > 1000, "only {tried} were tried");
    for (target, key, why) in MEANT {
        assert!(
            met.contains(&(target, key.to_owned())),
            "{target} and `{key}` ({why}): never met"
        );
    }
}
