//! `quorate init`: the fleet's CA and this coordinator's identity.

use std::path::PathBuf;

use quorate_model::failure::ExitCode;
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
    #[arg(long, value_name = "HOST")]
    advertise: String,
    /// Read the root key's passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Answer {
    let passphrase = passphrase::new(args.passphrase_file.as_deref())?;
    let fleet = NewFleet {
        name: args.fleet.clone(),
        advertise: args.advertise.clone(),
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
