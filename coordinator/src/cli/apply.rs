//! `quorate apply FILE`: shows the plan, asks, starts it in the daemon, and tells what happens.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::operation::rules;
use quorate_model::plan::Plan;

use super::proposal::Proposal;
use super::wire::Client;
use super::wish::Options;
use super::{Answer, Context, Format, ask, cluster_file, output, passphrase, rollout, wire};

/// Options of `quorate apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster file
    #[arg(required_unless_present = "plan")]
    file: Option<PathBuf>,
    /// Apply exactly this plan, as `quorate plan --out` kept it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "accept", "remove", "is_off", "undo_join", "destroy", "password", "only", "until"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    how: How,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How a plan is applied.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct How {
    /// Don't ask. It never covers destruction
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Start it and come back at once; watch it with `quorate rollout watch`
    #[arg(long)]
    pub(crate) detach: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let (mut client, proposal) = match (&args.plan, &args.file) {
        (Some(path), _) => {
            let kept = Proposal::load(path)?;
            let mut client = wire::connect(context).await?;
            if args.dry_run {
                // What would be done is what a plan of now says, if it is still that one.
                let fresh = kept.again(&mut client).await?;
                if !fresh.plan.refused() && !fresh.plan.same_steps(&kept.plan) {
                    return Err(changed(&kept.plan, &fresh.plan));
                }
                (client, fresh)
            } else {
                (client, kept)
            }
        }
        (None, Some(file)) => {
            let source = cluster_file::read(file)?;
            cluster_file::check(&source, context.format)?;
            let mut client = wire::connect(context).await?;
            let options = &args.options;
            let proposal = Proposal::ask(&mut client, &source, options.accepted(), options.wish()).await?;
            (client, proposal)
        }
        (None, None) => return Err(Failure::new(ExitCode::Usage, "which cluster file?")),
    };
    if args.dry_run {
        output::either(context.format, &proposal.plan, || quorate_show::plan(&proposal.plan));
        let refused = proposal.plan.refused();
        return Ok(if refused { ExitCode::Refused } else { ExitCode::Done });
    }
    carry_out(context, &mut client, proposal, &args.how).await
}

fn changed(kept: &Plan, fresh: &Plan) -> Failure {
    let mut failure = Failure::new(
        ExitCode::Refused,
        "a fresh plan has other steps than the one that was kept; nothing would be done",
    )
    .hint("make a new one: quorate plan FILE --out PLAN.json");
    failure.causes = quorate_planner::diff::differences(kept, fresh)
        .iter()
        .map(ToString::to_string)
        .collect();
    failure
}

/// Shows a plan, asks, has it done, and tells about it.
pub(crate) async fn carry_out(context: &Context, client: &mut Client, proposal: Proposal, how: &How) -> Answer {
    let plan = &proposal.plan;
    if context.format == Format::Table {
        output::text(&quorate_show::plan(plan));
    }
    if plan.refused() {
        return Err(
            Failure::new(ExitCode::Refused, "the plan is refused; nothing was changed").with(match context.format {
                Format::Table => vec![],
                Format::Json => plan.findings.clone(),
            }),
        );
    }
    if !plan.is_empty() && !how.yes && !ask::confirm(&question(plan), "--yes")? {
        return Err(Failure::new(ExitCode::Cancelled, "not applied; nothing was changed"));
    }
    begin(context, client, proposal, how.detach).await
}

/// Has a plan done that was shown and agreed to, and tells about it.
pub(crate) async fn begin(context: &Context, client: &mut Client, proposal: Proposal, detach: bool) -> Answer {
    let mut passwords = Vec::new();
    for storage in proposal.asks_for_passwords() {
        passwords.push(passphrase::of_storage(storage)?);
    }
    let Some(started) = proposal.apply(client, passwords).await? else {
        if context.format == Format::Json {
            output::json(&serde_json::json!({ "rollout": null }));
        }
        return Ok(ExitCode::Done);
    };
    if detach {
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
    rollout::watch(context, client, &started).await
}

/// The question names the cluster, and what goes for good.
fn question(plan: &Plan) -> String {
    let taken: Vec<&str> = plan
        .steps
        .iter()
        .filter(|step| {
            let rules = rules(step.action.kind());
            rules.removes || rules.destroys || !step.destroys.is_empty()
        })
        .map(|step| step.title.as_str())
        .collect();
    let taken = match taken.as_slice() {
        [] => String::new(),
        some => format!(" That takes away for good: {}.", some.join("; ")),
    };
    format!(
        "Apply these {} steps to cluster {}?{taken}",
        plan.steps.len(),
        plan.cluster
    )
}
