//! What must hold of packaging/debian, and can be seen without building anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::{PACKAGES, exposure, tool};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../debian")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The settings of a unit; of those that are given twice, all values.
fn unit(package: &str) -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in read(&format!("{package}.service")).lines() {
        if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            settings.entry(key.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

fn is(package: &str, key: &str) -> String {
    unit(package)
        .get(key)
        .map(|values| values.join(" "))
        .unwrap_or_default()
}

#[test]
fn systemd_knows_when_a_service_is_ready_whether_it_lives_and_starts_it_again() {
    for package in PACKAGES {
        assert_eq!(is(package, "Type"), "notify", "{package}");
        assert_eq!(is(package, "Restart"), "always", "{package}");
        let watchdog: u32 = is(package, "WatchdogSec").parse().unwrap();
        assert!((30..=300).contains(&watchdog), "{package}: {watchdog}");
        for weight in ["CPUWeight", "IOWeight"] {
            let weight: u32 = is(package, weight).parse().unwrap();
            assert!(weight > 100, "{package} has no more weight than others");
        }
        let oom: i32 = is(package, "OOMScoreAdjust").parse().unwrap();
        assert!(oom < 0, "{package} is ended before others when memory runs out");
    }
}

#[test]
fn a_tool_that_runs_outlives_the_agent_and_the_agent_sees_the_whole_server() {
    assert_eq!(is("quorate-agent", "KillMode"), "process");
    for hides in [
        "PrivateDevices",
        "DevicePolicy",
        "DeviceAllow",
        "ProtectClock",
        "ProtectProc",
        "PrivateNetwork",
        "ProtectHostname",
    ] {
        assert_eq!(
            is("quorate-agent", hides),
            "",
            "{hides} would hide something of the server from the agent"
        );
    }
    assert_eq!(is("quorate-agent", "ProtectSystem"), "strict");
    assert!(is("quorate-agent", "ReadWritePaths").contains("/etc/pve"));
    assert_eq!(is("quorate-agent", "StateDirectory"), "quorate-agent");
}

#[test]
fn the_coordinator_is_a_user_of_its_own_without_any_privilege() {
    assert_eq!(is("quorate", "User"), "quorate");
    assert_eq!(unit("quorate")["CapabilityBoundingSet"], [""]);
    assert_eq!(unit("quorate")["AmbientCapabilities"], [""]);
    assert!(read("quorate.sysusers").contains("\nu quorate "));
    let ours = read("quorate.tmpfiles");
    assert!(
        ours.lines().all(|line| line.contains(" 0700 quorate quorate ")),
        "{ours}"
    );
    // Who calls on the socket is known by their user id, which a namespace would hide.
    assert_eq!(is("quorate", "PrivateUsers"), "");
}

#[test]
fn exposure_does_not_rise() {
    if tool::is_there("systemd-analyze") {
        let (notes, wrong) = exposure::compare(&folder()).unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "{notes:?}");
    }
}

#[test]
fn packages_say_what_they_are_and_need() {
    let control = read("control");
    let (source, packages) = control.split_once("\n\n").unwrap();
    assert!(source.contains("Maintainer: ") && source.contains("Build-Depends: debhelper-compat"));
    let packages: Vec<&str> = packages.split("\n\n").collect();
    assert_eq!(packages.len(), PACKAGES.len());
    for (package, text) in PACKAGES.iter().zip(packages) {
        assert!(text.starts_with(&format!("Package: {package}\n")), "{text}");
        assert!(text.contains("\nArchitecture: amd64\n"));
        // What the programs are linked with, and what the maintainer scripts call.
        for needs in ["Pre-Depends: ${shlibs:Depends}", "${misc:Depends}"] {
            assert!(text.contains(needs), "{package}: {needs}");
        }
    }
    // The health of disks is read with smartctl, faults are rehearsed with nft.
    assert!(
        control.contains("\nRecommends: iputils-ping, nftables, smartmontools\n"),
        "{control}"
    );
}

#[test]
fn maintainer_scripts_stop_at_the_first_failure_and_leave_debhelper_its_place() {
    for script in ["quorate-agent.prerm", "quorate-agent.postrm", "quorate.postrm"] {
        let text = read(script);
        assert!(text.starts_with("#!/bin/sh\nset -e\n"), "{script}");
        assert!(text.contains("\n#DEBHELPER#\n"), "{script}");
        let (sound, said) = tool::Tool::new("sh")
            .args(["-n"])
            .args([folder().join(script)])
            .verdict()
            .unwrap();
        assert!(sound, "{script}: {said}");
    }
    for (package, state) in [
        ("quorate-agent", "/var/lib/quorate-agent"),
        ("quorate", "/var/lib/quorate"),
    ] {
        assert!(
            read(&format!("{package}.postrm")).contains(&format!("rm -rf {state}")),
            "{package}"
        );
    }
}
