//! `quorate spec init`: a cluster file to begin with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::spec::{ClusterFile, DraftLink, write};
use quorate_model::view::NodeView;
use quorate_planner::disks::across;
use quorate_proto::v1;

use super::asking::{Ask, Way};
use super::choose::{Wanted, draft};
use super::survey::{Server, networks, show};
use super::tables::advice;
use crate::cli::views::fresh;
use crate::cli::wire::{self, Client};
use crate::cli::{Answer, Context, ask, output};

/// Options of `quorate spec init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster under whose name the servers are enrolled, which is also its name; none: the only one
    #[arg(long, visible_alias = "name", value_name = "NAME")]
    cluster: Option<ClusterName>,
    /// A network for a link, link 0 first, such as 10.10.10.0/24 or 10.10.10.0/24,priority=20; of priorities the higher one is preferred
    #[arg(long = "link", value_name = "NETWORK[,priority=N]")]
    links: Vec<Link>,
    /// No networks: one link over the servers' addresses
    #[arg(long, conflicts_with = "links")]
    no_links: bool,
    /// A server that is to be a member
    #[arg(long = "node", value_name = "NAME")]
    nodes: Vec<NodeName>,
    /// An enrolled host outside of the cluster that holds the third vote
    #[arg(long, value_name = "NAME")]
    qdevice: Option<NodeName>,
    /// No third vote
    #[arg(long, conflicts_with = "qdevice")]
    no_qdevice: bool,
    /// Ask nothing: what no flag says is as proposed
    #[arg(long, short)]
    yes: bool,
    /// Where to write it; `-`: to stdout; none: CLUSTER.toml
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
}

/// A link as typed on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link(pub(super) DraftLink);

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (network, rest) = text
            .split_once(',')
            .map_or((text, None), |(network, rest)| (network, Some(rest)));
        let network: IpNet = network
            .parse()
            .map_err(|_| format!("`{network}` is no network, such as 10.10.10.0/24"))?;
        if network.trunc() != network {
            return Err(format!(
                "{network} is an address within a network; write {}",
                network.trunc()
            ));
        }
        let priority = rest.map(|rest| {
            let number = rest.strip_prefix("priority=").and_then(|n| n.parse::<u8>().ok());
            number.ok_or_else(|| format!("`{rest}` is not priority=N with N from 0 to 255"))
        });
        Ok(Self(DraftLink {
            comment: String::new(),
            network: Some(network),
            priority: priority.transpose()?,
        }))
    }
}

/// The operator at the terminal.
struct Terminal;

impl Ask for Terminal {
    fn line(&mut self, question: &str, proposed: &str) -> Result<String, Failure> {
        ask::line(question, proposed)
    }

