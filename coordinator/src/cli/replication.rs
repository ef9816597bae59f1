//! `quorate replication`: which guests are copied where, how old each copy is, and how old it may get.

use quorate_model::copies::{judge, promised};
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::{FacetName, ReplicationJob};
use quorate_model::{NodeName, View};
use quorate_show::{Copy, CopyRow};
use std::time::Duration;

use super::views::{fresh, speakers};
use super::{Answer, Context, moves, output, wire};

/// Options of `quorate replication`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only the jobs of this guest
    guest: Option<u32>,
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
}

/// What can be done about a copy.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Decide about a copy that is held: keep what the server that was lost has of the guest, or have it overwritten; and copy there again
    Resolve(moves::Resolve),
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    if let Some(Command::Resolve(args)) = args.command {
        return moves::resolve(context, &mut client, args).await;
    }
    let facets = [
        FacetName::Config,
        FacetName::Guests,
        FacetName::Replication,
        FacetName::Cluster,
    ];
    let mut rows = Vec::new();
    for (cluster, view) in fresh(&mut client, args.cluster.as_deref(), &facets).await? {
        rows.extend(of_cluster(&cluster, &view)?);
    }
    if let Some(guest) = args.guest {
        rows.retain(|row| row.job.guest == guest);
        if rows.is_empty() {
            let message = format!("guest {guest} is not replicated");
            return Err(Failure::new(ExitCode::NotFound, message).hint("quorate replication"));
        }
    }
    output::either(context.format, &rows, || quorate_show::replication(&rows));
    Ok(if rows.iter().all(CopyRow::is_fine) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

fn of_cluster(cluster: &str, view: &View) -> Result<Vec<CopyRow>, Failure> {
    let mut rows = Vec::new();
    for node in speakers(view) {
        let jobs = view
            .facet(node, |o| &o.config)
            .and_then(|config| config.replication.get().map_err(Clone::clone))
            .map_err(|unknown| {
                let message = format!("{cluster}: which guests are replicated is not known: {node}: {unknown}");
                Failure::new(ExitCode::Unreachable, message).hint("quorate status")
            })?;
        rows.extend(jobs.iter().map(|job| row(cluster, view, node, job)));
    }
    Ok(rows)
}

fn row(cluster: &str, view: &View, speaker: &NodeName, job: &ReplicationJob) -> CopyRow {
    let guests = view.facet(speaker, |o| &o.guests);
    let owner = guests.map(|guests| {
        let owned = guests.iter().find(|guest| guest.vmid == job.guest);
        owned.map(|guest| guest.node.clone())
    });
    let (owner, copy) = match owner {
        Ok(Some(owner)) => {
            let copy = copy(view, &owner, job);
            (Some(owner), copy)
        }
        Ok(None) => {
            let reason = format!("there is no guest {}: the job is left of it", job.guest);
            (None, (None, Facet::unknown(UnknownKind::Failed, reason)))
        }
        Err(unknown) => (None, (None, Facet::Unknown(unknown))),
    };
    let (took, copy) = copy;
    CopyRow {
        cluster: cluster.to_owned(),
        job: job.clone(),
        owner,
        promised: promised(job, took),
        copy,
    }
}

/// How long the last run took, and how the copy stands, by the agent of the guest's owner.
fn copy(view: &View, owner: &str, job: &ReplicationJob) -> (Option<Duration>, Facet<Copy>) {
    let seen = view.nodes.iter().find(|(node, _)| node.as_str() == owner);
    let states = match seen.map(|(_, seen)| &seen.observation) {
        None => &Facet::unknown(UnknownKind::NotAsked, format!("{owner} is not enrolled")),
        Some(Err(unknown)) => &Facet::Unknown(unknown.clone()),
        Some(Ok(seen)) => &seen.replication,
    };
    let (states, now) = match states {
        Facet::Known { value, collected_at } => (value, *collected_at),
        Facet::Unknown(unknown) => return (None, Facet::Unknown(unknown.clone())),
    };
    let mut of_job = states.iter();
    let state = of_job.find(|state| state.guest == job.guest && state.target == job.target);
    let took = state.and_then(|state| state.took_millis).map(Duration::from_millis);
    let last_sync = state.and_then(|state| state.last_sync);
    let copy = Copy {
        state: judge(job, owner, state, now),
        last_sync,
        age: last_sync.map(|at| at.age(now)),
        took,
    };
    (took, Facet::known(copy, now))
}
