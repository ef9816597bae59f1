//! Against what is real here: this machine's own lsblk, dpkg, apt and df, and what its kernel was asked for.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::collections::BTreeMap;

use quorate_lab::process::Program;
use quorate_lab::{Lab, binaries};
use quorate_suites::Fleet;
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

/// That an agent has accepted an operation must survive a power cut before anything is done for it: both copies of its ledger are whole on
/// the disk, under their names, before the supervisor of the tool starts. By the system calls that the agent made.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs strace, and leave to look at processes: .ci/reality runs it"]
async fn what_an_agent_accepted_is_on_disk_before_a_tool_runs() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(1)).await;
    let pid = fleet.lab.agent_pid("prox1").unwrap().to_string();
    let [calls, said] = ["calls", "strace.out"].map(|name| fleet.lab.layout().dir().join(name));
    let which = "trace=write,fsync,fdatasync,rename,renameat,renameat2,execve";
    let calls_path = calls.to_string_lossy().into_owned();
    let args = ["-f", "-y", "-s", "100000", "-e", which, "-o", &calls_path, "-p", &pid];
    let mut strace = Program::new("/usr/bin/strace").args(args).spawn(&said, false).unwrap();
    fleet
        .until("strace is attached", async || {
            std::fs::read_to_string(&said).unwrap_or_default().contains("attached")
        })
        .await;
    let file = fleet.cluster_file(&fleet.lab.names());
    fleet.ok(&["apply", &file, "--yes"]).await;
    strace.kill();

    let text = std::fs::read_to_string(&calls).unwrap();
    // What it says to others and to itself is left out.
    let to_a_file = |line: &&str| !line.contains("write(") || line.contains("</");
    let lines: Vec<&str> = text.lines().filter(to_a_file).collect();
    let next = |from: usize, what: &str, is: &dyn Fn(&str) -> bool| {
        let found = lines[from..].iter().position(|line| is(line));
        from + found.unwrap_or_else(|| panic!("{what} does not come after line {from} of\n{}", lines.join("\n"))) + 1
    };
    let tool = next(0, "the supervisor", &|line| {
        line.contains("execve(") && line.contains("\"run-op\"")
    });
    let mut at = 0;
    for copy in ["ledger.json", "ledger.copy.json"] {
        let temporary = format!("/.{copy}.");
        let written =
            |line: &str| line.contains("write(") && line.contains(&temporary) && line.contains("create_cluster");
        at = next(at, &format!("the record in {copy}"), &written);
        let synced = |line: &str| line.contains("sync(") && line.contains(&temporary);
        at = next(at, &format!("the fsync of {copy}"), &synced);
        let renamed = |line: &str| line.contains("rename") && line.contains(&temporary);
        let name = next(at, &format!("the name {copy}"), &renamed);
        assert!(
            !lines[at..name - 1].iter().any(|line| written(line)),
            "written after its fsync"
        );
        at = next(name, "the fsync of the folder", &|line| {
            line.contains("sync(")
                && line
                    .split(['<', '>'])
                    .nth(1)
                    .is_some_and(|path| path.ends_with("/var/lib/quorate-agent"))
        });
    }
    assert!(
        at < tool,
        "the tool's supervisor began before that, at line {tool} and not after {at}"
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
