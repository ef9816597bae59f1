//! `quorate drill`: a failure on purpose. What is to be expected, the drill itself, and how it was.

mod run;

use std::path::{Path, PathBuf};

use quorate_model::drill::record::Record;
use quorate_model::drill::trend::{TrendRow, worse};
use quorate_model::drill::{DrillKind, DueRow, Lasting, ProbeTarget};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::fault::{Fault, InvalidFault};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, DrillName, NodeName};
use quorate_proto::{Wire, v1};
use quorate_show::DrillPreview;

use super::wire::{self, Client};
use super::{Answer, Context, output, protect};
use crate::drill::Document;

/// `quorate drill …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show what a drill would do, what speaks against it, what becomes of each guest, and what is to be expected; nothing is done
    Preview(Options),
    /// Run a drill: guests are moved off, the fault is made and ends by itself, all is watched until it is normal again
    Run(run::Args),
    /// All drills of a cluster, and whether the last one was worse
    List(Which),
    /// One drill with its time line and its figures
    Show(Show),
    /// End the fault of the drill that runs, now, and then the drill; also where no drill is known to run
    Abort(Which),
}

/// What is to be done.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// A drill of the cluster file that was applied; none: --fault, --node and --guest say what is done
    #[arg(required_unless_present = "fault")]
    name: Option<DrillName>,
    /// The cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// What is broken: network, cluster-network, link:N, power:reset, power:off, power:shutdown, corosync, pmxcfs, lrm, guest, disk:POOL/DISK …
    #[arg(long, value_parser = fault)]
    fault: Option<String>,
    /// What it is to show: failover or blip
    #[arg(long)]
    kind: Option<DrillKind>,
    /// On which server
    #[arg(long)]
    node: Option<NodeName>,
    /// Which guest is watched
    #[arg(long, value_name = "ID")]
    guest: Option<u32>,
    /// How long the fault lasts: 20s, 5m
    #[arg(long = "for", value_name = "TIME")]
    lasting: Option<Lasting>,
    /// Who is called ten times a second: tcp:ADDRESS:PORT, tally:ADDRESS, icmp:ADDRESS, http://HOST/PATH, postgres://USER@HOST/DATABASE. May be
    /// given several times
    #[arg(long, value_name = "TARGET")]
    probe: Vec<ProbeTarget>,
    /// Where the password of the database is: a file in the coordinator's folder of secrets, on its host
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// This guest of a customer may fail with the server. May be given several times
    #[arg(long = "risk-guest", value_name = "ID")]
    risk_guest: Vec<u32>,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
}

/// Which cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// The cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
}

/// Options of `quorate drill show`.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Its number; none: the last
    number: Option<u64>,
    /// The cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// Also write it as a page with a chart
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    let mut client = wire::connect(context).await?;
    match command {
        Command::Preview(options) => {
            let cluster = the_cluster(&mut client, options.cluster.clone()).await?;
            let document = preview(&mut client, options.order(&cluster, None)).await?;
            output::either(context.format, &document, || shown(&document));
            let refused = !document.refusals().is_empty();
            Ok(if refused { ExitCode::Refused } else { ExitCode::Done })
        }
        Command::Run(args) => run::run(context, client, args).await,
        Command::List(which) => {
            let cluster = the_cluster(&mut client, which.cluster).await?;
            list(context, &mut client, &cluster).await
        }
        Command::Show(args) => {
            let cluster = the_cluster(&mut client, args.cluster).await?;
            let record = record(&mut client, &cluster, args.number.unwrap_or_default()).await?;
            output::either(context.format, &record, || {
                // The coordinator shows none whose signature does not count.
                let signed = if record.is_signed() {
                    "signed by the coordinator; signature and record were checked"
                } else {
                    "nobody signed this record"
                };
                format!("{}\n{signed}\n", quorate_show::drill(&record))
            });
            page(args.html.as_deref(), &record)?;
            Ok(record.verdict.outcome.exit())
        }
        Command::Abort(which) => {
            let cluster = the_cluster(&mut client, which.cluster).await?;
            abort(context, &mut client, &cluster).await
        }
    }
}

impl Options {
    /// As it goes over the wire.
    fn order(&self, cluster: &ClusterName, confirm: Option<&str>) -> v1::DrillOrder {
        fn text<T: ToString>(value: Option<&T>) -> String {
            value.map(ToString::to_string).unwrap_or_default()
        }
        v1::DrillOrder {
            cluster: cluster.to_string(),
            name: text(self.name.as_ref()),
            fault: text(self.fault.as_ref()),
            kind: text(self.kind.as_ref()),
            node: text(self.node.as_ref()),
            guest: self.guest,
            lasts: text(self.lasting.as_ref()),
            probes: self.probe.iter().map(ToString::to_string).collect(),
            risk_guests: self.risk_guest.clone(),
            confirm: confirm.unwrap_or_default().to_owned(),
            accept: self.accept.iter().map(|code| code.as_str().to_owned()).collect(),
            password_file: self.password_file.clone().unwrap_or_default(),
        }
    }
}

async fn the_cluster(client: &mut Client, named: Option<ClusterName>) -> Result<ClusterName, Failure> {
    match named {
        Some(cluster) => Ok(cluster),
        None => protect::the_only_one(client).await,
    }
}

