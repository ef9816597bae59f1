//! `quorate-agent`: the agent on every server.

mod out;

use std::path::PathBuf;
use std::process::ExitCode as ProcessExit;

use clap::Parser as _;
use nix::sys::stat::Mode;
use quorate_agent::cli::{self, Cli, Command};
use quorate_agent::config::{Config, ConfigError};
use quorate_agent::edges;
use quorate_agent::enroll::enroll;
use quorate_agent::faults;
use quorate_agent::kept_spec;
use quorate_agent::liveness;
use quorate_agent::observe::{hostname, observe};
use quorate_agent::operations::folder::Folder;
use quorate_agent::operations::{Place, Supervisor, run_op, task};
use quorate_agent::recover;
use quorate_agent::start::{self, Agent};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::OperationId;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ProcessExit {
    let cli = Cli::parse();
    out::log();
    // What a shell or a unit may have set: tools of PVE make files that others must be able to read, and nobody else to write.
    nix::sys::stat::umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let ended = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
    {
        Ok(runtime) => runtime.block_on(obey(cli)),
        Err(error) => Err(Failure::new(ExitCode::Internal, "the runtime can't be made").because(&error)),
    };
    match ended {
        Ok(()) => ProcessExit::SUCCESS,
        Err(failure) => {
            out::failure(&failure);
            ProcessExit::from(failure.exit as u8)
        }
    }
}

async fn obey(cli: Cli) -> Result<(), Failure> {
    let config = Config::load(&cli.config);
    match cli.command {
        Command::Run => run(config.map_err(|error| unusable(&error))?, cli.config).await,
        Command::Enroll {
            place,
            token_file,
            replace,
        } => {
            let config = or_default(config)?;
            let token = out::token(token_file.as_deref())?;
            let enrolled = enroll(&config, &place, &token, replace).await?;
            out::enrolled(&enrolled)
        }
        Command::Observe { facets, json } => {
            let host = start::host(&or_default(config)?)?;
            let facets = if facets.is_empty() { cli::every_facet() } else { facets };
            out::observation(&observe(&host, &facets).await, json)
        }
        Command::Heal { id, all: _, look, json } => {
            let config = or_default(config)?;
            faults::may_heal(&config)?;
            let host = start::host(&config)?;
            let met = faults::heal(&host, &config.state_dir, id.as_ref(), look).await;
            out::met(&met, json)
        }
        Command::RunOp { id, detach } => supervise(or_default(config)?, cli.config, id, detach).await,
        Command::KeepSpec => {
            let host = start::host(&or_default(config)?)?;
            let text = std::io::read_to_string(std::io::stdin().lock())
                .map_err(|error| Failure::new(ExitCode::Usage, "stdin has no text").because(&error))?;
            kept_spec::write(host.root(), &text).map_err(|why| Failure::new(ExitCode::Failed, why))
        }
        Command::Recover(asked) => {
            let config = or_default(config)?;
            let host = start::host(&config)?;
            let helper = Supervisor::new(own_program()?, absolute(cli.config)?, Place::here(&config));
            recover::run(&host, &config, &helper, &asked, &out::Terminal).await
        }
        Command::TakeConfig { lost, folder, guest } => {
            let host = start::host(&or_default(config)?)?;
            recover::take_config::take(host.root(), &hostname(&host), &lost, &folder, guest)
                .map_err(|why| Failure::new(ExitCode::Failed, why))
        }
        Command::ReadEdges { path, size, lock } => {
            let edges = edges::read(&path, size, lock.as_deref()).map_err(|error| {
                Failure::new(ExitCode::Failed, format!("{} can't be read: {error}", path.display()))
            })?;
            out::edges(&edges)
        }
        Command::Task { id } => {
            let config = or_default(config)?;
            let host = start::host(&config)?;
            let task = task::Task::take(&host, &config, &id)?;
            task.run().await
        }
    }
}

/// The story of the agent: configuration, identity, ledger, operations, server, end.
async fn run(config: Config, config_path: PathBuf) -> Result<(), Failure> {
    let stop = stop_on_signals()?;
    let agent = Agent::prepare(config, own_program()?, absolute(config_path)?).await?;
    agent.keep_faults(stop.clone());
    let resumed = agent.resume().await;
    tracing::info!(node = %agent.node(), address = %agent.address(), resumed, "ready");
    out::tell_systemd(sd_notify::NotifyState::Ready);
    if let Some(watchdog) = sd_notify::watchdog_enabled() {
        let ping = || out::tell_systemd(sd_notify::NotifyState::Watchdog);
        tokio::spawn(liveness::keep_telling(agent.looks(), watchdog, ping));
    }
    tokio::spawn(recover::watch::keep_watching(agent.host()));
    let served = agent.serve(stop).await;
    tracing::info!("stopped");
    served
}

/// The one who watches a tool; with `detach`, the one who starts that one and leaves.
async fn supervise(config: Config, config_path: PathBuf, id: OperationId, detach: bool) -> Result<(), Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, format!("operation {id} can't be supervised")).because(error)
    };
    if detach {
        let folder = Folder::of(&config.state_dir, &id);
        let supervisor = Supervisor::new(own_program()?, config_path, Place::Session);
        return supervisor.detach(&id, &folder).map_err(|error| failed(&error));
    }
    run_op(&config.state_dir, &id).await.map_err(|error| failed(&error))
}

fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals = signal(kind)
            .map_err(|error| Failure::new(ExitCode::Internal, "signals can't be received").because(&error))?;
        let stop = stop.clone();
        tokio::spawn(async move {
            signals.recv().await;
            out::tell_systemd(sd_notify::NotifyState::Stopping);
            stop.cancel();
        });
    }
    Ok(stop)
}

fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new(ExitCode::Internal, "this program's own path can't be told").because(&error))
}

fn absolute(path: PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(&path)
        .map_err(|error| Failure::new(ExitCode::Usage, format!("{} is no path", path.display())).because(&error))
}

/// Observing and enrolling need no configuration; the agent itself wants its rules to be there.
fn or_default(config: Result<Config, ConfigError>) -> Result<Config, Failure> {
    match config {
        Err(ConfigError::Missing(_)) => Ok(Config::default()),
        config => config.map_err(|error| unusable(&error)),
    }
}

fn unusable(error: &ConfigError) -> Failure {
    let failure = Failure::new(ExitCode::Usage, "the agent's configuration can't be used").because(error);
    match error {
        ConfigError::Missing(path) => failure.hint(format!(
            "an empty file will do; it is this server's own word about what the agent may do: touch {}",
            path.display()
        )),
        _ => failure,
    }
}
