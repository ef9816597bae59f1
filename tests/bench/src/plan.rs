//! How long a plan takes, for the largest cluster that is promised.

use std::time::Instant;

use quorate_model::observation::config::ReplicationJob;
use quorate_model::observation::{Guest, GuestKind};
use quorate_model::spec::ClusterFile;
use quorate_model::{Facet, Wish};
use quorate_planner::testkit::{NOW, Servers, VOTE, file, file_with_vote, known, name};

use crate::figures::Figure;

const SERVERS: usize = 32;
const GUESTS_EACH: usize = 500;
const ROUNDS: usize = 20;
const PROMISED: f64 = 100.0;

const BOTH: [&str; 2] = ["10.10.10.0/24", "192.168.1.0/24"];

pub(crate) fn measure() -> Vec<Figure> {
    let mut figures: Vec<Figure> = Vec::new();
    figures.extend(timed(
        "16 joins",
        &file_with_vote(SERVERS, &BOTH),
        &Wish::default(),
        &under_ha(SERVERS / 2, SERVERS / 2, &BOTH)
            .qdevice(VOTE)
            .outside("vote", VOTE),
    ));
    // The last one is empty: a server with guests is not taken out.
    let wish = Wish {
        remove: [name(&format!("prox{SERVERS}"))].into(),
        ..Wish::default()
    };
    let servers = under_ha(SERVERS, SERVERS - 1, &BOTH);
    figures.extend(timed("a removal", &file(SERVERS - 1, &BOTH), &wish, &servers));
    let servers = under_ha(SERVERS, SERVERS, &BOTH[..1]);
    figures.extend(timed(
        "a second link",
        &file(SERVERS, &BOTH),
        &Wish::default(),
        &servers,
    ));
    figures
}

/// 32 servers, of which the first `members` are in a cluster with HA; the first `full` of these have 500 guests each. Every member
/// knows of all guests, and of a replication job for each.
fn under_ha(members: usize, full: usize, links: &[&str]) -> Servers {
    let members: Vec<String> = (1..=members).map(|n| format!("prox{n}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let owners = members.iter().take(full);
    let owned = owners.flat_map(|owner| std::iter::repeat_n(*owner, GUESTS_EACH));
    let guests: Vec<Guest> = (100..)
        .zip(owned)
        .map(|(vmid, owner)| Guest {
            vmid,
            node: owner.to_owned(),
            kind: GuestKind::Vm,
        })
        .collect();
    let job = |guest: &Guest| {
        let target = if guest.node == "prox2" { "prox1" } else { "prox2" };
        ReplicationJob::of(format!("{}-0", guest.vmid), guest.vmid, target)
    };
    let jobs: Vec<ReplicationJob> = guests.iter().map(job).collect();
    let mut servers = Servers::bare(SERVERS)
        .members("hk1", &members, links)
        .under_ha("vm:100", "prox1", "5.1.3");
    for member in &members {
        servers = servers
            .with(member, |o| o.guests = Facet::known(guests.clone(), NOW))
            .with_config(member, |config| {
                *known(&mut config.replication) = jobs.clone();
                config.spec = Facet::known(None, NOW);
            });
    }
    servers
}

/// Plans and checks, as the coordinator does; the slowest of some rounds.
fn timed(what: &str, file: &ClusterFile, wish: &Wish, servers: &Servers) -> [Figure; 2] {
    let (mut planned, mut checked) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let plan = quorate_planner::plan(file, wish, &servers.view);
        planned = planned.max(begin.elapsed().as_secs_f64() * 1000.0);
        let begin = Instant::now();
        let complaints = quorate_planner::checker::check(file, wish, &servers.view, &plan);
        checked = checked.max(begin.elapsed().as_secs_f64() * 1000.0);
        let sound = !plan.is_empty() && !plan.refused() && complaints.is_empty();
        assert!(
            sound,
            "{what}: a plan that is worth measuring: {:?} {complaints:?}",
            plan.findings
        );
    }
    let name = format!("plan of {what}, 32 servers x 500 guests, slowest of {ROUNDS}");
    [
        Figure::promised(name, planned, PROMISED, "ms"),
        Figure::promised("  check of that plan, slowest", checked, PROMISED, "ms"),
    ]
}
