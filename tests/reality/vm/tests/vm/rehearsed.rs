//! What a rehearsed failure needs around it in a machine without PVE: the files that say of a member that it is one, somebody who answers, rules
//! of others; and what is left of it.

use std::time::Instant;

use quorate_model::fault::Fault;
use quorate_model::operation::Action;
use quorate_reality::guest::Guest;
use quorate_reality::{note, until};
use serde_json::Value;

use crate::driving::Driving;
use crate::fleet::{CLUSTER, NODE};
use crate::life::main_pid;

/// The machine's address. Source: `machine/files/etc/systemd/network/10-qemu.network`.
pub(crate) const OWN: &str = "10.0.2.15";

/// What the agent says where there is nothing.
pub(crate) const NOTHING: &str = "No rehearsed failure holds on this server, and nothing is left of one.\n";

/// Tables of somebody else: one sees the server's own packets, one those of its port.
const OTHERS: &str = "table inet others {
    chain in {
        type filter hook input priority filter; policy accept;
        tcp dport 4242 drop
    }
}
table netdev others {
    chain in {
        type filter hook ingress device \"eth0\" priority 0; policy accept;
        udp dport 4242 drop
    }
}
";

/// Writes a file of the machine.
pub(crate) async fn put(guest: &Guest, path: &str, text: &str) {
    let (folder, _) = path.rsplit_once('/').unwrap();
    guest.ok(&["mkdir", "-p", folder]).await;
    // As a whole, as pmxcfs shows its files.
    let new = format!("{path}.new");
    let written = guest.run_with(&["tee", &new], text).await;
    assert_eq!(written.code, Some(0), "{written:#?}");
    guest.ok(&["mv", &new, path]).await;
}

/// What pmxcfs would publish of the membership.
pub(crate) async fn members(guest: &Guest, quorate: bool) {
    let nodes = (1..=3).map(|n| {
        let online = u8::from(quorate || n == 1);
        format!(
            "\"prox{n}\":{{\"id\":{n},\"online\":{online},\"ip\":\"{}\"}}",
            address(n)
        )
    });
    let nodes = nodes.collect::<Vec<_>>().join(",");
    let quorate = u8::from(quorate);
    let text = format!(
        "{{\"nodename\":\"{NODE}\",\"version\":9,\"cluster\":{{\"name\":\"{CLUSTER}\",\"version\":3,\"nodes\":3,\"quorate\":{quorate}}},\
         \"nodelist\":{{{nodes}}}}}"
    );
    put(guest, "/etc/pve/.members", &text).await;
}

/// What it would publish of guests: there is one, on this node.
pub(crate) async fn guest_100_belongs_to(guest: &Guest, node: &str) {
    guest.does("rm -rf /etc/pve/nodes").await;
    let config = format!("/etc/pve/nodes/{node}/qemu-server/100.conf");
    put(guest, &config, "memory: 512\nname: web\n").await;
    let list = format!("{{\"version\":1,\"ids\":{{\"100\":{{\"node\":\"{node}\",\"type\":\"qemu\",\"version\":1}}}}}}");
    put(guest, "/etc/pve/.vmlist", &list).await;
}

fn address(node: u8) -> String {
    format!("10.0.2.{}", 14 + node)
}

/// The machine says that it is a member of a quorate cluster of three, whose corosync has one link.
pub(crate) async fn a_member(guest: &Guest) {
    let nodes = (1..=3).map(|n| {
        format!(
            "  node {{\n    name: prox{n}\n    nodeid: {n}\n    quorum_votes: 1\n    ring0_addr: {}\n  }}\n",
            address(n)
        )
    });
    let conf = format!(
        "nodelist {{\n{}}}\n\nquorum {{\n  provider: corosync_votequorum\n}}\n\ntotem {{\n  cluster_name: {CLUSTER}\n  config_version: 3\n  \
         interface {{\n    linknumber: 0\n  }}\n  ip_version: ipv4-6\n  link_mode: passive\n  secauth: on\n  version: 2\n}}\n",
        nodes.collect::<String>()
    );
    put(guest, "/etc/corosync/corosync.conf", &conf).await;
    put(guest, "/etc/pve/corosync.conf", &conf).await;
    members(guest, true).await;
    guest_100_belongs_to(guest, NODE).await;
}

