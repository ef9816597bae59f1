//! `quorate node remove` and `quorate node replace`: a server leaves its cluster for good, and the fleet with it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use quorate_model::Wish;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::{NodeName, NodeRef};
use quorate_model::observation::config::KeptSpec;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;
use quorate_model::spec::edit::{self, EditError};
use quorate_proto::{Wire, v1};

use super::apply::{How, carry_out};
use super::cluster_file::{self, Source};
use super::proposal::Proposal;
use super::wire::{self, Client};
use super::{Answer, Context, Format, ask, output};

/// What both are told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// The cluster file to change; none: the one that was applied last
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// My word that the server is switched off for good
    #[arg(long)]
    is_off: bool,
    /// Go on in spite of this finding; only for codes that allow it, and recorded
    #[arg(long = "accept", value_name = "CODE")]
    accept: Vec<quorate_model::Code>,
    #[command(flatten)]
    how: How,
}

/// Takes a node out of its cluster, if it is in one, and out of the fleet.
pub(crate) async fn remove(
    context: &Context,
    client: &mut Client,
    node: NodeRef,
    fleet_only: bool,
    common: Common,
) -> Answer {
    if fleet_only {
        return forget(context, client, node, common.how.yes, true).await;
    }
    let Some(source) = source(client, &node, common.file.as_deref()).await? else {
        // Nothing was ever applied from here. If its cluster counts it all the same, the coordinator refuses.
        return forget(context, client, node, common.how.yes, false).await;
    };
    let wish = Wish {
        remove: [node.node.clone()].into(),
        is_off: common.is_off.then(|| node.node.clone()).into_iter().collect(),
        ..Wish::default()
    };
    if names(&source, &node.node) {
        let text = edit::without_node(&source.text, &node.node).map_err(|error| not_changed(&source, &error))?;
        return leave(context, client, node, &source, text, wish, common).await;
    }
    // A removal that was begun and did not come to its end has left the file without the node, and the node perhaps in the cluster.
    let proposal = Proposal::ask(client, &source, accepted(&common), wish.clone()).await?;
    if takes_out(&proposal.plan, &node.node) {
        let text = source.text.clone();
        return leave(context, client, node, &source, text, wish, common).await;
    }
    forget(context, client, node, common.how.yes, false).await
}

fn accepted(common: &Common) -> Vec<String> {
    common.accept.iter().map(|code| code.as_str().to_owned()).collect()
}

/// Does anything in it take this node out, or what is left of it?
fn takes_out(plan: &Plan, node: &NodeName) -> bool {
    plan.steps.iter().any(|step| match &step.action {
        Action::RemoveMember { removed, .. } | Action::CleanUpAfter { removed, .. } => removed == node,
        Action::PowerOff { .. } | Action::AbandonJoin { .. } => step.node == *node,
        _ => false,
    })
}

/// Takes a dead node out of its cluster and puts another one into its place.
pub(crate) async fn replace(
    context: &Context,
    client: &mut Client,
    dead: NodeRef,
    new: NodeName,
    address: Option<IpAddr>,
    common: Common,
) -> Answer {
    if dead.node == new {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{new} can't take its own place: the new server has to come under another name"),
        )
        .hint(format!(
            "for a server that was installed anew under its old name: quorate node remove {dead}; then quorate node invite {dead} \
             --address ADDRESS, enrol it, and apply the cluster file that names it"
        )));
    }
    let source = source(client, &dead, common.file.as_deref()).await?.ok_or_else(|| {
        Failure::new(
            ExitCode::NotFound,
            format!("no cluster file of {} was applied from here", dead.cluster),
        )
        .hint("name it: --file FILE; or make one of the cluster as it is: quorate adopt CLUSTER")
    })?;
    let address = match address {
        Some(address) => address,
        None => enrolled_address(client, &NodeRef::new(dead.cluster.clone(), new.clone())).await?,
    };
    // Begun before, and not come to its end: the file is changed already.
    let text = if !names(&source, &dead.node) && names(&source, &new) {
        source.text.clone()
    } else {
        edit::replace_node(&source.text, &dead.node, &new, address, None)
            .map_err(|error| not_changed(&source, &error))?
    };
    let wish = Wish {
        replace: [(dead.node.clone(), new)].into(),
        is_off: common.is_off.then(|| dead.node.clone()).into_iter().collect(),
        ..Wish::default()
    };
    leave(context, client, dead, &source, text, wish, common).await
}

