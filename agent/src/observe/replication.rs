//! How the copying of this node's own guests goes: the state that PVE's scheduler keeps. PVE itself is not asked, since its answer changes
//! jobs after a failover.

use quorate_model::facet::Unknown;
use quorate_model::observation::ReplicationState;
use quorate_tools::proc;
use quorate_tools::pve_replication_state::{self as file, Noted};

use crate::host::{Host, ReadError, unparsable, unreadable};

/// Before the first job ran there is no file.
pub(crate) fn observe(host: &Host) -> Result<Vec<ReplicationState>, Unknown> {
    match host.root().read_text(file::PATH) {
        Err(ReadError::NotFound { .. }) => Ok(Vec::new()),
        text => {
            let noted = file::read(&text.map_err(unreadable)?).map_err(unparsable)?;
            noted.into_iter().map(|noted| state(host, noted)).collect()
        }
    }
}

fn state(host: &Host, noted: Noted) -> Result<ReplicationState, Unknown> {
    let running = match noted.process {
        None => false,
        Some((pid, began)) => match host.root().read_text(&format!("/proc/{pid}/stat")) {
            Err(ReadError::NotFound { .. }) => false,
            text => proc::start_ticks(&text.map_err(unreadable)?).map_err(unparsable)? == began,
        },
    };
    Ok(ReplicationState { running, ..noted.state })
}
