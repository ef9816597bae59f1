//! The list of guests: /etc/pve/.vmlist.

use quorate_model::facet::Unknown;
use quorate_model::observation::Guest;
use quorate_tools::pmxcfs::vmlist;

use crate::host::{Host, unparsable, unreadable};

/// Reads the list. A host without PVE has no guests of PVE's; one whose pmxcfs is down has guests that nobody can name.
pub(super) async fn observe(host: &Host) -> Result<Vec<Guest>, Unknown> {
    match host.read_if_there(VMLIST).await.map_err(unreadable)? {
        Some(text) => vmlist::read(&text).map_err(unparsable),
        None => super::cluster::absent_means_no_pve(host, VMLIST).map(|()| Vec::new()),
    }
}

const VMLIST: &str = "/etc/pve/.vmlist";
