//! `quorate ha`: what HA looks after, and what becomes of the guests if a node is lost.

use std::net::IpAddr;

use quorate_model::clocks::NotNow;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::{Ha, PveConfig};
use quorate_model::outlook::{self, Answer, Fate, Outlook};
use quorate_model::{NodeName, View};
use quorate_show::{HaReport, ServiceRow};

use super::views::{fresh, speakers};
use super::{Answer as Ended, Context, output, prove_reach, wire};

/// Options of `quorate ha`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What becomes of the guests of this node, were it lost now; several times, or `all`
    #[arg(long, value_name = "NODE")]
    if_lost: Vec<String>,
    /// Send this canary to each server in turn and call it there, with --at: what that shows of its bridge and VLAN is kept, and answers for
    /// every guest that has the same
    #[arg(long, value_name = "CANARY", requires = "at", conflicts_with = "if_lost")]
    prove_reach: Option<u32>,
    /// Where the canary answers
    #[arg(long, value_name = "ADDRESS", requires = "prove_reach")]
    at: Option<IpAddr>,
    /// Don't ask before it is moved
    #[arg(long, short, requires = "prove_reach")]
    yes: bool,
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Ended {
    let mut client = wire::connect(context).await?;
    if let (Some(guest), Some(at)) = (args.prove_reach, args.at) {
        let asked = prove_reach::Asked {
            guest,
            at,
            cluster: args.cluster.as_deref(),
            yes: args.yes,
        };
        let everywhere = prove_reach::run(context, &mut client, asked).await?;
        return Ok(if everywhere { ExitCode::Done } else { ExitCode::Degraded });
    }
    let mut reports = Vec::new();
    let mut asked: Vec<&str> = args
        .if_lost
        .iter()
        .map(String::as_str)
        .filter(|node| *node != "all")
        .collect();
    for (cluster, view) in fresh(&mut client, args.cluster.as_deref(), &outlook::NEEDS).await? {
        let nodes: Vec<NodeName> = view
            .nodes
            .keys()
            .filter(|node| args.if_lost.iter().any(|name| name == "all" || name == node.as_str()))
            .cloned()
            .collect();
        asked.retain(|name| nodes.iter().all(|node| node.as_str() != *name));
        for speaker in speakers(&view) {
            reports.push(of_cluster(&cluster, &view, speaker, &nodes)?);
        }
    }
    if let Some(name) = asked.first() {
        return Err(Failure::new(ExitCode::NotFound, format!("no node {name} is known")).hint("quorate node list"));
    }
    output::either(context.format, &reports, || quorate_show::ha(&reports));
    let fine = reports
        .iter()
        .all(|report| report.fine && report.outlooks.iter().all(goes_on));
    Ok(if fine { ExitCode::Done } else { ExitCode::Degraded })
}

fn of_cluster(cluster: &str, view: &View, speaker: &NodeName, nodes: &[NodeName]) -> Result<HaReport, Failure> {
    let unknown = |unknown: quorate_model::facet::Unknown| {
        let message = format!("{cluster}: what HA looks after is not known: {speaker}: {unknown}");
        Failure::new(ExitCode::Unreachable, message).hint("quorate status")
    };
    let ha = view.facet(speaker, |o| &o.ha).map_err(unknown)?;
    let resources = ha.resources.get().map_err(|reason| unknown(reason.clone()))?;
    let config = view.facet(speaker, |o| &o.config).ok();
    let now = view.manager_now(speaker).map(|_| ());
    let (summary, armed) = summary(ha, now, !resources.is_empty());
    let services: Vec<ServiceRow> = resources
        .iter()
        .map(|(sid, resource)| row(sid, resource, ha, config))
        .collect();
    let mut outlooks = Vec::new();
    for node in nodes {
        outlooks.push(outlook::outlook(view, speaker, node).map_err(unknown)?);
    }
    let settled = services
        .iter()
        .all(|service| !["error", "fence", "recovery"].contains(&service.state.as_str()));
    Ok(HaReport {
        cluster: cluster.to_owned(),
        summary,
        fine: settled && armed,
        services,
        outlooks,
    })
}

/// In a line, and whether HA does what it is there for. `now`: does its master speak?
fn summary(ha: &Ha, now: Result<(), NotNow>, has_services: bool) -> (String, bool) {
    let manager = match ha.manager.get() {
        Ok(manager) => manager,
        Err(unknown) => return (format!("who decides is not known: {unknown}"), false),
    };
    let Some(manager) = manager else {
        return match has_services {
            true => ("nobody has decided anything yet".to_owned(), false),
            false => ("not used".to_owned(), true),
        };
    };
    match &manager.disarm {
        Some(disarm) => (
            format!(
                "{} ({}): the loss of a server is NOT dealt with",
                disarm.state, disarm.mode
            ),
            false,
        ),
        None if has_services => match now {
            Ok(()) => (format!("armed; {} decides", manager.master), true),
            // What it wrote last stays where it is, as if all were well.
            Err(NotNow::Silent(silent)) => (format!("{silent}: HA does NOTHING"), false),
            Err(NotNow::Untold(unknown)) => (unknown.reason, false),
        },
        None => (format!("idle; {} decided last", manager.master), true),
    }
}

