//! `quorate guests`: the guests of each cluster, whose they are, how they run, and what they lie on.

use std::collections::BTreeSet;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::moves::service_id;
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::{FacetName, Guest, Ha, Membership};
use quorate_model::{NodeName, View};
use quorate_show::{GuestList, GuestRow, Run};

use super::views::{fresh, speakers};
use super::{Answer, Context, output, wire};

/// Options of `quorate guests`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the guest of this id
    guest: Option<u32>,
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let facets = [FacetName::Running, FacetName::Config, FacetName::Ha, FacetName::Cluster];
    let mut list = GuestList::default();
    for (cluster, view) in fresh(&mut client, args.cluster.as_deref(), &facets).await? {
        add(&mut list, &cluster, &view);
    }
    if let Some(vmid) = args.guest {
        list.guests.retain(|row| row.guest.vmid == vmid);
        // Where some could not be seen, it may be one of them.
        if list.guests.is_empty() && list.unseen.is_empty() {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no guest {vmid}")).hint("quorate guests"));
        }
    }
    output::either(context.format, &list, || quorate_show::guests(&list));
    Ok(if list.is_fine() {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

/// What a member says of all guests of its cluster, what each other server says of its own, and who could say nothing.
fn add(list: &mut GuestList, cluster: &str, view: &View) {
    let guests_of = |node: &NodeName| {
        let config = view.facet(node, |o| &o.config)?;
        config.guests.get().map_err(Clone::clone)
    };
    let mut told = BTreeSet::new();
    for node in speakers(view) {
        let Ok(guests) = guests_of(node) else { continue };
        list.guests
            .extend(guests.iter().map(|one| row(cluster, view, node, one)));
        if let Ok(Membership::Member(member)) = view.facet(node, |o| &o.cluster).map(|cluster| &cluster.membership) {
            told.extend(member.nodes.iter().map(|member| member.name.as_str()));
        }
    }
    for node in view.nodes.keys().filter(|node| !told.contains(node.as_str())) {
        if let Err(unknown) = guests_of(node) {
            list.unseen.insert(format!("{cluster}/{node}"), unknown.to_string());
        }
    }
}

fn row(cluster: &str, view: &View, speaker: &NodeName, one: &ConfiguredGuest) -> GuestRow {
    GuestRow {
        cluster: cluster.to_owned(),
        guest: one.guest.clone(),
        config: one.config.clone(),
        run: run_of(view, &one.guest),
        ha: under_ha(view, speaker, &one.guest),
    }
}

fn run_of(view: &View, guest: &Guest) -> Facet<Run> {
    let owner = view.nodes.iter().find(|(node, _)| node.as_str() == guest.node);
    let running = match owner.map(|(_, seen)| &seen.observation) {
        None => Facet::unknown(UnknownKind::NotAsked, format!("{} is not enrolled", guest.node)),
        Some(Err(unknown)) => Facet::Unknown(unknown.clone()),
        Some(Ok(seen)) => seen.running.clone(),
    };
    let (all, at) = match running {
        Facet::Known { value, collected_at } => (value, collected_at),
        Facet::Unknown(unknown) => return Facet::Unknown(unknown),
    };
    match all.into_iter().find(|status| status.vmid == guest.vmid) {
        Some(status) => {
            let run = Run {
                state: status.run.as_str().to_owned(),
                uptime_seconds: status.uptime_seconds,
            };
            Facet::known(run, at)
        }
        None => Facet::unknown(
            UnknownKind::Failed,
            format!("guest {} came or went while {} was asked", guest.vmid, guest.node),
        ),
    }
}

/// The master's word for it, or, before it has seen the guest, that it will.
fn under_ha(view: &View, speaker: &NodeName, guest: &Guest) -> Facet<Option<String>> {
    let sid = service_id(guest.kind, guest.vmid);
    let state = |ha: &Ha| -> Result<Option<String>, Unknown> {
        let Some(resource) = ha.resources.get().map_err(Clone::clone)?.get(&sid) else {
            return Ok(None);
        };
        let manager = view.manager_now(speaker)?;
        let place = manager.and_then(|manager| manager.services.get(&sid));
        Ok(Some(match place {
            Some(place) => place.state.clone(),
            None if resource.state == "ignored" => resource.state.clone(),
            None => "queued".to_owned(),
        }))
    };
    let seen = view.nodes.get(speaker).map(|seen| &seen.observation);
    match seen {
        Some(Ok(seen)) => match &seen.ha {
            Facet::Known { value, collected_at } => match state(value) {
                Ok(state) => Facet::known(state, *collected_at),
                Err(unknown) => Facet::Unknown(unknown),
            },
            Facet::Unknown(unknown) => Facet::Unknown(unknown.clone()),
        },
        Some(Err(unknown)) => Facet::Unknown(unknown.clone()),
        None => Facet::not_asked(),
    }
}
