//! `quorate protect`: what the cluster file would say for one guest to be copied and under HA, and what would then be done. Nothing is written.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::schedule::Schedule;
use quorate_model::spec::edit::{Protection, protect_guest};
use quorate_model::{Code, Wish};
use quorate_proto::v1;
use serde::Serialize;

use super::applied;
use super::cluster_file::{self, Source};
use super::proposal::Proposal;
use super::wire::{self, Client};
use super::{Answer, Context, output};

/// Options of `quorate protect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The guest's id
    #[arg(value_parser = clap::value_parser!(u32).range(100..=999_999_999))]
    guest: u32,
    /// Its cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// The cluster file to begin with; none: the one that was applied last
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The servers that are to have it or a copy of it, with commas between; none: those of the file's first table of replication, or all members
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    copies_on: Vec<NodeName>,
    /// How often: 5m, 1h, or a calendar event of PVE; none: as in the file's first table, or every 15 minutes
    #[arg(long, value_name = "TIME")]
    every: Option<Schedule>,
    /// Under HA as well
    #[arg(long)]
    ha: bool,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
}

/// What would change: fit for printing.
#[derive(Debug, Serialize)]
struct Proposed<'p> {
    /// The whole file as it would be.
    file: &'p str,
    /// The lines that are new or changed in it.
    changed: Vec<&'p str>,
    plan: &'p quorate_model::plan::Plan,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let source = match &args.file {
        Some(path) => cluster_file::read(path)?,
        None => applied(&mut client, args.cluster.as_ref()).await?,
    };
    let wanted = Protection {
        guest: args.guest,
        copies_on: args.copies_on.iter().cloned().collect(),
        every: args.every.clone(),
        ha: args.ha,
    };
    let text = protect_guest(&source.text, &wanted).map_err(|error| {
        Failure::new(ExitCode::Refused, format!("{} can't be changed so", source.name))
            .because(&error)
            .with(error.findings().to_vec())
            .hint("change that place in the file by hand, and plan it: quorate plan FILE")
    })?;
    let changed = Source {
        name: source.name.clone(),
        text,
    };
    let accept = args.accept.iter().map(|code| code.as_str().to_owned()).collect();
    let proposal = Proposal::ask(&mut client, &changed, accept, Wish::default()).await?;
    let proposed = Proposed {
        file: &changed.text,
        changed: new_lines(&source.text, &changed.text),
        plan: &proposal.plan,
    };
    output::either(context.format, &proposed, || shown(&source.name, &proposed));
    Ok(if proposal.plan.refused() {
        ExitCode::Refused
    } else {
        ExitCode::Done
    })
}

fn shown(name: &str, proposed: &Proposed<'_>) -> String {
    let mut text = if proposed.changed.is_empty() {
        format!("{name} says so already.\n\n")
    } else {
        let lines: String = proposed.changed.iter().map(|line| format!("    {line}\n")).collect();
        format!("In {name} these lines are new or changed:\n\n{lines}\n")
    };
    text.push_str(&quorate_show::plan(proposed.plan));
    if !proposed.changed.is_empty() {
        text.push_str("\nNothing was written. Put these lines into your cluster file, then: quorate apply FILE\n");
    }
    text
}

/// Lines of the new text that the old one does not have, in their order.
fn new_lines<'n>(old: &str, new: &'n str) -> Vec<&'n str> {
    let mut left: Vec<&str> = old.lines().collect();
    let mut found = Vec::new();
    for line in new.lines() {
        match left.iter().position(|old| *old == line) {
            Some(place) => drop(left.remove(place)),
            None if line.trim().is_empty() => {}
            None => found.push(line),
        }
    }
    found
}

/// The cluster file that was applied last.
async fn applied(client: &mut Client, cluster: Option<&ClusterName>) -> Result<Source, Failure> {
    let cluster = match cluster {
        Some(cluster) => cluster.to_string(),
        None => the_only_one(client).await?.to_string(),
    };
    applied::applied(client, &cluster).await
}

/// The cluster, where there is one alone.
pub(super) async fn the_only_one(client: &mut Client) -> Result<ClusterName, Failure> {
    let nodes = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?;
    let nodes = nodes.into_inner().nodes;
    let clusters: std::collections::BTreeSet<String> = nodes.into_iter().map(|node| node.cluster).collect();
    let mut clusters = clusters.into_iter();
    match (clusters.next(), clusters.next()) {
        (Some(cluster), None) => ClusterName::new(cluster).map_err(|error| {
            Failure::new(ExitCode::Internal, "the daemon names a cluster that can't be").because(&error)
        }),
        (None, _) => Err(Failure::new(ExitCode::NotFound, "no nodes are enrolled yet").hint("quorate node list")),
        (Some(_), Some(_)) => {
            Err(Failure::new(ExitCode::Usage, "there are several clusters").hint("say which: --cluster CLUSTER"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_shown() {
        let old = "a = 1\nb = [1]\n\n[x]\n";
        let new = "a = 1\nb = [1, 2]\n\n[x]\n\n[y]\na = 1\n";
        assert_eq!(new_lines(old, new), ["b = [1, 2]", "[y]", "a = 1"]);
        assert!(new_lines(old, old).is_empty());
    }
}
