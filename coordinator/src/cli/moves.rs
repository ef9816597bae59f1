//! `quorate migrate`, `quorate node drain` and `undrain`, `quorate reboot`: guests are moved out of the way, and back.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName, NodeRef};
use quorate_model::moves::Moves;
use quorate_model::{Code, Wish};

use super::apply::{How, carry_out};
use super::proposal::Proposal;
use super::wire::{self, Client};
use super::{Answer, Context, Format, output, protect, zfs};
use crate::probe::{Prober, Target};

/// So long a guest is called on after its move: it counts as back when it answers steadily.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// Options of `quorate migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// The guest's id
    guest: u32,
    /// Where it goes: CLUSTER/NODE
    node: NodeRef,
    /// Call the guest from this host ten times a second meanwhile, and say for how long it did not answer
    #[arg(long, requires = "probe")]
    measure: bool,
    /// Where it is called: tcp:ADDRESS:PORT, a port on which it accepts connections
    #[arg(long, value_name = "tcp:ADDRESS:PORT", requires = "measure")]
    probe: Option<Target>,
    #[command(flatten)]
    common: Common,
}

/// Options of `quorate node drain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Drain {
    /// CLUSTER/NODE
    node: NodeRef,
    /// This guest may be shut down if it can't be moved. May be given several times
    #[arg(long, value_name = "ID")]
    stop: Vec<u32>,
    #[command(flatten)]
    common: Common,
}

/// Options of `quorate node undrain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Undrain {
    /// CLUSTER/NODE
    node: NodeRef,
    #[command(flatten)]
    common: Common,
}

/// Options of `quorate reboot`.
#[derive(Debug, clap::Args)]
pub(crate) struct Reboot {
    /// One after another, each without its guests and back in order before the next; there is no other way
    #[arg(long, required = true)]
    rolling: bool,
    /// CLUSTER/NODE: only these, of one cluster
    #[arg(value_name = "NODE", required_unless_present = "cluster", conflicts_with = "cluster")]
    nodes: Vec<NodeRef>,
    /// All servers of this cluster
    #[arg(long, value_name = "CLUSTER")]
    cluster: Option<ClusterName>,
    /// This guest may be shut down if it can't be moved; it is started again afterwards. May be given several times
    #[arg(long, value_name = "ID")]
    stop: Vec<u32>,
    #[command(flatten)]
    common: Common,
}

/// Options of `quorate replication resolve`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["keep", "discard"]))]
pub(crate) struct Resolve {
    /// The guest's id
    guest: u32,
    /// Its volumes there get other names and stay; then the whole guest is copied there again
    #[arg(long)]
    keep: bool,
    /// What was written there and never copied is overwritten, for good
    #[arg(long)]
    discard: bool,
    /// The server that was lost; none: the only one that a copy is held on
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
    /// The guest's cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    #[command(flatten)]
    common: Common,
}

/// What all of them are told.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
    #[command(flatten)]
    how: How,
}

pub(crate) async fn migrate(context: &Context, args: Migrate) -> Answer {
    let mut client = wire::connect(context).await?;
    let moves = Moves::Migrate {
        guest: args.guest,
        target: args.node.node.clone(),
    };
    let cluster = &args.node.cluster;
    let Some(target) = args.probe.filter(|_| args.measure) else {
        return carry(context, &mut client, cluster, moves, &args.common).await;
    };
    if args.common.how.detach {
        let message = "what is measured has to be seen to its end";
        return Err(Failure::new(ExitCode::Usage, message).hint("leave --detach or --measure out"));
    }
    let prober = Prober::begin(target).map_err(|error| {
        let message = format!("{target} does not accept a connection from this host, so that no pause could be measured; nothing was changed");
        Failure::new(ExitCode::Refused, message)
            .because(&error)
            .hint("name a port of the guest on which a service listens, and that this host can reach")
    })?;
    let ended = carry(context, &mut client, cluster, moves, &args.common).await;
    if ended.is_ok() {
        tokio::time::sleep(AFTERWARDS).await;
    }
    match prober.end().filter(|_| ended.is_ok()) {
        Some(measured) if context.format == Format::Json => {
            output::json_line(&serde_json::json!({ "measured": measured }))
        }
        Some(measured) => output::text(&format!("\n{measured}")),
        None if ended.is_ok() => output::aside("The measurement broke off."),
        None => {}
    }
    ended
}