    fn say(&mut self, text: &str) {
        output::aside(text);
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let enrolled = enrolled(&mut client).await?;
    let cluster = the_cluster(&enrolled, &args)?;
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{cluster}.toml")));
    let to_stdout = path.as_os_str() == "-";
    if !to_stdout && !args.force && path.exists() {
        return Err(is_there(&path));
    }
    let servers = servers(&mut client, &cluster, &enrolled).await?;
    output::aside(&show(&servers, &networks(&servers.iter().collect::<Vec<_>>())));

    let wanted = Wanted {
        links: args.links.into_iter().map(|link| link.0).collect(),
        no_links: args.no_links,
        nodes: args.nodes,
        qdevice: args.qdevice,
        no_qdevice: args.no_qdevice,
    };
    let mut terminal = Terminal;
    let way = match (args.yes, output::interactive()) {
        (true, _) => Way::Take,
        (false, true) => Way::Ask(&mut terminal),
        (false, false) => Way::Refuse,
    };
    let draft = draft(&cluster, &servers, &wanted, way)?;
    let text = write(&draft);
    if let Err(findings) = ClusterFile::parse(&path.display().to_string(), &text) {
        let failure = Failure::new(
            ExitCode::Refused,
            "what was chosen makes no good cluster file; nothing was written",
        );
        return Err(failure.with(findings));
    }
    if to_stdout {
        output::either(
            context.format,
            &serde_json::json!({ "file": "-", "text": text }),
            || text.clone(),
        );
    } else {
        put(&path, &text, args.force)?;
        let name = path.display();
        output::either(
            context.format,
            &serde_json::json!({ "file": name.to_string(), "text": text }),
            || format!("{text}\nThis is now in {name}. What would be done: quorate plan {name}\n"),
        );
    }
    for advice in advice(&draft, &servers) {
        output::aside(&format!("look at this: {advice}"));
    }
    Ok(ExitCode::Done)
}

/// Cluster → node → the address it is enrolled with, where that is an address and not a name.
type Enrolled = BTreeMap<ClusterName, BTreeMap<NodeName, Option<IpAddr>>>;

async fn enrolled(client: &mut Client) -> Result<Enrolled, Failure> {
    let reply = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?
        .into_inner();
    let mut found = Enrolled::new();
    for node in reply.nodes {
        if node.state() != v1::node::State::Enrolled {
            continue;
        }
        let (Ok(cluster), Ok(name)) = (node.cluster.parse(), node.name.parse()) else {
            let message = format!(
                "can't read the name {}/{} in the coordinator's answer",
                node.cluster, node.name
            );
            return Err(Failure::new(ExitCode::Internal, message));
        };
        let address = node
            .address
            .parse::<SocketAddr>()
            .map(|a| a.ip())
            .or_else(|_| node.address.parse());
        found.entry(cluster).or_default().insert(name, address.ok());
    }
    Ok(found)
}

fn the_cluster(enrolled: &Enrolled, args: &Args) -> Result<ClusterName, Failure> {
    let names: BTreeSet<&ClusterName> = enrolled.keys().collect();
    match (&args.cluster, names.first()) {
        (_, None) => Err(Failure::new(
            ExitCode::NotFound,
            "no server is enrolled yet, so there is nothing to begin with",
        )
        .hint("quorate node invite CLUSTER/NODE --address ADDRESS")),
        (Some(cluster), _) if names.contains(cluster) => Ok(cluster.clone()),
        (Some(cluster), _) => Err(
            Failure::new(ExitCode::NotFound, format!("no server is enrolled in {cluster}")).hint(format!(
                "servers are enrolled under their cluster's name: quorate node invite {cluster}/NODE --address ADDRESS"
            )),
        ),
        (None, Some(only)) if names.len() == 1 => Ok((*only).clone()),
        (None, Some(_)) => {
            let names: Vec<String> = names.into_iter().map(ToString::to_string).collect();
            let message = format!("there are several clusters: {}", names.join(", "));
            Err(Failure::new(ExitCode::Usage, message).hint("name one by --cluster NAME"))
        }
    }
}

async fn servers(client: &mut Client, cluster: &ClusterName, enrolled: &Enrolled) -> Result<Vec<Server>, Failure> {
    let facets = [
        FacetName::System,
        FacetName::Disks,
        FacetName::Network,
        FacetName::Cluster,
        FacetName::Config,
    ];
    let mut views = fresh(client, Some(cluster.as_str()), &facets).await?;
    let view = views.remove(cluster.as_str()).unwrap_or_default();
    let addresses = enrolled.get(cluster);
    // What the others see, and what guests are given, may speak against a disk.
    let disks = across(&view);
    let server = |(name, seen): (NodeName, NodeView)| {
        let address = addresses.and_then(|nodes| *nodes.get(&name)?);
        let mut observation = seen.observation;
        if let (Ok(observation), Some(disks)) = (&mut observation, disks.get(&name)) {
            observation.disks = disks.clone();
        }
        Server::new(name, &observation, address)
    };
    Ok(view.nodes.into_iter().map(server).collect())
}

fn is_there(path: &Path) -> Failure {
    Failure::new(
        ExitCode::Refused,
        format!("{} is there already; nothing was written", path.display()),
    )
    .hint("write elsewhere by --out FILE, or over it by --force")
}

fn put(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let fail = |error: &std::io::Error| {
        Failure::new(ExitCode::Usage, format!("can't write {}", path.display())).because(error)
    };
    if force {
        // The old file stays whole until the new one is.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        fs::write(&beside, text).map_err(|e| fail(&e))?;
        return fs::rename(&beside, path).map_err(|e| fail(&e));
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|e| {
            if e.kind() == std::io::ErrorKind::AlreadyExists {
                is_there(path)
            } else {
                fail(&e)
            }
        })?;
    file.write_all(text.as_bytes()).map_err(|e| fail(&e))
}
