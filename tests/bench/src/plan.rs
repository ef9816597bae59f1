//! How long a plan takes, for the largest cluster that is promised.

use std::time::Instant;

use quorate_model::observation::config::ReplicationJob;
use quorate_model::{Facet, Wish};
use quorate_planner::testkit::{NOW, Servers, VOTE, file_with_vote, known};

use crate::figures::Figure;

const SERVERS: usize = 32;
const GUESTS_EACH: u32 = 500;
const ROUNDS: usize = 20;

/// A plan over 32 servers with 500 guests each, all of which every member knows: one half are members with HA and a QDevice, the
/// other half are to join. Planned and checked, as the coordinator does; the slowest of some rounds.
pub(crate) fn measure() -> Vec<Figure> {
    let links = ["10.10.10.0/24", "192.168.1.0/24"];
    let file = file_with_vote(SERVERS, &links);
    let members: Vec<String> = (1..=SERVERS / 2).map(|n| format!("prox{n}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let total = u32::try_from(members.len()).unwrap_or(u32::MAX) * GUESTS_EACH;
    let ids: Vec<u32> = (100..100 + total).collect();
    let mut servers = Servers::bare(SERVERS)
        .members("hk1", &members, &links)
        .under_ha("vm:100", "prox1", "5.1.3")
        .qdevice(VOTE)
        .outside("vote", VOTE);
    for member in &members {
        let jobs = ids.iter().map(|guest| ReplicationJob {
            id: format!("{guest}-0"),
            guest: *guest,
            target: "prox2".to_owned(),
        });
        let jobs: Vec<ReplicationJob> = jobs.collect();
        servers = servers.guests(member, &ids).with_config(member, |config| {
            *known(&mut config.replication) = jobs;
            config.spec = Facet::known(None, NOW);
        });
    }
    let wish = Wish::default();
    let (mut planned, mut checked) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let plan = quorate_planner::plan(&file, &wish, &servers.view);
        planned = planned.max(begin.elapsed().as_secs_f64() * 1000.0);
        let begin = Instant::now();
        let complaints = quorate_planner::checker::check(&file, &wish, &servers.view, &plan);
        checked = checked.max(begin.elapsed().as_secs_f64() * 1000.0);
        assert!(!plan.is_empty() && complaints.is_empty(), "a plan that is worth measuring");
    }
    vec![
        Figure {
            name: "plan for 32 servers with 500 guests each, slowest of 20",
            measured: planned,
            promised: 100.0,
            unit: "ms",
        },
        Figure {
            name: "check of that plan, slowest of 20",
            measured: checked,
            promised: 100.0,
            unit: "ms",
        },
    ]
}