/// Something that runs on until it is stopped.
pub(crate) async fn unit(guest: &Guest, name: &str, argv: &[&str]) {
    let unit = format!("--unit={name}");
    guest.ok(&[&["systemd-run", "--quiet", &unit], argv].concat()).await;
}

/// Somebody in the machine who says over UDP what he hears at a port: the words that come before the port's number.
pub(crate) const ECHO: [&str; 4] = [
    "perl",
    "-MIO::Socket::INET",
    "-e",
    "my $s = IO::Socket::INET->new(Proto => 'udp', LocalPort => shift) or die; while (1) { defined $s->recv(my $m, 64) or next; $s->send($m) }",
];

/// Asks him once; prints what he said.
pub(crate) const ASK: [&str; 4] = [
    "perl",
    "-MIO::Socket::INET",
    "-e",
    "alarm 20; my $s = IO::Socket::INET->new(Proto => 'udp', PeerAddr => shift) or die; $s->send('hello'); $s->recv(my $m, 64); print $m",
];

/// Others have rules as well.
pub(crate) async fn others_have_rules(guest: &Guest) {
    let loaded = guest.run_with(&["nft", "-f", "-"], OTHERS).await;
    assert_eq!(loaded.code, Some(0), "{loaded:#?}");
}

/// Everything that nft has, as it prints it.
pub(crate) async fn rules(guest: &Guest) -> String {
    guest.does("nft -j list ruleset").await
}

/// The same, of others alone.
pub(crate) fn of_others(rules: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(rules).unwrap();
    let is_ours = |object: &Value| object.to_string().contains("quorate_fault_");
    let all = all["nftables"].as_array().unwrap().iter();
    all.filter(|object| !is_ours(object)).cloned().collect()
}

/// A failure for so many seconds, in this boot.
pub(crate) async fn rehearsal(driving: &Driving, fault: Fault, seconds: u32) -> Action {
    Action::InjectFault {
        cluster: CLUSTER.parse().unwrap(),
        fault,
        seconds,
        boot: driving.boot().await,
    }
}

/// Asks for a failure that leaves an nft table, and waits until that is seen at the console. Returns a moment before that.
pub(crate) async fn begin(driving: &Driving, guest: &Guest, id: &str, action: &Action) -> Instant {
    driving.begin(id, action).await;
    let mut before = Instant::now();
    until("the fault begins", async || {
        let now = Instant::now();
        let there = is_there(guest, id).await;
        if !there {
            before = now;
        }
        there
    })
    .await;
    note(&format!("{id} has begun"));
    before
}

/// Is the table of a fault there?
pub(crate) async fn is_there(guest: &Guest, id: &str) -> bool {
    let tables = guest.does("nft list tables").await;
    let name = format!("quorate_fault_{}", id.replace('-', "_"));
    tables.lines().any(|line| line.ends_with(&name))
}

/// The agent's process dies at once, and is not started again.
pub(crate) async fn the_agent_is_killed(guest: &Guest) {
    guest.ok(&["kill", "-KILL", &main_pid(guest).await]).await;
    guest.does("systemctl stop quorate-agent.service").await;
    let state = guest.run(&["systemctl", "is-active", "quorate-agent.service"]).await;
    assert_ne!(state.stdout.trim(), "active");
    note("the agent is dead");
}

/// Waits until the note of a fault says how it ended, and returns that; and makes sure that nothing else is left.
pub(crate) async fn is_over(guest: &Guest, id: &str) -> String {
    let mut how = None;
    until("its note is closed", async || {
        how = noted(guest, id).await["ended"]["how"].as_str().map(str::to_owned);
        how.is_some()
    })
    .await;
    assert!(!is_there(guest, id).await);
    assert_eq!(guest.does("quorate-agent heal --look").await, NOTHING);
    until("no timer of it is left", async || {
        let units = guest
            .does("systemctl list-units --all --plain --no-legend quorate-heal-*")
            .await;
        units.is_empty()
    })
    .await;
    how.unwrap()
}

/// The note of a fault, as it is on the machine's disk.
pub(crate) async fn noted(guest: &Guest, id: &str) -> Value {
    let path = format!("/var/lib/quorate-agent/faults/{id}.json");
    serde_json::from_str(&guest.ok(&["cat", &path]).await).unwrap()
}
