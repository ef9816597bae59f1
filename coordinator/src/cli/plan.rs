//! `quorate plan FILE`: the checklist.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::Code;
use quorate_model::plan::Plan;
use quorate_proto::{Wire, v1};

use super::cluster_file::{self, Source};
use super::wire::{self, Client};
use super::{Answer, Context, output};

/// Options of `quorate plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster file
    file: PathBuf,
    #[command(flatten)]
    accept: Accept,
}

/// Findings that the operator takes upon them.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Accept {
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    pub(crate) codes: Vec<Code>,
}

impl Accept {
    pub(crate) fn to_wire(&self) -> Vec<String> {
        self.codes.iter().map(|c| c.as_str().to_owned()).collect()
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let source = cluster_file::read(&args.file)?;
    cluster_file::check(&source, context.format)?;
    let mut client = wire::connect(context).await?;
    let plan = ask(&mut client, &source, &args.accept).await?;
    output::either(context.format, &plan, || quorate_show::plan(&plan));
    Ok(if plan.refused() {
        ExitCode::Refused
    } else {
        ExitCode::Done
    })
}

/// Asks the daemon for a plan.
pub(crate) async fn ask(client: &mut Client, source: &Source, accept: &Accept) -> Result<Plan, Failure> {
    let request = v1::PlanRequest {
        file_name: source.name.clone(),
        text: source.text.clone(),
        accept: accept.to_wire(),
    };
    let reply = client.plan(request).await.map_err(wire::refused)?;
    let plan = reply
        .into_inner()
        .plan
        .ok_or_else(|| Failure::new(ExitCode::Internal, "the coordinator answered without a plan"))?;
    Wire::from_wire(plan).map_err(wire::unreadable)
}
