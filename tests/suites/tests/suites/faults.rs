//! Rehearsed failures on simulated servers: what falls, who ends it, and when. The world's own log is the truth.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};

use quorate_lab::control::Press;
use quorate_lab::truth::Truth;
use quorate_lab::zfs::{PoolPlant, VdevPlant};
use quorate_lab::{Entry, Lab, Plant, What};
use quorate_suites::hand::{BOTH_LINKS, ONE_LINK};
use quorate_suites::{Fleet, told};
use serde_json::{Value, json};

const ALL: [&str; 3] = ["prox1", "prox2", "prox3"];

/// The agent's program does what an operation in its folder says, as its supervisor would have it do. No agent runs.
async fn begins(fleet: &Fleet, node: &str, id: &str, fault: Value, seconds: u32) -> quorate_lab::process::Output {
    use std::io::Write as _;
    let boot = fleet.read(node, "/proc/sys/kernel/random/boot_id");
    let action =
        json!({ "action": "inject_fault", "cluster": "hk1", "fault": fault, "seconds": seconds, "boot": boot.trim() });
    let task = json!({ "operation": { "id": id, "action": action }, "node": node });
    let folder = fleet.rooted(node, &format!("/var/lib/quorate-agent/operations/{id}"));
    let mut private = fs::DirBuilder::new();
    private.recursive(true).mode(0o700).create(&folder).unwrap();
    let mut file = fs::OpenOptions::new();
    let file = file
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join("task.json"));
    file.unwrap().write_all(task.to_string().as_bytes()).unwrap();
    fleet.lab.agent_cli(node, &["task", id], None).await.unwrap()
}

async fn heals(fleet: &Fleet, node: &str) -> Vec<Value> {
    let healed = fleet.lab.agent_cli(node, &["heal", "--json"], None).await.unwrap();
    serde_json::from_str(&healed.stdout).unwrap_or_else(|_| panic!("{}", told(&healed)))
}

async fn cluster(speed: f64) -> Fleet {
    let fleet = Fleet::unmade(Lab::builder().nodes(3).speed(speed)).await;
    fleet.made_by_hand(&ALL, ONE_LINK).await;
    fleet
}

