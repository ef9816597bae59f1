//! The fault of the whole network on a real kernel: the machine's port is cut by our own nft table, for the server and for a guest behind its bridge, and it ends:
//! by the agent, without it, and after the power was gone. What others have in nft stays as it is, byte for byte.

use std::time::{Duration, Instant};

use quorate_model::fault::Fault;
use quorate_model::operation::{Action, Outcome};
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};
use serde_json::Value;

use crate::clients::Clients;
use crate::driving::Driving;
use crate::fleet::Fleet;
use crate::rehearsed::{
    ASK, ECHO, NOTHING, OWN, a_member, begin, is_over, is_there, noted, of_others, others_have_rules, rehearsal, rules,
    the_agent_is_killed, unit,
};

/// A blip: it is to cause nothing.
const BLIP: u32 = 20;
/// A failover, which the test does not wait for.
const FAILOVER: u32 = 180;

/// What is promised of every fault that a timer ends.
const GRACE: Duration = Duration::from_secs(5);

/// Of the guest behind the bridge.
const GUEST: &str = "10.0.2.100";

/// The machine's port becomes a port of a bridge, as on every server of PVE's, and so does the cable of a guest, which is a network name space.
async fn bridged(guest: &Guest) {
    // It would give the guest's cable the machine's address.
    guest
        .does("systemctl stop systemd-networkd.socket systemd-networkd.service")
        .await;
    let own = format!("{OWN}/24");
    let inside = format!("{GUEST}/24");
    for line in [
        "ip link add vmbr0 type bridge",
        "ip link set vmbr0 up",
        "ip link set eth0 master vmbr0",
        "ip address flush dev eth0",
        &format!("ip address add {own} dev vmbr0"),
        "ip route replace default via 10.0.2.2",
        "ip netns add guest100",
        "ip link add tap100i0 type veth peer name eth0 netns guest100",
        "ip link set tap100i0 master vmbr0 up",
        "ip -netns guest100 link set lo up",
        &format!("ip -netns guest100 address add {inside} dev eth0"),
        "ip -netns guest100 link set eth0 up",
        // What is bridged is then seen by no table of family inet.
        "modprobe br_netfilter",
        "sysctl -q -w net.bridge.bridge-nf-call-iptables=0",
    ] {
        guest.does(line).await;
    }
    unit(guest, "echo", &[&ECHO[..], &["9000"]].concat()).await;
    let inside = ["ip", "netns", "exec", "guest100"];
    unit(guest, "echo100", &[&inside[..], &ECHO[..], &["9000"]].concat()).await;
}

/// Over its own bridge the server has a word with its guest.
async fn server_reaches_guest(guest: &Guest) -> bool {
    let at = format!("{GUEST}:9000");
    guest.run(&[&ASK[..], &[&at]].concat()).await.stdout == "hello"
}

/// Clients of the server itself and of its guest.
async fn clients(fleet: &Fleet) -> [Clients; 2] {
    let server = fleet.machine.way_to(&format!("{OWN}:9000")).await;
    let guest = fleet.machine.way_to(&format!("{GUEST}:9000")).await;
    let clients = [Clients::of("server", server), Clients::of("guest", guest)];
    for one in &clients {
        one.are_served().await;
    }
    clients
}

/// It holds: nobody gets through, the server reaches its guest, and others' rules are as they were.
async fn holds(guest: &Guest, clients: &[Clients; 2], before: &str) {
    for one in clients {
        one.lose_it().await;
    }
    assert!(server_reaches_guest(guest).await, "the bridge itself is not cut");
    let during: Value = serde_json::from_str(before).unwrap();
    assert_eq!(&of_others(&rules(guest).await), during["nftables"].as_array().unwrap());
    note("server and guest are cut off");
}

