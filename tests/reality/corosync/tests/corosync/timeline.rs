//! Faults of corosync's network by the agent, and what the agents of all nodes tell of them for a drill: beside corosync's own log.

use std::time::{Duration, SystemTime};

use quorate_model::drill::{Event, What};
use quorate_reality_corosync::cluster::{Cluster, Node};
use quorate_reality_corosync::conf::Shape;
use quorate_reality_corosync::journal::Journal;
use quorate_reality_corosync::{note, until};

use crate::calls::{Watching, inject};
use crate::fleet::Fleet;

const TWO_LINKS: Shape = Shape {
    nodes: 3,
    links: 2,
    qdevice: None,
};

/// An event's time may be so far from the one that corosync's own log has.
const APART: Duration = Duration::from_millis(500);

/// Both lengths are over before anything is decided but the membership.
const LINK: u32 = 15;
const CLUSTER_NETWORK: u32 = 20;

/// Something that happened, and how long after the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Happened {
    after: Duration,
    what: String,
}

/// What corosync's own log has, read here and by nothing of the product.
fn logged(node: &Node, since: SystemTime) -> Vec<Happened> {
    let mut found = Vec::new();
    for (after, line) in node.log().since(since) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let link = words.windows(6).find_map(|words| match words {
            ["host:", host, "link:", link, "is", state] => Some(format!("link {link} to prox{host} {state}")),
            _ => None,
        });
        let mut what: Vec<String> = link.into_iter().collect();
        for (said, became) in [("Sync left[", "lost"), ("Sync joined[", "back")] {
            if let Some((_, rest)) = line.split_once(said) {
                let (_, ids) = rest.split_once("]: ").unwrap();
                let own = node.number().to_string();
                let others = ids.split_whitespace().filter(|id| *id != own);
                what.extend(others.map(|id| format!("prox{id} {became}")));
            }
        }
        if line.contains("within the non-primary component") {
            what.push("quorum lost".to_owned());
        } else if line.contains("within the primary component") {
            what.push("quorum back".to_owned());
        }
        found.extend(what.into_iter().map(|what| Happened { after, what }));
    }
    found
}

/// The same by the agent.
fn told(events: &[Event], since: SystemTime) -> Vec<Happened> {
    let since = since.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let happened = |event: &Event| {
        let what = match &event.what {
            What::LinkDown { peer, link } => format!("link {link} to {peer} down"),
            What::LinkUp { peer, link } => format!("link {link} to {peer} up"),
            What::MemberLost { node } => format!("{node} lost"),
            What::MemberBack { node } => format!("{node} back"),
            What::QuorumLost => "quorum lost".to_owned(),
            What::QuorumBack => "quorum back".to_owned(),
            other => panic!("nobody caused that: {other:?}"),
        };
        let at = Duration::from_micros(event.at.0.try_into().unwrap());
        Happened {
            after: at.checked_sub(since).unwrap(),
            what,
        }
    };
    events.iter().map(happened).collect()
}

/// Each thing that corosync logged is told once, at its time, and nothing else is. Says how far apart they are.
fn compared(node: &str, logged: &[Happened], told: &[Happened]) -> Vec<Duration> {
    let mut left = told.to_vec();
    let mut apart = Vec::new();
    for happened in logged {
        let nearest = left
            .iter()
            .enumerate()
            .filter(|(_, told)| told.what == happened.what)
            .min_by_key(|(_, told)| told.after.abs_diff(happened.after))
            .map(|(place, _)| place);
        let nearest = nearest.unwrap_or_else(|| panic!("{node}: {happened:?} was not told: {told:#?}"));
        let event = left.remove(nearest);
        let by = event.after.abs_diff(happened.after);
        note(&format!(
            "{node} {:8.3} s  {:24} told {:.1} ms apart",
            happened.after.as_secs_f64(),
            happened.what,
            by.as_secs_f64() * 1000.0
        ));
        assert!(by <= APART, "{node}: {happened:?} is {by:?} apart");
        apart.push(by);
    }
    assert!(left.is_empty(), "{node}: corosync did not log {left:#?}");
    apart
}

fn has(happened: &[Happened], what: &str) -> bool {
    happened.iter().any(|one| one.what == what)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, nft and Debian's corosync: .ci/corosync runs it"]
async fn what_agents_tell_of_faults_is_what_corosync_logged() {
    let cluster = Cluster::started(TWO_LINKS).await;
    let mut journals = Vec::new();
    for node in cluster.nodes() {
        journals.push(Journal::of(node, cluster.dir()).await);
    }
    let fleet = Fleet::around(cluster).await;
    let mut watches = Vec::new();
    for node in fleet.cluster.nodes() {
        watches.push(Watching::of(&fleet, node.number()).await);
    }
    // Since the watches began nothing has happened, nor in the second before.
    let since = SystemTime::now();

    inject(&fleet, 3, "op-link", "link:0", LINK).await;
    for node in fleet.cluster.nodes() {
        until(&format!("{} to see the link come back", node.name()), async || {
            let seen = logged(node, since);
            let peer = if node.number() == 3 { 1 } else { 3 };
            has(&seen, &format!("link 0 to prox{peer} up"))
        })
        .await;
        let seen = logged(node, since);
        let members = |one: &Happened| one.what.ends_with(" lost") || one.what.ends_with(" back");
        assert!(!seen.iter().any(members), "the cluster goes on over link 1: {seen:#?}");
    }
    fleet.cluster.complete().await;
    // The agent takes away what the kernel has emptied, and only then another one may begin.
    let note_of_it = fleet.path("prox3.agent/faults/op-link.json");
    until("the first fault to be over", async || {
        std::fs::read_to_string(&note_of_it).is_ok_and(|text| text.contains("\"how\""))
    })
    .await;
    let tables = fleet.cluster.node(3).space().does(&["nft", "list", "tables"]).await;
    assert_eq!(tables, "", "nothing is left of it");

    let cut = SystemTime::now();
    inject(&fleet, 3, "op-cluster-network", "cluster-network", CLUSTER_NETWORK).await;
    for (number, said) in [(1, "Members[2]: 1 2"), (3, "Members[1]: 3")] {
        fleet.cluster.node(number).log().waits_for(cut, said).await;
    }
    for node in fleet.cluster.nodes() {
        node.log().waits_for(cut, "Members[3]: 1 2 3").await;
    }
    fleet.cluster.complete().await;

    for (node, watch) in fleet.cluster.nodes().zip(&watches) {
        let name = node.name();
        until(&format!("{name}'s agent to tell all of it"), async || {
            watch.told().len() >= logged(node, since).len()
        })
        .await;
        let (logged, told) = (logged(node, since), told(&watch.told(), since));
        let apart = compared(&name, &logged, &told);
        note(&format!(
            "{name}: {} events, at most {:?} apart",
            apart.len(),
            apart.iter().max().unwrap()
        ));
        let wanted: &[&str] = if node.number() == 3 {
            &[
                "link 1 to prox1 down",
                "prox1 lost",
                "prox2 lost",
                "quorum lost",
                "prox1 back",
                "quorum back",
            ]
        } else {
            &[
                "link 0 to prox3 down",
                "link 1 to prox3 down",
                "prox3 lost",
                "prox3 back",
                "link 1 to prox3 up",
            ]
        };
        for what in wanted {
            assert!(has(&logged, what), "{name}: {what}: {logged:#?}");
        }
    }
    drop(journals);
}