fn row(sid: &str, resource: &HaResource, ha: &Ha, config: Option<&PveConfig>) -> ServiceRow {
    let manager = ha.manager.get().ok().and_then(Option::as_ref);
    let place = manager.and_then(|manager| manager.services.get(sid));
    let vmid = sid.split_once(':').and_then(|(_, id)| id.parse::<u32>().ok());
    let guests = config.and_then(|config| config.guests.get().ok());
    let guest = guests.and_then(|all| all.iter().find(|one| Some(one.guest.vmid) == vmid));
    let state = match place {
        Some(place) => place.state.clone(),
        None if manager.is_none() && ha.manager.get().is_err() => "?".to_owned(),
        None => "queued".to_owned(),
    };
    ServiceRow {
        sid: sid.to_owned(),
        name: guest.and_then(|guest| guest.config.get().ok()?.name.clone()),
        node: place
            .map(|place| place.node.clone())
            .or_else(|| guest.map(|guest| guest.guest.node.clone())),
        state,
        wanted: resource.state.clone(),
        bound: bound(sid, resource, ha),
    }
}

/// Its nodes, by its rule or its group.
fn bound(sid: &str, resource: &HaResource, ha: &Ha) -> Option<String> {
    let placements = match ha.placements.get() {
        Ok(placements) => placements,
        Err(_) => return Some("?".to_owned()),
    };
    let mine = placements.iter().filter(|one| one.is_about(sid, resource));
    let texts: Vec<String> = mine
        .map(|one| {
            let nodes: Vec<&str> = one.nodes.keys().map(String::as_str).collect();
            let word = if one.strict { " only" } else { "" };
            match one.kind.as_str() {
                HaPlacement::TOGETHER_OR_APART => {
                    let others: Vec<&str> = one
                        .services
                        .iter()
                        .map(String::as_str)
                        .filter(|other| *other != sid)
                        .collect();
                    format!(
                        "{} {}",
                        if one.apart { "apart from" } else { "with" },
                        others.join(", ")
                    )
                }
                _ => format!("{}{word}", nodes.join(", ")),
            }
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

/// Is every guest under HA seen to be able to go on?
fn goes_on(outlook: &Outlook) -> bool {
    let guest = |guest: &outlook::GuestOutlook| match &guest.fate {
        Fate::StaysDown { .. } => true,
        Fate::Waits { .. } | Fate::Unknown { .. } => false,
        Fate::Recovered { .. } | Fate::OneOf { .. } | Fate::MovedOff { .. } => {
            guest.checks.iter().all(|check| !matches!(check.answer, Answer::No(_)))
        }
    };
    matches!(outlook.quorum, Answer::Yes(_)) && outlook.guests.iter().all(guest)
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_model::observation::ha::ManagerStatus;
    use quorate_model::view::NodeView;
    use quorate_model::{Observation, Timestamp};

    use super::*;

    fn observation(ha: Ha, seconds: i64) -> Observation {
        let at = Timestamp::from_seconds(seconds);
        let mut seen = Observation::empty("prox1", at);
        seen.ha = Facet::known(ha, at);
        seen
    }

    #[test]
    fn what_a_master_wrote_long_ago_is_no_protection() {
        let after = |seconds: i64| {
            let manager = ManagerStatus {
                master: "prox1".to_owned(),
                at: Timestamp(0),
                nodes: [].into(),
                services: [].into(),
                disarm: None,
                maintenance: [].into(),
            };
            let ha = Ha {
                version: Facet::not_asked(),
                watchdog_armed: false,
                lrm: Facet::not_asked(),
                crm: Facet::not_asked(),
                lrm_status: Facet::not_asked(),
                manager: Facet::known(Some(manager), Timestamp::from_seconds(seconds)),
                resources: Facet::not_asked(),
                placements: Facet::not_asked(),
            };
            let node = NodeView {
                observation: Ok(observation(ha.clone(), seconds)),
                clock_offset: None,
            };
            let prox1: NodeName = "prox1".parse().unwrap();
            let view = View {
                nodes: [(prox1.clone(), node)].into(),
                ..View::default()
            };
            let now = || view.manager_now(&prox1).map(|_| ());
            (summary(&ha, now(), true), summary(&ha, now(), false))
        };
        assert_eq!(after(5).0, ("armed; prox1 decides".to_owned(), true));
        let (text, fine) = after(720).0;
        assert!(
            !fine && text.contains("written nothing for 12 min") && text.ends_with("HA does NOTHING"),
            "{text}"
        );
        // With nothing under HA the master goes to rest by itself.
        assert!(after(720).1.1);
    }
}
