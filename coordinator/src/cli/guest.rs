//! `quorate guest`: canaries, which are guests of ours, come and go.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use clap::Subcommand;
use quorate_model::canary::{BridgeName, CanarySource, GuestAddress, NewCanary};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::guest_ids::VMIDS;
use quorate_model::ids::{ClusterName, InvalidName, NodeRef, StorageName};
use quorate_model::moves::Moves;
use quorate_model::observation::GuestKind;
use quorate_model::operation::Action;
use quorate_model::{Code, Wish};

use super::applied::applied;
use super::apply::{How, carry_out};
use super::proposal::Proposal;
use super::wire::{self, Client};
use super::{Answer, Context, Format, output, protect};
use crate::probe::tally;

/// So long a new canary has to answer: its network comes up while its program already writes.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Canaries.
#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "they are the words that are typed")]
pub(crate) enum Command {
    /// Make and start a guest of ours that writes numbers and tells the last one: for trials, drills, and to see what reaches a guest
    CreateCanary(Box<Create>),
    /// Destroy a canary, with its disks and their copies; what is no canary of ours is not touched
    RemoveCanary(Remove),
    /// Free what servers that were lost keep of a canary's disc for cloud-init: PVE makes one anew wherever the canary starts
    ClearCanary(Clear),
}

/// Options of `quorate guest create-canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Its id; none: the lowest that is free
    #[arg(long, value_parser = vmid)]
    id: Option<u32>,
    /// Where it is made: CLUSTER/NODE
    #[arg(long)]
    node: NodeRef,
    /// A machine from this image: a volume such as local:import/debian-12.qcow2, or a path on the server. Its guest agent puts our program into
    /// it; without one in the image it runs, and nothing can be proved by it
    #[arg(long, value_name = "IMAGE", required_unless_present = "template", conflicts_with = "template", value_parser = image)]
    image: Option<CanarySource>,
    /// A container from this template, such as local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst
    #[arg(long, value_name = "TEMPLATE", value_parser = template)]
    template: Option<CanarySource>,
    /// Where its disk is to lie
    #[arg(long)]
    storage: StorageName,
    /// What its network card is plugged into
    #[arg(long)]
    bridge: BridgeName,
    /// The card's VLAN
    #[arg(long, value_name = "NUMBER")]
    vlan: Option<u16>,
    /// Its address: ADDRESS/PREFIX, or dhcp. With an address it is called from this host when it is there
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    ip: Option<GuestAddress>,
    /// Who carries what goes to other networks
    #[arg(long, requires = "ip")]
    gateway: Option<IpAddr>,
    /// Its memory
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = mebibytes)]
    memory: u32,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<Code>,
    #[command(flatten)]
    how: How,
}

/// Options of `quorate guest remove-canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Its id
    #[arg(value_parser = vmid)]
    guest: u32,
    /// Its cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    /// It may go, with all that it wrote: guest:ID. --yes never says that
    #[arg(long, value_name = "guest:ID", value_parser = destroyed)]
    destroy: Option<u32>,
    #[command(flatten)]
    how: How,
}

/// Options of `quorate guest clear-canary`.
#[derive(Debug, clap::Args)]
pub(crate) struct Clear {
    /// Its id
    #[arg(value_parser = vmid)]
    guest: u32,
    /// Its cluster; none: the only one
    #[arg(long)]
    cluster: Option<ClusterName>,
    #[command(flatten)]
    how: How,
}

fn vmid(text: &str) -> Result<u32, String> {
    let id = text.parse::<u32>().ok().filter(|id| VMIDS.contains(id));
    id.ok_or_else(|| format!("a guest's id is a number from {} to {}", VMIDS.start(), VMIDS.end()))
}

fn image(text: &str) -> Result<CanarySource, InvalidName> {
    CanarySource::new(GuestKind::Vm, text)
}

fn template(text: &str) -> Result<CanarySource, InvalidName> {
    CanarySource::new(GuestKind::Container, text)
}

fn destroyed(text: &str) -> Result<u32, String> {
    let id = text
        .strip_prefix("guest:")
        .ok_or("write it as guest:ID, for example guest:900")?;
    vmid(id)
}

fn mebibytes(text: &str) -> Result<u32, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'M') => (text.get(..text.len() - 1), 0),
        Some(b'G') => (text.get(..text.len() - 1), 10),
        _ => (None, 0),
    };
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    let mebibytes = number.and_then(|number| number.checked_mul(1 << shift));
    mebibytes.ok_or_else(|| "write it as 256M or 1G".to_owned())
}

pub(crate) async fn run(context: &Context, command: Command) -> Answer {
    match command {
        Command::CreateCanary(args) => create(context, *args).await,
        Command::RemoveCanary(args) => remove(context, args).await,
        Command::ClearCanary(args) => clear(context, args).await,
    }
}

