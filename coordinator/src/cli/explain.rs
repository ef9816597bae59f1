//! `quorate explain`: what a finding's code means.

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::{CATALOGUE, Code};

use super::{Answer, Format, output};

/// Options of `quorate explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, such as QRT-NODE-HAS-GUESTS; none: all codes
    code: Option<String>,
}

pub(crate) fn run(args: &Args, format: Format) -> Answer {
    let entries: Vec<_> = match &args.code {
        None => CATALOGUE.iter().collect(),
        Some(text) => {
            let code: Code = text.parse().map_err(|e| {
                Failure::new(ExitCode::NotFound, "can't explain it")
                    .because(&e)
                    .hint("`quorate explain` lists all codes")
            })?;
            CATALOGUE.iter().filter(|e| e.code == code).collect()
        }
    };
    let document: Vec<_> = entries
        .iter()
        .map(|e| serde_json::json!({"code": e.text, "severity": e.severity, "overridable": e.overridable, "meaning": e.meaning}))
        .collect();
    output::either(format, &document, || {
        entries
            .iter()
            .map(|e| {
                let accept = if e.overridable {
                    format!(", can be accepted by --accept {}", e.text)
                } else {
                    String::new()
                };
                format!("{}  ({}{accept})\n  {}\n", e.text, e.severity.as_str(), e.meaning)
            })
            .collect()
    });
    Ok(ExitCode::Done)
}
