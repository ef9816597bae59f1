//! `quorate ha --prove-reach CANARY --at ADDRESS`: the canary goes to each server in turn, and is called from here. What that shows of its
//! bridge and VLAN is kept, and answers for every guest that has the same.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_model::canary::is_tagged;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::moves::Moves;
use quorate_model::observation::GuestRun;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::reach::Reach;
use quorate_model::{ClusterName, NodeName, Timestamp, View, Wish, outlook};
use quorate_proto::{Wire, v1};

use super::applied::applied;
use super::apply::{How, carry_out};
use super::proposal::Proposal;
use super::views::{fresh, speakers};
use super::wire::{self, Client};
use super::{Context, Format, ask, output};
use crate::probe::tally;

/// So long a canary has to answer where it is now: a network takes some seconds at most to learn where a guest is.
const WITHIN: Duration = Duration::from_secs(20);
/// Between two calls.
const EVERY: Duration = Duration::from_millis(500);

/// What is to be shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The canary's id.
    pub(crate) guest: u32,
    /// Where it answers.
    pub(crate) at: IpAddr,
    /// Only this cluster.
    pub(crate) cluster: Option<&'a str>,
    /// Nobody is asked.
    pub(crate) yes: bool,
}

/// The canary as it was found.
struct Found {
    cluster: ClusterName,
    owner: NodeName,
    others: BTreeSet<NodeName>,
    bridge: String,
    vlan: Option<u16>,
}

/// Sends it round. Was it reached everywhere?
///
/// # Errors
/// It is no canary that can be sent round, or the coordinator can't be asked.
pub(crate) async fn run(context: &Context, client: &mut Client, asked: Asked<'_>) -> Result<bool, Failure> {
    let found = find(client, asked).await?;
    let Found { owner, others, .. } = &found;
    let names: Vec<&str> = others.iter().map(NodeName::as_str).collect();
    let question = format!(
        "Move canary {} from {owner} to {} and back, and call it at {} on each?",
        asked.guest,
        names.join(", "),
        asked.at
    );
    if !asked.yes && !ask::confirm(&question, "--yes")? {
        return Err(Failure::new(ExitCode::Cancelled, "nothing was moved"));
    }
    let mut everywhere = call(context, client, &found, asked, owner).await?;
    for node in others {
        everywhere &= match go(context, client, &found, asked.guest, node).await {
            Ok(()) => call(context, client, &found, asked, node).await?,
            Err(failure) => {
                output::aside(&format!(
                    "{node}: not proved, since the canary could not be moved there: {failure}"
                ));
                false
            }
        };
    }
    go(context, client, &found, asked.guest, owner).await?;
    Ok(everywhere)
}

async fn find(client: &mut Client, asked: Asked<'_>) -> Result<Found, Failure> {
    let refused = |message: String, hint: &str| Err(Failure::new(ExitCode::Refused, message).hint(hint.to_owned()));
    for (cluster, view) in fresh(client, asked.cluster, &outlook::NEEDS).await? {
        let Some((speaker, guest)) = guest_of(&view, asked.guest) else {
            continue;
        };
        let canary = "quorate guest create-canary";
        if is_tagged(&guest) != Some(true) {
            return refused(
                format!("guest {} is not seen to be a canary of ours", asked.guest),
                canary,
            );
        }
        let unusable = |error: quorate_model::ids::InvalidName| {
            Failure::new(ExitCode::Refused, "a name can't be used").because(&error)
        };
        let owner = NodeName::new(guest.guest.node.as_str()).map_err(unusable)?;
        let running = view.facet(&owner, |o| &o.running).ok();
        let status = running.and_then(|all| all.iter().find(|status| status.vmid == asked.guest));
        if status.is_none_or(|status| status.run != GuestRun::Running) {
            return refused(
                format!("canary {} is not seen to run on {owner}", asked.guest),
                "quorate guests",
            );
        }
        let nic = guest.config.get().ok().and_then(|config| config.nics.first());
        let Some((bridge, vlan)) = nic.and_then(|nic| Some((nic.bridge.clone()?, nic.vlan))) else {
            return refused(format!("canary {} has no card at a bridge", asked.guest), canary);
        };
        let member = view
            .facet(&speaker, |o| &o.cluster)
            .ok()
            .and_then(|cluster| cluster.member());
        let online = member.into_iter().flat_map(|member| member.online());
        let others = online
            .filter_map(|name| NodeName::new(name).ok())
            .filter(|node| *node != owner && view.nodes.contains_key(node))
            .collect();
        return Ok(Found {
            cluster: ClusterName::new(cluster).map_err(unusable)?,
            owner,
            others,
            bridge,
            vlan,
        });
    }
    Err(Failure::new(ExitCode::NotFound, format!("there is no guest {}", asked.guest)).hint("quorate guests"))
}

/// The guest, and who says so.
fn guest_of(view: &View, guest: u32) -> Option<(NodeName, ConfiguredGuest)> {
    speakers(view).into_iter().find_map(|speaker| {
        let config = view.facet(speaker, |o| &o.config).ok()?;
        let guests = config.guests.get().ok()?;
        let own = guests.iter().find(|one| one.guest.vmid == guest)?;
        Some((speaker.clone(), own.clone()))
    })
}

/// Moves it, as `quorate migrate` does.
async fn go(context: &Context, client: &mut Client, found: &Found, guest: u32, node: &NodeName) -> Result<(), Failure> {
    let source = applied(client, found.cluster.as_str()).await?;
    let wish = Wish {
        moves: Some(Moves::Migrate {
            guest,
            target: node.clone(),
        }),
        ..Wish::default()
    };
    let proposal = Proposal::ask(client, &source, vec![], wish).await?;
    // It was asked for all of them together.
    let how = How {
        yes: true,
        detach: false,
    };
    match carry_out(context, client, proposal, &how).await? {
        ExitCode::Done => Ok(()),
        other => Err(Failure::new(other, format!("the canary is not seen on {node}"))),
    }
}

/// Calls it where it is now, tells what came of it, and has that kept.
async fn call(
    context: &Context,
    client: &mut Client,
    found: &Found,
    asked: Asked<'_>,
    node: &NodeName,
) -> Result<bool, Failure> {
    let at = SocketAddr::new(asked.at, quorate_tally::PORT);
    let seen = tokio::task::spawn_blocking(move || tally::grows(at, WITHIN, EVERY)).await;
    let seen = seen.unwrap_or_else(|error| Err(error.to_string()));
    let vlan = found.vlan.map_or_else(String::new, |vlan| format!(", VLAN {vlan}"));
    let place = format!("{node}, {}{vlan}", found.bridge);
    if context.format == Format::Table {
        output::text(&match &seen {
            Ok(reading) => format!("\n{place}: reached; it has written number {}\n", reading.number),
            Err(why) => format!("\n{place}: NOT reached: {why}\n"),
        });
    }
    let reach = Reach {
        cluster: found.cluster.clone(),
        node: node.clone(),
        bridge: found.bridge.clone(),
        vlan: found.vlan,
        guest: asked.guest,
        // The coordinator puts its own time there.
        at: Timestamp(0),
        failed: seen.err(),
    };
    let reached = reach.failed.is_none();
    if context.format == Format::Json {
        output::json_line(&serde_json::json!({ "reach": &reach }));
    }
    let request = v1::KeepReachRequest {
        reach: Some(reach.into_wire()),
    };
    client.keep_reach(request).await.map_err(wire::refused)?;
    Ok(reached)
}
