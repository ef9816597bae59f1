//! PVE's HA manager: the watchdog's mark, the daemons, and what they publish.

use std::collections::BTreeMap;

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::Ha;
use quorate_model::observation::ha::{HaPlacement, HaResource, LrmStatus, ManagerStatus};
use quorate_tools::pve_config::ha;

use super::{cluster, finished, hostname, readiness};
use crate::host::{Host, unparsable, unreadable};

/// There while a daemon is connected to the watchdog. Source: pve-ha-manager's watchdog-mux.
pub(super) const WATCHDOG_ARMED: &str = "/run/watchdog-mux.active";
const MANAGER: &str = "/etc/pve/ha/manager_status";
const RESOURCES: &str = "/etc/pve/ha/resources.cfg";
const GROUPS: &str = "/etc/pve/ha/groups.cfg";
const RULES: &str = "/etc/pve/ha/rules.cfg";
const UNITS: [&str; 2] = ["pve-ha-lrm", "pve-ha-crm"];
const PACKAGE: &str = "pve-ha-manager";

/// Observes HA.
pub(super) async fn observe(host: &Host) -> Result<Ha, Unknown> {
    let watchdog_armed = host.root().exists(WATCHDOG_ARMED).map_err(unreadable)?;
    let (version, mut units, lrm_status, manager, resources, placements) = tokio::join!(
        version(host),
        readiness::services(host, &UNITS),
        lrm_status(host),
        manager(host),
        resources(host),
        placements(host),
    );
    let [lrm, crm] = UNITS.map(|unit| units.remove(unit).unwrap_or_default());
    Ok(Ha {
        version: finished(host, version),
        watchdog_armed,
        lrm,
        crm,
        lrm_status: finished(host, lrm_status),
        manager: finished(host, manager),
        resources: finished(host, resources),
        placements: finished(host, placements),
    })
}

async fn version(host: &Host) -> Result<String, Unknown> {
    let mut installed = readiness::installed(host, &[PACKAGE]).await?;
    let missing = || Unknown::new(UnknownKind::Failed, format!("{PACKAGE} is not installed"));
    installed.remove(PACKAGE).ok_or_else(missing)
}

async fn lrm_status(host: &Host) -> Result<Option<LrmStatus>, Unknown> {
    let path = format!("/etc/pve/nodes/{}/lrm_status", hostname(host));
    match cluster::published_for_sure(host, &path).await? {
        Some(text) => ha::read_lrm_status(&text).map(Some).map_err(unparsable),
        None => Ok(None),
    }
}

pub(crate) async fn manager(host: &Host) -> Result<Option<ManagerStatus>, Unknown> {
    match cluster::published_for_sure(host, MANAGER).await? {
        Some(text) => ha::read_manager_status(&text).map_err(unparsable),
        None => Ok(None),
    }
}

async fn resources(host: &Host) -> Result<BTreeMap<String, HaResource>, Unknown> {
    let text = cluster::published_for_sure(host, RESOURCES).await?;
    ha::read_resources(&text.unwrap_or_default()).map_err(unparsable)
}

/// What groups and rules say, where it stands.
pub(super) async fn placements(host: &Host) -> Result<Vec<HaPlacement>, Unknown> {
    let groups = cluster::published_for_sure(host, GROUPS).await?.unwrap_or_default();
    let rules = cluster::published_for_sure(host, RULES).await?.unwrap_or_default();
    ha::read_placements(&groups, &rules).map_err(unparsable)
}

#[cfg(test)]
#[path = "ha_tests.rs"]
mod tests;
