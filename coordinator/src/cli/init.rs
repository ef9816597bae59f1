//! `quorate init`: the fleet's CA and this coordinator's identity, new or from a backup.

use std::path::{Path, PathBuf};

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::FleetName;

use super::{Answer, Context, output, passphrase};
use crate::init::NewFleet;

/// Options of `quorate init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The fleet's name: it stands in every certificate
    #[arg(long, default_value = "fleet")]
    fleet: FleetName,
    /// This host's address or name, as the nodes can reach it
    #[arg(long, value_name = "HOST", required_unless_present = "restore")]
    advertise: Option<String>,
    /// Begin from a backup instead of making a fleet: CA, nodes, revocations, cluster files, history
    #[arg(long, value_name = "FILE", conflicts_with_all = ["advertise", "fleet"])]
    restore: Option<PathBuf>,
    /// Read the passphrase (of the root key; with --restore, of the backup) from this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Answer {
    let file = args.passphrase_file.as_deref();
    let advertise = match (&args.restore, &args.advertise) {
        (Some(backup), _) => return restore(context, backup, file),
        (None, Some(advertise)) => advertise.clone(),
        (None, None) => return Err(Failure::new(ExitCode::Usage, "--advertise is missing")),
    };
    let passphrase = passphrase::new(file, passphrase::ROOT_KEY)?;
    let fleet = NewFleet {
        name: args.fleet.clone(),
        advertise,
    };
    let made = crate::init::init(&context.config, &fleet, &passphrase)?;
    output::either(context.format, &made, || {
        let advice: String = made.advice.iter().map(|a| format!("  * {a}\n")).collect();
        format!(
            "Fleet {} is made, in {}. Its fingerprint, which every enrolment shows on both sides:\n\n    {}\n\nNext\n{advice}",
            made.fleet,
            made.state_dir.display(),
            made.root_fingerprint,
        )
    });
    Ok(ExitCode::Done)
}

fn restore(context: &Context, backup: &Path, passphrase_file: Option<&Path>) -> Answer {
    let passphrase = passphrase::existing(passphrase_file, "the backup")?;
    let restored = crate::backup::restore(&context.config, backup, &passphrase)?;
    output::either(context.format, &restored, || {
        let advice: String = restored.advice.iter().map(|a| format!("  * {a}\n")).collect();
        format!(
            "Fleet {} is restored, in {}: {} files, as they were at {}.\n\nNext\n{advice}",
            restored.fleet,
            restored.state_dir.display(),
            restored.files,
            restored.made_at,
        )
    });
    Ok(ExitCode::Done)
}