async fn preview(client: &mut Client, order: v1::DrillOrder) -> Result<Document, Failure> {
    let request = v1::PreviewDrillRequest { order: Some(order) };
    let reply = client.preview_drill(request).await.map_err(wire::refused)?.into_inner();
    serde_json::from_str(&reply.preview).map_err(|error| unreadable(&error))
}

/// Without the word that is asked for next.
fn shown(document: &Document) -> String {
    let said = document.findings.iter();
    let findings: Vec<Finding> = said
        .filter(|one| one.code != Code::DrillNotConfirmed)
        .cloned()
        .collect();
    quorate_show::drill_preview(&DrillPreview {
        what: &document.what,
        findings: &findings,
        fates: &document.fates,
        before: &document.before,
        after: &document.after,
        discards: document.discards,
        leaves: document.leaves.as_ref(),
        predicted: &document.predicted,
    })
}

/// The record of a drill; 0: the last.
async fn record(client: &mut Client, cluster: &ClusterName, number: u64) -> Result<Record, Failure> {
    let request = v1::GetDrillRequest {
        cluster: cluster.to_string(),
        number,
    };
    let mut parts = client.get_drill(request).await.map_err(wire::refused)?.into_inner();
    let mut text = String::new();
    while let Some(part) = parts.message().await.map_err(wire::refused)? {
        text.push_str(&part.text);
    }
    Record::read(&text).map_err(|error| unreadable(&error))
}

/// Writes a record as a page.
fn page(path: Option<&Path>, record: &Record) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, quorate_show::drill_page(record)).map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("the page can't be written to {}", path.display()),
        )
        .because(&error)
    })
}

async fn list(context: &Context, client: &mut Client, cluster: &ClusterName) -> Answer {
    let request = v1::ListDrillsRequest {
        cluster: cluster.to_string(),
    };
    let reply = client.list_drills(request).await.map_err(wire::refused)?.into_inner();
    let read = reply.rows.iter().map(|row| serde_json::from_str(row));
    let rows: Vec<TrendRow> = read.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    let running = (reply.running > 0).then_some(reply.running);
    let findings: Vec<Finding> = Wire::from_wire(reply.findings).map_err(wire::unreadable)?;
    let read = reply.due.iter().map(|row| serde_json::from_str(row));
    let due: Vec<DueRow> = read.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    let document = serde_json::json!({
        "drills": rows, "running": running, "due": due, "unsigned": reply.unsigned, "findings": findings,
    });
    output::either(context.format, &document, || {
        let mut text = quorate_show::drills(&rows);
        if !reply.unsigned.is_empty() {
            text.push_str(&format!("nobody signed: {}\n", reply.unsigned));
        }
        text.push_str(&quorate_show::drills_due(&due));
        if !findings.is_empty() {
            text.push_str(&format!("\n{}", quorate_show::problems(&findings)));
        }
        if let Some(number) = running {
            text.push_str(&format!("drill {number} runs\n"));
        }
        text
    });
    let well = worse(&rows).is_empty() && findings.is_empty();
    Ok(if well { ExitCode::Done } else { ExitCode::Degraded })
}

async fn abort(context: &Context, client: &mut Client, cluster: &ClusterName) -> Answer {
    let request = v1::AbortDrillRequest {
        cluster: cluster.to_string(),
    };
    let reply = client.abort_drill(request).await.map_err(wire::refused)?.into_inner();
    let document = serde_json::json!({ "drill": reply.number, "stage": reply.stage, "said": reply.said });
    output::either(context.format, &document, || {
        let mut text = match reply.number {
            0 => format!("In {cluster} {}.\n", reply.stage),
            number => format!("Drill {number} was met while {}. It ends now.\n", reply.stage),
        };
        for line in &reply.said {
            text.push_str(&format!("  {line}\n"));
        }
        text
    });
    Ok(ExitCode::Done)
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Internal, "can't read the coordinator's answer")
        .because(error)
        .hint("are `quorate` and the running coordinator of the same version?")
}

/// A fault as it is written: whose guest `guest` alone is, stands elsewhere.
fn fault(text: &str) -> Result<String, InvalidFault> {
    Fault::of_drill(
        text,
        text.strip_prefix("guest:")
            .and_then(|id| id.parse().ok())
            .unwrap_or_default(),
    )
    .map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn is_taken(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn a_drill_is_named_or_said_in_full() {
        assert!(is_taken("quorate drill preview cut-prox1"));
        assert!(is_taken(
            "quorate drill run cut-prox1 --confirm hk1/prox1 --html wall.html"
        ));
        assert!(is_taken(
            "quorate drill run --fault network --node prox1 --guest 100 --for 5m --probe tally:192.0.2.7 --risk-guest 101"
        ));
        assert!(is_taken(
            "quorate drill run cut-prox1 --fault power:reset --accept QRT-DRILL-RECENT"
        ));
        assert!(!is_taken("quorate drill run"));
        assert!(!is_taken("quorate drill run cut-prox1 --fault meteor"));
        assert!(!is_taken("quorate drill run cut-prox1 --for 5"));
        assert!(!is_taken("quorate drill run cut-prox1 --probe 192.0.2.7"));
    }

    #[test]
    fn how_they_were_is_asked_by_number() {
        assert!(is_taken("quorate drill list --cluster hk1"));
        assert!(is_taken("quorate drill show 7 --html wall.html -o json"));
        assert!(is_taken("quorate drill show"));
        assert!(is_taken("quorate drill abort"));
        assert!(!is_taken("quorate drill show cut-prox1"));
    }
}
