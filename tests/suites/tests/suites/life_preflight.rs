//! What `quorate plan` finds before anything is changed: each problem is planted in the lab, and must be told by its code about the
//! right subject, all of them at once, with nothing changed by looking.
//!
//! The labs, and what is planted in each:
//!
//! * bare servers: 1 name to loopback only, 2 name of another server resolves elsewhere, 3 guests on two servers, 4 service down,
//!   5 little space, 6 updates, 7 slow port, 8 half duplex, 9 stale authkey, 10 member of another cluster, 11 other major version,
//!   12 unknown version, 13 clock skew, 14 clock not synchronised, 15 /etc/pve not mounted
//! * what a join takes away: 16 storage, 17 API token, 18 certificate, 19 keys; 20 second factor of root, 21 enterprise repository alone,
//!   22 other MTU
//! * seeing: 23 agent away, 24 not enrolled, 25 enrolled and not in the file, 26 tool prints garbage
//! * addresses: 27 none in the link's network, 28 file's address is another server's
//! * a cluster in use: 29 firewall shuts the agents out, 30 folder of a node that is no member, 31 guests under HA and a membership that
//!   changes, 32 edit not taken over, 33 lock on corosync.conf
//! * a cluster against its file: 34 member not named, 35 link not named, 36 link down, 37 priority differs, 38 link elsewhere
//! * a cluster in need: 39 two servers under HA, 40 even votes, 41 one link, 42 member offline, 43 no quorum
//! * the network, beside refusals: 44 slow way, 45 way too slow, 46 losses, 47 narrow way, 48 nothing passes
//! * more of what a join takes away: 49 options of the datacenter, 50 key of a backup storage

use quorate_lab::control::ToolScript;
use quorate_lab::plants::ServiceIs;
use quorate_lab::{Builder, GuestSpec, Lab, Plant, Script, ServerSpec, Way, What};
use quorate_suites::Fleet;
use quorate_suites::hand::{BOTH_LINKS, ONE_LINK, findings, raised};
use quorate_suites::life::WITNESS;
use serde_json::Value;

const FIVE: [&str; 5] = ["prox1", "prox2", "prox3", "prox4", "prox5"];

/// Plans, and wants each of these told; nothing may have been changed by it.
async fn told(fleet: &Fleet, file: &str, wanted: &[(&str, &str)]) -> Value {
    let before = fleet.changes();
    let plan = fleet.json(&["plan", file]).await;
    assert!(plan["findings"].is_array(), "no plan: {plan:#}");
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(code, subject)| !findings(&plan, code).iter().any(|f| f["subject"] == *subject))
        .collect();
    assert!(missing.is_empty(), "not told: {missing:?}\n{plan:#}");
    for (code, subject) in wanted {
        let found = findings(&plan, code);
        let found = found.iter().find(|f| f["subject"] == *subject).unwrap();
        let next = found["next"].as_str().unwrap_or_default();
        assert!(
            !next.is_empty() || found["severity"] == "note",
            "what to type next is not told: {found:#}"
        );
    }
    // pmxcfs and corosync live on meanwhile; whatever a tool or a program of ours could have done is not there.
    let after: Vec<_> = fleet.changes().into_iter().skip(before.len()).collect();
    assert!(after.is_empty(), "planning changed something: {after:?}");
    fleet.nothing_unknown();
    plan
}

fn guest(vmid: u32) -> GuestSpec {
    GuestSpec {
        vmid,
        name: format!("web{vmid}"),
        kind: quorate_lab::description::GuestKind::Qemu,
        ..GuestSpec::default()
    }
}

fn service(unit: &str, state: ServiceIs) -> Plant {
    Plant::Service {
        unit: unit.to_owned(),
        state,
    }
}