pub(crate) async fn drain(context: &Context, client: &mut Client, args: Drain) -> Answer {
    let moves = Moves::Drain {
        node: args.node.node.clone(),
        stop: args.stop.iter().copied().collect(),
    };
    let detached = args.common.how.detach;
    let ended = carry(context, client, &args.node.cluster, moves, &args.common).await?;
    if ended == ExitCode::Done && context.format == Format::Table && !detached {
        output::aside(&format!(
            "When you are done with it: quorate node undrain {}",
            args.node
        ));
    }
    Ok(ended)
}

pub(crate) async fn undrain(context: &Context, client: &mut Client, args: Undrain) -> Answer {
    let moves = Moves::Undrain {
        node: args.node.node.clone(),
    };
    carry(context, client, &args.node.cluster, moves, &args.common).await
}

pub(crate) async fn reboot(context: &Context, args: Reboot) -> Answer {
    let clusters: BTreeSet<&ClusterName> = args
        .nodes
        .iter()
        .map(|node| &node.cluster)
        .chain(&args.cluster)
        .collect();
    let mut clusters = clusters.into_iter();
    let (true, Some(cluster), None) = (args.rolling, clusters.next(), clusters.next()) else {
        return Err(Failure::new(
            ExitCode::Usage,
            "servers of one cluster at a time, one after another",
        ));
    };
    let moves = Moves::Reboot {
        nodes: args.nodes.iter().map(|node| node.node.clone()).collect(),
        stop: args.stop.iter().copied().collect(),
    };
    let mut client = wire::connect(context).await?;
    carry(context, &mut client, cluster, moves, &args.common).await
}

pub(crate) async fn resolve(context: &Context, client: &mut Client, args: Resolve) -> Answer {
    let cluster = match args.cluster {
        Some(cluster) => cluster,
        None => protect::the_only_one(client).await?,
    };
    let moves = Moves::Resolve {
        guest: args.guest,
        node: args.node,
        keep: args.keep,
    };
    carry(context, client, &cluster, moves, &args.common).await
}

/// Asks for the plan, shows it, asks, and has it done.
async fn carry(context: &Context, client: &mut Client, cluster: &ClusterName, moves: Moves, common: &Common) -> Answer {
    let source = zfs::applied(client, cluster).await?;
    let wish = Wish {
        moves: Some(moves),
        ..Wish::default()
    };
    let accept = common.accept.iter().map(|code| code.as_str().to_owned()).collect();
    let proposal = Proposal::ask(client, &source, accept, wish).await?;
    carry_out(context, client, proposal, &common.how).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    fn is_taken(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn servers_restart_one_after_another_or_not_at_all() {
        assert!(is_taken("quorate reboot --rolling --cluster hk1 --stop 100 --yes"));
        assert!(is_taken("quorate reboot --rolling hk1/prox1 hk1/prox2"));
        assert!(!is_taken("quorate reboot --cluster hk1"));
        assert!(!is_taken("quorate reboot --rolling"));
    }

    #[test]
    fn what_is_measured_says_where() {
        assert!(is_taken("quorate migrate 100 hk1/prox2"));
        assert!(is_taken(
            "quorate migrate 100 hk1/prox2 --measure --probe tcp:192.0.2.7:22"
        ));
        assert!(!is_taken("quorate migrate 100 hk1/prox2 --measure"));
        assert!(!is_taken("quorate migrate 100 hk1/prox2 --measure --probe 192.0.2.7"));
        assert!(is_taken("quorate node drain hk1/prox1 --stop 100 --stop 101"));
        assert!(is_taken("quorate node undrain hk1/prox1"));
    }

    #[test]
    fn what_becomes_of_a_copy_that_is_held_is_said_and_only_one_thing() {
        assert!(is_taken("quorate replication"));
        assert!(is_taken("quorate replication 100 --cluster hk1"));
        assert!(is_taken("quorate replication resolve 100 --keep --yes"));
        assert!(is_taken(
            "quorate replication resolve 100 --discard --node prox1 --cluster hk1"
        ));
        assert!(!is_taken("quorate replication resolve 100"));
        assert!(!is_taken("quorate replication resolve 100 --keep --discard"));
        assert!(!is_taken("quorate replication resolve --keep"));
    }
}