/// When it happened, in simulated milliseconds.
fn when(fleet: &Fleet, what: What, node: &str, detail: &str) -> Vec<u64> {
    let is = |entry: &Entry| entry.what == what && entry.node.as_deref() == Some(node) && entry.detail.contains(detail);
    fleet.world().into_iter().filter(is).map(|entry| entry.ms).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_a_cut_server_is_back_in_time_without_anybody() {
    let fleet = cluster(4.0).await;
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "network" }), 20).await;
    assert!(begun.success(), "{}", told(&begun));
    let status = fleet.lab.agent_cli("prox3", &["heal", "--look"], None).await.unwrap();
    assert!(status.stdout.contains("in force"), "{}", told(&status));
    fleet
        .until("both ports are open again", async || {
            when(&fleet, What::Healed, "prox3", "eno").len() == 2
        })
        .await;
    let (cut, healed) = (
        when(&fleet, What::Cut, "prox3", "eno"),
        when(&fleet, What::Healed, "prox3", "eno"),
    );
    assert_eq!(cut.len(), 2, "each port, and no bridge");
    for (cut, healed) in cut.iter().zip(&healed) {
        let held = healed - cut;
        assert!((19_000..=25_000).contains(&held), "it held for {held} ms of 20 s");
    }
    fleet
        .until("three are one cluster again", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers
                .iter()
                .all(|server| server.writable && server.members.len() == 3)
        })
        .await;
    // systemd's timer has taken the table away; whoever heals finds nothing, and closes the note.
    fleet
        .until("the timer has fired", async || {
            let tables = fleet.tool("prox3", "nft -j list tables").await.stdout;
            !tables.contains("quorate_fault")
        })
        .await;
    let met = heals(&fleet, "prox3").await;
    assert_eq!(met[0]["phase"], "nothing_there", "{met:?}");
    assert!(heals(&fleet, "prox3").await.is_empty());
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_corosync_alone_is_cut_and_healed_by_hand() {
    let fleet = cluster(20.0).await;
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "cluster_network" }), 300).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("prox3 is out", async || {
            !when(&fleet, What::QuorumLost, "prox3", "").is_empty()
        })
        .await;
    assert!(when(&fleet, What::Cut, "prox3", "").is_empty(), "no port is cut");
    // Another one does not begin beside it.
    let second = begins(&fleet, "prox3", "op-2", json!({ "fault": "network" }), 20).await;
    assert!(
        !second.success() && second.stderr.contains("quorum"),
        "{}",
        told(&second)
    );
    let met = heals(&fleet, "prox3").await;
    assert_eq!(
        (&met[0]["id"], &met[0]["phase"]),
        (&json!("op-1"), &json!("undone")),
        "{met:?}"
    );
    fleet
        .until("prox3 is back", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers
                .iter()
                .all(|server| server.writable && server.members.len() == 3)
        })
        .await;
    assert!(
        fleet
            .tool("prox3", "nft -j list tables")
            .await
            .stdout
            .contains("metainfo")
    );
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_a_stopped_corosync_is_started_by_the_timer() {
    let fleet = cluster(10.0).await;
    let before = when(&fleet, What::CorosyncStarted, "prox2", "").len();
    let begun = begins(&fleet, "prox2", "op-1", json!({ "fault": "corosync" }), 20).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("corosync runs again", async || {
            when(&fleet, What::CorosyncStarted, "prox2", "").len() > before
        })
        .await;
    let stopped = when(&fleet, What::CorosyncStopped, "prox2", "")
        .last()
        .copied()
        .unwrap();
    let started = when(&fleet, What::CorosyncStarted, "prox2", "")
        .last()
        .copied()
        .unwrap();
    assert!(started - stopped <= 25_000, "{stopped} {started}");
    fleet
        .until("prox2 is back", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers
                .iter()
                .all(|server| server.writable && server.members.len() == 3)
        })
        .await;
    assert_eq!(heals(&fleet, "prox2").await[0]["phase"], "nothing_there");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_a_server_that_is_reset_comes_back_without_its_fault() {
    let fleet = cluster(20.0).await;
    fleet.protected("prox3", 100).await;
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "network" }), 300).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("the watchdog resets it, and it is up again", async || {
            fleet.happened(What::WatchdogReset) == 1 && !when(&fleet, What::PoweredOn, "prox3", "").is_empty()
        })
        .await;
    let tables = fleet.tool("prox3", "nft -j list tables").await.stdout;
    assert!(!tables.contains("quorate_fault"), "{tables}");
    let met = heals(&fleet, "prox3").await;
    assert_eq!(met[0]["phase"], "nothing_there", "{met:?}");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_the_kernels_switch_resets_the_simulated_server_alone() {
    let fleet = cluster(20.0).await;
    let reset = json!({ "fault": "power", "how": "reset", "attended": false });
    let begun = begins(&fleet, "prox3", "op-1", reset, 0).await;
    drop(begun);
    fleet
        .until("it is up again", async || {
            !when(&fleet, What::PoweredOn, "prox3", "").is_empty()
        })
        .await;
    assert!(when(&fleet, What::PoweredOff, "prox1", "").is_empty());
    let met = heals(&fleet, "prox3").await;
    assert_eq!(
        met[0]["phase"], "nothing_there",
        "it has ended with the new start: {met:?}"
    );
    // The operation's folder is there still: what was begun is not begun again by itself.
    let off = json!({ "fault": "power", "how": "off", "attended": false });
    let refused = begins(&fleet, "prox3", "op-2", off, 0).await;
    assert!(
        !refused.success() && refused.stderr.contains("switch it on"),
        "{}",
        told(&refused)
    );
    fleet.nothing_unknown();
}

/// All three are one writable cluster again.
async fn all_back(fleet: &Fleet) {
    fleet
        .until("three are one cluster again", async || {
            let servers = fleet.lab.status().await.unwrap();
            servers
                .iter()
                .all(|server| server.writable && server.members.len() == 3)
        })
        .await;
}

/// How long it held, as it really was.
fn held(fleet: &Fleet, node: &str, from: u64) -> Option<u64> {
    let truth = Truth::of(&fleet.world(), from, node, 100);
    Some(truth.fault_gone?.ms - truth.fault_made?.ms)
}

