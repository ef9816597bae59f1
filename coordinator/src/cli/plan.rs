//! `quorate plan FILE`: the checklist.

use std::path::PathBuf;

use quorate_model::failure::ExitCode;

use super::proposal::Proposal;
use super::wish::Options;
use super::{Answer, Context, Format, cluster_file, output, wire};

/// Options of `quorate plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster file
    file: PathBuf,
    #[command(flatten)]
    options: Options,
    /// Keep the plan, to be applied exactly so: quorate apply --plan FILE
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let source = cluster_file::read(&args.file)?;
    cluster_file::check(&source, context.format)?;
    let mut client = wire::connect(context).await?;
    let proposal = Proposal::ask(&mut client, &source, args.options.accepted(), args.options.wish()).await?;
    let plan = &proposal.plan;
    output::either(context.format, plan, || quorate_show::plan(plan));
    if let Some(path) = args.out.as_ref().filter(|_| plan.refused()) {
        output::aside(&format!(
            "Not kept in {}: a refused plan can't be applied.",
            path.display()
        ));
    } else if let Some(path) = &args.out {
        proposal.save(path)?;
        if context.format == Format::Table {
            output::aside(&format!(
                "Kept. Apply exactly this: quorate apply --plan {}",
                path.display()
            ));
        }
    }
    Ok(if plan.refused() {
        ExitCode::Refused
    } else {
        ExitCode::Done
    })
}
