//! How our own time in a rollout grows with the number of servers.

use crate::figures::Figure;
use crate::rollout::create;

const SIZES: [u16; 4] = [3, 8, 16, 32];

/// Fast, so that 59 joins take minutes and not a quarter of an hour. The lab divides what servers take and the pauses of our own; what we
/// compute is not divided, so it weighs more here than on real servers.
const SPEED: f64 = 10.0;

/// Own time for one server of the largest cluster may be this many times that of the smallest; linear growth would be 1.
const LINEAR: f64 = 1.5;

/// A cluster of N servers is N steps: one create and N − 1 joins. Own time for one server is a rollout's own time divided by N; the
/// ratio is that of the largest cluster over that of the smallest. All simulated servers share this machine's CPUs, which real ones
/// don't: what their agents compute for the looks at each join grows with N here, and would be done side by side there. The
/// coordinator's own CPU time is told beside it.
pub(crate) async fn measure() -> Vec<Figure> {
    let mut figures = Vec::new();
    let (mut own, mut coordinator) = (Vec::new(), Vec::new());
    for nodes in SIZES {
        let took = create(usize::from(nodes), SPEED).await;
        let of_one = |seconds: f64| seconds / f64::from(nodes) * 1000.0;
        own.push(of_one(took.own));
        coordinator.push(of_one(took.coordinator));
        figures.push(Figure::shown(
            format!("create and join of {nodes} servers, speed {SPEED}: own time for one server"),
            of_one(took.own),
            "ms",
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
    figures.push(Figure::shown(
        "  the coordinator's CPU time, the same",
        ratio(&coordinator),
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
