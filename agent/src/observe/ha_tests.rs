use quorate_exec::Exit;
use quorate_exec::scripted::Call;

use super::super::testing::{Fake, fixture, member};
use super::*;

const SHOW: [&str; 6] = [
    "/usr/bin/systemctl",
    "show",
    "-p",
    "LoadState,ActiveState,SubState,UnitFileState",
    "pve-ha-lrm",
    "pve-ha-crm",
];

fn dpkg() -> Call {
    let format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\n";
    Call::of(["/usr/bin/dpkg-query", "-W", "-f", format, "pve-ha-manager"])
}

fn calls() -> [Call; 2] {
    let unit = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n";
    [
        dpkg().prints("ii \tpve-ha-manager\t5.2.0\n"),
        Call::of(SHOW).prints(format!("{unit}\n{unit}")),
    ]
}

/// prox1 of three, with a guest under HA.
fn guarded() -> Fake {
    let fake = Fake::new();
    member(&fake);
    fake.put(
        "/etc/pve/nodes/prox1/lrm_status",
        fixture!("ha/pve-8.4/lrm-active.json"),
    );
    fake.put("/etc/pve/ha/manager_status", fixture!("ha/pve-8.4/manager.json"));
    fake.put("/etc/pve/ha/resources.cfg", fixture!("ha/pve-8.4/resources.cfg"));
    fake.put("/run/watchdog-mux.active/x", "");
    fake
}

#[tokio::test]
async fn a_node_that_guards_a_guest() {
    let ha = observe(&guarded().host(calls())).await.unwrap();
    assert!(ha.watchdog_armed && ha.can_disarm().unwrap());
    assert!(ha.lrm.get().unwrap().is_running() && ha.crm.get().unwrap().is_running());
    assert_eq!(ha.lrm_status.get().unwrap().as_ref().unwrap().state, "active");
    assert_eq!(ha.manager.get().unwrap().as_ref().unwrap().master, "prox1");
    assert_eq!(ha.resources.get().unwrap().len(), 3);
}

#[tokio::test]
async fn where_ha_was_never_used_there_is_nothing_and_that_is_known() {
    let fake = Fake::new();
    member(&fake);
    let ha = observe(&fake.host(calls())).await.unwrap();
    assert!(!ha.watchdog_armed);
    assert_eq!(ha.lrm_status.get().unwrap(), &None);
    assert_eq!(ha.manager.get().unwrap(), &None);
    assert!(ha.resources.get().unwrap().is_empty());
}

#[tokio::test]
async fn without_etc_pve_nothing_is_said_of_what_lies_there() {
    let fake = Fake::new();
    let ha = observe(&fake.host(calls())).await.unwrap();
    for unknown in [ha.manager.get().unwrap_err(), ha.resources.get().unwrap_err()] {
        assert!(unknown.reason.ends_with("/etc/pve is not mounted"), "{unknown}");
    }
    assert!(ha.lrm.is_known(), "systemd knows all the same");
}

#[tokio::test]
async fn a_host_without_pve_has_no_ha() {
    let ha = observe(&Fake::new().bare()).await.unwrap();
    assert!(ha.resources.get().unwrap().is_empty());
    assert!(!ha.version.is_known() && !ha.lrm.is_known());
}

#[tokio::test]
async fn each_part_fails_alone() {
    let fake = guarded();
    fake.put("/etc/pve/ha/manager_status", "{\"master_node\":");
    let none = "dpkg-query: no packages found matching pve-ha-manager\n";
    let calls = [
        dpkg().complains(none).exits(Exit::Code(1)),
        Call::of(SHOW)
            .complains("Failed to connect to bus: Host is down\n")
            .exits(Exit::Code(1)),
    ];
    let ha = observe(&fake.host(calls)).await.unwrap();
    assert_eq!(ha.version.get().unwrap_err().reason, "pve-ha-manager is not installed");
    let unit = ha.crm.get().unwrap_err();
    assert_eq!(
        unit.reason,
        "systemctl failed (exit code 1): Failed to connect to bus: Host is down"
    );
    assert_eq!(ha.manager.get().unwrap_err().kind, UnknownKind::Unparsable);
    assert!(ha.lrm_status.is_known() && ha.resources.is_known());
}
