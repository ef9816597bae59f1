//! `quorate network`: what was measured between a cluster's nodes.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::measurement::Baseline;
use quorate_model::{Finding, Severity, Timestamp};
use quorate_proto::{Wire, v1};
use serde::Serialize;

use super::cluster_file;
use super::{Answer, Context, output, wire};

/// Options of `quorate network`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster; may be left out if there is only one
    cluster: Option<String>,
    /// Measure now, and keep that
    #[arg(long)]
    measure: bool,
    /// The links of this cluster file, also those that the cluster does not have yet
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// As printed for programs.
#[derive(Debug, Serialize)]
struct Shown {
    cluster: String,
    /// The coordinator's time: ages are counted to it.
    now: Timestamp,
    baseline: Baseline,
    findings: Vec<Finding>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let source = match &args.from {
        None => None,
        Some(path) => {
            let source = cluster_file::read(path)?;
            cluster_file::check(&source, context.format)?;
            Some(source)
        }
    };
    let (file_name, text) = source.map(|source| (source.name, source.text)).unwrap_or_default();
    let request = v1::NetworkRequest {
        cluster: args.cluster.unwrap_or_default(),
        file_name,
        text,
    };
    let mut client = wire::connect(context).await?;
    let answered = if args.measure {
        client.measure_network(request).await
    } else {
        client.network(request).await
    };
    let reply = answered.map_err(wire::refused)?.into_inner();
    let baseline = reply
        .baseline
        .ok_or_else(|| Failure::new(ExitCode::Internal, "the coordinator answered without measurements"))?;
    let shown = Shown {
        cluster: reply.cluster,
        now: wire::time(reply.now).unwrap_or_default(),
        baseline: Wire::from_wire(baseline).map_err(wire::unreadable)?,
        findings: Wire::from_wire(reply.findings).map_err(wire::unreadable)?,
    };
    output::either(context.format, &shown, || {
        quorate_show::network(&shown.cluster, &shown.baseline, &shown.findings, shown.now)
    });
    let trouble = shown.findings.iter().any(|finding| finding.severity > Severity::Note);
    Ok(if trouble { ExitCode::Degraded } else { ExitCode::Done })
}
