//! Prints the figures of SPECIFICATION.md: `cargo bench-quorate [FIGURE…] [--nodes N] [--speed S]`.
//!
//! It ends with 1 if a promise was not kept. Timings belong here and not in tests: a busy machine makes them worse, and no test may fail for that.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what can't be measured has no figure"
)]

mod agent;
mod figures;
mod growth;
mod journal;
mod network;
mod plan;
mod recovery;
mod rollout;
mod status;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Measures what SPECIFICATION.md promises; without a name, everything.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure
    figures: Vec<Group>,
    /// Servers of `rollout`
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=32))]
    nodes: u16,
    /// The lab's speed for `rollout`: at 1, what servers do takes as long as in reality
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
}

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// What an idle agent costs
    Agent,
    /// `quorate status`
    Status,
    /// Plans for the largest cluster
    Plan,
    /// Appends to the rollout journal, with their fsync
    Journal,
    /// From the coordinator's start after a SIGKILL until it drives again
    Recovery,
    /// Our own share of a rollout's wall time
    Rollout,
    /// Our own time in a rollout as clusters get larger
    Growth,
    /// Measuring a whole cluster's network
    Network,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    println!("{}", figures::machine());
    let mut missed = 0;
    for group in Group::value_variants() {
        if !args.figures.is_empty() && !args.figures.contains(group) {
            continue;
        }
        let measured = match group {
            Group::Agent => agent::measure().await,
            Group::Status => status::measure().await,
            Group::Plan => plan::measure(),
            Group::Journal => journal::measure().await,
            Group::Recovery => recovery::measure().await,
            Group::Rollout => rollout::measure(usize::from(args.nodes), args.speed).await,
            Group::Growth => growth::measure().await,
            Group::Network => network::measure().await,
        };
        for figure in measured {
            println!("{figure}");
            missed += usize::from(!figure.is_kept());
        }
    }
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{missed} of these promises were not kept");
    ExitCode::FAILURE
}
