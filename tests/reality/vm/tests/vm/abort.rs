//! A rehearsed failure that somebody wants to end at once, while something else is at work; and the timer of one on a server that is drowning, whose agent is dead.

use std::time::{Duration, Instant};

use quorate_model::fault::{Fault, HealPhase};
use quorate_model::operation::{Action, Outcome};
use quorate_reality::disk::Disk;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};

use crate::clients::Clients;
use crate::create::STORAGE;
use crate::fleet::Fleet;
use crate::life::{hold, let_go, still, task};
use crate::load::drown;
use crate::planning::{only_step, plan, wanted};
use crate::rehearsed::{
    ECHO, NOTHING, OWN, a_member, begin, is_over, is_there, put, rehearsal, the_agent_is_killed, unit,
};

const WWN: u64 = 0x5000_c500_7000_0000;

/// What is promised of every fault that a timer ends.
const GRACE: Duration = Duration::from_secs(5);

fn ssd(n: u64) -> Disk {
    Disk::ssd(&format!("ssd{n}"), 512, &format!("S45NNA0N10417{n}"), WWN + n)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn whoever_wants_it_to_end_does_not_wait_for_what_is_at_work() {
    let fleet = Fleet::enrolled(vec![ssd(1), ssd(2)], async |_: &Guest| {}).await;
    let (driving, guest) = (fleet.driving(), fleet.guest());
    let mirror = wanted("data_zfs", "mirror", "{ count = 2, kind = \"ssd\" }");
    let (create, _) = only_step(&plan(&driving.known(&STORAGE).await, &mirror));
    a_member(guest).await;
    // corosync's port alone: the coordinator's way stays open.
    let quiet = rehearsal(&driving, Fault::ClusterNetwork, 600).await;
    driving.done("op-quiet", &quiet).await;
    assert!(is_there(guest, "op-quiet").await);
    hold(guest).await;
    driving.begin("op-mirror", &create).await;
    let pid = task(guest, "op-mirror").await;

    let asked = Instant::now();
    let met = driving.heal("op-quiet").await;
    note(&format!("ended {:?} after it was asked for", asked.elapsed()));
    assert_eq!((met.len(), met[0].phase), (1, HealPhase::Undone), "{met:#?}");
    assert_eq!(is_over(guest, "op-quiet").await, "it was taken back");
    still(guest, "op-mirror", &pid).await;
    // Once more, from afar and by hand: there is nothing.
    assert_eq!(driving.heal("op-quiet").await[0].phase, HealPhase::NothingThere);
    assert_eq!(guest.does("quorate-agent heal").await, NOTHING);
    still(guest, "op-mirror", &pid).await;
    let_go(guest).await;
    let ended = driving.ended("op-mirror", &create).await;
    assert!(matches!(ended, Outcome::Done { .. }), "{ended:#?}");
    note("what was at work went on");

    // By hand, with the agent dead: the console alone.
    let again = rehearsal(&driving, Fault::ClusterNetwork, 600).await;
    driving.done("op-again", &again).await;
    the_agent_is_killed(guest).await;
    let told = guest.does("quorate-agent heal op-again").await;
    assert!(told.contains("undone"), "{told}");
    assert_eq!(is_over(guest, "op-again").await, "it was taken back");
}

/// A service that stands for HA's manager, which there is none of.
const LRM: &str = "[Unit]\nDescription=Stands for HA's local manager\n[Service]\nExecStart=/usr/bin/sleep infinity\n";

/// When a unit began to be what it is, by PID 1, since the machine's start.
async fn since_start(guest: &Guest, unit: &str, property: &str) -> Duration {
    let show = format!("--property={property}");
    let value = guest.ok(&["systemctl", "show", "--value", &show, unit]).await;
    Duration::from_micros(value.trim().parse().unwrap())
}

async fn is_active(guest: &Guest, unit: &str) -> bool {
    guest.run(&["systemctl", "is-active", unit]).await.stdout == "active\n"
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn the_timer_of_a_drowning_server_keeps_its_time_without_the_agent() {
    const SECONDS: u32 = 90;
    const BLIP: u32 = 20;
    let fleet = Fleet::enrolled(vec![], async |_: &Guest| {}).await;
    let (driving, guest) = (fleet.driving(), fleet.guest());
    a_member(guest).await;
    put(guest, "/etc/systemd/system/pve-ha-lrm.service", LRM).await;
    guest.does("systemctl daemon-reload").await;
    guest.does("systemctl start pve-ha-lrm.service").await;

    // Of this one systemd's timer is all there is.
    let lrm = rehearsal(&driving, Fault::Lrm, SECONDS).await;
    driving.done("op-lrm", &lrm).await;
    assert!(!is_active(guest, "pve-ha-lrm.service").await);
    the_agent_is_killed(guest).await;
    drown(guest).await;
    until("the timer starts it again", async || {
        is_active(guest, "pve-ha-lrm.service").await
    })
    .await;
    let property = ["InactiveEnterTimestampMonotonic", "InactiveExitTimestampMonotonic"];
    let [gone, back] = [
        since_start(guest, "pve-ha-lrm.service", property[0]).await,
        since_start(guest, "pve-ha-lrm.service", property[1]).await,
    ];
    drowning(guest).await;
    let away = back.checked_sub(gone).unwrap();
    note(&format!("HA's manager was away for {away:?} of {SECONDS} s"));
    assert!(away <= Duration::from_secs(SECONDS.into()) + GRACE, "{away:?}");
    surfaces(guest).await;
    guest.does("systemctl start quorate-agent.service").await;
    is_over(guest, "op-lrm").await;
    fleet.connected().await;

    // And of this one the kernel ends it first.
    unit(guest, "echo", &[&ECHO[..], &["9000"]].concat()).await;
    let clients = Clients::of("server", fleet.machine.way_to(&format!("{OWN}:9000")).await);
    clients.are_served().await;
    let blip: Action = rehearsal(&driving, Fault::Network, BLIP).await;
    let begun = begin(&driving, guest, "op-blip", &blip).await;
    the_agent_is_killed(guest).await;
    drown(guest).await;
    clients.lose_it().await;
    clients.are_served().await;
    until("the timer takes the table away", async || {
        !is_there(guest, "op-blip").await
    })
    .await;
    drowning(guest).await;
    let away = clients.outage(begun);
    note(&format!("the network was away for {away:?} of {BLIP} s"));
    assert!(away <= Duration::from_secs(BLIP.into()) + GRACE, "{away:?}");
    surfaces(guest).await;
    guest.does("systemctl start quorate-agent.service").await;
    is_over(guest, "op-blip").await;
    fleet.connected().await;
}

/// All that keeps the machine busy is still there.
async fn drowning(guest: &Guest) {
    let busy = guest.does("systemctl is-active burn1 burn2 burn3 burn4 fill").await;
    assert_eq!(busy, "active\n".repeat(5));
}

async fn surfaces(guest: &Guest) {
    guest.does("systemctl stop burn1 burn2 burn3 burn4 fill").await;
}
