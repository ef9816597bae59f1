use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::scripted::Call;
use quorate_exec::{Exit, Tools};
use quorate_model::facet::UnknownKind;

use super::super::testing::{Fake, cfgtool, cmapctl, fixture, knet, member as make_member, quorumtool, timers};
use super::*;

#[tokio::test]
async fn a_member_of_three() {
    let fake = Fake::new();
    make_member(&fake);
    let cluster = observe(&fake.host([quorumtool(), cfgtool(), cmapctl(), knet(), timers()]))
        .await
        .unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::Writable);
    assert!(cluster.authkey_present && cluster.local_config_present);
    let member = cluster.member().unwrap();
    assert_eq!(
        (member.cluster.as_str(), member.running_version, member.file_version),
        ("lab1", 5, 5)
    );
    assert!(member.quorate && member.qdevice.is_none());
    assert_eq!(member.online().collect::<Vec<_>>(), ["prox1", "prox2", "prox3"]);
    assert_eq!(member.votes.get().unwrap().total, 3);
    let links = member.links.get().unwrap();
    assert_eq!(links.len(), 2);
    let averages = links.iter().map(|link| member.latency_of(link).unwrap().average);
    assert_eq!(averages.collect::<Vec<_>>(), [116, 763]);
    assert_eq!(member.configured[1].addresses[&0], "10.77.0.2");
    assert_eq!(member.interfaces, [(0, None)].into());
    let running = member.running_versions.get().unwrap();
    assert_eq!(
        running.iter().map(|r| (r.id, r.version)).collect::<Vec<_>>(),
        [(1, 5), (2, 5), (3, 5)]
    );
    let local = cluster.local_config.get().unwrap().as_ref().unwrap();
    assert_eq!(
        (local.cluster.as_str(), local.version, local.nodes.len()),
        ("lab1", 5, 3)
    );
    assert_eq!(cluster.config_lock_age, None);
    assert!(cluster.changes.is_empty(), "it is the first look");
}

