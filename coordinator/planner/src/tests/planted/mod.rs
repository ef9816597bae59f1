//! One problem at a time is planted into a sound world, and must be found: with its code, about the right server, as grave as what
//! hangs on it, with the value that was seen, and with what to type next.

mod changes;
mod cluster;
mod servers;

use quorate_model::facet::Facet;
use quorate_model::observation::cluster::{Pmxcfs, RunningVersion};
use quorate_model::observation::config::{FirewallRule, NodeFolder, PveFile, ReplicationJob, RootKey, Storage};
use quorate_model::observation::network::{AddressState, InterfaceKind, NameResolution};
use quorate_model::observation::readiness::{PackageState, Readiness};
use quorate_model::observation::{Guest, GuestKind};
use quorate_model::spec::ClusterFile;
use quorate_model::{ByteSize, Code, Severity, UnknownKind, Wish};

use super::told;
use crate::checker::check;
use crate::testkit::{NOW, Servers, VOTE, file, file_with_vote, interface, known, name, parse, service, unseen};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

/// prox1 and prox2 are members, prox3 is to join.
fn joining() -> Servers {
    Servers::bare(3).members("hk1", &["prox1", "prox2"], BOTH)
}

/// All three are members; nothing is to be done.
fn settled() -> Servers {
    Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], BOTH)
}

/// prox4 is to be taken out.
fn leaving() -> Servers {
    Servers::bare(4).members("hk1", &["prox1", "prox2", "prox3", "prox4"], BOTH)
}

/// A third vote is to be set up.
fn voting() -> Servers {
    Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .outside("vote", VOTE)
}

/// It is set up, and each member has its daemon.
fn with_device() -> Servers {
    let mut servers = voting().qdevice(VOTE);
    for node in ["prox1", "prox2"] {
        servers = servers.with_readiness(node, |r| {
            let package = known(&mut r.packages).get_mut("corosync-qdevice").unwrap();
            package.installed = Some("3.0.3-1".to_owned());
        });
    }
    servers
}

fn resolved(node: &str, addresses: &[&str]) -> Facet<NameResolution> {
    Facet::known(
        NameResolution {
            name: node.to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            back: Facet::not_asked(),
        },
        NOW,
    )
}

fn rule(text: &str) -> FirewallRule {
    FirewallRule {
        text: text.to_owned(),
        disabled: false,
        direction: "IN".to_owned(),
        action: "ACCEPT".to_owned(),
        source: None,
        dest: None,
        protocol: Some("tcp".to_owned()),
        ports: Some("22".to_owned()),
        narrowed: false,
    }
}

struct Planted {
    file: ClusterFile,
    wish: Wish,
    servers: Servers,
}

fn with(file: ClusterFile, servers: Servers) -> Planted {
    Planted {
        file,
        wish: Wish::default(),
        servers,
    }
}

/// In the way of prox3's join.
fn join(servers: Servers) -> Planted {
    with(file(3, BOTH), servers)
}

/// In the way of taking prox4 out.
fn removal(servers: Servers) -> Planted {
    let wish = Wish {
        remove: [name("prox4")].into(),
        ..Wish::default()
    };
    Planted {
        file: file(3, BOTH),
        wish,
        servers,
    }
}

/// The same, where somebody says that prox4 is off for good.
fn dead(servers: Servers) -> Planted {
    let mut planted = removal(servers.offline("prox4").unreachable("prox4"));
    planted.wish.is_off.insert(name("prox4"));
    planted
}

fn vote(servers: Servers) -> Planted {
    with(file_with_vote(2, BOTH), servers)
}

use Severity::{Note, Refusal, Warning};

/// Code, about whom, how grave, part of what is said, and the world.
type Row = (Code, &'static str, Severity, &'static str, Planted);

#[test]
fn each_planted_problem_is_found() {
    let tables = [
        servers::seeing(),
        servers::readiness(),
        servers::overwritten(),
        cluster::health(),
        cluster::links(),
        changes::removals(),
        changes::third_votes(),
    ];
    let rows: Vec<Row> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 60, "{}", rows.len());
    for (code, subject, severity, part, planted) in rows {
        let plan = crate::plan(&planted.file, &planted.wish, &planted.servers.view);
        let complaints = check(&planted.file, &planted.wish, &planted.servers.view, &plan);
        assert_eq!(complaints, [], "{code:?}: {}", told(&plan));
        let found = plan
            .findings
            .iter()
            .find(|f| f.code == code && f.subject == subject && f.message.contains(part));
        let Some(found) = found else {
            panic!("{code:?} about {subject} with `{part}` is not in\n{}", told(&plan));
        };
        assert_eq!(found.severity, severity, "{found}");
        let says_what_to_do = !found.next.is_empty() || severity == Note || part == "300 s";
        assert!(says_what_to_do, "{found}");
        // A warning or a note holds nothing up, a refusal does.
        let refused = plan.findings.iter().any(|f| f.refuses());
        assert_eq!(refused, severity == Refusal, "{}", told(&plan));
    }
}

#[test]
fn what_an_empty_plan_does_not_need_refuses_nothing() {
    let servers = settled()
        .with("prox1", |o| {
            o.ha = Facet::not_asked();
            o.config = Facet::not_asked();
            o.readiness = Facet::not_asked();
            o.guests = Facet::not_asked();
        })
        .with_readiness("prox2", |r| {
            r.services.insert("pveproxy".into(), Facet::known(service(false), NOW));
        })
        .with_cluster("prox3", |c| c.config_lock_age = Some(5));
    let plan = super::sound(&file(3, BOTH), &servers);
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
}
