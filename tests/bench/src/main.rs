//! Prints the figures of SPECIFICATION.md: `cargo bench-quorate [agent|status|rollout|plan|network]`.
//!
//! Timings belong here and not in tests: a busy machine makes them worse, and no test may fail for that.
#![expect(clippy::print_stdout, reason = "printing figures is what it is for")]

mod agent;
mod figures;
mod network;
mod plan;
mod rollout;
mod status;

use figures::Figure;

#[tokio::main]
async fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    println!("{}", figures::machine());
    let mut all: Vec<Figure> = Vec::new();
    if wanted("agent") {
        all.extend(agent::measure().await);
    }
    if wanted("status") {
        all.extend(status::measure().await);
    }
    if wanted("rollout") {
        all.extend(rollout::measure().await);
    }
    if wanted("plan") {
        all.extend(plan::measure());
    }
    if wanted("network") {
        all.extend(network::measure().await);
    }
    for figure in &all {
        println!("{figure}");
    }
}