#[tokio::test]
async fn who_left_runs_with_no_version() {
    let fake = Fake::new();
    make_member(&fake);
    let left = Call::of(["/usr/bin/corosync-cmapctl", "-b", "runtime.members."])
        .prints(fixture!("corosync-cmapctl/3.1.7/member-left.out"));
    let cluster = observe(&fake.host([quorumtool(), cfgtool(), left, knet(), timers()]))
        .await
        .unwrap();
    let running = cluster.member().unwrap().running_versions.get().unwrap().clone();
    assert_eq!(running.iter().map(|r| r.id).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn the_lock_of_corosync_conf_has_an_age() {
    const TAKEN: u64 = 1_795_345_772;
    let fake = Fake::new();
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-standalone.json"));
    let lock = fake.place("/etc/pve/priv/lock/file-corosync_conf");
    fs::create_dir_all(&lock).unwrap();
    let taken = std::time::UNIX_EPOCH + Duration::from_secs(TAKEN);
    fs::File::open(&lock).unwrap().set_modified(taken).unwrap();
    let age = async |now: u64| {
        let (clock, _hands) = Clock::manual(i64::try_from(now * 1_000_000).unwrap());
        let host = fake.host_with(Tools::imagined(), [], clock);
        observe(&host).await.unwrap().config_lock_age
    };
    assert_eq!(age(TAKEN + 130).await, Some(130));
    assert_eq!(age(TAKEN - 9).await, Some(0), "the clock was set back");
    fs::remove_dir(&lock).unwrap();
    assert_eq!(age(TAKEN).await, None);
}

#[tokio::test]
async fn a_local_copy_that_cannot_be_understood_is_unknown_alone() {
    let fake = Fake::new();
    make_member(&fake);
    fake.put("/etc/corosync/corosync.conf", "totem {\n");
    let cluster = observe(&fake.host([quorumtool(), cfgtool(), cmapctl(), knet(), timers()]))
        .await
        .unwrap();
    let unknown = cluster.local_config.get().unwrap_err();
    assert_eq!(
        unknown.reason,
        "/etc/corosync/corosync.conf: corosync.conf: section totem is not closed"
    );
    assert!(cluster.member().is_some());
}

#[tokio::test]
async fn a_corosync_conf_that_was_edited_badly_is_told_with_its_line() {
    let fake = Fake::new();
    make_member(&fake);
    let good = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
    for (from, to, told) in [
        (
            "name: prox1",
            "name prox1",
            "missing `:` after the key: `    name prox1`",
        ),
        ("logging {", "} logging {", "a closing brace too many: `} logging {`"),
        ("nodelist {", "nodes {", "section nodelist is missing"),
        ("  version: 2\n}", "  version: 2\n", "section totem is not closed"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        fake.put("/etc/pve/corosync.conf", &bad);
        let unknown = observe(&fake.host([])).await.unwrap_err();
        assert_eq!(unknown.kind, UnknownKind::Unparsable);
        assert_eq!(
            unknown.reason,
            format!("/etc/pve/corosync.conf: corosync.conf: {told}; mend it in a copy, and mv that over it")
        );
    }
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
    let cluster = observe(&fake.host([votes, cfgtool(), cmapctl(), knet(), timers()]))
        .await
        .unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::ReadOnly);
    assert!(!cluster.member().unwrap().votes.get().unwrap().quorate);
}

#[tokio::test]
async fn mode_bits_alone_make_it_read_only() {
    let fake = Fake::new();
    make_member(&fake);
    fs::set_permissions(fake.place("/etc/pve"), Permissions::from_mode(0o555)).unwrap();
    let cluster = observe(&fake.host([quorumtool(), cfgtool(), cmapctl(), knet(), timers()]))
        .await
        .unwrap();
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
    let versions = Call::of(["/usr/bin/corosync-cmapctl", "-b", "runtime.members."])
        .complains(fixture!("corosync-quorumtool/3.1.7/not-running.err"))
        .exits(Exit::Code(1));
    let latencies = Call::of(["/usr/bin/corosync-cmapctl", "-m", "stats", "stats.knet.node"])
        .prints("stats.knet.node2.link0.latency_samples (u32) = 7\n");
    let none = Call::of(["/usr/bin/corosync-cmapctl", "-b", "runtime.config.totem."]).exits(Exit::Code(1));
    let cluster = observe(&fake.host([votes, links, versions, latencies, none]))
        .await
        .unwrap();
    let member = cluster.member().unwrap();
    let votes = member.votes.get().unwrap_err();
    assert_eq!(votes.kind, UnknownKind::Failed);
    assert_eq!(
        votes.reason,
        "corosync-quorumtool failed (exit code 1): Cannot initialize CMAP service"
    );
    assert_eq!(member.running_versions.get().unwrap_err().kind, UnknownKind::Failed);
    assert_eq!(
        member.latencies.get().unwrap_err().reason,
        "corosync-cmapctl: latency_ave of link 0 to node 2 is missing"
    );
    assert_eq!(member.totem.get().unwrap_err().kind, UnknownKind::Failed);
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
    // pmxcfs is down on a member, and corosync too.
    let fake = Fake::new();
    without_pmxcfs(&fake);
    let unknown = observe(&fake.host([not_running()])).await.unwrap_err();
    assert_eq!(
        unknown.reason,
        "/etc/pve is not mounted, but /etc/corosync/corosync.conf exists: the node belongs to a cluster that can't be seen; systemctl start \
         pve-cluster brings it back; corosync-quorumtool failed (exit code 1): Cannot initialize CMAP service"
    );
    // pmxcfs is up, corosync has not answered yet.
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-standalone.json"));
    fake.put(
        "/etc/pve/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    let reason = observe(&fake.host([corosync_is("active")])).await.unwrap_err().reason;
    assert!(reason.contains("pmxcfs knows of no cluster yet"), "{reason}");
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

/// A member whose pmxcfs is down.
fn without_pmxcfs(fake: &Fake) {
    fake.put("/usr/bin/pmxcfs", "");
    fake.put("/var/lib/pve-cluster/config.db", "");
    fake.put("/etc/corosync/authkey", "key");
    fake.put(
        "/etc/corosync/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
}

fn not_running() -> Call {
    Call::of(["/usr/bin/corosync-quorumtool", "-siH"])
        .complains(fixture!("corosync-quorumtool/3.1.7/not-running.err"))
        .exits(Exit::Code(1))
}

#[tokio::test]
async fn where_pmxcfs_is_down_corosync_has_the_word() {
    let fake = Fake::new();
    without_pmxcfs(&fake);
    let majority =
        Call::of(["/usr/bin/corosync-quorumtool", "-siH"]).prints(fixture!("corosync-quorumtool/3.1.7/majority.out"));
    let all = [quorumtool(), cfgtool(), cmapctl(), knet(), timers()];
    let cut = [majority, cfgtool(), cmapctl(), knet(), timers()];
    let host = fake.host(all.into_iter().chain(cut));
    let cluster = observe(&host).await.unwrap();
    assert_eq!(cluster.pmxcfs, Pmxcfs::NotMounted);
    let member = cluster.member().unwrap();
    assert_eq!(
        (
            member.cluster.as_str(),
            member.running_version,
            member.file_version,
            member.quorate
        ),
        ("lab1", 5, 5, true)
    );
    assert_eq!(member.online().collect::<Vec<_>>(), ["prox1", "prox2", "prox3"]);
    assert!(member.nodes.iter().all(|node| node.address.is_none()));
    assert_eq!(member.configured[2].addresses[&0], "10.77.0.3");
    assert_eq!(member.votes.get().unwrap().total, 3);
    assert_eq!(
        (member.links.get().unwrap().len(), member.latencies.get().unwrap().len()),
        (2, 4)
    );
    let totem = member.totem.get().unwrap();
    assert_eq!((totem.token, totem.consensus, totem.pings.len()), (3000, 3600, 1));

    let cluster = observe(&host).await.unwrap();
    assert_eq!(
        cluster.member().unwrap().online().collect::<Vec<_>>(),
        ["prox1", "prox2"]
    );
    let [change] = cluster.changes.as_slice() else {
        panic!("{:?}", cluster.changes)
    };
    assert_eq!(
        (change.left.as_slice(), change.quorum),
        (&["prox3".to_owned()][..], None)
    );
}

/// As where corosync is all there is.
#[tokio::test]
async fn without_pve_a_corosync_that_does_not_answer_is_unknown() {
    let fake = Fake::new();
    fake.put(
        "/etc/corosync/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    let bin = fake.place("/bin");
    fs::create_dir_all(&bin).unwrap();
    let tools = Tools::only_in(bin).unwrap();
    let unknown = observe(&fake.host_with(tools, [], Clock::system())).await.unwrap_err();
    assert_eq!(unknown.kind, UnknownKind::ToolMissing);
    let told = "/etc/corosync/corosync.conf exists: the node belongs to a cluster that can't be seen: corosync-quorumtool was not found";
    assert!(unknown.reason.starts_with(told), "{unknown}");
}

#[tokio::test]
async fn a_join_that_broke_off_before_pmxcfs_started_anew_is_none() {
    let fake = Fake::new();
    fake.put("/usr/bin/pmxcfs", "");
    fake.put(
        "/etc/corosync/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    fake.put("/etc/corosync/authkey", "key");
    let cluster = observe(&fake.host([])).await.unwrap();
    assert_eq!(
        (&cluster.membership, cluster.pmxcfs),
        (&Membership::Standalone, Pmxcfs::NotMounted)
    );
    let local = cluster.local_config.get().unwrap().as_ref().unwrap();
    assert_eq!(local.cluster, "lab1");
    let guests = super::super::guests::observe(&fake.host([])).await.unwrap();
    assert!(guests.is_empty(), "what has no database has no guests");
}

#[test]
fn a_mount_whose_pmxcfs_has_died_is_told_from_other_trouble() {
    let error = |kind: io::ErrorKind| ReadError::Failed {
        path: MEMBERS.to_owned(),
        source: kind.into(),
    };
    assert!(pmxcfs_is_gone(&error(io::ErrorKind::NotConnected)), "killed");
    assert!(pmxcfs_is_gone(&error(io::ErrorKind::ConnectionAborted)), "ending");
    assert!(!pmxcfs_is_gone(&error(io::ErrorKind::PermissionDenied)));
    assert!(!pmxcfs_is_gone(&ReadError::NotFound {
        path: MEMBERS.to_owned()
    }));
}

fn corosync_is(active: &str) -> Call {
    let argv = [
        "/usr/bin/systemctl",
        "show",
        "-p",
        "LoadState,ActiveState,SubState,Result",
        "corosync",
    ];
    Call::of(argv).prints(format!(
        "LoadState=loaded\nActiveState={active}\nSubState=x\nResult=success\n"
    ))
}

#[tokio::test]
async fn a_member_whose_corosync_does_not_run_sees_nobody() {
    let fake = Fake::new();
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-standalone.json"));
    fake.put(
        "/etc/pve/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    for state in ["failed", "inactive"] {
        let cluster = observe(&fake.host([corosync_is(state)])).await.unwrap();
        let member = cluster.member().unwrap();
        assert_eq!((member.cluster.as_str(), member.quorate), ("lab1", false));
        assert_eq!((member.nodes.len(), member.online().count()), (3, 0));
        assert_eq!(member.links.get().unwrap_err().reason, "corosync does not run");
    }
}
