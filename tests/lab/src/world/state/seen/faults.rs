//! Rehearsed failures: what the world's own log has of them, whoever ends them, and what the journal has afterwards.

use std::time::Duration;

use super::guests::with_guest;
use super::ha::protected;
use super::{Mark, Seen, cluster};
use crate::truth::Truth;
use crate::world::nft::{Element, Set, Table, Timer};
use crate::world::oplog::What;
use crate::world::server::Network::{Cluster, Public};
use crate::world::zfs::LeafState;

const TABLE: (&str, &str) = ("netdev", "quorate_fault_op-1");

impl Seen {
    /// Packets fall on a server's ports for a while: corosync's for so many milliseconds, all others for so many.
    fn lets_fall(&mut self, index: usize, corosync: u64, others: u64) {
        let now = self.state.now;
        let set = |ms: u64| {
            let timeout = Duration::from_millis(ms);
            let element = |port: &str| Element {
                values: vec![port.to_owned()],
                timeout,
                until: now + timeout,
            };
            Set {
                kind: vec!["ifname".to_owned()],
                elements: vec![element("eno1"), element("eno2")],
            }
        };
        let table = Table {
            sets: [
                ("everything".to_owned(), set(corosync)),
                ("guests".to_owned(), set(others)),
            ]
            .into(),
            chains: vec![],
        };
        let (family, name) = TABLE;
        let tables = &mut self.state.servers[index].nft.tables;
        tables.insert((family.to_owned(), name.to_owned()), table);
    }

