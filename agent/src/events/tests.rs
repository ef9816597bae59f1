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
use super::{Order, Recorders, TallyAt};
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

/// A writer whose number grows with each question.
fn writer() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for number in 4711.. {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let answer = quorate_tally::Answer {
                number,
                time_ms: 1_764_300_000_123,
                resumed: 4700,
                run: 7,
                host: "canary".to_owned(),
                boot: "0a1b".to_owned(),
            };
            drop(std::io::Write::write_all(&mut stream, answer.to_string().as_bytes()));
        }
    });
    at
}

/// Container 100 runs here: its command socket is there.
const RUNS: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n\
    0000000000000000: 00000002 00000000 00010000 0001 01 12345 @/var/lib/lxc/100/command\n";

fn numbers(events: &[Event]) -> Vec<(u64, u64)> {
    let number = |event: &Event| match &event.what {
        What::Wrote { number, .. } => Some((*number, event.within_micros)),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

#[tokio::test]
async fn what_a_guest_wrote_until_the_reset_is_told_after_it() {
    let server = Server::new();
    server.put("/proc/net/unix", RUNS);
    let tally = TallyAt {
        guest: 100,
        at: writer(),
    };
    let order = order(now()).asking(tally).unwrap();
    let before = server.recorders();
    let mut following = before.follow(&order, 0).unwrap();
    let seen = async {
        loop {
            let new = following.next().await.unwrap();
            if let Some(first) = numbers(&new).first() {
                return *first;
            }
        }
    };
    let first = tokio::time::timeout(Duration::from_secs(30), seen).await.unwrap();
    // Many more answers follow, of which none is told for a while.
    let kept = server.state.path().join("events/drill-1/wrote");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let newest = || {
        let text = fs::read_to_string(&kept).unwrap();
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok()?["number"].as_u64();
        text.lines().filter_map(read).max().unwrap_or_default()
    };
    while newest() < first.0 + 5 {
        assert!(std::time::Instant::now() < deadline, "nobody asks on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let least = newest();
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
    let told = numbers(&seen);
    let (last, within) = *told.last().unwrap();
    assert!(last >= least && told.len() >= 2, "{told:?}, at least {least}");
    assert!(within > 0);
    let place = |wanted: &dyn Fn(&What) -> bool| seen.iter().rposition(|event| wanted(&event.what)).unwrap();
    assert!(
        place(&|what| matches!(what, What::Wrote { .. })) < place(&|what| *what == reset),
        "by the clock before the reset: {seen:?}"
    );
}

#[tokio::test]
async fn a_guest_that_runs_elsewhere_is_not_asked() {
    let server = Server::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let tally = TallyAt {
        guest: 100,
        at: listener.local_addr().unwrap(),
    };
    let order = order(now()).asking(tally).unwrap();
    let recorders = server.recorders();
    let mut following = recorders.follow(&order, 0).unwrap();
    following.next().await.unwrap();
    server.put("/etc/pve/.members", ISOLATED);
    until(&mut following, &What::QuorumLost).await;
    assert!(listener.accept().is_err(), "it was asked");
}

#[test]
fn whom_a_watch_asks_is_one_of_its_guests() {
    let ask = |guest: u32, at: &str| {
        order(now()).asking(TallyAt {
            guest,
            at: at.parse().unwrap(),
        })
    };
    assert!(ask(100, "192.0.2.7:7460").is_ok());
    assert!(ask(101, "192.0.2.7:7460").unwrap_err().contains("101"));
    for nobody in ["192.0.2.7:0", "0.0.0.0:7460", "[ff02::1]:7460"] {
        assert!(ask(100, nobody).is_err(), "{nobody}");
    }
}
