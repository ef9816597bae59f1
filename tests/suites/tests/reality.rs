//! Against what is real here: this machine's own lsblk, dpkg, apt and df.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::BTreeMap;

use quorate_lab::binaries;
use quorate_lab::process::Program;
use serde_json::Value;

async fn run(program: Program) -> Value {
    let output = program.run().await.unwrap();
    assert!(output.success(), "{}", quorate_suites::told(&output));
    serde_json::from_str(&output.stdout).unwrap()
}

/// `quorate-agent observe disks --json` needs no enrolment, no configuration and no root, and agrees with lsblk about every whole disk.
#[tokio::test]
async fn the_agent_sees_this_machines_disks_as_lsblk_does() {
    let agent = binaries::ensure_built().unwrap().agent;
    let seen = run(Program::new(agent).args(["observe", "disks", "--json"])).await;
    let lsblk = [
        "--json",
        "--bytes",
        "--nodeps",
        "--output",
        "PATH,TYPE,SIZE,MODEL,SERIAL,ROTA,RO,RM",
    ];
    let real = run(Program::new("/usr/bin/lsblk").args(lsblk)).await;

    let text = |v: &Value| v.as_str().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
    let expected: BTreeMap<String, (u64, Option<String>, Option<String>)> = real["blockdevices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["type"] == "disk" && d["size"].as_u64() > Some(0))
        .map(|d| {
            (
                d["path"].as_str().unwrap().to_owned(),
                (d["size"].as_u64().unwrap(), text(&d["model"]), text(&d["serial"])),
            )
        })
        .collect();
    let found: BTreeMap<_, _> = seen["disks"]["value"]["disks"]
        .as_array()
        .unwrap_or_else(|| panic!("{seen:#}"))
        .iter()
        .map(|d| {
            (
                d["path"].as_str().unwrap().to_owned(),
                (d["size"].as_u64().unwrap(), text(&d["model"]), text(&d["serial"])),
            )
        })
        .filter(|(_, (size, ..))| *size > 0)
        .collect();
    assert_eq!(found, expected);
}

/// What preflight leans on, beside what the tools say. Without systemd, or without apt's lists, those parts are unknown, with a reason;
/// nothing may be unknown because it was not understood.
#[tokio::test]
async fn the_agent_understands_this_machines_packages_services_and_space() {
    let agent = binaries::ensure_built().unwrap().agent;
    let seen = run(Program::new(agent).args(["observe", "readiness", "ha", "config", "network", "--json"])).await;
    let readiness = &seen["readiness"]["value"];
    assert!(readiness.is_object(), "{seen:#}");
    let mut garbled = Vec::new();
    not_understood(&seen, &mut garbled);
    assert!(garbled.is_empty(), "{garbled:#?}");

    let query = ["-W", "-f", "${db:Status-Status} ${Version}", "openssh-server"];
    let dpkg = Program::new("/usr/bin/dpkg-query").args(query).run().await.unwrap();
    let real = dpkg.stdout.strip_prefix("installed ");
    let found = &readiness["packages"]["value"]["openssh-server"]["installed"];
    if readiness["packages"]["state"] == "known" {
        assert_eq!(found.as_str(), real);
    }
    let df = Program::new("/usr/bin/df")
        .args(["--output=avail", "-B1", "/"])
        .run()
        .await
        .unwrap();
    let real: f64 = df.stdout.lines().nth(1).unwrap().trim().parse().unwrap();
    let found = readiness["free"]["/"]["value"].as_f64().unwrap();
    assert!(
        (found - real).abs() < 2e9,
        "{found} beside {real}: other programs write here too, but not as much"
    );
}

/// Every facet that is unknown because its text made no sense.
fn not_understood(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            if fields.get("kind").is_some_and(|kind| kind == "unparsable") {
                found.push(value.clone());
            }
            fields.values().for_each(|value| not_understood(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| not_understood(value, found)),
        _ => {}
    }
}
