//! How long the rollout journal takes until a record is durable.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use quorate_model::operation::Outcome;
use quorate_model::rollout::{Record, RolloutResult};
use quorate_model::{Generation, OperationId, RolloutId, Wish};
use quorate_planner::testkit::{Servers, file};

use crate::figures::{Figure, percentile};

const SERVERS: usize = 32;
const ROLLOUTS: usize = 5;

/// What a record of the journal takes on disk, about; for a write that is only synced, to compare with.
const BARE: usize = 4096;

/// Records of whole rollouts that create a cluster of 32, through the coordinator's own store: one at a time, each durable before the
/// next, as the engine waits for them.
pub(crate) async fn measure() -> Vec<Figure> {
    // Beside the program: where programs are built is a disk, and /tmp may be memory.
    let own = std::env::current_exe().unwrap_or_default();
    let dir = own.with_file_name(format!("bench-journal-{}", std::process::id()));
    let records: Vec<(RolloutId, Record)> = (1..=ROLLOUTS).filter_map(records).flatten().collect();
    let taken = quorate::bench::appends(&dir, records).await;
    let bare = bare_syncs(&dir.join("bare"), 200);
    std::fs::remove_dir_all(&dir).expect("the bench's own journal can be removed");
    let taken = taken.expect("the journal can be written");
    let bare = bare.expect("a file beside it can be written");
    figures(&sorted(&taken), &sorted(&bare))
}

fn figures(taken: &[f64], bare: &[f64]) -> Vec<Figure> {
    let name = |what: &str| format!("journal: append with fsync, {what} of {}", taken.len());
    vec![
        Figure::shown(name("p50"), percentile(taken, 50), "ms"),
        Figure::shown(name("p99"), percentile(taken, 99), "ms"),
        Figure::shown(name("max"), percentile(taken, 100), "ms"),
        Figure::shown("  beside it: 4 KiB written and synced, p50", percentile(bare, 50), "ms"),
        Figure::shown("  the same, p99", percentile(bare, 99), "ms"),
    ]
}

/// All records of a rollout that goes well.
fn records(number: usize) -> Option<Vec<(RolloutId, Record)>> {
    let rollout = RolloutId::new(format!("hk1-{number}")).ok()?;
    let links = ["10.10.10.0/24"];
    let plan = quorate_planner::plan(&file(SERVERS, &links), &Wish::default(), &Servers::bare(SERVERS).view);
    let mut records = vec![Record::Created {
        plan: Box::new(plan.clone()),
        by: "root".to_owned(),
    }];
    for (index, step) in plan.steps.iter().enumerate() {
        let id = &step.id;
        records.push(Record::Intended {
            step: id.clone(),
            operation: OperationId::new(format!("{rollout}.{index}.1")).ok()?,
            attempt: 1,
            generation: Generation(1),
        });
        records.push(Record::Accepted { step: id.clone() });
        let evidence = "prox2 is a member of hk1, quorate, with 32 of 32 votes, and /etc/pve is writable".to_owned();
        let outcome = Outcome::Done {
            evidence: evidence.clone(),
        };
        records.push(Record::Ended {
            step: id.clone(),
            outcome,
        });
        records.push(Record::Verified {
            step: id.clone(),
            evidence,
        });
    }
    records.push(Record::Finished {
        result: RolloutResult::Done,
    });
    Some(records.into_iter().map(|record| (rollout.clone(), record)).collect())
}

/// What the disk alone takes for a synced write.
fn bare_syncs(path: &Path, count: usize) -> std::io::Result<Vec<Duration>> {
    let mut file = File::create(path)?;
    let mut taken = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        file.write_all(&[0x55; BARE])?;
        file.sync_all()?;
        taken.push(begun.elapsed());
    }
    Ok(taken)
}

fn sorted(taken: &[Duration]) -> Vec<f64> {
    let mut taken: Vec<f64> = taken.iter().map(|t| t.as_secs_f64() * 1000.0).collect();
    taken.sort_by(f64::total_cmp);
    taken
}
