//! Guests without a recent backup are told, by the logs of all members; it is no alarm.

use quorate_lab::plants::BackupIs;
use quorate_lab::{GuestSpec, Lab, Plant, Script};
use quorate_suites::Fleet;
use quorate_suites::hand::{ONE_LINK, findings};

const HOUR: u32 = 3600;

fn backup(vmid: u32, ago: u32, end: BackupIs) -> Plant {
    Plant::Backup {
        vmid,
        kind: quorate_lab::description::GuestKind::Qemu,
        ago,
        end,
    }
}

/// Agents read the logs as soon as they begin, so all of them are there before.
#[tokio::test(flavor = "multi_thread")]
async fn guests_without_a_recent_backup_are_told_by_the_logs_of_all_members() {
    let failed = BackupIs::Failed("no space left on device".to_owned());
    let lab = Lab::builder().nodes(3).server("prox1", |server| {
        server.plants = vec![
            backup(101, 9 * 24 * HOUR, BackupIs::Made),
            backup(102, HOUR, failed),
            backup(103, HOUR / 60, BackupIs::Open),
        ];
    });
    // Where it was before it moved.
    let lab = lab.server("prox2", |server| {
        server.plants = vec![backup(100, 24 * HOUR, BackupIs::Made)];
    });
    let fleet = Fleet::enrolled(lab).await;
    fleet.made_by_hand(&["prox1", "prox2", "prox3"], ONE_LINK).await;
    for vmid in 100..=104 {
        let guest = GuestSpec {
            vmid,
            name: format!("web{vmid}"),
            ..GuestSpec::default()
        };
        fleet.lab.script("prox1", Script::AddGuest(guest)).await.unwrap();
    }
    let message = async || {
        let status = fleet.json(&["status"]).await;
        let found = findings(&status, "QRT-GUEST-NO-BACKUP");
        let first = found.first().and_then(|one| one["message"].as_str().map(str::to_owned));
        first.unwrap_or_default()
    };
    // What one server tells may be there before what another does.
    let mut said = String::new();
    fleet
        .until("the guests without a backup are told", async || {
            said = message().await;
            said.contains("failed of 102") && said.contains("is old of 101")
        })
        .await;
    for part in [
        "102 (1 h",
        "on prox1: no space left on device)",
        "the last one is old of 101 (9 d",
        "Proxmox Backup Server",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("100") && !said.contains("103"), "{said}");
    // It is told, and alone no reason for a script to raise the alarm.
    let shown = async || {
        let status = fleet.run(&["status"]).await;
        status.code() == Some(0) && status.stdout.contains("QRT-GUEST-NO-BACKUP")
    };
    fleet.until("status tells of it and ends well", shown).await;
}
