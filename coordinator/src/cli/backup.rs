//! `quorate backup [FILE]`: on the coordinator's host; keys don't travel through the API.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::v1;

use super::{Answer, Context, output, passphrase, wire};

/// Options of `quorate backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write it; it must not exist. None: quorate-FLEET-TIME.age in the current directory
    file: Option<PathBuf>,
    /// Read the backup's passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    if context.config.remote.is_some() {
        return Err(Failure::new(
            ExitCode::Usage,
            "a backup holds the fleet's keys, and is made on the coordinator's own host",
        )
        .hint("there, as root: quorate backup"));
    }
    let passphrase = passphrase::new(args.passphrase_file.as_deref(), "the backup")?;
    let history = match history(context).await {
        Ok(history) => history,
        // Without a daemon nobody can be asked for the rollouts. CA and fleet are what matters most.
        Err(failure) if failure.exit == ExitCode::Unreachable => {
            output::aside("no coordinator runs here: the rollouts' history will not be in the backup");
            Vec::new()
        }
        Err(failure) => return Err(failure),
    };
    let written = crate::backup::backup(&context.config, args.file.as_deref(), &passphrase, history)?;
    output::either(context.format, &written, || {
        let missing: String = written.missing.iter().map(|what| format!("  * {what}\n")).collect();
        format!(
            "{} is written and was read back: {} bytes, {} records of rollouts. Bring it to another machine.\n\
             It can be opened with its passphrase alone: quorate init --restore, or age --decrypt.\n\nNot in it\n{missing}",
            written.file.display(),
            written.bytes,
            written.rollout_records,
        )
    });
    Ok(ExitCode::Done)
}

async fn history(context: &Context) -> Result<Vec<String>, Failure> {
    let mut client = wire::connect(context).await?;
    let mut stream = client
        .export_history(v1::ExportHistoryRequest {})
        .await
        .map_err(wire::refused)?
        .into_inner();
    let mut lines = Vec::new();
    while let Some(message) = stream.message().await.map_err(wire::refused)? {
        lines.extend(message.lines);
    }
    Ok(lines)
}
