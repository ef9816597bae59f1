//! A watch on a host made of a folder.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_exec::Tools;
use quorate_exec::scripted::Scripted;
use quorate_model::drill::{Event, What};
use quorate_model::ids::OperationId;

use super::sources::Members;
use super::{Order, Recorders};
use crate::host::{Host, HostRoot};
use crate::pace::Pace;

const MEMBERS: &str = include_str!("../../../tests/fixtures/pmxcfs/pve-8.4/members-three-nodes.json");
const CONFIG: &str = include_str!("../../../tests/fixtures/corosync.conf/pve-8.4/three-nodes.conf");
const ISOLATED: &str = include_str!("../../../tests/fixtures/pmxcfs/pve-8.4/members-not-quorate.json");

struct Server {
    root: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl Server {
    fn new() -> Self {
        let server = Self {
            root: tempfile::tempdir().unwrap(),
            state: tempfile::tempdir().unwrap(),
        };
        server.put("/proc/sys/kernel/hostname", "prox3\n");
        server.put("/proc/sys/kernel/random/boot_id", "first\n");
        server.put("/proc/uptime", "5000.00 1.00\n");
        server.put("/etc/pve/.members", MEMBERS);
        server
    }

    /// As pmxcfs shows its files: each is there as a whole.
    fn put(&self, path: &str, text: &str) {
        let place = self.root.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let beside = place.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, place).unwrap();
    }

    fn host(&self) -> Host {
        let root = HostRoot::lab(Path::new(self.root.path())).unwrap();
        // No tool is installed: the journal is not to be had, and that is told once.
        let tools = Tools::only_in(self.root.path().join("no-tools")).unwrap();
        let host = Host::new(root, tools, Arc::new(Scripted::new([])), Clock::system());
        host.at_pace(Pace::try_from(10.0).unwrap())
    }

    fn recorders(&self) -> Recorders {
        Recorders::new(Arc::new(self.host()), self.state.path().to_owned())
    }
}

fn order(recorders_now: quorate_model::Timestamp) -> Order {
    let id = OperationId::new("drill-1").unwrap();
    Order::new(id, vec![100], recorders_now, Duration::from_secs(600)).unwrap()
}

fn now() -> quorate_model::Timestamp {
    quorate_model::Timestamp(Clock::system().unix_micros())
}

async fn until(following: &mut super::Following, wanted: &What) -> Vec<Event> {
    let mut seen = Vec::new();
    let find = async {
        while let Some(new) = following.next().await {
            seen.extend(new);
            if seen.iter().any(|event| event.what == *wanted) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), find).await.unwrap();
    seen
}

fn lost(node: &str) -> What {
    What::MemberLost {
        node: node.parse().unwrap(),
    }
}

#[tokio::test]
async fn what_changes_is_told_and_what_was_there_before_is_not() {
    let server = Server::new();
    let recorders = server.recorders();
    let mut following = recorders.follow(&order(now()), 0).unwrap();
    // Without a journal: told, and no reason to stop. By then a first look has been taken.
    let first = following.next().await.unwrap();
    assert!(
        matches!(&first[0].what, What::Note { text } if text.contains("journal")),
        "{first:?}"
    );
    server.put("/etc/pve/.members", ISOLATED);
    let seen = until(&mut following, &What::QuorumLost).await;
    assert!(seen.iter().all(|event| !matches!(event.what, What::MemberBack { .. })));
    assert!(
        seen.iter().any(|event| event.within_micros > 0),
        "looked at now and then: {seen:?}"
    );
}

#[tokio::test]
async fn without_pmxcfs_corosyncs_own_configuration_says_who_is_who() {
    let server = Server::new();
    fs::remove_file(server.root.path().join("etc/pve/.members")).unwrap();
    let (host, mut members) = (server.host(), Members::default());
    assert!(members.look(&host).await.is_empty() && members.ids.is_empty());
    server.put("/etc/corosync/corosync.conf", CONFIG);
    assert!(members.look(&host).await.is_empty());
    let ids: Vec<_> = members.ids.iter().map(|(id, node)| (*id, node.as_str())).collect();
    assert_eq!(ids, [(1, "prox1"), (2, "prox2"), (3, "prox3")]);
}

#[tokio::test]
async fn who_listens_again_gets_the_rest_and_nothing_twice() {
    let server = Server::new();
    let recorders = server.recorders();
    let order = order(now());
    let mut first = recorders.follow(&order, 0).unwrap();
    first.next().await.unwrap();
    server.put("/etc/pve/.members", ISOLATED);
    until(&mut first, &What::QuorumLost).await;
    let all = recorders.told(&order.id).unwrap();
    let mut again = recorders.follow(&order, 1).unwrap();
    assert_eq!(again.next().await.unwrap(), all[1..]);
}

#[tokio::test]
async fn an_agent_that_starts_after_a_reset_goes_on_and_tells_of_it() {
    let server = Server::new();
    let before = server.recorders();
    let order = order(now());
    let mut following = before.follow(&order, 0).unwrap();
    following.next().await.unwrap();
    let alive = server.state.path().join("events/drill-1/alive");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !alive.exists() {
        assert!(std::time::Instant::now() < deadline, "no sign of life");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop((following, before));

    server.put("/proc/sys/kernel/random/boot_id", "second\n");
    server.put("/proc/uptime", "0.00 0.00\n");
    let after = server.recorders();
    after.resume();
    let mut following = after.follow(&order, 0).unwrap();
    let reset = What::Reset {
        node: "prox3".parse().unwrap(),
    };
    let seen = until(&mut following, &reset).await;
    assert_eq!(seen.iter().filter(|event| event.what == reset).count(), 1);
    assert!(!seen.iter().any(|event| event.what == lost("prox1")));
}

#[tokio::test]
async fn the_same_boot_is_no_reset() {
    let server = Server::new();
    let order = order(now());
    drop(server.recorders());
    for _ in 0..2 {
        let recorders = server.recorders();
        let mut following = recorders.follow(&order, 0).unwrap();
        following.next().await.unwrap();
        let all = recorders.told(&order.id).unwrap();
        assert!(
            !all.iter().any(|event| matches!(event.what, What::Reset { .. })),
            "{all:?}"
        );
    }
}
