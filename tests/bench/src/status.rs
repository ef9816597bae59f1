//! How long `quorate status` takes.

use std::time::Instant;

use quorate_lab::Lab;
use quorate_suites::Fleet;

use crate::figures::Figure;

pub(crate) async fn measure() -> Vec<Figure> {
    let fleet = Fleet::enrolled(Lab::builder().nodes(3)).await;
    let mut taken = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        drop(fleet.run(&["status"]).await);
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| {
        taken
            .get((taken.len() * share / 100).min(taken.len() - 1))
            .copied()
            .unwrap_or(0.0)
    };
    vec![
        Figure::promised("quorate status of 3 live nodes, median of 20", at(50), 50.0, "ms"),
        Figure::promised("quorate status of 3 live nodes, worst of 20", at(100), 50.0, "ms"),
    ]
}
