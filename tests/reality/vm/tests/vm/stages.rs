//! A failover of the whole network whose victim nobody has reset: it comes back in two stages. corosync's packets pass first; when the server is back in its
//! cluster, what runs here and belongs to another one is stopped; and only then the ports open for all.
//!
//! There is no cluster and no guest in the machine: what pmxcfs would say is written by hand, and the guest's process is one that is called as PVE calls QEMU's.

use std::time::{Duration, Instant};

use quorate_model::fault::Fault;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};

use crate::clients::Clients;
use crate::fleet::{Fleet, NODE};
use crate::rehearsed::{
    ECHO, OWN, a_member, begin, guest_100_belongs_to, is_over, is_there, members, put, rehearsal, the_agent_is_killed,
    unit,
};

/// The shortest failover.
const SECONDS: u64 = 180;
/// So long before its end corosync's packets pass. Source: `agent/src/faults`, `STAGE`.
const STAGE: u64 = 30;
/// What is promised of every fault that a timer ends.
const GRACE: u64 = 5;

/// As long as nobody can tell whose the guest is, nothing opens before the time is over.
const UNDECIDED: Duration = Duration::from_secs(5);

/// A process that PVE would take for guest 100's QEMU.
async fn guest_100_runs(guest: &Guest) {
    let idle = "while :; do sleep 10; done";
    let called = format!("exec -a /usr/bin/kvm bash -c '{idle}' kvm -id 100 -pidfile /var/run/qemu-server/100.pid");
    unit(guest, "guest100", &["bash", "-c", &called]).await;
    let mut pid = String::new();
    until("the guest runs", async || {
        let found = guest
            .does("systemctl show --property=MainPID --value guest100.service")
            .await;
        found.trim().clone_into(&mut pid);
        let cmdline = guest.run(&["cat", &format!("/proc/{pid}/cmdline")]).await.stdout;
        cmdline.starts_with("/usr/bin/kvm\0") && cmdline.contains("\0-pidfile\0")
    })
    .await;
    put(guest, "/run/qemu-server/100.pid", &format!("{pid}\n")).await;
}

async fn guest_100_still_runs(guest: &Guest) -> bool {
    let state = guest.run(&["systemctl", "is-active", "guest100.service"]).await;
    state.stdout.trim() == "active"
}

/// Somebody at corosync's port, and somebody at another one.
async fn answers(fleet: &Fleet) -> [Clients; 2] {
    for (name, port) in [("corosync-port", "5405"), ("echo", "9000")] {
        unit(fleet.guest(), name, &[&ECHO[..], &[port]].concat()).await;
    }
    let corosync = fleet.machine.way_to(&format!("{OWN}:5405")).await;
    let rest = fleet.machine.way_to(&format!("{OWN}:9000")).await;
    let clients = [Clients::of("corosync", corosync), Clients::of("the rest", rest)];
    for one in &clients {
        one.are_served().await;
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_victim_that_was_not_reset_gets_corosync_first_and_stops_what_is_not_its_own() {
    let fleet = Fleet::enrolled(vec![], async |_: &Guest| {}).await;
    let (driving, guest) = (fleet.driving(), fleet.guest());
    a_member(guest).await;
    guest_100_runs(guest).await;
    let [corosync, rest] = answers(&fleet).await;

    let failover = rehearsal(&driving, Fault::Network, u32::try_from(SECONDS).unwrap()).await;
    let begun = begin(&driving, guest, "op-failover", &failover).await;
    corosync.lose_it().await;
    rest.lose_it().await;
    // What pmxcfs says of itself when it is alone. Of the guest it does not know that others have it by now.
    members(guest, false).await;
    let passed = corosync.are_served().await;
    note(&format!("corosync's packets pass after {:?}", passed - begun));
    // The note was made a moment before, from which on its time runs: on an emulated machine that is seconds.
    let stage = Duration::from_secs(SECONDS - STAGE);
    assert!(corosync.outage(begun) <= stage + Duration::from_secs(GRACE));
    until("a while passes", async || passed.elapsed() > UNDECIDED).await;
    assert!(
        rest.are_cut_off(),
        "alone, nobody can tell whose the guest is, and nothing opens"
    );
    assert!(guest_100_still_runs(guest).await, "nor is anything stopped");

    // It is back, and hears what has become of its guest.
    guest_100_belongs_to(guest, "prox2").await;
    members(guest, true).await;
    let mut ran_at = Instant::now();
    until("guest 100 is stopped here", async || {
        let before = Instant::now();
        let runs = guest_100_still_runs(guest).await;
        if runs {
            ran_at = before;
        }
        !runs
    })
    .await;
    rest.are_served().await;
    let opened = rest.first_since(passed).unwrap();
    note(&format!("the ports are open after {:?} of {SECONDS} s", opened - begun));
    assert!(opened > ran_at, "the ports were open while the guest still ran");
    assert!(rest.outage(begun) <= Duration::from_secs(SECONDS + GRACE));
    let how = is_over(guest, "op-failover").await;
    assert!(how.contains("corosync came first"), "{how}");
    let log = guest
        .does("journalctl --unit=quorate-agent.service --output=cat --no-pager")
        .await;
    assert!(
        log.contains("guest 100 ran here and belongs to prox2: stopped"),
        "{log}"
    );
    fleet.connected().await;

    // The same without an agent: the kernel opens in two stages all the same, and systemd takes the table away.
    guest_100_belongs_to(guest, NODE).await;
    guest.run(&["systemctl", "reset-failed", "guest100.service"]).await;
    guest_100_runs(guest).await;
    let again = rehearsal(&driving, Fault::Network, u32::try_from(SECONDS).unwrap()).await;
    let begun = begin(&driving, guest, "op-killed", &again).await;
    the_agent_is_killed(guest).await;
    corosync.lose_it().await;
    rest.lose_it().await;
    corosync.are_served().await;
    assert!(rest.are_cut_off(), "corosync's packets pass, and nothing else");
    rest.are_served().await;
    let (first, whole) = (corosync.outage(begun), rest.outage(begun));
    note(&format!(
        "without an agent: corosync was gone for {first:?}, the rest for {whole:?} of {SECONDS} s"
    ));
    assert!(first <= stage + Duration::from_secs(GRACE) && whole <= Duration::from_secs(SECONDS + GRACE));
    assert!(first < whole, "corosync first");
    until("the timer takes the table away", async || {
        !is_there(guest, "op-killed").await
    })
    .await;
    assert!(guest_100_still_runs(guest).await, "its own guest is left alone");
    guest.does("systemctl start quorate-agent.service").await;
    is_over(guest, "op-killed").await;
    assert!(guest_100_still_runs(guest).await);
    fleet.connected().await;
}