/// It ended in time, as clients noticed it.
async fn ended_in_time(clients: &[Clients; 2], since: Instant) {
    for one in clients {
        one.are_served().await;
    }
    let [server, guest] = [0, 1].map(|n: usize| clients[n].outage(since));
    note(&format!(
        "of {BLIP} s the server was gone for {server:?}, its guest for {guest:?}"
    ));
    // Its time runs from its note on, which is a moment before it begins: on an emulated machine seconds.
    let most = Duration::from_secs(BLIP.into()) + GRACE;
    for outage in [server, guest] {
        assert!((most / 3..=most).contains(&outage), "{outage:?} of {BLIP} s");
    }
}

/// What the operation says of itself, now that somebody can ask again.
async fn it_held(driving: &Driving, id: &str, action: &Action) {
    let ended = driving.ended(id, action).await;
    assert!(matches!(ended, Outcome::Done { .. }), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs QEMU and minutes: .ci/reality runs it"]
async fn a_cut_network_comes_back_by_itself_whatever_dies() {
    let mut fleet = Fleet::enrolled(vec![], async |_: &Guest| {}).await;
    let (driving, guest) = (fleet.driving(), fleet.guest());
    a_member(guest).await;
    bridged(guest).await;
    others_have_rules(guest).await;
    let clients = clients(&fleet).await;
    assert!(server_reaches_guest(guest).await);
    let before = rules(guest).await;

    // The coordinator is cut off with the rest: the agent alone ends it.
    let blip = rehearsal(&driving, Fault::Network, BLIP).await;
    let since = begin(&driving, guest, "op-blip", &blip).await;
    holds(guest, &clients, &before).await;
    ended_in_time(&clients, since).await;
    let how = is_over(guest, "op-blip").await;
    note(&format!("with the agent: {how}"));
    assert_eq!(rules(guest).await, before, "nothing of others is touched");
    fleet.connected().await;
    it_held(&driving, "op-blip", &blip).await;

    // The agent dies as well, and stays dead: the kernel ends it, and systemd's timer takes the rest away.
    let again = rehearsal(&driving, Fault::Network, BLIP).await;
    let since = begin(&driving, guest, "op-killed", &again).await;
    the_agent_is_killed(guest).await;
    holds(guest, &clients, &before).await;
    ended_in_time(&clients, since).await;
    until("the timer takes the table away", async || {
        !is_there(guest, "op-killed").await
    })
    .await;
    assert_eq!(rules(guest).await, before);
    assert!(
        noted(guest, "op-killed").await["ended"].is_null(),
        "there was nobody to write that down"
    );
    guest.does("systemctl start quorate-agent.service").await;
    let how = is_over(guest, "op-killed").await;
    note(&format!("without the agent: {how}"));
    fleet.connected().await;
    it_held(&driving, "op-killed", &again).await;

    // The power goes in the middle.
    let failover = rehearsal(&driving, Fault::Network, FAILOVER).await;
    begin(&driving, guest, "op-reset", &failover).await;
    holds(guest, &clients, &before).await;
    // So that the note is seen before the agent closes it.
    guest.does("systemctl disable quorate-agent.service").await;
    guest.does("sync").await;
    drop(clients);
    fleet.machine.cut();
    fleet.machine.start().await;
    let guest = fleet.guest();
    assert_eq!(guest.does("nft list tables").await, "", "the kernel has forgotten it");
    assert!(
        noted(guest, "op-reset").await["ended"].is_null(),
        "the note has outlived the power"
    );
    let met: Value = serde_json::from_str(&guest.does("quorate-agent heal --look --json").await).unwrap();
    assert!(
        met[0]["id"] == "op-reset" && met[0]["phase"] == "nothing_there" && met[1].is_null(),
        "{met:#}"
    );
    let units = guest
        .does("systemctl list-units --all --plain --no-legend quorate-heal-*")
        .await;
    assert_eq!(units, "", "nor has the timer come back");
    guest.does("systemctl enable --now quorate-agent.service").await;
    let how = is_over(guest, "op-reset").await;
    assert!(how.contains("started anew"), "{how}");
    fleet.connected().await;
    note("after the power was gone nothing is left of it");
    assert_eq!(guest.does("quorate-agent heal").await, NOTHING);
}
