//! `cargo lab drills`: seeded drills in the lab, judged by the world's own log.
#![expect(clippy::print_stdout, reason = "printing how they went is what it is for")]

use std::process::ExitCode;

use clap::Parser;
use quorate_suites::drills::scenario::Scenario;
use quorate_suites::drills::series::series;
use tokio::task::LocalSet;

/// Play seeded drills on simulated servers, and hold each record against what really happened.
#[derive(Debug, Parser)]
#[command(
    name = "cargo lab drills",
    bin_name = "cargo lab drills",
    version,
    max_term_width = 100
)]
struct Arguments {
    /// How many
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Divide the durations of tools and timers by this
    #[arg(long, default_value_t = 20.0)]
    speed: f64,
    /// Only say what each seed is; nothing is played
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.first..arguments.first.saturating_add(arguments.seeds);
    if arguments.list {
        seeds.for_each(|seed| println!("{}", Scenario::of(seed)));
        return ExitCode::SUCCESS;
    }
    let all = LocalSet::new()
        .run_until(series(seeds, arguments.speed, |text| println!("{text}")))
        .await;
    println!("\n{}", all.told());
    if all.is_too_noisy() {
        println!("this machine is too busy for it: try a lower --speed");
    }
    if all.failed().is_empty() && !all.is_too_noisy() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
