//! `quorate renew`: the coordinator's own certificate, which is good for a year.

use std::path::PathBuf;

use quorate_model::failure::ExitCode;

use super::{Answer, Context, output, passphrase};

/// Options of `quorate renew`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read the root key's passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: &Args) -> Answer {
    let passphrase = passphrase::existing(args.passphrase_file.as_deref(), passphrase::ROOT_KEY)?;
    let until = crate::init::renew(&context.config, &passphrase)?;
    output::either(context.format, &serde_json::json!({ "valid_until": until }), || {
        format!(
            "The coordinator's certificate is new and valid until {until}.\n\
             A running coordinator takes it at its next start: systemctl restart quorate\n\
             Then make a backup: quorate backup\n"
        )
    });
    Ok(ExitCode::Done)
}
