use quorate_model::facet::UnknownKind;
use quorate_model::observation::FacetName;

use super::testing::{Fake, cfgtool, cmapctl, knet, member, quorumtool, timers};
use super::*;

#[tokio::test]
async fn only_what_is_asked_for_is_observed() {
    let fake = Fake::new();
    member(&fake);
    let observation = observe(
        &fake.host([quorumtool(), cfgtool(), cmapctl(), knet(), timers()]),
        &[FacetName::Cluster, FacetName::Guests],
    )
    .await;
    assert_eq!(observation.hostname, "prox1");
    assert!(observation.cluster.is_known());
    assert_eq!(observation.guests.get().unwrap().len(), 2);
    for unknown in [
        observation.system.get().unwrap_err(),
        observation.disks.get().unwrap_err(),
    ] {
        assert_eq!(unknown.kind, UnknownKind::NotAsked);
    }
}

#[tokio::test]
async fn each_facet_fails_alone_and_says_which_tool_is_missing() {
    let fake = Fake::new();
    fake.put("/etc/pve/.members", "{");
    let observation = observe(&fake.bare(), &FacetName::ALL).await;
    let disks = observation.disks.get().unwrap_err();
    assert_eq!(disks.kind, UnknownKind::ToolMissing);
    assert!(disks.reason.starts_with("lsblk was not found in "), "{}", disks.reason);
    assert!(
        observation
            .network
            .get()
            .unwrap_err()
            .reason
            .starts_with("ip was not found in ")
    );
    assert_eq!(observation.cluster.get().unwrap_err().kind, UnknownKind::Unparsable);
    assert!(
        observation
            .system
            .get()
            .unwrap_err()
            .reason
            .contains("/proc/sys/kernel/random/boot_id does not exist")
    );
    assert_eq!(observation.guests.get().unwrap(), &[]);
}

#[tokio::test]
async fn guests_of_a_server_whose_pmxcfs_is_down_are_unknown() {
    let fake = Fake::new();
    fake.put("/var/lib/pve-cluster/config.db", "");
    let observation = observe(&fake.host([]), &[FacetName::Guests]).await;
    assert_eq!(
        observation.guests.get().unwrap_err().reason,
        "/etc/pve/.vmlist does not exist: /etc/pve is not mounted"
    );
}

/// pmxcfs lets reads wait around a change of membership; a pipe that nobody writes to does the same.
#[tokio::test]
async fn a_stalled_pmxcfs_is_told_as_such() {
    let fake = Fake::new();
    std::fs::create_dir_all(fake.place("/etc/pve")).unwrap();
    let members = fake.place("/etc/pve/.members");
    nix::unistd::mkfifo(&members, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let observation = observe(&fake.bare(), &[FacetName::Cluster, FacetName::Guests]).await;
    let unknown = observation.cluster.get().unwrap_err();
    assert_eq!(unknown.kind, UnknownKind::TimedOut);
    assert!(
        unknown
            .reason
            .starts_with("/etc/pve/.members could not be read: /etc/pve has been blocked for "),
        "{unknown}"
    );
    assert_eq!(observation.guests.get().unwrap_err().kind, UnknownKind::TimedOut);
    // Lets the thread go.
    drop(std::fs::OpenOptions::new().write(true).open(members).unwrap());
}

#[tokio::test]
async fn a_facet_that_takes_too_long_is_unknown_by_itself() {
    let hangs = std::future::pending::<Result<(), Unknown>>();
    let unknown = in_time(std::time::Duration::from_millis(20), hangs).await.unwrap_err();
    assert_eq!(unknown.kind, UnknownKind::TimedOut);
    assert_eq!(unknown.reason, "was not seen within 20ms");
}
