//! `quorate disks`: one table for all nodes.

use std::collections::BTreeMap;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use quorate_model::facet::Facet;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::NodeRef;
use quorate_model::observation::disks::Disk;
use quorate_model::observation::eligibility::{Role, Verdict};
use quorate_model::observation::{Disks, FacetName};
use quorate_model::{ClusterName, NodeName};
use quorate_planner::disks::across;
use quorate_show::{DiskDetail, DiskRow};

use super::views::fresh;
use super::{Answer, Context, output, wire};

/// Options of `quorate disks`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this node: CLUSTER/NODE, or NODE where there is only one of that name
    node: Option<String>,
    /// Only what may be used for this: zfs, osd
    #[arg(long, value_parser = role())]
    role: Option<Role>,
    /// Everything: also what may not be used for the role, devices that are no disks (zram, zvols, nbd, rbd), and of each disk its
    /// name that stays, WWN and controller
    #[arg(long)]
    all: bool,
}

fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| {
        let named = Role::ALL.into_iter().find(|role| role.as_str() == name);
        named.ok_or("no such role")
    })
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    let wanted = wanted(args.node.as_deref())?;
    let cluster = wanted.as_ref().and_then(|(cluster, _)| cluster.as_ref());
    // What the other servers of its cluster see and what all guests are given may speak against a disk.
    let facets = [FacetName::Disks, FacetName::Config];
    let mut rows: Vec<(String, Facet<Disks>)> = Vec::new();
    for (cluster, view) in fresh(&mut client, cluster.map(ClusterName::as_str), &facets).await? {
        for (node, disks) in across(&view) {
            if wanted.as_ref().is_none_or(|(_, name)| *name == node) {
                rows.push((format!("{cluster}/{node}"), chosen(disks, &args)));
            }
        }
    }
    if rows.is_empty() {
        let message = args.node.map_or_else(
            || "no nodes are enrolled yet".to_owned(),
            |n| format!("there is no node {n}"),
        );
        return Err(Failure::new(ExitCode::NotFound, message).hint("quorate node list"));
    }
    let document: BTreeMap<_, _> = rows.iter().map(|(node, disks)| (node, disks)).collect();
    output::either(context.format, &document, || {
        let rows: Vec<_> = rows
            .iter()
            .map(|(node, disks)| DiskRow {
                node: node.clone(),
                disks,
            })
            .collect();
        let detail = if args.all { DiskDetail::All } else { DiskDetail::Usual };
        quorate_show::disks(&rows, detail)
    });
    let well = |disks: &Facet<Disks>| disks.get().is_ok_and(|all| !all.disks.iter().any(says_that_it_fails));
    Ok(if rows.iter().all(|(_, disks)| well(disks)) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

fn says_that_it_fails(disk: &Disk) -> bool {
    disk.smart.get().is_ok_and(|smart| smart.passed == Some(false))
}

/// The node that is meant, and its cluster if that was said.
fn wanted(text: Option<&str>) -> Result<Option<(Option<ClusterName>, NodeName)>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let usage = |error: &dyn std::error::Error| Failure::new(ExitCode::Usage, format!("`{text}` is no node: {error}"));
    if text.contains('/') {
        let node: NodeRef = text.parse().map_err(|e| usage(&e))?;
        return Ok(Some((Some(node.cluster), node.node)));
    }
    let node = text.parse().map_err(|e| usage(&e))?;
    Ok(Some((None, node)))
}

fn chosen(mut facet: Facet<Disks>, args: &Args) -> Facet<Disks> {
    if let Facet::Known { value, .. } = &mut facet {
        if let Some(role) = args.role {
            for disk in &mut value.disks {
                disk.verdicts.retain(|verdict| verdict.role == role);
            }
        }
        value.disks.retain(|disk| args.all || is_of_interest(disk, args.role));
    }
    facet
}

fn is_of_interest(disk: &Disk, role: Option<Role>) -> bool {
    match role {
        None => !disk.is_made_by_software(),
        Some(_) => disk.verdicts.iter().any(Verdict::eligible),
    }
}
