//! `quorate serve`: the daemon.

use quorate_model::failure::{ExitCode, Failure};

use super::Answer;
use crate::config::Config;

/// Options of `quorate serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drive again though another coordinator has taken over since; make sure first that the other one is gone
    #[arg(long)]
    take_over: bool,
}

pub(crate) fn run(config: Config, args: &Args) -> Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ExitCode::Internal, "can't start the runtime").because(&e))?;
    runtime.block_on(crate::serve::serve(config, args.take_over))?;
    Ok(ExitCode::Done)
}
