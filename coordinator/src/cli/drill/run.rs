//! `quorate drill run`: shown, confirmed by the server's name, followed to its record.

use std::path::PathBuf;
use std::time::Duration;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::ClusterName;
use quorate_proto::v1;

use super::{Options, page, preview, record, shown, the_cluster};
use crate::cli::wire::{self, Client};
use crate::cli::{Answer, Context, Format, ask, output};

/// A coordinator that goes away in the middle is waited for so long: the drill goes on when it is back.
const BACK_WITHIN: Duration = Duration::from_secs(600);
/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(2);

/// Options of `quorate drill run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// The server that is to fail, as CLUSTER/NODE, for scripts: otherwise it is typed when it is asked for
    #[arg(long, value_name = "CLUSTER/NODE")]
    confirm: Option<String>,
    /// Write the record as a page with a chart
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, mut client: Client, args: Args) -> Answer {
    let cluster = the_cluster(&mut client, args.options.cluster.clone()).await?;
    let document = preview(&mut client, args.options.order(&cluster, None)).await?;
    if context.format == Format::Table {
        output::text(&shown(&document));
    }
    let refusals = document.refusals();
    if !refusals.is_empty() {
        let failure = Failure::new(ExitCode::Refused, "the drill is refused; nothing was changed");
        return Err(failure.with(match context.format {
            Format::Table => vec![],
            Format::Json => refusals,
        }));
    }
    let confirm = match args.confirm {
        Some(typed) => typed,
        None => typed(&document.confirm)?,
    };
    if confirm != document.confirm {
        let message = format!("`{confirm}` is not {}; nothing was changed", document.confirm);
        return Err(Failure::new(ExitCode::Cancelled, message));
    }
    let request = v1::StartDrillRequest {
        order: Some(args.options.order(&cluster, Some(&confirm))),
        shown: document.key,
    };
    let number = client
        .start_drill(request)
        .await
        .map_err(wire::refused)?
        .into_inner()
        .number;
    if context.format == Format::Table {
        output::text(&format!(
            "\nDrill {number}. It goes on if this command is interrupted. To end the fault at once: quorate drill abort --cluster {cluster}\n"
        ));
    }
    if !watch(context, &mut client, &cluster, number).await? {
        return Ok(ExitCode::Cancelled);
    }
    let record = record(&mut client, &cluster, number).await?;
    output::either(context.format, &record, || {
        format!("\n{}", quorate_show::drill(&record))
    });
    page(args.html.as_deref(), &record)?;
    Ok(record.verdict.outcome.exit())
}

/// The operator types the server's whole name: a `y` is typed too fast.
fn typed(wanted: &str) -> Result<String, Failure> {
    if !output::interactive() {
        let message = "nobody is there to be asked: stdin is no terminal";
        return Err(Failure::new(ExitCode::Usage, message).hint(format!("in a script: --confirm {wanted}")));
    }
    let answer = ask::line(&format!("This breaks {wanted}. Type its name to go on:"), "")?;
    Ok(answer.trim().to_owned())
}

/// Tells what happens until the record is there; `false`: the operator does not want to watch any longer.
async fn watch(context: &Context, client: &mut Client, cluster: &ClusterName, number: u64) -> Result<bool, Failure> {
    let mut told = 0;
    let mut away = Duration::ZERO;
    loop {
        match follow(context, client, (cluster, number), &mut told).await {
            Ok(ended) => return Ok(ended),
            Err(failure) if failure.exit != ExitCode::Unreachable => return Err(failure),
            Err(failure) if away >= BACK_WITHIN => {
                return Err(failure.hint(format!(
                    "when it is back: quorate drill show {number} --cluster {cluster}"
                )));
            }
            Err(_) => {
                if away.is_zero() && context.format == Format::Table {
                    output::aside(
                        "The coordinator is away. The drill goes on when it is back, and the fault ends by itself in any case.",
                    );
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
        away = away.saturating_add(AGAIN);
        if let Ok(again) = wire::connect(context).await {
            *client = again;
        }
    }
}

/// One connection's part of it. `told`: so much of it was shown already.
async fn follow(
    context: &Context,
    client: &mut Client,
    (cluster, number): (&ClusterName, u64),
    told: &mut usize,
) -> Result<bool, Failure> {
    let request = v1::WatchDrillRequest {
        cluster: cluster.to_string(),
        number,
    };
    let mut stream = client.watch_drill(request).await.map_err(wire::refused)?.into_inner();
    let mut seen = 0;
    loop {
        let next = tokio::select! {
            next = stream.message() => next,
            _ = tokio::signal::ctrl_c() => {
                output::aside(&format!("\nNo longer watching. The drill goes on: quorate drill list --cluster {cluster}"));
                return Ok(false);
            }
        };
        let progress = match next {
            Ok(Some(progress)) => progress,
            Ok(None) => return Err(Failure::new(ExitCode::Unreachable, "the coordinator ended the stream")),
            Err(status) => return Err(wire::refused(status)),
        };
        if progress.over {
            return Ok(true);
        }
        seen += 1;
        if seen <= *told {
            continue;
        }
        *told = seen;
        let at = wire::time(progress.at).unwrap_or_default();
        match context.format {
            Format::Table => output::text(&format!("{at}  {}: {}\n", progress.stage, progress.text)),
            // The record is the answer; what happens meanwhile is for whoever looks on.
            Format::Json => output::aside(&format!("{at}  {}: {}", progress.stage, progress.text)),
        }
    }
}
