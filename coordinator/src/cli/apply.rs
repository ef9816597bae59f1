//! `quorate apply FILE`: shows the plan, asks, starts it in the daemon, and tells what happens.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::{Wire, v1};

use super::plan::Accept;
use super::{Answer, Context, Format, ask, cluster_file, output, plan, rollout, wire};

/// Options of `quorate apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster file
    file: PathBuf,
    #[command(flatten)]
    accept: Accept,
    /// Don't ask. It never covers destruction
    #[arg(long, short)]
    yes: bool,
    /// Start it and come back at once; watch it with `quorate rollout watch`
    #[arg(long)]
    detach: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let source = cluster_file::read(&args.file)?;
    cluster_file::check(&source, context.format)?;
    let mut client = wire::connect(context).await?;
    let shown = plan::ask(&mut client, &source, &args.accept).await?;
    if context.format == Format::Table {
        output::text(&quorate_show::plan(&shown));
    }
    if shown.refused() {
        return Err(
            Failure::new(ExitCode::Refused, "the plan is refused; nothing was changed").with(match context.format {
                Format::Table => vec![],
                Format::Json => shown.findings,
            }),
        );
    }
    if shown.is_empty() {
        if context.format == Format::Json {
            output::json(&serde_json::json!({ "rollout": null }));
        }
        return Ok(ExitCode::Done);
    }
    let question = format!("Apply these {} steps to cluster {}?", shown.steps.len(), shown.cluster);
    if !args.yes && !ask::confirm(&question, "--yes")? {
        return Err(Failure::new(ExitCode::Cancelled, "not applied; nothing was changed"));
    }
    let request = v1::ApplyRequest {
        file_name: source.name.clone(),
        text: source.text.clone(),
        accept: args.accept.to_wire(),
        shown: Some(shown.into_wire()),
    };
    let started = client.apply(request).await.map_err(wire::refused)?.into_inner().rollout;
    if args.detach {
        output::either(context.format, &serde_json::json!({ "rollout": started }), || {
            format!("Rollout {started} goes on in the coordinator. Watch it: quorate rollout watch {started}\n")
        });
        return Ok(ExitCode::Done);
    }
    if context.format == Format::Table {
        output::text(&format!(
            "\nRollout {started}. It goes on if this command is interrupted: quorate rollout watch {started}\n"
        ));
    }
    rollout::watch(context, &mut client, &started).await
}
