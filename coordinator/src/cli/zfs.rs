//! `quorate zfs`: the pools of all nodes, and the replacement of a disk in one of them.

use std::collections::BTreeMap;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, DiskName, DiskRef, NodeRef, PoolName};
use quorate_model::observation::config::KeptSpec;
use quorate_model::observation::{FacetName, Pool};
use quorate_model::wish::DiskReplacement;
use quorate_model::{Code, Facet, Wish};
use quorate_proto::{Wire, v1};
use quorate_show::PoolRow;

use super::apply::{How, carry_out};
use super::cluster_file::Source;
use super::proposal::Proposal;
use super::status::look;
use super::wire::Client;
use super::{Answer, Context, Format, output, wire};

/// What is done with pools.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show every node's pools: state, room, what they survive now
    List {
        /// Only this node: CLUSTER/NODE, or NODE where there is only one of that name
        node: Option<String>,
    },
    /// Replace a disk of a pool, such as one that failed; what was on it is made anew from the others
    Replace(Replace),
}

/// Options of `quorate zfs replace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Replace {
    /// The node: CLUSTER/NODE
    node: NodeRef,
    /// The pool
    pool: PoolName,
    /// The disk to replace: its stable name, or what `zpool status` calls it, such as a number where it is gone
    old: String,
    /// The new disk, by its stable name; none: the smallest free one that is large enough
    #[arg(long, value_name = "DISK")]
    with: Option<DiskName>,
    /// Everything on this disk may go: its server and its stable name, as `quorate disks` shows it. --yes never says that
    #[arg(long, value_name = "NODE:DISK")]
    destroy: Vec<DiskRef>,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
    #[command(flatten)]
    how: How,
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let mut client = wire::connect(context).await?;
    match command {
        Command::List { node } => list(context, &mut client, node).await,
        Command::Replace(args) => replace(context, &mut client, args).await,
    }
}

async fn list(context: &Context, client: &mut Client, node: Option<String>) -> Answer {
    let (cluster, name) = match node
        .as_deref()
        .map(|text| text.rsplit_once('/').map_or(("", text), |pair| pair))
    {
        Some((cluster, name)) => (cluster, name),
        None => ("", ""),
    };
    let look = look(client, cluster, name, &[FacetName::Pools], true).await?;
    let rows: Vec<(String, Facet<Vec<Pool>>, quorate_model::Timestamp)> = look
        .nodes
        .into_iter()
        .map(|seen| {
            let node = format!("{}/{}", seen.cluster, seen.node);
            match seen.observation {
                Ok(observation) => (node, observation.pools, observation.observed_at),
                Err(unknown) => (node, Facet::Unknown(unknown), look.now),
            }
        })
        .collect();
    if rows.is_empty() {
        let message = node.map_or_else(
            || "no nodes are enrolled yet".to_owned(),
            |n| format!("there is no node {n}"),
        );
        return Err(Failure::new(ExitCode::NotFound, message).hint("quorate node list"));
    }
    let document: BTreeMap<_, _> = rows.iter().map(|(node, pools, _)| (node, pools)).collect();
    output::either(context.format, &document, || {
        let rows: Vec<_> = rows
            .iter()
            .map(|(node, pools, now)| PoolRow {
                node: node.clone(),
                pools,
                now: *now,
            })
            .collect();
        quorate_show::pools(&rows)
    });
    let well = |pools: &Facet<Vec<Pool>>| pools.get().is_ok_and(|pools| pools.iter().all(Pool::is_well));
    Ok(if rows.iter().all(|(_, pools, _)| well(pools)) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

async fn replace(context: &Context, client: &mut Client, args: Replace) -> Answer {
    let source = applied(client, &args.node.cluster).await?;
    let (node, pool) = (&args.node.node, &args.pool);
    let wish = Wish {
        destroy: args.destroy.iter().cloned().collect(),
        replace_disk: Some(DiskReplacement {
            node: node.clone(),
            pool: pool.clone(),
            old: args.old.clone(),
            with: args.with.clone(),
        }),
        // Nothing else that the file may ask for is done by this command.
        only: Some(format!("zfs.replace/{node}/{pool}")),
        ..Wish::default()
    };
    let accept = args.accept.iter().map(|code| code.as_str().to_owned()).collect();
    let proposal = Proposal::ask(client, &source, accept, wish).await?;
    let nothing = proposal.plan.is_empty();
    let ended = carry_out(context, client, proposal, &args.how).await?;
    if ended == ExitCode::Done && context.format == Format::Table && !nothing && !args.how.detach {
        output::aside(&format!(
            "Until its data is made anew the pool survives less than it is laid out for: quorate zfs list {}. If the cluster file names the \
             old disk, put the new one there.",
            args.node
        ));
    }
    Ok(ended)
}

/// The cluster file that was applied last.
pub(super) async fn applied(client: &mut Client, cluster: &ClusterName) -> Result<Source, Failure> {
    let request = v1::AppliedRequest {
        cluster: cluster.to_string(),
    };
    let none = || {
        Failure::new(
            ExitCode::NotFound,
            format!("no cluster file of {cluster} was applied from here"),
        )
        .hint("make one of the cluster as it is: quorate adopt CLUSTER; then apply it")
    };
    let reply = match client.applied(request).await {
        Ok(reply) => reply.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Err(none()),
        Err(status) => return Err(wire::refused(status)),
    };
    let spec: Option<KeptSpec> = Wire::from_wire(reply.spec).map_err(wire::unreadable)?;
    let spec = spec.ok_or_else(none)?;
    Ok(Source {
        name: format!("{cluster}.toml (of {})", spec.applied_at),
        text: spec.text,
    })
}
