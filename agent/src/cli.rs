//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use quorate_model::ids::OperationId;
use quorate_model::observation::FacetName;

use crate::config::DEFAULT_PATH;
use crate::recover::Asked;

/// Quorate's agent: observes this server, and changes it when the fleet's coordinator asks and the server allows it.
#[derive(Debug, Parser)]
#[command(version = quorate_model::version!(), arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, default_value = DEFAULT_PATH, global = true, value_name = "FILE")]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the agent's program can be told to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the coordinator until stopped.
    Run,
    /// Make this server belong to a fleet. Asks for the token of its invitation, or reads it from stdin.
    Enroll {
        /// Where the coordinator listens for enrolment.
        #[arg(value_name = "HOST:PORT")]
        place: String,
        /// Read the token from this file.
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Leave the fleet that this server belongs to.
        #[arg(long)]
        replace: bool,
    },
    /// Show what the agent sees on this server. Needs no fleet.
    Observe {
        /// What to look at: system, disks, network, cluster, guests, ha, config, readiness; nothing named: everything.
        #[arg(value_parser = facet, value_name = "FACET")]
        facets: Vec<FacetName>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start a lost server's guests from their copies on this one: from its console, as root, without any coordinator. Says what would
    /// be done, until it is told to do it.
    Recover(Asked),
    /// End a rehearsed failure on this server now, and say in which phase it was. Needs no coordinator, no agent that runs, no network.
    Heal {
        /// Only the fault of this operation.
        #[arg(value_name = "ID", conflicts_with = "all")]
        id: Option<OperationId>,
        /// All of them, and what is left of one that nobody noted. So without an ID, too.
        #[arg(long)]
        all: bool,
        /// Only look what there is.
        #[arg(long)]
        look: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch over the tool of an operation.
    #[command(hide = true)]
    RunOp {
        /// The operation.
        id: OperationId,
        /// Start another one to do so, and leave.
        #[arg(long)]
        detach: bool,
    },
    /// Put the applied cluster file, which stdin has, into /etc/pve.
    #[command(hide = true)]
    KeepSpec,
    /// Read the first and the last MiB of a disk.
    #[command(hide = true)]
    ReadEdges {
        /// The device.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// A lock whose holder works on disks, and is not to be disturbed.
        lock: Option<PathBuf>,
    },
    /// Move the configuration of a guest from a lost server to this one.
    #[command(hide = true)]
    TakeConfig {
        /// The lost server.
        #[arg(long)]
        lost: String,
        /// PVE's folder for guests of its kind.
        #[arg(long)]
        folder: String,
        /// The guest.
        #[arg(long)]
        guest: u32,
    },
    /// Do what takes more than one tool.
    #[command(hide = true)]
    Task {
        /// The operation.
        id: OperationId,
    },
}

fn facet(text: &str) -> Result<FacetName, String> {
    let known = FacetName::ALL.into_iter().find(|facet| facet.as_str() == text);
    known.ok_or_else(|| {
        let names: Vec<&str> = FacetName::ALL.into_iter().map(FacetName::as_str).collect();
        format!("there is no such facet; there are {}", names.join(", "))
    })
}

/// The whole command line, for whoever writes about it: manual pages, completions.
#[must_use]
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// What is looked at if nothing is named.
#[must_use]
pub fn every_facet() -> Vec<FacetName> {
    FacetName::ALL.to_vec()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn facets_are_taken_by_name() {
        let cli = Cli::try_parse_from(["quorate-agent", "observe", "disks", "cluster", "--json"]).unwrap();
        let Command::Observe { facets, json } = cli.command else {
            panic!("not observe")
        };
        assert!(json && facets == [FacetName::Disks, FacetName::Cluster]);
        let error = Cli::try_parse_from(["quorate-agent", "observe", "disk"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("there are system, disks"), "{error}");
    }
}
