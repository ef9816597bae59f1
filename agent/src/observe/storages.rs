//! Storages: what is defined for the cluster, and how each is on this node.

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::Storages;
use quorate_model::observation::storages::StorageStatus;
use quorate_tools::pve_config::storage;
use quorate_tools::pvesm;

use super::cluster::published_for_sure;
use super::finished;
use crate::host::{Host, complaint, text, unparsable};

const STORAGE_CFG: &str = "/etc/pve/storage.cfg";

/// Observes the storages. What is defined is one small file; how they are takes as long as the slowest of them, and is unknown by itself.
pub(super) async fn observe(host: &Host) -> Result<Storages, Unknown> {
    let (defined, status) = tokio::join!(published_for_sure(host, STORAGE_CFG), status(host));
    // Without the file PVE has its built-in `local` only.
    let defined = storage::read_whole(&defined?.unwrap_or_default()).map_err(unparsable)?;
    Ok(Storages {
        defined,
        status: finished(host, status),
    })
}

async fn status(host: &Host) -> Result<Vec<StorageStatus>, Unknown> {
    let finished = host.run(pvesm::status(host.tools())).await.map_err(|unknown| {
        if unknown.kind != UnknownKind::TimedOut {
            return unknown;
        }
        let reason = format!(
            "{}: a storage that does not answer holds up all of them",
            unknown.reason
        );
        Unknown::new(UnknownKind::TimedOut, reason)
    })?;
    if !finished.exit.is_success() {
        return Err(complaint(pvesm::NAME, &finished));
    }
    pvesm::read_status(&text(pvesm::NAME, &finished)?, &finished.stderr_text()).map_err(unparsable)
}
