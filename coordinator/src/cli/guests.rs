//! `quorate guests`: the guests of each cluster, whose they are, how they run, and what they lie on.

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::guest_config::ConfiguredGuest;
use quorate_model::observation::{FacetName, Guest, GuestKind, Ha};
use quorate_model::{NodeName, View};
use quorate_show::{GuestRow, Run};

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
    let facets = [
        FacetName::Guests,
        FacetName::Running,
        FacetName::Config,
        FacetName::Ha,
        FacetName::Cluster,
    ];
    let mut rows = Vec::new();
    for (cluster, view) in fresh(&mut client, args.cluster.as_deref(), &facets).await? {
        rows.extend(of_cluster(&cluster, &view)?);
    }
    if let Some(vmid) = args.guest {
        rows.retain(|row| row.guest.vmid == vmid);
        if rows.is_empty() {
            return Err(Failure::new(ExitCode::NotFound, format!("there is no guest {vmid}")).hint("quorate guests"));
        }
    }
    output::either(context.format, &rows, || quorate_show::guests(&rows));
    Ok(if rows.iter().all(GuestRow::is_fine) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

/// What a member says of all guests, and each owner of how its own run.
fn of_cluster(cluster: &str, view: &View) -> Result<Vec<GuestRow>, Failure> {
    let mut rows = Vec::new();
    let mut unseen = Vec::new();
    for node in speakers(view) {
        match view
            .facet(node, |o| &o.config)
            .and_then(|config| config.guests.get().map_err(Clone::clone))
        {
            Ok(guests) => rows.extend(guests.iter().map(|one| row(cluster, view, node, one))),
            Err(unknown) => unseen.push(format!("{node}: {unknown}")),
        }
    }
    if rows.is_empty() && !unseen.is_empty() {
        let message = format!("{cluster}: which guests there are is not known: {}", unseen.join("; "));
        return Err(Failure::new(ExitCode::Unreachable, message).hint("quorate status"));
    }
    Ok(rows)
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
    let sid = match guest.kind {
        GuestKind::Vm => format!("vm:{}", guest.vmid),
        GuestKind::Container => format!("ct:{}", guest.vmid),
    };
    let state = |ha: &Ha| -> Result<Option<String>, Unknown> {
        let Some(resource) = ha.resources.get().map_err(Clone::clone)?.get(&sid) else {
            return Ok(None);
        };
        let manager = ha.manager.get().map_err(Clone::clone)?.as_ref();
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