async fn create(context: &Context, args: Create) -> Answer {
    let source = args.image.or(args.template).ok_or_else(|| {
        Failure::new(ExitCode::Usage, "from what is it made?").hint("name an image or a template: --image, --template")
    })?;
    let address = match (args.ip, args.gateway) {
        (Some(address), Some(gateway)) => Some(
            address
                .via(gateway)
                .map_err(|error| Failure::new(ExitCode::Usage, error.to_string()))?,
        ),
        (address, _) => address,
    };
    let new = NewCanary {
        guest: args.id,
        node: args.node.node.clone(),
        source,
        storage: args.storage,
        bridge: args.bridge,
        vlan: args.vlan,
        address,
        memory: args.memory,
        program: None,
    };
    let mut client = wire::connect(context).await?;
    let accept = args.accept.iter().map(|code| code.as_str().to_owned()).collect();
    let moves = Moves::CreateCanary(Box::new(new));
    let proposal = propose(&mut client, args.node.cluster.as_str(), accept, moves).await?;
    let made = proposal.plan.steps.iter().find_map(|step| match &step.action {
        Action::CreateCanary { guest, .. } => Some(*guest),
        _ => None,
    });
    let detached = args.how.detach;
    let ended = carry_out(context, &mut client, proposal, &args.how).await?;
    if ended == ExitCode::Done
        && !detached
        && let Some(guest) = made.or(args.id)
    {
        tell(context, guest, address).await;
    }
    Ok(ended)
}

/// Whether it answers from here: that proves what nothing else does.
async fn tell(context: &Context, guest: u32, address: Option<GuestAddress>) {
    let Some(address) = address.and_then(GuestAddress::known) else {
        let why = "its address is not known here";
        return told(context, guest, Err(why.to_owned()));
    };
    let at = SocketAddr::new(address, quorate_tally::PORT);
    let proved = tokio::task::spawn_blocking(move || tally::grows(at, ANSWERS_WITHIN, LOOK_EVERY)).await;
    let proved = proved.unwrap_or_else(|error| Err(error.to_string()));
    told(context, guest, proved.map_err(|why| format!("at {at}: {why}")));
}

fn told(context: &Context, guest: u32, proved: Result<quorate_tally::Answer, String>) {
    if context.format == Format::Json {
        let canary = match proved {
            Ok(reading) => serde_json::json!({ "guest": guest, "answers": true, "number": reading.number }),
            Err(why) => serde_json::json!({ "guest": guest, "answers": null, "unproven": why }),
        };
        return output::json_line(&serde_json::json!({ "canary": canary }));
    }
    output::text(&match proved {
        Ok(reading) => format!(
            "\nCanary {guest} answers from here: it has written number {}, and goes on.\n",
            reading.number
        ),
        Err(why) => format!(
            "\nCanary {guest} runs. That it can be reached is not proved: {why}. What was done to put its program in stands in: quorate rollout show\n"
        ),
    });
}

async fn remove(context: &Context, args: Remove) -> Answer {
    if args.destroy.is_some_and(|id| id != args.guest) {
        return Err(Failure::new(
            ExitCode::Usage,
            "what is to be removed and what may go are two guests",
        ));
    }
    let mut client = wire::connect(context).await?;
    let cluster = match &args.cluster {
        Some(cluster) => cluster.to_string(),
        None => protect::the_only_one(&mut client).await?.to_string(),
    };
    let moves = Moves::RemoveCanary {
        guest: args.guest,
        destroy: args.destroy.is_some(),
    };
    let proposal = propose(&mut client, &cluster, vec![], moves).await?;
    carry_out(context, &mut client, proposal, &args.how).await
}

async fn clear(context: &Context, args: Clear) -> Answer {
    let mut client = wire::connect(context).await?;
    let cluster = match &args.cluster {
        Some(cluster) => cluster.to_string(),
        None => protect::the_only_one(&mut client).await?.to_string(),
    };
    let moves = Moves::ClearCanary { guest: args.guest };
    let proposal = propose(&mut client, &cluster, vec![], moves).await?;
    carry_out(context, &mut client, proposal, &args.how).await
}

async fn propose(client: &mut Client, cluster: &str, accept: Vec<String>, moves: Moves) -> Result<Proposal, Failure> {
    let source = applied(client, cluster).await?;
    let wish = Wish {
        moves: Some(moves),
        ..Wish::default()
    };
    Proposal::ask(client, &source, accept, wish).await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn is_taken(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn a_canary_comes_from_an_image_or_a_template() {
        let create = "quorate guest create-canary --node hk1/prox1 --storage data_zfs --bridge vmbr0";
        assert!(is_taken(&format!(
            "{create} --image /srv/debian.qcow2 --ip 192.0.2.7/24 --gateway 192.0.2.1"
        )));
        assert!(is_taken(&format!(
            "{create} --template local:vztmpl/d.tar.zst --ip dhcp --vlan 5 --memory 1G --id 900"
        )));
        assert!(!is_taken(create), "from nothing");
        assert!(!is_taken(&format!("{create} --image /a --template /b")));
        assert!(!is_taken(&format!("{create} --image /a --memory lots")));
        assert!(!is_taken(&format!("{create} --image /a --id 99")));
        assert!(!is_taken(&format!("{create} --image relative.qcow2")));
    }

    #[test]
    fn only_the_guest_itself_is_named_as_what_may_go() {
        assert!(is_taken("quorate guest remove-canary 900"));
        assert!(is_taken("quorate guest remove-canary 900 --destroy guest:900 --yes"));
        assert!(!is_taken("quorate guest remove-canary 900 --destroy 900"));
        assert!(is_taken("quorate guest clear-canary 900 --yes"));
        assert!(!is_taken("quorate guest clear-canary web"));
        assert_eq!(mebibytes("1G"), Ok(1024));
        assert!(mebibytes("4294967295G").is_err());
    }
}
