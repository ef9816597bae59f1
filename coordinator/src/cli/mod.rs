//! The command line: one file a command. Each asks the daemon through its API and shows the answer; nothing is decided here.

mod add;
mod adopt;
mod applied;
mod apply;
mod ask;
mod audit;
mod backup;
mod ca;
mod cluster_file;
mod disks;
mod drill;
mod explain;
mod freeze;
mod guest;
mod guests;
mod ha;
mod init;
mod leave;
mod moves;
mod network;
mod node;
mod operator;
mod output;
mod passphrase;
mod plan;
mod probe;
mod probe_from;
mod proposal;
mod protect;
mod prove_reach;
mod recover;
mod renew;
mod replication;
mod rollout;
mod serve;
mod spec;
mod ssh;
mod status;
mod storage;
mod undo_info;
mod upgrade;
mod views;
mod wire;
mod wish;
mod zfs;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use quorate_model::failure::{ExitCode, Failure};

#[cfg(test)]
pub(crate) use self::proposal::Proposal;
use crate::config::Config;

/// Turns bare Proxmox VE servers into a cluster that is known to survive the loss of a server.
#[derive(Debug, Parser)]
#[command(name = "quorate", version = quorate_model::version!(), after_help = EXIT_CODES, propagate_version = true, max_term_width = 120)]
pub struct Cli {
    /// The coordinator's configuration
    #[arg(
        long,
        global = true,
        env = "QUORATE_CONFIG",
        value_name = "FILE",
        default_value = "/etc/quorate/coordinator.toml"
    )]
    config: PathBuf,

    /// How to print: for people, or for programs
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done and seen to be done; 1 internal error; 2 wrong command line; 3 refused by findings, nothing was changed; \
4 a change failed or its outcome can't be told; 5 coordinator or node can't be reached; 6 not allowed; 7 not found; 8 cancelled; \
9 what was asked to be shown was, and something of it is wrong or unknown.";

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs: one JSON document (watching: one a line)
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the fleet's CA and this coordinator's identity
    Init(init::Args),
    /// Run the coordinator daemon
    Serve(serve::Args),
    /// Invite, list, show and remove nodes
    #[command(subcommand)]
    Node(node::Command),
    /// Let somebody drive the fleet, or look at it, from another host
    #[command(subcommand)]
    Operator(operator::Command),
    /// Exchange the fleet's CA for a new one, while everything goes on
    #[command(subcommand)]
    Ca(ca::Command),
    /// Show every node's disks: what holds each, and for what it may be used
    Disks(disks::Args),
    /// Show ZFS pools, or replace a disk of one
    #[command(subcommand)]
    Zfs(zfs::Command),
    /// Show the storages of each cluster: where they should be and are, how full, and whether they are as the cluster file has them
    Storage(storage::Args),
    /// Show the guests of each cluster: whose they are, how they run, what they lie on, and what HA makes of them
    Guests(guests::Args),
    /// Make a canary, a guest of ours for trials and drills, or remove it
    #[command(subcommand)]
    Guest(guest::Command),
    /// Show what HA looks after, and with --if-lost where its guests would go and whether they could run there
    Ha(ha::Args),
    /// Show which guests are copied where, how old each copy is, and how old it may get
    Replication(replication::Args),
    /// Show what the cluster file would say for a guest to be copied, and under HA, and what would then be done; nothing is written
    Protect(protect::Args),
    /// Move a guest to another server, and see it there; with --measure, say for how long it did not answer
    Migrate(moves::Migrate),
    /// A server is lost: show whether it is really off and how old its guests' copies are, and start them on others once its name was typed
    Recover(recover::Args),
    /// Restart servers one after another, each without its guests, and each back in order before the next one
    Reboot(moves::Reboot),
    /// Show quorum, members, links, versions, load
    Status(status::Args),
    /// Check a cluster file, or begin one
    #[command(subcommand)]
    Spec(spec::Command),
    /// Show latency, jitter, loss and MTU between the nodes of a cluster, as measured
    Network(network::Args),
    /// Show what would be done to make a cluster as its file wants it
    Plan(plan::Args),
    /// Do what `quorate plan` shows
    Apply(apply::Args),
    /// Write the cluster file of a cluster that is there already
    Adopt(adopt::Args),
    /// Let nothing that disturbs a cluster begin, or let it again
    Freeze(freeze::Args),
    /// Break something on purpose, and see what becomes of it
    #[command(subcommand)]
    Drill(drill::Command),
    /// List, show, watch and cancel rollouts
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Show who did what, when and from where; check that the log is as it was written
    Audit(audit::Args),
    /// Write CA, fleet and history into one file under a passphrase; for `quorate init --restore`
    Backup(backup::Args),
    /// Make the coordinator's own certificate anew; needs the root key
    Renew(renew::Args),
    /// Call a guest, or anything else, from this host or from nodes ten times a second, and say when it did not answer
    Probe(probe::Args),
    /// Explain a finding's code
    Explain(explain::Args),
}

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) format: Format,
}

