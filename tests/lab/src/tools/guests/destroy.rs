//! `qm destroy`.

use super::super::io::Stop;
use super::super::worker::{Failure, died};
use super::Asked;
use crate::world::under_ha;

pub(super) async fn run(asked: Asked<'_>) -> Result<i32, Stop> {
    if let Some(text) = refusal(&asked) {
        return asked.refuse(&text).await;
    }
    let worker = asked.task("qmdestroy", "vzdestroy");
    let result = destroys(&asked).await;
    worker.end_with(result, 255).await
}

/// Source: qemu-server API2/Qemu.pm (`destroy_vm`).
fn refusal(asked: &Asked<'_>) -> Option<String> {
    let (word, vmid, purge) = (asked.word(), asked.vmid, asked.is_on("purge"));
    let guest = asked.guest()?;
    asked.call.server(|server, _| {
        let replica = &server.pmxcfs.replica;
        if guest.value("protection") == Some("1") {
            return Some(format!("can't remove {word} {vmid} - protection mode enabled"));
        }
        if under_ha::is_listed(replica, asked.kind, vmid) && !purge {
            return Some(format!(
                "unable to remove {word} {vmid} - used in HA resources and purge parameter not set."
            ));
        }
        let job = replica.jobs().into_iter().find(|job| job.guest() == vmid);
        if let (Some(job), false) = (job, purge) {
            return Some(format!(
                "There is a replication job '{}' for guest '{vmid}' - Please remove that first.",
                job.id
            ));
        }
        if let Some(lock) = guest.lock() {
            return Some(format!("{word} is locked ({lock})"));
        }
        server
            .running
            .contains_key(&vmid)
            .then(|| format!("{word} {vmid} is running - destroy failed"))
    })?
}

async fn destroys(asked: &Asked<'_>) -> Result<(), Failure> {
    let call = asked.call;
    call.io.pause(std::time::Duration::from_secs(1)).await?;
    if let Some(text) = refusal(asked) {
        return died(text);
    }
    call.world.with(|state| {
        if let Some(server) = state.servers.get_mut(call.node) {
            let all = server.volumes_of(asked.vmid);
            for (dataset, _) in all {
                server.drop_volume(&dataset);
            }
        }
    });
    asked.write(|replica| {
        replica.guests.remove(&asked.vmid);
        under_ha::forget(replica, asked.kind, asked.vmid);
        // Copies on other servers stay where they are.
        replica.change_jobs(|jobs| jobs.retain(|job| job.guest() != asked.vmid));
    })
}