/// Simulated milliseconds by now, as far as the log goes.
fn by_now(fleet: &Fleet) -> u64 {
    fleet.world().last().map_or(0, |entry| entry.ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_one_link_of_two_is_cut_and_nobody_leaves() {
    let fleet = Fleet::unmade(Lab::builder().nodes(3).speed(4.0)).await;
    fleet.made_by_hand(&ALL, BOTH_LINKS).await;
    let memberships = fleet.happened(What::MembershipChanged);
    let from = by_now(&fleet);
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "link", "link": 1 }), 15).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("it is over", async || held(&fleet, "prox3", from).is_some())
        .await;
    let held = held(&fleet, "prox3", from).unwrap();
    assert!((14_000..=20_000).contains(&held), "{held} ms of 15 s");
    let cut = when(&fleet, What::CorosyncCut, "prox3", "");
    assert_eq!(cut.len(), 1, "one link");
    assert_eq!(when(&fleet, What::CorosyncCut, "prox3", "192.168.1.13:5406").len(), 1);
    let down = when(&fleet, What::LinkDown, "prox3", "link: 1");
    assert!(!down.is_empty() && when(&fleet, What::LinkDown, "prox3", "link: 0").is_empty());
    assert_eq!(fleet.happened(What::MembershipChanged), memberships);
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_pmxcfs_is_started_by_the_timer() {
    let fleet = cluster(10.0).await;
    let from = by_now(&fleet);
    let begun = begins(&fleet, "prox2", "op-1", json!({ "fault": "pmxcfs" }), 20).await;
    assert!(begun.success(), "{}", told(&begun));
    assert!(
        !fleet.rooted("prox2", "/etc/pve/.members").exists(),
        "nothing is mounted"
    );
    fleet
        .until("it is mounted again", async || held(&fleet, "prox2", from).is_some())
        .await;
    let held = held(&fleet, "prox2", from).unwrap();
    assert!(held <= 25_000, "{held} ms of 20 s");
    all_back(&fleet).await;
    assert_eq!(heals(&fleet, "prox2").await[0]["phase"], "nothing_there");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_the_local_manager_is_started_by_the_timer() {
    let fleet = cluster(20.0).await;
    fleet.protected("prox3", 100).await;
    let from = by_now(&fleet);
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "lrm" }), 60).await;
    assert!(begun.success(), "{}", told(&begun));
    assert_eq!(when(&fleet, What::HaEnded, "prox3", "pve-ha-lrm").len(), 1);
    fleet
        .until("it runs again", async || held(&fleet, "prox3", from).is_some())
        .await;
    assert_eq!(fleet.happened(What::WatchdogReset), 0, "it was closed in good order");
    // Two minutes later nobody had moved the guest.
    fleet
        .until("HA looks after it again", async || {
            let status = fleet.tool("prox3", "ha-manager status").await.stdout;
            status.contains("service vm:100 (prox3, started)") && fleet.armed("prox3")
        })
        .await;
    assert_eq!(fleet.happened(What::GuestRecovered), 0);
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_a_killed_machine_is_started_by_ha_where_it_was() {
    let fleet = cluster(20.0).await;
    fleet.protected("prox3", 100).await;
    let from = by_now(&fleet);
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "guest", "guest": 100 }), 60).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("it runs again", async || held(&fleet, "prox3", from).is_some())
        .await;
    let truth = Truth::of(&fleet.world(), from, "prox3", 100);
    let (started, node) = truth.guest_started.unwrap();
    assert_eq!(node, "prox3");
    let after = started.ms - truth.fault_made.unwrap().ms;
    assert!(after <= 30_000, "{after} ms: HA was first, and no timer");
    assert_eq!(truth.resumed, truth.last_written, "its disks stayed where they were");
    let met = heals(&fleet, "prox3").await;
    assert_eq!(met[0]["phase"], "nothing_there", "{met:?}");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_a_disk_is_taken_in_again_by_the_timer() {
    let fleet = cluster(10.0).await;
    let mirror = PoolPlant {
        name: "tank".to_owned(),
        vdevs: vec![VdevPlant {
            raid: Some("mirror".to_owned()),
            class: None,
            disks: vec!["sda".to_owned(), "sdb".to_owned()],
        }],
        left: None,
    };
    fleet.plant("prox3", Plant::Pool(mirror)).await;
    let status = fleet.tool("prox3", "zpool status -P tank").await.stdout;
    let disk = status
        .split_whitespace()
        .find_map(|word| word.strip_prefix("/dev/disk/by-id/")?.strip_suffix("-part1"))
        .unwrap_or_else(|| panic!("{status}"));
    let from = by_now(&fleet);
    let fault = json!({ "fault": "disk", "pool": "tank", "disk": format!("/dev/disk/by-id/{disk}") });
    let begun = begins(&fleet, "prox3", "op-1", fault, 20).await;
    assert!(begun.success(), "{}", told(&begun));
    assert!(
        fleet
            .tool("prox3", "zpool status -P tank")
            .await
            .stdout
            .contains("OFFLINE")
    );
    fleet
        .until("it is back in the pool", async || held(&fleet, "prox3", from).is_some())
        .await;
    let held = held(&fleet, "prox3", from).unwrap();
    assert!(held <= 25_000, "{held} ms of 20 s");
    assert!(
        !fleet
            .tool("prox3", "zpool status -P tank")
            .await
            .stdout
            .contains("OFFLINE")
    );
    assert_eq!(heals(&fleet, "prox3").await[0]["phase"], "nothing_there");
    fleet.nothing_unknown();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_what_is_switched_off_stays_off_until_somebody_is_there() {
    for how in ["off", "shutdown"] {
        let fleet = cluster(20.0).await;
        let from = by_now(&fleet);
        let off = json!({ "fault": "power", "how": how, "attended": true });
        drop(begins(&fleet, "prox3", "op-1", off, 0).await);
        fleet
            .until("it is off, and missed", async || {
                let servers = fleet.lab.status().await.unwrap();
                let off = servers.iter().any(|server| server.name == "prox3" && server.off);
                off && servers.iter().all(|server| server.off || server.members.len() == 2)
            })
            .await;
        let farewell = when(&fleet, What::TokenLost, "prox1", "").iter().all(|ms| *ms < from);
        assert_eq!(farewell, how == "shutdown", "{how}: does it say goodbye?");
        assert_eq!(held(&fleet, "prox3", from), None, "{how}: nothing ends it by itself");
        fleet.lab.power("prox3", Press::On).await.unwrap();
        all_back(&fleet).await;
        assert!(held(&fleet, "prox3", from).is_some());
        let met = heals(&fleet, "prox3").await;
        assert_eq!(met[0]["phase"], "nothing_there", "{how}: {met:?}");
        fleet.nothing_unknown();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_without_a_reset_corosync_comes_first_and_no_guest_runs_twice_on_the_network() {
    let fleet = cluster(20.0).await;
    fleet.protected("prox3", 100).await;
    fleet.plant("prox3", Plant::WatchdogDead { dead: true }).await;
    let from = by_now(&fleet);
    let begun = begins(&fleet, "prox3", "op-1", json!({ "fault": "network" }), 600).await;
    assert!(begun.success(), "{}", told(&begun));
    fleet
        .until("the guest is started elsewhere", async || {
            Truth::of(&fleet.world(), from, "prox3", 100).guest_started.is_some()
        })
        .await;
    assert_eq!(fleet.happened(What::WatchdogReset), 0);
    assert!(
        fleet.lab.guest("prox3", 100).await.unwrap().unwrap().running,
        "it runs twice"
    );
    let met = heals(&fleet, "prox3").await;
    assert!(
        met[0]["said"].to_string().contains("guest 100 ran here and belongs to"),
        "{met:?}"
    );
    let last = |what, detail| when(&fleet, what, "prox3", detail).last().copied();
    let corosync = last(What::CorosyncHealed, "eno2").unwrap();
    let ended = last(What::GuestStopped, "vm:100").unwrap();
    // What passes again is noted when the world moves on.
    fleet
        .until("all passes again", async || {
            when(&fleet, What::Healed, "prox3", "eno").len() == 2
        })
        .await;
    let healed = when(&fleet, What::Healed, "prox3", "eno")[0];
    assert!(corosync < ended && ended <= healed, "{corosync} {ended} {healed}");
    fleet.nothing_unknown();
}
