//! `quorate storage`: what storages each cluster has, where they are usable, and whether they are as its file has them.

use std::collections::BTreeMap;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::FacetName;
use quorate_model::spec::ClusterFile;
use quorate_model::{NodeName, View};
use quorate_planner::storages::drift;
use quorate_show::StorageRow;

use super::views::fresh;
use super::{Answer, Context, output, wire};

/// Options of `quorate storage`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the storage of this id
    storage: Option<String>,
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> Answer {
    let mut client = wire::connect(context).await?;
    // How it is now, and not when it was seen last; what was applied last lies in /etc/pve.
    let facets = [
        FacetName::Storages,
        FacetName::Pools,
        FacetName::Cluster,
        FacetName::Config,
    ];
    let mut rows = Vec::new();
    for (cluster, view) in fresh(&mut client, args.cluster.as_deref(), &facets).await? {
        rows.extend(of_cluster(&cluster, &view));
    }
    if let Some(id) = &args.storage {
        rows.retain(|row| row.id == *id);
        if rows.is_empty() {
            let message = format!("there is no storage {id}, and no cluster file asks for one");
            return Err(Failure::new(ExitCode::NotFound, message).hint("quorate storage"));
        }
    }
    output::either(context.format, &rows, || quorate_show::storages(&rows));
    Ok(if rows.iter().all(StorageRow::is_fine) {
        ExitCode::Done
    } else {
        ExitCode::Degraded
    })
}

fn of_cluster(cluster: &str, view: &View) -> Vec<StorageRow> {
    let kept = view.nodes.keys().find_map(|node| {
        let config = view.facet(node, |o| &o.config).ok()?;
        config.spec.get().ok()?.as_ref()
    });
    let file = kept.and_then(|kept| ClusterFile::parse("the file that was applied last", &kept.text).ok());
    let drift = file.map(|file| drift(&file, view)).unwrap_or_default();
    let mut rows: BTreeMap<String, StorageRow> = BTreeMap::new();
    let empty = |id: &str| StorageRow {
        cluster: cluster.to_owned(),
        defined: None,
        id: id.to_owned(),
        should: vec![],
        on: BTreeMap::new(),
        unknown: BTreeMap::new(),
        drift: drift.get(id).cloned(),
    };
    for id in drift.keys() {
        rows.insert(id.clone(), empty(id));
    }
    for node in view.nodes.keys() {
        let Ok(storages) = view.facet(node, |o| &o.storages) else {
            continue;
        };
        for defined in &storages.defined {
            let row = rows.entry(defined.id.clone()).or_insert_with(|| empty(&defined.id));
            row.defined.get_or_insert_with(|| defined.clone());
        }
        // The built-in `local` is there without being written.
        for status in storages.status.get().into_iter().flatten() {
            rows.entry(status.id.clone()).or_insert_with(|| empty(&status.id));
        }
    }
    for row in rows.values_mut() {
        for node in view.nodes.keys() {
            on_node(row, node, view);
        }
    }
    rows.into_values().collect()
}

fn on_node(row: &mut StorageRow, node: &NodeName, view: &View) {
    if row.defined.as_ref().is_some_and(|defined| defined.is_for(node)) {
        row.should.push(node.to_string());
    }
    let status = view
        .facet(node, |o| &o.storages)
        .and_then(|storages| storages.status.get().map_err(Clone::clone));
    match status {
        Ok(all) => {
            if let Some(status) = all.iter().find(|status| status.id == row.id) {
                row.on.insert(node.to_string(), status.clone());
            }
        }
        Err(unknown) => {
            row.unknown.insert(node.to_string(), unknown.reason);
        }
    }
}
