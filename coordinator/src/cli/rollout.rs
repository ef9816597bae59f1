//! `quorate rollout`: what was done, what is being done.

use std::time::Duration;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::RolloutId;
use quorate_model::rollout::{Progress, Record, RolloutResult, Summary};
use quorate_proto::{Wire, v1};

use super::wire::{self, Client};
use super::{Answer, Context, Format, output, undo_info};

/// `quorate rollout …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// All rollouts, newest first
    List,
    /// One rollout with its steps; none named: the newest
    Show {
        /// Its id
        rollout: Option<String>,
    },
    /// Tell a rollout from its beginning and follow it to its end; none named: the newest
    Watch {
        /// Its id
        rollout: Option<String>,
    },
    /// Show what the servers' files were before a rollout, and how each of its steps is undone by hand
    UndoInfo {
        /// Its id
        rollout: String,
    },
    /// Stop a rollout between two steps; what runs is followed to its end. Lets go of one whose journal contradicts itself
    Cancel {
        /// Its id
        rollout: String,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let mut client = wire::connect(context).await?;
    match command {
        Command::List => {
            let all = all(&mut client).await?;
            output::either(context.format, &all, || quorate_show::rollouts(&all));
            Ok(ExitCode::Done)
        }
        Command::Show { rollout } => {
            let one = find(all(&mut client).await?, rollout.as_deref())?;
            output::either(context.format, &one, || quorate_show::rollout(&one));
            Ok(ExitCode::Done)
        }
        Command::Watch { rollout } => watch(context, &mut client, &rollout.unwrap_or_default()).await,
        Command::UndoInfo { rollout } => undo_info::run(context, &mut client, rollout).await,
        Command::Cancel { rollout } => {
            let reply = client
                .cancel_rollout(v1::CancelRolloutRequest {
                    rollout: rollout.clone(),
                })
                .await
                .map_err(wire::refused)?
                .into_inner();
            output::either(context.format, &serde_json::json!({ "cancelled": rollout }), || {
                if reply.let_go {
                    "Let go of: its journal contradicts itself. The cluster is free for another rollout.\n".to_owned()
                } else {
                    "Cancelled: no further step is started. The running one is followed to its end.\n".to_owned()
                }
            });
            Ok(ExitCode::Done)
        }
    }
}

async fn all(client: &mut Client) -> Result<Vec<Summary>, Failure> {
    let reply = client
        .list_rollouts(v1::ListRolloutsRequest {})
        .await
        .map_err(wire::refused)?
        .into_inner();
    Wire::from_wire(reply.rollouts).map_err(wire::unreadable)
}

fn find(all: Vec<Summary>, id: Option<&str>) -> Result<Summary, Failure> {
    let wanted = all
        .into_iter()
        .filter(|r| id.is_none_or(|id| r.id.as_str() == id))
        .max_by_key(|r| r.created_at);
    wanted.ok_or_else(|| match id {
        Some(id) => Failure::new(ExitCode::NotFound, format!("there is no rollout {id}")).hint("quorate rollout list"),
        None => Failure::new(ExitCode::NotFound, "there are no rollouts yet"),
    })
}

/// Tells a rollout until it ends, and how it ended as exit code. The daemon may go away meanwhile: the rollout goes on when it is back.
pub(crate) async fn watch(context: &Context, client: &mut Client, rollout: &str) -> Answer {
    let request = v1::WatchRolloutRequest {
        rollout: rollout.to_owned(),
    };
    let mut stream = client.watch_rollout(request).await.map_err(wire::refused)?.into_inner();
    let mut teller = quorate_show::Teller::new();
    // Drawn on stderr, and only if that is a terminal: between two lines it shows that something is still going on.
    let spinner = indicatif::ProgressBar::new_spinner();
    if context.format == Format::Table {
        spinner.enable_steady_tick(Duration::from_millis(120));
    }
    let answer = follow(context, &mut stream, &mut teller, &spinner).await;
    spinner.finish_and_clear();
    answer
}

async fn follow(
    context: &Context,
    stream: &mut tonic::Streaming<v1::RolloutProgress>,
    teller: &mut quorate_show::Teller,
    spinner: &indicatif::ProgressBar,
) -> Answer {
    loop {
        let next = tokio::select! {
            next = stream.message() => next,
            _ = tokio::signal::ctrl_c() => {
                output::aside("\nNo longer watching. The rollout goes on: quorate rollout watch");
                return Ok(ExitCode::Cancelled);
            }
        };
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return Err(lost("the coordinator ended the stream")),
            Err(status) => {
                let failure = wire::refused(status);
                return Err(if failure.exit == ExitCode::Unreachable {
                    lost(&failure.to_string())
                } else {
                    failure
                });
            }
        };
        let (_, progress): (RolloutId, Progress) = message.try_into().map_err(wire::unreadable)?;
        match context.format {
            Format::Table => {
                let line = teller.tell(&progress);
                spinner.suspend(|| output::text(&line));
                if let Some(doing) = teller.doing() {
                    spinner.set_message(doing);
                }
            }
            Format::Json => output::json_line(&progress),
        }
        if let Progress::Entry(entry) = &progress
            && let Record::Finished { result } = entry.record
        {
            return Ok(match result {
                RolloutResult::Done => ExitCode::Done,
                RolloutResult::Failed | RolloutResult::Abandoned => ExitCode::Failed,
                RolloutResult::Cancelled => ExitCode::Cancelled,
            });
        }
    }
}

fn lost(why: &str) -> Failure {
    Failure::new(
        ExitCode::Unreachable,
        format!("lost the coordinator while watching: {why}"),
    )
    .hint("what runs on a node goes on there; the rollout goes on when the coordinator is back: quorate rollout watch")
}