    fn argv(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn in_the_journal(&self, index: usize, text: &str) -> usize {
        let kept = self.state.servers[index].journal.kept();
        kept.filter(|line| line.text.contains(text)).count()
    }

    fn truth(&self, mark: &Mark) -> Truth {
        Truth::of(&self.events, mark.ms, "prox3", 100)
    }
}

#[test]
fn what_falls_is_told_once_and_so_is_its_end_by_the_kernel() {
    let mut seen = cluster(3, &[Cluster], false);
    let mark = seen.mark();
    seen.lets_fall(2, 4_000, 6_000);
    seen.pass(10_000);
    for port in ["eno1", "eno2"] {
        seen.assert_within(&mark, 2, What::Cut, port, 0..=20);
        seen.assert_within(&mark, 2, What::CorosyncCut, port, 0..=20);
        seen.assert_within(&mark, 2, What::CorosyncHealed, port, 4_000..=4_020);
        seen.assert_within(&mark, 2, What::Healed, port, 6_000..=6_020);
    }
    let told = |what| {
        let events = seen.events.iter().skip(mark.events);
        events.filter(|entry| entry.what == what).count()
    };
    assert_eq!((told(What::Cut), told(What::Healed)), (2, 2));
    let gone = seen.truth(&mark).fault_gone.expect("it is over").ms - mark.ms;
    assert!((6_000..=6_040).contains(&gone), "{gone}");
}

#[test]
fn whoever_takes_the_table_away_ends_it() {
    let mut seen = cluster(3, &[Cluster], false);
    let mark = seen.mark();
    seen.lets_fall(2, 300_000, 300_000);
    seen.pass(2_000);
    seen.state.servers[2].nft.tables.clear();
    seen.pass(1_000);
    seen.assert_within(&mark, 2, What::Healed, "eno1", 2_000..=2_020);
    // A timer of systemd's does so as well.
    let mark = seen.mark();
    seen.lets_fall(2, 300_000, 300_000);
    let at = seen.state.now + Duration::from_secs(3);
    let (family, name) = TABLE;
    seen.state.servers[2].timers.push(Timer {
        unit: "x.timer".to_owned(),
        at,
        argv: Seen::argv(&format!("/usr/sbin/nft delete table {family} {name}")),
    });
    seen.pass(5_000);
    seen.assert_within(&mark, 2, What::Healed, "eno2", 3_000..=3_020);
}

#[test]
fn a_timer_takes_a_disk_in_again() {
    let mut seen = with_guest();
    let mark = seen.mark();
    let pool = &mut seen.state.servers[0].pools[0];
    let device = pool.leaves().next().expect("a disk").path.clone();
    pool.each_leaf(|leaf| {
        if leaf.is(&device) {
            leaf.state = LeafState::Offline;
        }
    });
    let at = seen.state.now + Duration::from_secs(10);
    seen.state.servers[0].timers.push(Timer {
        unit: "x.timer".to_owned(),
        at,
        argv: Seen::argv(&format!("/usr/sbin/zpool online data_zfs {device}")),
    });
    seen.pass(9_000);
    seen.assert_never(&mark, What::DiskOnline);
    seen.pass(2_000);
    seen.assert_within(&mark, 0, What::DiskOnline, &device, 10_000..=10_020);
    let pool = &seen.state.servers[0].pools[0];
    assert!(pool.leaves().all(|leaf| leaf.state == LeafState::Online));
}

#[test]
fn a_timer_leaves_to_ha_what_is_ha_s() {
    let mut seen = protected();
    seen.state.stop_guest_now(2, 100);
    let mark = seen.mark();
    seen.state.servers[2].timers.push(Timer {
        unit: "x.timer".to_owned(),
        at: seen.state.now,
        argv: Seen::argv("/usr/sbin/qm start 100"),
    });
    seen.pass(100);
    assert!(!seen.state.guest_runs(2, 100), "it was asked for, and no more");
    seen.pass(40_000);
    assert!(seen.state.guest_runs(2, 100));
    assert!(seen.after(&mark, 2, What::GuestStarted, "vm:100").is_some());
}

#[test]
fn the_log_has_all_that_a_failover_consists_of() {
    let mut seen = protected();
    let mark = seen.mark();
    seen.lets_fall(2, 300_000, 330_000);
    seen.pass(240_000);
    let truth = seen.truth(&mark);
    let ms = |moment: Option<crate::truth::Moment>, what: &str| moment.expect(what).ms - mark.ms;
    let (started, node) = truth.guest_started.clone().expect("it was started");
    assert_eq!(node, "prox2");
    let in_order = [
        (ms(truth.fault_made, "a fault"), 0..=40),
        (ms(truth.link_lost, "a link"), 1_000..=2_100),
        (ms(truth.membership_lost, "a membership"), 7_900..=8_100),
        (ms(truth.quorum_lost, "no quorum"), 7_900..=8_100),
        (ms(truth.reset, "a reset"), 53_000..=76_000),
        (ms(truth.lock_taken, "the lock"), 108_000..=145_000),
        (started.ms - mark.ms, 111_000..=155_000),
    ];
    for (at, range) in &in_order {
        assert!(range.contains(at), "{in_order:?}");
    }
    assert!(in_order.is_sorted_by_key(|(at, _)| *at), "{in_order:?}");
    let fenced = ms(truth.fence_decided, "it was fenced");
    assert!((55_000..=85_000).contains(&fenced), "{fenced}");
    seen.assert_within(
        &mark,
        0,
        What::HaNodeChanged,
        "prox3: online => unknown",
        7_900..=20_000,
    );
    // With the power the table is gone: the server comes back, long before the time is over.
    assert_eq!(ms(truth.fault_gone, "its end"), ms(truth.reset, "a reset"));
    let back = ms(truth.node_back, "a member");
    assert!((170_000..=210_000).contains(&back), "{back}");
    // A guest without disks has nothing to lose: what it wrote is told all the same.
    assert!(truth.last_written.expect("a number") > 0);
}

#[test]
fn an_armed_watchdog_that_is_dead_resets_nothing() {
    let mut seen = protected();
    seen.state.servers[2].hardware.watchdog_dead = true;
    let mark = seen.cut(2, &[Cluster, Public]);
    seen.pass(200_000);
    seen.assert_never(&mark, What::WatchdogReset);
    assert!(
        seen.state.guest_runs(2, 100) && seen.state.guest_runs(1, 100),
        "it runs twice"
    );
    assert!(seen.state.is_armed(2), "as far as can be seen");
}

#[test]
fn what_the_journal_had_not_synced_goes_with_the_power() {
    let mut seen = cluster(3, &[Cluster], false);
    seen.state.servers[2].journal.sync();
    let before = seen.in_the_journal(2, "is down");
    seen.cut(2, &[Cluster]);
    seen.pass(5_000);
    assert!(seen.in_the_journal(2, "is down") > before);
    seen.state.cut_power(2, true);
    seen.pass(1_000);
    assert_eq!(seen.in_the_journal(2, "is down"), before);
    assert_eq!(
        seen.in_the_journal(2, "exiting normally"),
        0,
        "nobody had the time to say so"
    );
    // Who goes in order leaves all of it behind.
    seen.state.shut_down(1, false);
    seen.pass(60_000);
    assert!(seen.state.servers[1].power.off);
    assert_eq!(seen.in_the_journal(1, "exiting normally"), 1);
}

#[test]
fn a_newer_watchdog_mux_warns_and_saves_the_journal() {
    let mut seen = protected();
    "9.1.1".clone_into(&mut seen.state.servers[2].spec.pve_version);
    let mark = seen.cut(2, &[Cluster, Public]);
    seen.pass(100_000);
    seen.assert_within(&mark, 2, What::WatchdogReset, "", 53_000..=76_000);
    seen.assert_said(
        &mark,
        2,
        &[
            "client (PID 830) watchdog is about to expire",
            "client (PID 830) watchdog expired - disable watchdog updates",
        ],
    );
    assert!(seen.in_the_journal(2, "about to expire") > 0, "it is on the disk");
    assert!(seen.in_the_journal(2, "lost_agent_lock") > 0, "and all before it");
    assert_eq!(seen.in_the_journal(2, "watchdog expired"), 0, "but not what came after");
}