type Answer = Result<ExitCode, Failure>;

/// The whole command line, for whoever writes about it: manual pages, completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Reads the command line, does what it says, and ends the process with the documented exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Done
            };
            // Nothing can be done about a closed terminal.
            drop(error.print());
            return std::process::ExitCode::from(code as u8);
        }
    };
    let format = cli.output;
    let code = run(cli).unwrap_or_else(|failure| {
        output::failure(&failure, format);
        failure.exit
    });
    std::process::ExitCode::from(code as u8)
}

fn run(cli: Cli) -> Answer {
    if let Command::Explain(args) = &cli.command {
        return explain::run(args, cli.output);
    }
    if let Command::Probe(args) = &cli.command
        && args.from.is_empty()
    {
        return probe::run(args, cli.output);
    }
    if let Command::Spec(command) = &cli.command
        && let Some(answer) = spec::local(command, cli.output)
    {
        return answer;
    }
    let context = Context {
        config: Config::load(&cli.config)?,
        format: cli.output,
    };
    match cli.command {
        Command::Init(args) => init::run(&context, &args),
        Command::Serve(args) => serve::run(context.config, &args),
        Command::Operator(operator::Command::Add(args)) => operator::add(&context, &args),
        Command::Renew(args) => renew::run(&context, &args),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| Failure::new(ExitCode::Internal, "can't start the runtime").because(&e))?;
            runtime.block_on(ask(&context, command))
        }
    }
}

async fn ask(context: &Context, command: Command) -> Answer {
    match command {
        Command::Node(command) => node::run(context, command).await,
        Command::Operator(command) => operator::run(context, command).await,
        Command::Ca(command) => ca::run(context, command).await,
        Command::Disks(args) => disks::run(context, args).await,
        Command::Zfs(command) => zfs::run(context, command).await,
        Command::Storage(args) => storage::run(context, args).await,
        Command::Guests(args) => guests::run(context, args).await,
        Command::Guest(command) => guest::run(context, command).await,
        Command::Ha(args) => ha::run(context, args).await,
        Command::Replication(args) => replication::run(context, args).await,
        Command::Protect(args) => protect::run(context, args).await,
        Command::Migrate(args) => moves::migrate(context, args).await,
        Command::Reboot(args) => moves::reboot(context, args).await,
        Command::Recover(args) => recover::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Spec(command) => spec::run(context, command).await,
        Command::Network(args) => network::run(context, args).await,
        Command::Plan(args) => plan::run(context, args).await,
        Command::Apply(args) => apply::run(context, args).await,
        Command::Adopt(args) => adopt::run(context, args).await,
        Command::Freeze(args) => freeze::run(context, args).await,
        Command::Drill(command) => drill::run(context, command).await,
        Command::Rollout(command) => rollout::run(context, command).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Backup(args) => backup::run(context, args).await,
        Command::Probe(args) => probe_from::run(context, &args).await,
        Command::Init(_) | Command::Serve(_) | Command::Renew(_) | Command::Explain(_) => Ok(ExitCode::Internal),
    }
}

/// Reads a kept plan, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(text: &str) -> impl std::fmt::Debug + use<> {
    proposal::Proposal::read(std::path::Path::new("plan.json"), text).map_err(|failure| failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn exit_codes_in_the_help_are_all_of_them() {
        for (code, _) in ExitCode::ALL {
            assert!(EXIT_CODES.contains(&format!("{} ", code as u8)), "{code:?}");
        }
    }
}
