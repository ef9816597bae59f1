//! `quorate ca`: the fleet's CA, exchanged for a new one while everything goes on.

use std::path::PathBuf;

use quorate_model::failure::{ExitCode, Failure};
use quorate_proto::v1;
use serde::Serialize;
use v1::ca_status_reply::Stage;
use v1::exchange_ca_request::Step;

use super::{Answer, Context, output, passphrase, wire};

/// `quorate ca …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Which root certificates are trusted, how far the exchange is, and whom it lacks
    Status,
    /// Make a new CA and have it trusted beside the old one; on the coordinator's host
    Begin {
        /// Read the new root key's passphrase from this file instead of asking
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Sign with the new CA from now on; refused while a server does not trust it yet
    Switch,
    /// Trust the old CA no longer, and remove its keys; refused while a server has no certificate of the new one
    Finish,
}

/// As printed for programs.
#[derive(Debug, Serialize)]
struct Status {
    stage: &'static str,
    roots: Vec<String>,
    missing: Vec<String>,
    operators_of_old: Vec<String>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let step = match command {
        Command::Status => None,
        Command::Begin { passphrase_file } => {
            // Whether it can be begun at all is asked before a key is made.
            let mut client = wire::connect(context).await?;
            let reply = client.ca_status(v1::CaStatusRequest {}).await.map_err(wire::refused)?;
            if reply.into_inner().stage() != Stage::None {
                return Err(
                    Failure::new(ExitCode::Refused, "the CA is being exchanged already").hint("quorate ca status")
                );
            }
            let passphrase = passphrase::new(passphrase_file.as_deref(), passphrase::ROOT_KEY)?;
            crate::init::next_ca(&context.config, &passphrase)?;
            Some(Step::Begin)
        }
        Command::Switch => Some(Step::Switch),
        Command::Finish => Some(Step::Finish),
    };
    let mut client = wire::connect(context).await?;
    let reply = match step {
        None => client.ca_status(v1::CaStatusRequest {}).await,
        Some(step) => client.exchange_ca(v1::ExchangeCaRequest { step: step.into() }).await,
    };
    let reply = reply.map_err(wire::refused)?.into_inner();
    let stage = reply.stage();
    let status = Status {
        stage: match stage {
            Stage::None | Stage::Unspecified => "none",
            Stage::Begun => "begun",
            Stage::Switched => "switched",
            Stage::Finishing => "finishing",
        },
        roots: reply.roots,
        missing: reply.missing,
        operators_of_old: reply.operators_of_old,
    };
    output::either(context.format, &status, || told(&status, stage));
    Ok(ExitCode::Done)
}

fn told(status: &Status, stage: Stage) -> String {
    let mut text = String::new();
    for (number, root) in status.roots.iter().enumerate() {
        let does = if number == 0 { "signs" } else { "is trusted beside it" };
        text.push_str(&format!("{root}  {does}\n"));
    }
    let (lack, next) = match stage {
        Stage::None | Stage::Unspecified => return text + "No exchange of the CA is under way.\n",
        Stage::Begun => ("do not trust the new CA yet", "quorate ca switch"),
        Stage::Switched => ("have no certificate of the new CA yet", "quorate ca finish"),
        Stage::Finishing => ("still trust the old CA", "quorate ca finish"),
    };
    if status.missing.is_empty() {
        text.push_str(&format!("No server is missing. Go on with: {next}\n"));
    } else {
        text.push_str(&format!(
            "These servers {lack}: {}\nThey are told as soon as they are connected; see again: quorate ca status\n",
            status.missing.join(", ")
        ));
    }
    if stage != Stage::Begun && !status.operators_of_old.is_empty() {
        text.push_str(&format!(
            "These have certificates of the old CA, which end with it: {}. Make them new ones: quorate operator add\n",
            status.operators_of_old.join(", ")
        ));
    }
    text
}
