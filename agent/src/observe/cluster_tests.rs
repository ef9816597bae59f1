use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use quorate_exec::Exit;
use quorate_exec::scripted::Call;
use quorate_model::facet::UnknownKind;

use super::super::testing::{Fake, cfgtool, fixture, member as make_member, quorumtool};
use super::*;

#[tokio::test]
async fn a_member_of_three() {
    let fake = Fake::new();
    make_member(&fake);
    let cluster = observe(&fake.host([quorumtool(), cfgtool()])).await.unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::Writable);
    assert!(cluster.authkey_present && cluster.local_config_present);
    let member = cluster.member().unwrap();
    assert_eq!(
        (member.cluster.as_str(), member.running_version, member.file_version),
        ("lab1", 5, 5)
    );
    assert!(member.quorate && !member.qdevice);
    assert_eq!(member.online().collect::<Vec<_>>(), ["prox1", "prox2", "prox3"]);
    assert_eq!(member.votes.get().unwrap().total, 3);
    assert_eq!(member.links.get().unwrap().len(), 2);
    assert_eq!(member.configured[1].addresses[&0], "10.77.0.2");
}

#[tokio::test]
async fn a_standalone_node_and_a_machine_without_pve() {
    let fake = Fake::new();
    let cluster = observe(&fake.host([])).await.unwrap();
    assert_eq!(
        (cluster.membership, cluster.pmxcfs),
        (Membership::Standalone, Pmxcfs::NotMounted)
    );
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-standalone.json"));
    let cluster = observe(&fake.host([])).await.unwrap();
    assert_eq!(
        (cluster.membership, cluster.pmxcfs),
        (Membership::Standalone, Pmxcfs::Writable)
    );
}

#[tokio::test]
async fn without_quorum_pmxcfs_is_read_only() {
    let fake = Fake::new();
    make_member(&fake);
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-not-quorate.json"));
    let votes = Call::of(["/usr/bin/corosync-quorumtool", "-siH"])
        .prints(fixture!("corosync-quorumtool/3.1.7/not-quorate.out"))
        .exits(Exit::Code(2));
    let cluster = observe(&fake.host([votes, cfgtool()])).await.unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::ReadOnly);
    assert!(!cluster.member().unwrap().votes.get().unwrap().quorate);
}

#[tokio::test]
async fn mode_bits_alone_make_it_read_only() {
    let fake = Fake::new();
    make_member(&fake);
    fs::set_permissions(fake.place("/etc/pve"), Permissions::from_mode(0o555)).unwrap();
    let cluster = observe(&fake.host([quorumtool(), cfgtool()])).await.unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::ReadOnly);
    fs::set_permissions(fake.place("/etc/pve"), Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn corosyncs_tools_fail_alone() {
    let fake = Fake::new();
    make_member(&fake);
    let votes = Call::of(["/usr/bin/corosync-quorumtool", "-siH"])
        .complains(fixture!("corosync-quorumtool/3.1.7/not-running.err"))
        .exits(Exit::Code(1));
    let links = Call::of(["/usr/bin/corosync-cfgtool", "-n"]).prints("what?\n");
    let cluster = observe(&fake.host([votes, links])).await.unwrap();
    let member = cluster.member().unwrap();
    let votes = member.votes.get().unwrap_err();
    assert_eq!(votes.kind, UnknownKind::Failed);
    assert_eq!(
        votes.reason,
        "corosync-quorumtool failed (exit code 1): Cannot initialize CMAP service"
    );
    let links = member.links.get().unwrap_err();
    assert_eq!(
        (links.kind, links.reason.as_str()),
        (
            UnknownKind::Unparsable,
            "corosync-cfgtool: expected `Local node ID …`: `what?`"
        )
    );
}

#[tokio::test]
async fn what_cannot_be_told_is_unknown_and_not_standalone() {
    // pmxcfs is down on a member.
    let fake = Fake::new();
    fake.put(
        "/etc/corosync/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    let unknown = observe(&fake.host([])).await.unwrap_err();
    assert!(
        unknown
            .reason
            .starts_with("/etc/pve is not mounted, but /etc/corosync/corosync.conf exists")
    );
    // pmxcfs is up, corosync has not answered yet.
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-standalone.json"));
    fake.put(
        "/etc/pve/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    assert!(
        observe(&fake.host([]))
            .await
            .unwrap_err()
            .reason
            .contains("pmxcfs knows of no cluster yet")
    );
    // garbage
    fake.put("/etc/pve/.members", "{ \"nodename\": 7 }");
    let unknown = observe(&fake.host([])).await.unwrap_err();
    assert_eq!(unknown.kind, UnknownKind::Unparsable);
    assert!(
        unknown.reason.starts_with("/etc/pve/.members: ") && unknown.reason.contains("nodename"),
        "{}",
        unknown.reason
    );
}
