//! `quorate recover --lost NODE`: what is known of a server that is lost, what would be done for its guests, and, after its name was typed, that.

use std::net::IpAddr;

use quorate_model::Wish;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::Code;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::Moves;

use super::apply::begin;
use super::proposal::Proposal;
use super::{Answer, Context, Format, ask, output, protect, wire, zfs};

/// Options of `quorate recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server that is lost
    #[arg(long, value_name = "NODE")]
    lost: NodeName,
    /// Its cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// Only these of its guests; each is started, whether it starts at boot or not
    #[arg(long = "guest", value_name = "ID", value_delimiter = ',')]
    guests: Vec<u32>,
    /// What is left of the cluster is to get by with these votes (pvecm expected)
    #[arg(long, value_name = "VOTES")]
    expected_votes: Option<u32>,
    /// You have seen with your own eyes that the server has no power: for a network on which nobody else could tell
    #[arg(long)]
    seen_off: bool,
    /// The address of its BMC. It is pinged, and nothing more
    #[arg(long, value_name = "ADDRESS")]
    bmc: Option<IpAddr>,
    /// Only show what is known and what would be done
    #[arg(long)]
    dry_run: bool,
    /// The lost server, as CLUSTER/NODE, for scripts: otherwise it is typed when it is asked for
    #[arg(long, value_name = "CLUSTER/NODE", conflicts_with = "dry_run")]
    confirm: Option<String>,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
    /// Start it and come back at once; watch it with `quorate rollout watch`
    #[arg(long)]
    detach: bool,
}

impl Args {
    fn wish(&self, confirm: Option<String>) -> Wish {
        Wish {
            moves: Some(Moves::Recover {
                lost: self.lost.clone(),
                guests: self.guests.iter().copied().collect(),
                expected_votes: self.expected_votes,
                seen_off: self.seen_off,
                bmc: self.bmc,
                confirm,
            }),
            ..Wish::default()
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let cluster = match &args.cluster {
        Some(cluster) => cluster.clone(),
        None => protect::the_only_one(&mut client).await?,
    };
    let source = zfs::applied(&mut client, &cluster).await?;
    let accept = args.accept.iter().map(|code| code.as_str().to_owned()).collect();
    if context.format == Format::Table {
        output::aside(&format!(
            "Looking for {}; of a server that is off that takes some seconds.",
            args.lost
        ));
    }
    let proposal = Proposal::ask(&mut client, &source, accept, args.wish(None)).await?;
    let plan = &proposal.plan;
    if args.dry_run {
        output::either(context.format, plan, || quorate_show::plan(plan));
        return Ok(if plan.refused() {
            ExitCode::Refused
        } else {
            ExitCode::Done
        });
    }
    if context.format == Format::Table {
        output::text(&quorate_show::plan(plan));
    }
    if plan.refused() {
        let message = format!("the guests of {} are not taken over; nothing was changed", args.lost);
        return Err(Failure::new(ExitCode::Refused, message).with(match context.format {
            Format::Table => vec![],
            Format::Json => plan.findings.clone(),
        }));
    }
    if plan.is_empty() {
        return Ok(ExitCode::Done);
    }
    let wanted = format!("{cluster}/{}", args.lost);
    let typed = match &args.confirm {
        Some(typed) => typed.clone(),
        None => typed(&wanted, &args.lost)?,
    };
    if typed != wanted {
        let message = format!("`{typed}` is not {wanted}; nothing was changed");
        return Err(Failure::new(ExitCode::Cancelled, message));
    }
    let proposal = proposal.with_wish(args.wish(Some(typed)));
    let ended = begin(context, &mut client, proposal, args.detach).await?;
    if ended == ExitCode::Done && context.format == Format::Table && !args.detach {
        output::aside(&format!(
            "When {} is back, its guests that were taken over stay where they are, and what it wrote last is kept: quorate replication",
            args.lost
        ));
    }
    Ok(ended)
}

/// The operator's word comes last: a `y` is typed too fast.
fn typed(wanted: &str, lost: &NodeName) -> Result<String, Failure> {
    if !output::interactive() {
        let message = "nobody is there to be asked: stdin is no terminal";
        return Err(Failure::new(ExitCode::Usage, message).hint(format!("in a script: --confirm {wanted}")));
    }
    let question = format!(
        "\n{lost} must not come back while this is done, and its guests must not run there. To say that it is off, type {wanted}:"
    );
    Ok(ask::line(&question, "")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn is_taken(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn who_is_lost_is_named_and_a_look_needs_no_word() {
        assert!(is_taken("quorate recover --lost prox1"));
        assert!(is_taken(
            "quorate recover --lost prox1 --cluster hk1 --dry-run --bmc 192.0.2.9"
        ));
        assert!(is_taken(
            "quorate recover --lost prox1 --guest 100,101 --expected-votes 1 --seen-off --confirm hk1/prox1"
        ));
        assert!(!is_taken("quorate recover"));
        assert!(!is_taken("quorate recover --lost prox1 --dry-run --confirm hk1/prox1"));
        assert!(
            !is_taken("quorate recover --lost prox1 --yes"),
            "a name is typed, and nothing stands for it"
        );
    }
}