fn own_name(server: &mut ServerSpec) {
    server.own_name = quorate_lab::description::OwnName::Loopback;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_bare_servers() {
    let file_of = |path: &str, text: &str| Plant::File {
        path: path.to_owned(),
        text: Some(text.to_owned()),
    };
    let mut lab: Builder = Lab::builder()
        .nodes(9)
        .server("prox2", |s| s.guests.push(guest(100)))
        .server("prox3", |s| s.guests.push(guest(101)))
        .server("prox6", |s| s.member_of = Some("other".to_owned()))
        .server("prox7", |s| s.pve_version = "7.4.3".to_owned())
        .server("prox8", |s| s.pve_version = "9.9.1".to_owned())
        .clock_offset("prox9", 600_000)
        .server("prox4", own_name);
    let plants = [
        (
            "prox1",
            Plant::Name {
                name: "prox2".to_owned(),
                address: Some("192.168.1.99".to_owned()),
            },
        ),
        ("prox3", service("pvedaemon", ServiceIs::Stopped)),
        (
            "prox4",
            Plant::Free {
                path: "/var/lib/pve-cluster".to_owned(),
                bytes: 1 << 20,
            },
        ),
        ("prox3", Plant::Updates { count: 7 }),
        (
            "prox1",
            Plant::Speed {
                port: "eno2".to_owned(),
                mbits: 1000,
                half: false,
            },
        ),
        (
            "prox2",
            Plant::Speed {
                port: "eno2".to_owned(),
                mbits: 10_000,
                half: true,
            },
        ),
        ("prox5", file_of("/etc/corosync/authkey", "left over")),
    ];
    for (node, plant) in plants {
        lab = lab.plant(node, plant);
    }
    let fleet = Fleet::enrolled(lab).await;
    fleet
        .lab
        .script("prox8", Script::Plant(service("pve-cluster", ServiceIs::Failed)))
        .await
        .unwrap();
    let names = fleet.lab.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let file = fleet.linked_file("bare.toml", &names, ONE_LINK, "");
    told(
        &fleet,
        &file,
        &[
            ("QRT-NAME-DOES-NOT-RESOLVE", "prox4"),
            ("QRT-NAME-RESOLVES-ELSEWHERE", "prox1"),
            ("QRT-NODE-HAS-GUESTS", "prox2"),
            ("QRT-NODE-HAS-GUESTS", "prox3"),
            ("QRT-SERVICE-DOWN", "prox3"),
            ("QRT-LITTLE-SPACE", "prox4"),
            ("QRT-UPDATES-PENDING", "prox3"),
            ("QRT-LINK-SLOW", "prox1"),
            ("QRT-LINK-HALF-DUPLEX", "prox2"),
            ("QRT-NODE-HAS-LEFTOVERS", "prox5"),
            ("QRT-NODE-IN-OTHER-CLUSTER", "prox6"),
            ("QRT-VERSIONS-DIFFER", "hk1"),
            ("QRT-VERSION-UNTESTED", "prox7"),
            ("QRT-VERSION-UNTESTED", "prox8"),
            ("QRT-CLOCK-SKEW", "prox9"),
            ("QRT-CLOCK-NOT-SYNCHRONISED", "prox9"),
            ("QRT-PMXCFS-NOT-READY", "prox8"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_join_takes_away() {
    let file_of = |path: &str, text: Option<&str>| Plant::File {
        path: path.to_owned(),
        text: text.map(str::to_owned),
    };
    let mut lab: Builder = Lab::builder().nodes(4);
    let plants = [
        (
            "prox2",
            Plant::Storage {
                id: "nas".to_owned(),
                kind: "nfs".to_owned(),
                nodes: vec![],
            },
        ),
        (
            "prox2",
            Plant::Token {
                id: "root@pam!backup".to_owned(),
            },
        ),
        ("prox3", Plant::OwnCertificate),
        (
            "prox4",
            Plant::AuthorizedKey {
                comment: "admin@office".to_owned(),
            },
        ),
        ("prox1", Plant::RootTotp),
        ("prox2", Plant::EnterpriseRepository),
        ("prox2", file_of("/etc/apt/sources.list.d/pve-install-repo.list", None)),
        ("prox2", file_of("/etc/pve/datacenter.cfg", Some("keyboard: de\n"))),
        (
            "prox3",
            file_of("/etc/pve/priv/storage/pbs.enc", Some("{\"kdf\":null}\n")),
        ),
        (
            "prox3",
            Plant::Mtu {
                interface: "eno2".to_owned(),
                bytes: 9000,
            },
        ),
    ];
    for (node, plant) in plants {
        lab = lab.plant(node, plant);
    }
    let fleet = Fleet::enrolled(lab).await;
    let file = fleet.linked_file("joins.toml", &FIVE[..4], ONE_LINK, "");
    let plan = told(
        &fleet,
        &file,
        &[
            ("QRT-JOIN-DROPS-STORAGE", "prox2"),
            ("QRT-JOIN-OVERWRITES", "prox2"),
            ("QRT-JOIN-OVERWRITES", "prox3"),
            ("QRT-JOIN-OVERWRITES", "prox4"),
            ("QRT-ROOT-TFA", "prox1"),
            ("QRT-REPOSITORIES", "prox2"),
            ("QRT-MTU-DIFFERS", "hk1"),
        ],
    )
    .await;
    // By name, so that somebody can keep it.
    for (node, name) in [
        ("prox2", "root@pam!backup"),
        ("prox2", "datacenter.cfg"),
        ("prox3", "priv/storage/pbs.enc"),
        ("prox3", "pveproxy-ssl.pem"),
        ("prox4", "admin@office"),
    ] {
        let overwritten = findings(&plan, "QRT-JOIN-OVERWRITES");
        let named = |f: &&&Value| f["subject"] == node && f["message"].as_str().is_some_and(|text| text.contains(name));
        assert_eq!(overwritten.iter().filter(named).count(), 1, "{name}: {overwritten:#?}");
    }
    // None of it is in the way.
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_servers_that_are_not_seen() {
    let fleet = Fleet::bare(Lab::builder().nodes(5)).await;
    for node in &FIVE[..4] {
        fleet.enrol(node).await;
        fleet.lab.start_agent(node).unwrap();
    }
    fleet.connected(&fleet.lab.names()[..4]).await;
    fleet.lab.kill_agent("prox2");
    let garbage = ToolScript::Garbage {
        text: "nonsense\n".to_owned(),
    };
    fleet.lab.script_tool("prox3", "ip", garbage).await.unwrap();
    let file = fleet.linked_file("seen.toml", &["prox1", "prox2", "prox3", "prox5"], ONE_LINK, "");
    told(
        &fleet,
        &file,
        &[
            ("QRT-NODE-UNREACHABLE", "prox2"),
            ("QRT-FACET-UNKNOWN", "prox3"),
            ("QRT-NODE-NOT-ENROLLED", "prox5"),
            ("QRT-NODE-NOT-IN-FILE", "prox4"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_addresses() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", \"10.99.0.0/24\"]\n\
                [nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.99\"\n\
                [nodes.prox3]\naddress = \"192.168.1.13\"\n";
    let file = fleet.write_file("addresses.toml", text);
    told(
        &fleet,
        &file,
        &[
            ("QRT-NO-ADDRESS-IN-NETWORK", "prox1"),
            ("QRT-NO-ADDRESS-IN-NETWORK", "prox3"),
            ("QRT-ADDRESS-NOT-ON-NODE", "prox2"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_in_use() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4)).await;
    fleet.made_by_hand(&FIVE[..3], ONE_LINK).await;
    for plant in [
        Plant::Firewall {
            policy_in: None,
            rules: vec!["IN ACCEPT -p tcp -dport 22".to_owned()],
        },
        Plant::LeftoverNode {
            name: "prox77".to_owned(),
        },
        Plant::HaGuest { vmid: 100, state: None },
    ] {
        fleet.lab.script("prox1", Script::Plant(plant)).await.unwrap();
    }
    std::fs::create_dir(fleet.rooted("prox1", "/etc/pve/priv/lock/file-corosync_conf")).unwrap();
    let conf = "/etc/pve/corosync.conf";
    // A node without an address on a link that the others have: the rename works, and corosync says no.
    let bad = raised(&fleet.read("prox1", conf), 1).replacen(
        "ring0_addr: 10.10.10.1\n",
        "ring0_addr: 10.10.10.1\n    ring1_addr: 192.168.1.11\n",
        1,
    );
    std::fs::write(fleet.rooted("prox1", "/etc/pve/corosync.conf.new"), bad).unwrap();
    std::fs::rename(
        fleet.rooted("prox1", "/etc/pve/corosync.conf.new"),
        fleet.rooted("prox1", conf),
    )
    .unwrap();
    fleet
        .until("corosync refuses it", async || {
            fleet.happened(quorate_lab::What::ReloadFailed) == 1
        })
        .await;
    let file = fleet.linked_file("use.toml", &FIVE[..4], ONE_LINK, "");
    told(
        &fleet,
        &file,
        &[
            ("QRT-FIREWALL-KEEPS-OUT", "hk1"),
            ("QRT-NODE-FOLDER-LEFT", "prox77"),
            ("QRT-HA-PAUSED", "prox1"),
            ("QRT-CONFIG-NOT-RUNNING", "prox1"),
            ("QRT-CLUSTER-LOCKED", "prox1"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_that_is_not_what_its_file_says() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(4)).await;
    fleet.made_by_hand(&FIVE[..3], BOTH_LINKS).await;
    fleet.lab.cut_link("prox2", 0).await.unwrap();
    fleet
        .until("link 0 of prox2 is down", async || {
            !fleet
                .tool("prox1", "corosync-cfgtool -n")
                .await
                .stdout
                .contains("(10.10.10.1->10.10.10.2) enabled connected")
        })
        .await;
    let file = fleet.linked_file("other.toml", &["prox1", "prox2", "prox4"], ONE_LINK, "");
    told(
        &fleet,
        &file,
        &[
            ("QRT-NODE-UNMANAGED", "prox3"),
            ("QRT-LINK-NOT-IN-FILE", "hk1"),
            ("QRT-LINK-DOWN", "prox1"),
        ],
    )
    .await;
    let text =
        "[cluster]\nname = \"hk1\"\nlinks = [{ network = \"192.168.1.0/24\", priority = 7 }, \"10.10.10.0/24\"]\n";
    let nodes: String = (1..4)
        .map(|n| format!("[nodes.prox{n}]\naddress = \"192.168.1.1{n}\"\n"))
        .collect();
    let file = fleet.write_file("moved.toml", &format!("{text}{nodes}"));
    told(
        &fleet,
        &file,
        &[("QRT-LINK-MOVED", "prox1"), ("QRT-LINK-PRIORITY-DIFFERS", "hk1")],
    )
    .await;
}

/// 51 apt knows the package and can't fetch it.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_third_vote() {
    let lab = Lab::builder()
        .nodes(2)
        .qnetd(WITNESS)
        .plant("prox2", Plant::AptUnreachable { away: true });
    let fleet = Fleet::enrolled(lab).await;
    let file = fleet.voted_file("vote.toml", &FIVE[..2], true);
    let plan = told(&fleet, &file, &[("QRT-PACKAGE-NOT-AVAILABLE", "prox2")]).await;
    let found = findings(&plan, "QRT-PACKAGE-NOT-AVAILABLE");
    assert!(
        found.len() == 1 && found[0]["message"].to_string().contains("Failed to fetch"),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_under_ha() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(2)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    let plant = Plant::HaGuest { vmid: 100, state: None };
    fleet.lab.script("prox1", Script::Plant(plant)).await.unwrap();
    let two = fleet.linked_file("two.toml", &FIVE[..2], ONE_LINK, "");
    told(
        &fleet,
        &two,
        &[
            ("QRT-TWO-SERVERS-HA", "hk1"),
            ("QRT-EVEN-VOTES", "hk1"),
            ("QRT-ONE-LINK", "hk1"),
        ],
    )
    .await;
}

/// Without HA: its watchdog would reset a server that is without quorum, in the middle of the test.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_in_need() {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    fleet.made_by_hand(&FIVE[..2], ONE_LINK).await;
    fleet.lab.script("prox2", Script::StopCorosync).await.unwrap();
    fleet
        .until(
            "both know that they have no quorum, and prox1 that its link is down",
            async || {
                let knows = |node: &&str| fleet.read(node, "/etc/pve/.members").contains("\"quorate\": 0");
                FIVE[..2].iter().all(knows) && fleet.happened(What::LinkDown) > 0
            },
        )
        .await;
    let file = fleet.linked_file("need.toml", &FIVE[..3], ONE_LINK, "");
    told(
        &fleet,
        &file,
        &[("QRT-CLUSTER-NOT-QUORATE", "prox1"), ("QRT-MEMBER-OFFLINE", "prox2")],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_network() {
    let lab = Lab::builder()
        .nodes(4)
        .way(Way::between(&["prox1", "prox2"]).on(0).rtt_ms(6.0))
        .way(Way::between(&["prox1", "prox3"]).on(0).rtt_ms(12.0))
        .way(Way::between(&["prox2", "prox3"]).on(0).loss(3.0))
        .way(Way::between(&["prox1", "prox4"]).on(1).mtu(1400))
        .way(Way::between(&["prox3", "prox4"]).on(1).loss(100.0))
        .server("prox1", |s| s.guests.push(guest(100)))
        .server("prox2", |s| s.guests.push(guest(101)));
    let fleet = Fleet::measured(lab).await;
    let file = fleet.linked_file("network.toml", &FIVE[..4], BOTH_LINKS, "");
    told(
        &fleet,
        &file,
        &[
            // Nobody can say who founds the cluster, so there are no steps; the network is measured all the same.
            ("QRT-NODE-HAS-GUESTS", "prox1"),
            ("QRT-NODE-HAS-GUESTS", "prox2"),
            ("QRT-LINK-NO-ANSWER", "hk1"),
            ("QRT-LINK-LATENCY-HIGH", "hk1"),
            ("QRT-LINK-LATENCY-TOO-HIGH", "hk1"),
            ("QRT-LINK-LOSSY", "hk1"),
            ("QRT-MTU-MISMATCH", "hk1"),
        ],
    )
    .await;
}
