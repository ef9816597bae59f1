//! `quorate serve`: the daemon.

use quorate_model::failure::{ExitCode, Failure};

use super::Answer;
use crate::as_owner;
use crate::config::Config;
use crate::store::crash::{self, CrashAt};

/// Options of `quorate serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Drive again though another coordinator has taken over since; make sure first that the other one is gone
    #[arg(long)]
    take_over: bool,
    /// Die at a chosen moment; of several, at the first that comes; only in a lab
    #[arg(long, hide = true, value_name = "RECORD/STEP:MOMENT")]
    crash_at: Vec<CrashAt>,
}

pub(crate) fn run(config: Config, args: &Args) -> Answer {
    if !args.crash_at.is_empty() {
        if config.lab.is_none() {
            return Err(Failure::new(ExitCode::Usage, "--crash-at is for labs only"));
        }
        crash::plan(args.crash_at.clone());
    }
    as_owner::become_owner(&config.state_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::new(ExitCode::Internal, "can't start the runtime").because(&e))?;
    runtime.block_on(crate::serve::serve(config, args.take_over))?;
    Ok(ExitCode::Done)
}
