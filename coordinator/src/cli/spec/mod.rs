//! `quorate spec`: cluster files before anything is done with them.

mod asking;
mod choose;
mod init;
mod pool;
mod survey;
mod tables;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use quorate_model::failure::ExitCode;
use quorate_model::spec::{ClusterFile, schema};

use super::{Answer, Context, Format, cluster_file, output};

/// `quorate spec …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong in a cluster file, all at once; asks no daemon and no server
    Check {
        /// The cluster file
        file: PathBuf,
    },
    /// Print the JSON Schema of cluster files, for editors
    Schema,
    /// Begin a cluster file from what the enrolled servers have
    Init(init::Args),
}

/// What needs neither configuration nor daemon; `None` for the rest.
pub(crate) fn local(command: &Command, format: Format) -> Option<Answer> {
    match command {
        Command::Check { file } => Some(check(file, format)),
        Command::Schema => {
            output::json(&schema());
            Some(Ok(ExitCode::Done))
        }
        Command::Init(_) => None,
    }
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    match command {
        Command::Init(args) => init::run(context, args).await,
        command => local(&command, context.format).unwrap_or(Ok(ExitCode::Internal)),
    }
}

fn check(path: &PathBuf, format: Format) -> Answer {
    let source = cluster_file::read(path)?;
    let file = cluster_file::check(&source, format)?;
    output::either(format, &document(&source.name, &file), || {
        format!("{}: ok, {}\n", source.name, quorate_show::cluster_file(&file))
    });
    Ok(ExitCode::Done)
}

/// What a file comes to, for programs.
fn document(name: &str, file: &ClusterFile) -> serde_json::Value {
    let members: Vec<&str> = file.members().map(|(name, _)| name.as_str()).collect();
    serde_json::json!({
        "file": name,
        "digest": file.digest,
        "cluster": file.cluster.name.value,
        "members": members,
        "links": file.cluster.links.len().max(1),
        "third_vote": file.qnetd().map(|(name, _)| name),
    })
}
