//! How our own time in a rollout grows with the number of servers.

use crate::figures::Figure;
use crate::rollout::create;

const SIZES: [u16; 3] = [3, 8, 32];

/// It takes twelve minutes; faster than this, two cores can't carry 32 servers at once.
const SPEED: f64 = 1.0;

/// Own time for one server of the largest cluster may be this many times that of the smallest; linear growth would be 1.
const LINEAR: f64 = 1.5;

/// A cluster of N servers is N steps: one create and N − 1 joins. Own time for one server is the rollout's own time in which no tool ran
/// at all, divided by N; the ratio is that of the largest cluster over that of the smallest. Each join is seen from every member, side
/// by side: real servers do that in the time that one of them needs. Simulated ones share this machine's cores and do it one after
/// the other, so the time of tools that look is told apart, and how many servers looked for each that there is to look at: that is the
/// number of rounds, and must not grow.
pub(crate) async fn measure() -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut own = Vec::new();
    for nodes in SIZES {
        let took = create(usize::from(nodes), SPEED).await;
        let of_one = |seconds: f64| seconds / f64::from(nodes) * 1000.0;
        own.push(of_one(took.own - took.looking));
        figures.push(Figure::shown(
            format!("create and join of {nodes} servers, speed {SPEED}: own time for one server, without tools"),
            of_one(took.own - took.looking),
            "ms",
        ));
        figures.push(Figure::shown("  with tools that only look", of_one(took.own), "ms"));
        // After the create there is one member, after the last join there are all.
        let members = f64::from(nodes) * f64::from(nodes + 1) / 2.0;
        figures.push(Figure::shown(
            "  looks at a member between two changes",
            took.looks / members,
            "",
        ));
        figures.push(Figure::shown(
            "  the coordinator's CPU time for one server",
            of_one(took.coordinator),
            "ms",
        ));
    }
    figures.push(Figure::promised(
        "own time for one server, of 32 over of 3",
        ratio(&own),
        LINEAR,
        "times",
    ));
    figures
}

fn ratio(of_sizes: &[f64]) -> f64 {
    match (of_sizes.first(), of_sizes.last()) {
        (Some(smallest), Some(largest)) => largest / smallest,
        _ => f64::INFINITY,
    }
}
