//! `quorate audit`: who did what. The chain is followed here, from the lines as they stand in the file.

use std::time::Duration;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{ClusterName, Timestamp};
use quorate_proto::v1;
use serde_json::Value;

use super::{Answer, Context, Format, output, wire};
use crate::as_owner::AsOwner;
use crate::audit::Audit;
use crate::audit::verify::{self, Chain, Report};
use crate::state_dir::StateDir;
use crate::trust;

/// Options of `quorate audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what is not older: 90m, 12h, 7d, or a time such as 2026-11-22T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// Only what concerns this cluster
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// Check that no line is missing or was changed; a broken log ends with exit code 9
    #[arg(long)]
    verify: bool,
}

#[derive(Debug, Clone, Copy)]
enum Since {
    Ago(Duration),
    At(Timestamp),
}

fn since(text: &str) -> Result<Since, String> {
    let wrong = || format!("`{text}` is neither like 90m, 12h or 7d, nor like 2026-11-22T10:00:00Z");
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::At(Timestamp(at.as_microsecond())));
    }
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Since::Ago(Duration::from_secs(number.saturating_mul(seconds))))
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut lines = Vec::new();
    let report = match read(context, &mut lines).await {
        // Without a daemon, whoever may read the file on this host can read it here.
        Err(failure) if failure.exit == ExitCode::Unreachable && context.config.remote.is_none() => {
            read_file(context, &mut lines)?
        }
        other => other?,
    };
    let from = args.since.map(|since| match since {
        Since::At(at) => at,
        Since::Ago(ago) => Timestamp(
            trust::now(&context.config.clock())
                .0
                .saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)),
        ),
    });
    let wanted = |line: &Value| {
        let at = line["at"]
            .as_str()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let late_enough = from.is_none_or(|from| at.is_none_or(|at| at.as_microsecond() >= from.0));
        let cluster = args.cluster.as_ref();
        late_enough && cluster.is_none_or(|cluster| line["cluster"].as_str() == Some(cluster.as_str()))
    };
    if args.verify {
        tell(context, &report);
    } else {
        let shown: Vec<Value> = lines
            .iter()
            .filter_map(|text| serde_json::from_str(text).ok())
            .filter(wanted)
            .collect();
        match context.format {
            Format::Json => shown.iter().for_each(output::json_line),
            Format::Table => output::text(&table(&shown)),
        }
        if let Some(broken) = &report.broken {
            output::aside(&format!("the audit log is {broken}"));
        }
    }
    Ok(if report.broken.is_some() {
        ExitCode::Degraded
    } else {
        ExitCode::Done
    })
}

fn tell(context: &Context, report: &Report) {
    let broken = report.broken.as_ref();
    let document = serde_json::json!({
        "lines": report.lines,
        "whole": broken.is_none(),
        "broken_at_line": broken.map(|broken| broken.line),
        "why": broken.map(|broken| &broken.why),
    });
    output::either(context.format, &document, || match broken {
        None => format!(
            "The audit log is whole: {} lines, each follows the one before it.\n",
            report.lines
        ),
        Some(broken) => format!("The audit log is {broken}.\n"),
    });
}

async fn read(context: &Context, lines: &mut Vec<String>) -> Result<Report, Failure> {
    let mut client = wire::connect(context).await?;
    let mut stream = client
        .read_audit(v1::ReadAuditRequest {})
        .await
        .map_err(wire::refused)?
        .into_inner();
    let mut chain = Chain::new();
    let mut head = None;
    while let Some(message) = stream.message().await.map_err(wire::refused)? {
        head = message.head.or(head);
        for line in message.lines {
            chain.take(&line);
            lines.push(line);
        }
    }
    Ok(chain.end(head.as_ref().map(|head| (head.count, head.last.as_str()))))
}

fn read_file(context: &Context, lines: &mut Vec<String>) -> Result<Report, Failure> {
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Failed, "the audit log can't be read").because(error)
    };
    let _owner = AsOwner::of(&context.config.state_dir)?;
    let state = StateDir::open(&context.config.state_dir)?;
    let audit = Audit::of(&state, context.config.clock());
    let head = audit.head().map_err(|error| unreadable(&error))?;
    verify::each(audit.path(), |_, text| lines.push(text.to_owned())).map_err(|error| unreadable(&error))?;
    verify::file(audit.path(), head.as_ref()).map_err(|error| unreadable(&error))
}

/// Time, who and from where, cluster, and what: the action with everything that it says of itself.
fn table(lines: &[Value]) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value| {
        let all = value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        all.join(" ")
    };
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let mut what = line
                .pointer("/what/action")
                .and_then(Value::as_str)
                .unwrap_or("?")
                .replace('_', " ");
            for (key, value) in line["what"]
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| *key != "action")
            {
                // Digests are for programs: in full they are in the JSON.
                let value: String = text(value).chars().take(40).collect();
                what.push_str(&format!(", {} {value}", key.replace('_', " ")));
            }
            for (label, key) in [("accepted", "accepted"), ("allowed", "consents")] {
                let all = list(&line[key]);
                if !all.is_empty() {
                    what.push_str(&format!("; {label} {all}"));
                }
            }
            let short = |path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or("-").to_owned();
            vec![
                short("/at"),
                short("/by/who"),
                short("/by/from"),
                short("/cluster"),
                what,
            ]
        })
        .collect();
    if rows.is_empty() {
        return "Nothing of that is in the audit log.\n".to_owned();
    }
    quorate_show::table(&["AT", "WHO", "FROM", "CLUSTER", "WHAT"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_understood_or_refused() {
        assert!(matches!(since("90m"), Ok(Since::Ago(ago)) if ago.as_secs() == 5_400));
        assert!(matches!(since("7d"), Ok(Since::Ago(ago)) if ago.as_secs() == 604_800));
        assert!(matches!(since("2026-11-22T10:00:00Z"), Ok(Since::At(_))));
        for bad in ["", "d", "7", "7w", "-1d", "yesterday", "ä"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
