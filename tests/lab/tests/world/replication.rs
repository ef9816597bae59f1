//! `pvesr`: its texts, and what its jobs really do.

use quorate_lab::control::Press;
use quorate_lab::{Lab, What};

use crate::guests::{really, said, three_with_pools, tool};
use crate::{happened, nothing_unknown, until};

const CREATE: &str = "qm create 100 --name web1 --memory 512 --scsi0 data_zfs:4 --agent 1 --start 1";

fn quiet() -> (String, String, i32) {
    (String::new(), String::new(), 0)
}

async fn has_copy(lab: &Lab, node: &str) -> bool {
    really(lab, node, 100)
        .await
        .is_some_and(|guest| !guest.volumes.is_empty())
}

#[tokio::test]
async fn jobs_are_made_listed_changed_and_removed() {
    let lab = three_with_pools().await;
    let created = tool(&lab, "prox1", CREATE).await;
    assert_eq!(created.2, 0, "{created:?}");
    for (order, refusal) in [
        ("pvesr create-local-job 101-0 prox2", "Guest '101' does not exist."),
        ("pvesr create-local-job 100-0 prox9", "Target 'prox9' does not exist."),
        (
            "pvesr create-local-job 100-0 prox1",
            "Source and target must not be identical",
        ),
        (
            "pvesr create-local-job 100-0 prox2 --rate 0.5",
            "400 Parameter verification failed.\nrate: value must have a minimum value of 1",
        ),
        ("pvesr delete 100-0", "no such job '100-0'"),
    ] {
        assert_eq!(tool(&lab, "prox1", order).await, said(refusal));
    }
    assert_eq!(
        tool(
            &lab,
            "prox1",
            "pvesr create-local-job 100-0 prox2 --schedule */5 --rate 50"
        )
        .await,
        quiet()
    );
    assert_eq!(
        tool(&lab, "prox1", "pvesr create-local-job 100-0 prox3").await,
        said("replication job '100-0' already exists")
    );
    assert_eq!(
        tool(&lab, "prox1", "pvesr create-local-job 100-1 prox2").await,
        said("replication job for guest '100' to target 'local/prox2' already exists")
    );
    let made = "pvesh create /cluster/replication --type local --id 100-1 --target prox3 --schedule */10";
    assert_eq!(tool(&lab, "prox2", made).await, quiet());
    let listed = tool(&lab, "prox3", "pvesr list").await.0;
    assert_eq!(
        listed.lines().nth(1),
        Some("100-0                local/prox2                 */5    50      yes"),
        "{listed}"
    );
    assert_eq!(tool(&lab, "prox1", "qm destroy 100").await.2, 255);
    assert_eq!(
        tool(&lab, "prox1", "qm set 100 --scsi1 local-lvm:1").await,
        said("cannot add non-replicatable volume to a replicated VM")
    );
    until(&lab, "both copies", async || {
        has_copy(&lab, "prox2").await && has_copy(&lab, "prox3").await
    })
    .await;
    let seen = tool(&lab, "prox1", "pvesh get /nodes/prox1/replication --output-format json")
        .await
        .0;
    let seen: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    assert_eq!(
        (&seen[0]["id"], &seen[0]["source"], &seen[0]["vmtype"]),
        (&"100-0".into(), &"prox1".into(), &"qemu".into())
    );
    assert!(seen[0]["last_sync"].as_i64() > Some(1_600_000_000) && seen[0]["fail_count"] == 0);
    let log = tool(
        &lab,
        "prox1",
        "pvesh get /nodes/prox1/replication/100-0/log --output-format json",
    )
    .await
    .0;
    assert!(
        log.contains("using secure transmission, rate limit: 50 MByte/s"),
        "{log}"
    );
    let status = tool(&lab, "prox1", "pvesr status").await.0;
    assert!(
        status
            .lines()
            .nth(1)
            .is_some_and(|line| line.starts_with("100-0      Yes        local/prox2 ")),
        "{status}"
    );
    // Only where the guest is.
    assert_eq!(tool(&lab, "prox2", "pvesr status").await.0.lines().count(), 1);

    assert_eq!(tool(&lab, "prox1", "pvesr run --id 100-0").await, quiet());
    assert_eq!(tool(&lab, "prox1", "pvesr disable 100-0").await, quiet());
    assert_eq!(
        tool(&lab, "prox1", "pvesr run --id 100-0").await,
        said("job '100-0' is disabled")
    );
    assert_eq!(tool(&lab, "prox2", "pvesr schedule-now 100-1").await, quiet());
    let removed = tool(&lab, "prox1", "pvesr delete 100-1").await;
    assert_eq!(
        (removed.1.as_str(), removed.2),
        (
            "Replication job removal is a background task and will take some time.\n",
            0
        )
    );
    until(&lab, "the copy to go", async || !has_copy(&lab, "prox3").await).await;
    assert_eq!(
        tool(&lab, "prox1", "pvesr delete 100-0 --keep 1 --force 1").await,
        said("conflicting parameters: 'keep' and 'force'")
    );
    assert_eq!(tool(&lab, "prox1", "pvesr delete 100-0 --force 1").await, quiet());
    assert!(has_copy(&lab, "prox2").await);
    assert_eq!(tool(&lab, "prox1", "pvesr list").await.0.lines().count(), 1);
    nothing_unknown(&lab);
}

