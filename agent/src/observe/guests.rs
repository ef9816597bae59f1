//! The list of guests: /etc/pve/.vmlist.

use quorate_model::facet::Unknown;
use quorate_model::observation::Guest;
use quorate_tools::pmxcfs::vmlist;

use super::cluster;
use crate::host::{Host, unparsable};

/// Reads the list. A host without PVE has no guests of PVE's; one whose pmxcfs is down has guests that nobody can name.
pub(super) async fn observe(host: &Host) -> Result<Vec<Guest>, Unknown> {
    match cluster::published(host, VMLIST).await? {
        Some(text) => vmlist::read(&text).map_err(unparsable),
        None if cluster::has_no_database(host)? => Ok(Vec::new()),
        None => cluster::absent_means_no_pve(host, VMLIST).map(|()| Vec::new()),
    }
}

const VMLIST: &str = "/etc/pve/.vmlist";
