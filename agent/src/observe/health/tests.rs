use std::time::Duration;

use quorate_clock::{Clock, Hands};
use quorate_exec::Tools;
use quorate_exec::scripted::Call;
use quorate_model::facet::UnknownKind;
use quorate_model::observation::cluster::Pmxcfs;

use super::super::testing::{Fake, fixture, member};
use super::*;

/// A host on which no tool but corosync's is installed: what else a tick sets off ends at once, unknown.
fn watched(fake: &Fake, rounds: usize) -> (HealthCollector, Hands) {
    let all = fixture!("corosync-quorumtool/3.1.7/three-nodes.out");
    watched_with(fake, &vec![Asked::Everything(all); rounds])
}

/// What corosync is asked, and what it counts then.
#[derive(Clone, Copy)]
enum Asked {
    Everything(&'static str),
    Votes(&'static str),
}

fn watched_with(fake: &Fake, asked: &[Asked]) -> (HealthCollector, Hands) {
    let bin = fake.place("/bin");
    std::fs::create_dir_all(&bin).unwrap();
    let mut calls = Vec::new();
    for tool in ["corosync-quorumtool", "corosync-cfgtool", "corosync-cmapctl"] {
        let place = bin.join(tool);
        std::fs::write(&place, "").unwrap();
        std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = |tool: &str| bin.join(tool).to_str().unwrap().to_owned();
    for round in asked {
        let (quorumtool, cfgtool) = (path("corosync-quorumtool"), path("corosync-cfgtool"));
        let cmapctl = path("corosync-cmapctl");
        let (Asked::Everything(votes) | Asked::Votes(votes)) = round;
        calls.push(Call::of([quorumtool.as_str(), "-siH"]).prints(*votes));
        if let Asked::Votes(_) = round {
            continue;
        }
        calls.push(Call::of([cfgtool.as_str(), "-n"]).prints(fixture!("corosync-cfgtool/3.1.7/three-nodes.out")));
        let members = Call::of([cmapctl.as_str(), "-b", "runtime.members."]);
        calls.push(members.prints(fixture!("corosync-cmapctl/3.1.7/members.out")));
        let statistics = Call::of([cmapctl.as_str(), "-m", "stats", "stats.knet.node"]);
        calls.push(statistics.prints(fixture!("corosync-cmapctl/3.1.7/knet-two-links.out")));
        let timers = Call::of([cmapctl.as_str(), "-b", "runtime.config.totem."]);
        calls.push(timers.prints(fixture!("corosync-cmapctl/3.1.7/timers.out")));
    }
    let (clock, hands) = Clock::manual(1_000_000_000);
    let host = fake.host_with(Tools::only_in(bin).unwrap(), calls, clock);
    (HealthCollector::new(Arc::new(host)), hands)
}

fn quorate(observation: &Observation) -> Option<bool> {
    observation
        .cluster
        .get()
        .ok()
        .and_then(|cluster| cluster.member().map(|member| member.quorate))
}

fn is_silent<T>(facet: &Facet<T>) -> bool {
    matches!(facet, Facet::Unknown(unknown) if unknown.kind == UnknownKind::NotAsked)
}

#[tokio::test]
async fn the_membership_is_told_when_it_changes_and_now_and_then() {
    let fake = Fake::new();
    member(&fake);
    let (mut health, hands) = watched(&fake, 3);
    assert_eq!(quorate(&health.tick().await), Some(true));
    hands.advance(Duration::from_secs(1));
    assert!(is_silent(&health.tick().await.cluster), "nothing has changed");
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-not-quorate.json"));
    hands.advance(Duration::from_secs(1));
    assert_eq!(quorate(&health.tick().await), Some(false));
    hands.advance(Duration::from_secs(61));
    assert_eq!(quorate(&health.tick().await), Some(false));
}

/// Votes and links follow the members, without a sign of their own.
#[tokio::test]
async fn after_a_change_of_members_votes_and_links_are_looked_at_until_they_have_settled() {
    let fake = Fake::new();
    member(&fake);
    let (mut health, hands) = watched(&fake, 20);
    assert_eq!(quorate(&health.tick().await), Some(true));
    for _ in 0..2 {
        hands.advance(Duration::from_secs(61));
        assert_eq!(quorate(&health.tick().await), Some(true));
    }
    hands.advance(AGAIN);
    assert!(is_silent(&health.tick().await.cluster), "nothing has changed for long");
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-not-quorate.json"));
    for _ in 0..6 {
        assert_eq!(quorate(&health.tick().await), Some(false));
        hands.advance(AGAIN);
    }
    assert_eq!(quorate(&health.tick().await), Some(false), "for half a minute");
    hands.advance(AGAIN);
    assert!(is_silent(&health.tick().await.cluster), "it has settled");
}

#[tokio::test]
async fn losing_pmxcfs_is_told_at_once_and_corosync_watched_instead() {
    let fake = Fake::new();
    member(&fake);
    fake.put("/usr/bin/pmxcfs", "");
    let all = fixture!("corosync-quorumtool/3.1.7/three-nodes.out");
    let majority = fixture!("corosync-quorumtool/3.1.7/majority.out");
    let (mut health, hands) = watched_with(
        &fake,
        &[
            Asked::Everything(all),
            // It is lost,
            Asked::Votes(all),
            Asked::Everything(all),
            // all is as it was,
            Asked::Votes(all),
            // and then somebody leaves.
            Asked::Votes(majority),
            Asked::Everything(majority),
        ],
    );
    assert_eq!(quorate(&health.tick().await), Some(true));
    std::fs::remove_dir_all(fake.place("/etc/pve")).unwrap();
    let mut tick = async || {
        hands.advance(Duration::from_secs(1));
        health.tick().await.cluster
    };
    let lost = tick().await;
    let lost = lost.get().unwrap();
    assert_eq!(lost.pmxcfs, Pmxcfs::NotMounted);
    assert!(lost.changes.is_empty(), "the membership is as it was");
    assert!(is_silent(&tick().await));
    let left = tick().await;
    let [change] = left.get().unwrap().changes.as_slice() else {
        panic!("{left:?}")
    };
    assert_eq!(
        (change.left.as_slice(), change.quorum),
        (&["prox3".to_owned()][..], None)
    );
    assert_eq!(change.at.seconds(), 1003);
}

#[tokio::test]
async fn load_and_memory_are_new_at_every_tick() {
    let fake = Fake::new();
    for (path, text) in [
        ("/etc/os-release", fixture!("os-release/debian-12.out")),
        ("/proc/sys/kernel/osrelease", "6.8.12-4-pve\n"),
        ("/proc/sys/kernel/random/boot_id", "0b1e\n"),
        ("/proc/uptime", "100.5 1\n"),
        ("/proc/loadavg", "0.10 0.20 0.30 1/2 3\n"),
        ("/proc/meminfo", fixture!("proc/6.18/meminfo.out")),
        ("/proc/cpuinfo", fixture!("proc/6.18/cpuinfo.out")),
    ] {
        fake.put(path, text);
    }
    let (mut health, hands) = watched(&fake, 0);
    let load = |observation: &Observation| observation.system.get().unwrap().cpu.load[0];
    assert!((load(&health.tick().await) - 0.1).abs() < 1e-9);
    fake.put("/proc/loadavg", "7.50 0.20 0.30 1/2 3\n");
    hands.advance(Duration::from_secs(1));
    assert!((load(&health.tick().await) - 7.5).abs() < 1e-9);
    fake.put("/proc/loadavg", "high\n");
    hands.advance(Duration::from_secs(1));
    let unknown = health.tick().await.system;
    assert_eq!(
        unknown.get().unwrap_err().reason,
        "/proc/loadavg: expected three numbers: `high`"
    );
}

#[tokio::test]
async fn a_changed_list_of_partitions_has_the_disks_observed_again() {
    let fake = Fake::new();
    fake.put("/proc/partitions", "8 0 100 sda\n");
    let (mut health, hands) = watched(&fake, 0);
    let mut told = 0;
    // The work is done beside the ticks: it takes some of them until its result is there.
    let mut until_told = async |health: &mut HealthCollector| {
        for _ in 0..1000 {
            if !is_silent(&health.tick().await.disks) {
                told += 1;
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the disks were never told");
    };
    until_told(&mut health).await;
    for _ in 0..10 {
        assert!(is_silent(&health.tick().await.disks), "nothing has changed");
        tokio::task::yield_now().await;
    }
    fake.put("/proc/partitions", "8 0 100 sda\n8 16 100 sdb\n");
    until_told(&mut health).await;
    hands.advance(Duration::from_secs(61));
    until_told(&mut health).await;
    assert_eq!(told, 3);
}

#[tokio::test]
async fn ha_is_told_as_soon_as_the_watchdog_is_armed() {
    let fake = Fake::new();
    let (mut health, hands) = watched(&fake, 0);
    let armed = async |health: &mut HealthCollector| {
        for _ in 0..1000 {
            if let Ok(ha) = health.tick().await.ha.get() {
                return ha.watchdog_armed;
            }
            tokio::task::yield_now().await;
        }
        panic!("HA was never told");
    };
    assert!(!armed(&mut health).await);
    hands.advance(Duration::from_secs(1));
    assert!(is_silent(&health.tick().await.ha), "nothing has changed");
    std::fs::create_dir_all(fake.place("/run/watchdog-mux.active")).unwrap();
    assert!(armed(&mut health).await);
}

#[tokio::test]
async fn what_only_planning_needs_is_never_in_the_stream() {
    let fake = Fake::new();
    let (mut health, hands) = watched(&fake, 0);
    for _ in 0..5 {
        let seen = health.tick().await;
        assert!(is_silent(&seen.config) && is_silent(&seen.readiness));
        hands.advance(Duration::from_secs(61));
    }
}
