//! `quorate disks`: one table for all nodes.

use quorate_model::Facet;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::NodeRef;
use quorate_model::observation::{Disks, FacetName};
use quorate_show::DiskRow;

use super::status::look;
use super::{Answer, Context, output, wire};

/// Options of `quorate disks`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this node: CLUSTER/NODE, or NODE where there is only one of that name
    node: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let (cluster, node) = match args.node.as_deref() {
        None => (String::new(), String::new()),
        Some(text) if text.contains('/') => {
            let node: NodeRef = text
                .parse()
                .map_err(|e| Failure::new(ExitCode::Usage, "can't tell which node").because(&e))?;
            (node.cluster.to_string(), node.node.to_string())
        }
        Some(name) => (String::new(), name.to_owned()),
    };
    let look = look(&mut client, &cluster, &node, &[FacetName::Disks], true).await?;
    let disks: Vec<(String, Facet<Disks>)> = look
        .nodes
        .into_iter()
        .map(|seen| {
            let facet = match seen.observation {
                Ok(observation) => observation.disks,
                Err(unknown) => Facet::Unknown(unknown),
            };
            (format!("{}/{}", seen.cluster, seen.node), facet)
        })
        .collect();
    if disks.is_empty() {
        let message = args.node.map_or_else(
            || "no nodes are enrolled yet".to_owned(),
            |n| format!("there is no node {n}"),
        );
        return Err(Failure::new(ExitCode::NotFound, message).hint("quorate node list"));
    }
    let document: std::collections::BTreeMap<_, _> = disks.iter().map(|(n, d)| (n, d)).collect();
    output::either(context.format, &document, || {
        let rows: Vec<_> = disks
            .iter()
            .map(|(node, disks)| DiskRow {
                node: node.clone(),
                disks,
            })
            .collect();
        quorate_show::disks(&rows)
    });
    Ok(if disks.iter().all(|(_, d)| d.is_known()) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}