#[tokio::test]
async fn a_replicated_machine_goes_to_its_target_and_to_no_other_while_it_runs() {
    let lab = three_with_pools().await;
    tool(&lab, "prox1", CREATE).await;
    tool(&lab, "prox1", "pvesr create-local-job 100-0 prox2 --schedule */1").await;
    assert_eq!(
        tool(&lab, "prox1", "qm migrate 100 prox3 --online 1").await,
        said("Cannot live-migrate replicated VM to node 'prox3' - not a replication target. Use 'force' to override.")
    );
    until(&lab, "the first run", async || {
        !happened(&lab, What::Replicated).is_empty()
    })
    .await;
    let moved = tool(&lab, "prox1", "qm migrate 100 prox2 --online 1 --with-local-disks 1").await;
    assert_eq!(moved.2, 0, "{moved:?}");
    assert!(
        moved
            .0
            .contains("found local, replicated disk 'data_zfs:vm-100-disk-0' (attached)"),
        "{}",
        moved.0
    );
    assert!(
        moved.0.contains(" 100-0: incremental sync 'data_zfs:vm-100-disk-0'"),
        "{}",
        moved.0
    );
    let left = really(&lab, "prox1", 100).await.expect("a copy");
    assert!(!left.owned && !left.running && left.volumes.len() == 1);
    let jobs = tool(&lab, "prox3", "pvesr read 100-0").await.0;
    assert!(
        jobs.contains("\"target\": \"prox1\"") && jobs.contains("\"source\": \"prox2\""),
        "{jobs}"
    );
}

#[tokio::test]
async fn a_mere_look_turns_the_jobs_of_a_stolen_guest_round() {
    let lab = three_with_pools().await;
    tool(&lab, "prox1", CREATE).await;
    tool(&lab, "prox1", "pvesr create-local-job 100-0 prox2 --schedule */30").await;
    until(&lab, "the first run", async || {
        !happened(&lab, What::Replicated).is_empty()
    })
    .await;
    lab.power("prox1", Press::Pull).await.expect("pulled");
    let quorate = async || {
        let all = lab.status().await.expect("a status");
        all.iter()
            .any(|server| server.name == "prox2" && server.members.len() == 2 && server.writable)
    };
    until(&lab, "the others to miss it", quorate).await;
    let root = lab.node("prox2").expect("prox2").root.join("etc/pve/nodes");
    std::fs::rename(
        root.join("prox1/qemu-server/100.conf"),
        root.join("prox2/qemu-server/100.conf"),
    )
    .expect("moved");
    until(&lab, "the guest to be there", async || {
        really(&lab, "prox2", 100).await.is_some_and(|guest| guest.owned)
    })
    .await;
    let status = tool(&lab, "prox2", "pvesr status").await.0;
    assert!(
        status.lines().nth(1).is_some_and(|line| line.contains("local/prox1")),
        "{status}"
    );
    assert_eq!(happened(&lab, What::ReplicationReversed).len(), 1);
    assert_eq!(tool(&lab, "prox2", "qm start 100").await.2, 0);
}