async fn leave(
    context: &Context,
    client: &mut Client,
    node: NodeRef,
    source: &Source,
    text: String,
    wish: Wish,
    common: Common,
) -> Answer {
    if common.how.detach {
        return Err(Failure::new(
            ExitCode::Usage,
            "the fleet forgets the server only after the rollout, so this command has to see its end",
        )
        .hint("leave --detach out; it may be interrupted: the rollout goes on, and the same command again finishes"));
    }
    let changed = Source {
        name: source.name.clone(),
        text,
    };
    let proposal = Proposal::ask(client, &changed, accepted(&common), wish).await?;
    let ended = carry_out(context, client, proposal, &common.how).await?;
    if ended != ExitCode::Done {
        return Ok(ended);
    }
    if let Some(path) = &common.file {
        cluster_file::replace(path, &changed.text).map_err(|error| {
            Failure::new(ExitCode::Failed, format!("can't write {}", path.display()))
                .because(&error)
                .hint(format!("take {} out of it by hand", node.node))
        })?;
    } else if context.format == Format::Table {
        output::aside(&format!(
            "Take {} out of your own copy of the cluster file as well.",
            node.node
        ));
    }
    // Refused if any member still counts it, whatever the plan had or had not to do.
    let unknown = unenrol(client, &node, false).await?;
    output::either(context.format, &serde_json::json!({ "removed": node }), || {
        format!(
            "{node} is out of its cluster and of the fleet. It still has the cluster's keys on its disk: install it anew before it is \
             switched on in this network again.\n"
        )
    });
    say_unknown(context, &node, &unknown);
    Ok(ExitCode::Done)
}

/// Out of the fleet only.
async fn forget(context: &Context, client: &mut Client, node: NodeRef, yes: bool, even_if_member: bool) -> Answer {
    let question = format!(
        "Take {node} out of the fleet and revoke its certificate? The server itself, and its cluster, stay as they are."
    );
    if !yes && !ask::confirm(&question, "--yes")? {
        return Err(Failure::new(ExitCode::Cancelled, "nothing was changed"));
    }
    let unknown = unenrol(client, &node, even_if_member).await?;
    output::either(context.format, &serde_json::json!({ "removed": node }), || {
        format!("{node} is no longer in the fleet. Its server and its cluster are as they were.\n")
    });
    say_unknown(context, &node, &unknown);
    Ok(ExitCode::Done)
}

/// Returns why it could not be told whether its cluster still counts it, if so.
async fn unenrol(client: &mut Client, node: &NodeRef, even_if_member: bool) -> Result<String, Failure> {
    let request = v1::RemoveNodeRequest {
        cluster: node.cluster.to_string(),
        node: node.node.to_string(),
        even_if_member,
    };
    let reply = client.remove_node(request).await.map_err(wire::refused)?;
    Ok(reply.into_inner().unknown)
}

fn say_unknown(context: &Context, node: &NodeRef, why: &str) {
    if context.format == Format::Table && !why.is_empty() {
        output::aside(&format!(
            "Whether its cluster still counts {node} could not be told ({why}). Look there: pvecm nodes"
        ));
    }
}

/// The file that was named, or the one that was applied last.
async fn source(client: &mut Client, node: &NodeRef, path: Option<&Path>) -> Result<Option<Source>, Failure> {
    if let Some(path) = path {
        return cluster_file::read(&path.to_owned()).map(Some);
    }
    let request = v1::AppliedRequest {
        cluster: node.cluster.to_string(),
    };
    let reply = match client.applied(request).await {
        Ok(reply) => reply.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
        Err(status) => return Err(wire::refused(status)),
    };
    let spec: Option<KeptSpec> = Wire::from_wire(reply.spec).map_err(wire::unreadable)?;
    Ok(spec.map(|spec| Source {
        name: format!("{}.toml (of {})", node.cluster, spec.applied_at),
        text: spec.text,
    }))
}

fn names(source: &Source, node: &NodeName) -> bool {
    ClusterFile::parse(&source.name, &source.text).is_ok_and(|file| file.nodes.contains_key(node))
}

async fn enrolled_address(client: &mut Client, node: &NodeRef) -> Result<IpAddr, Failure> {
    let reply = client
        .list_nodes(v1::ListNodesRequest {})
        .await
        .map_err(wire::refused)?;
    let nodes = reply.into_inner().nodes;
    let found = nodes
        .iter()
        .find(|n| n.cluster == node.cluster.as_str() && n.name == node.node.as_str());
    let found = found.ok_or_else(|| {
        Failure::new(ExitCode::NotFound, format!("{node} is not enrolled"))
            .hint(format!("quorate node invite {node} --address ADDRESS"))
    })?;
    let address = found
        .address
        .parse::<std::net::SocketAddr>()
        .map(|address| address.ip());
    address.or_else(|_| found.address.parse()).map_err(|_| {
        Failure::new(
            ExitCode::Usage,
            format!("{node} is enrolled at {}, which is no address", found.address),
        )
        .hint("say which address it has in the cluster: --address ADDRESS")
    })
}

fn not_changed(source: &Source, error: &EditError) -> Failure {
    Failure::new(
        ExitCode::Refused,
        format!("{} can't be changed so; nothing was done", source.name),
    )
    .because(error)
    .with(error.findings().to_vec())
}
