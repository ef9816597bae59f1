//! How the copying of this node's own guests goes: the state that PVE's scheduler keeps, and which copies are held. PVE itself is not asked, since
//! its answer changes jobs after a failover.

use quorate_model::facet::Unknown;
use quorate_model::held::Held;
use quorate_model::observation::{ReplicationJob, ReplicationState};
use quorate_tools::proc;
use quorate_tools::pve_config::replication;
use quorate_tools::pve_replication_state::{self as file, Noted};

use super::{cluster, guests, hostname};
use crate::host::{Host, ReadError, unparsable, unreadable};

const JOBS: &str = "/etc/pve/replication.cfg";

/// What the scheduler keeps, with the copies that are held.
pub(super) async fn observe(host: &Host) -> Result<Vec<ReplicationState>, Unknown> {
    let mut states = kept(host)?;
    for (guest, held) in held(host).await? {
        let state = states
            .iter_mut()
            .find(|state| state.guest == guest && state.target == held.node);
        match state {
            Some(state) => state.held_since = Some(held.since),
            None => states.push(ReplicationState {
                held_since: Some(held.since),
                ..ReplicationState::of(guest, held.node)
            }),
        }
    }
    states.sort_by(|a, b| (a.guest, &a.target).cmp(&(b.guest, &b.target)));
    Ok(states)
}

/// Copies of this node's own guests that are held, by what their jobs say.
async fn held(host: &Host) -> Result<Vec<(u32, Held)>, Unknown> {
    let node = hostname(host);
    let guests = guests::observe(host).await?;
    let own = |job: &ReplicationJob| guests.iter().any(|guest| guest.vmid == job.guest && guest.node == node);
    if !guests.iter().any(|guest| guest.node == node) {
        return Ok(Vec::new());
    }
    let text = cluster::published(host, JOBS).await?.unwrap_or_default();
    let jobs = replication::read(&text).map_err(unparsable)?;
    let own = jobs.iter().filter(|job| own(job));
    Ok(own.filter_map(|job| Some((job.guest, job.held()?))).collect())
}

/// Before the first job ran there is no file.
fn kept(host: &Host) -> Result<Vec<ReplicationState>, Unknown> {
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

#[cfg(test)]
mod tests {
    use super::super::testing::Fake;
    use super::*;

    #[tokio::test]
    async fn a_copy_that_is_held_is_told_by_the_guest_s_owner_alone() {
        let fake = Fake::new();
        let held = |node: &str| Held::now(node, quorate_model::Timestamp::from_seconds(1_795_345_772));
        let jobs = format!(
            "local: 100-0\n\ttarget prox2\n\tcomment {}\n\tdisable 1\n\tsource prox1\n\nlocal: 101-0\n\ttarget prox3\n\tcomment {}\n\tdisable 1\n\tsource prox2\n\n",
            held("prox2").comment().replace(':', "%3A"),
            held("prox3").comment(),
        );
        fake.put("/etc/pve/replication.cfg", &jobs);
        let list = r#"{"version":1,"ids":{"100":{"node":"prox1","type":"qemu","version":1},"101":{"node":"prox2","type":"qemu","version":2}}}"#;
        fake.put("/etc/pve/.vmlist", list);
        let states = observe(&fake.host([])).await.unwrap();
        let wanted = ReplicationState {
            held_since: Some(held("prox2").since),
            ..ReplicationState::of(100, "prox2")
        };
        assert_eq!(states, [wanted]);
        fake.put("/etc/pve/replication.cfg", "local: 100-0\n\tsource prox1\n");
        assert!(
            observe(&fake.host([])).await.is_err(),
            "what can't be read is not nothing"
        );
    }
}
