//! `quorate adopt CLUSTER`: the cluster file of a cluster that others made. Nothing is changed; the file's plan is then empty.

mod derive;
mod pools;
mod storages;
#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::spec::write;
use quorate_model::{Observation, Wish};
use quorate_proto::v1;

use super::cluster_file::Source;
use super::proposal::Proposal;
use super::{Answer, Context, Format, output, status, wire};
use derive::{Server, derive};

/// Options of `quorate adopt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster, as its servers are enrolled under it
    cluster: ClusterName,
    /// Where to write it; `-`: to stdout; none: CLUSTER.toml
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.toml", args.cluster)));
    let to_stdout = path.as_os_str() == "-";
    let facets = [
        FacetName::System,
        FacetName::Disks,
        FacetName::Network,
        FacetName::Cluster,
        FacetName::Pools,
        FacetName::Storages,
    ];
    let seen = status::look(&mut client, args.cluster.as_str(), "", &facets, true).await?;
    let nodes = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?
        .into_inner()
        .nodes;
    let enrolled_at = |name: &str| {
        let node = nodes
            .iter()
            .find(|n| n.cluster == args.cluster.as_str() && n.name == name)?;
        let socket = node.address.parse::<SocketAddr>().map(|address| address.ip());
        socket.or_else(|_| node.address.parse::<IpAddr>()).ok()
    };
    let mut servers = Vec::new();
    for node in &seen.nodes {
        let observation: &Observation = match &node.observation {
            Ok(observation) => observation,
            // What can't be seen is never taken for absent.
            Err(unknown) => {
                return Err(Failure::new(
                    ExitCode::Unreachable,
                    format!("nothing is known of {}: {}", node.node, unknown.reason),
                )
                .hint("a cluster is adopted as a whole: bring its agent up, or take it out of the fleet first"));
            }
        };
        let name: NodeName = node
            .node
            .parse()
            .map_err(|error: quorate_model::ids::InvalidName| Failure::new(ExitCode::Internal, error.to_string()))?;
        servers.push(Server {
            address: enrolled_at(name.as_str()),
            name,
            observation,
        });
    }
    let draft = derive(&args.cluster, &servers)?;
    let text = write(&draft);
    let source = Source {
        name: path.display().to_string(),
        text: text.clone(),
    };
    // The proof is the plan: a file that would change something is not the cluster's.
    let plan = Proposal::ask(&mut client, &source, vec![], Wish::default()).await?.plan;
    if to_stdout {
        output::text(&text);
    } else {
        put(&path, &text, args.force)?;
    }
    let document = serde_json::json!({ "file": path, "text": text, "plan": plan });
    if context.format == Format::Json && !to_stdout {
        output::json(&document);
    } else if !to_stdout {
        output::text(&format!("{text}\nThis is now in {}.\n", path.display()));
    }
    if plan.is_empty() && !plan.refused() {
        output::aside("Its plan is empty: the file says what the cluster is.");
        return Ok(ExitCode::Done);
    }
    output::aside("Its plan is not empty, or is refused; the file does not say yet what the cluster is:");
    output::aside(&quorate_show::plan(&plan));
    Ok(ExitCode::Refused)
}

fn put(path: &PathBuf, text: &str, force: bool) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| {
        Failure::new(ExitCode::Failed, format!("can't write {}", path.display())).because(error)
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if !force {
        options.create_new(true);
    }
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::new(
            ExitCode::Refused,
            format!("{} is there already; nothing was written", path.display()),
        )
        .hint("name another file by --out FILE, or write over it with --force"),
        _ => failed(&error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| failed(&error))
}
