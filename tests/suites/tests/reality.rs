//! Against what is real here: this machine's own lsblk.

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
