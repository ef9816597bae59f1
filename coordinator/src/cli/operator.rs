//! `quorate operator`: who may drive this fleet from another host.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::OperatorName;

use super::{Answer, Context, output, passphrase};

/// `quorate operator …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a bundle (certificate and key in one file) with which somebody works from another host; needs the root key
    Add {
        /// Their name; it stands in the certificate and in every record of what they did
        name: OperatorName,
        /// They may only look
        #[arg(long)]
        viewer: bool,
        /// Write the bundle here; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Read the root key's passphrase from this file instead of asking
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

pub(crate) fn run(context: &Context, command: &Command) -> Answer {
    let Command::Add {
        name,
        viewer,
        out,
        passphrase_file,
    } = command;
    if out.exists() {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} exists already; it is not overwritten", out.display()),
        ));
    }
    let passphrase = passphrase::existing(passphrase_file.as_deref(), passphrase::ROOT_KEY)?;
    let bundle = crate::init::operator_bundle(&context.config, name, *viewer, &passphrase)?;
    bundle
        .save(out)
        .map_err(|e| Failure::new(ExitCode::Failed, format!("can't write {}", out.display())).because(&e))?;
    let role = if *viewer { "viewer" } else { "operator" };
    let document = serde_json::json!({ "name": name, "role": role, "bundle": out });
    output::either(context.format, &document, || {
        format!(
            "{} holds the certificate and key of {role} {name}. Bring it to their machine by a safe way, then delete it here.\n\
             There, coordinator.toml names it: [remote] with address and bundle.\n",
            out.display()
        )
    });
    Ok(ExitCode::Done)
}
