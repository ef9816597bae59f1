//! Machines that run here: one that fails, and those that run although they belong to another server by now.

use std::time::Duration;

use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::observation::{FacetName, GuestKind};
use quorate_tools::kill;

use crate::host::Host;
use crate::observe::{hostname, observe, processes, strays};

/// A killed process is gone within moments, unless a disk holds it in the kernel.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The process that runs a machine; `None`: it does not run.
pub(super) fn process(host: &Host, guest: u32) -> Result<Option<u32>, String> {
    processes::machine(host.root(), guest).map_err(|unknown| unknown.reason)
}

/// Kills a machine's process, and sees that it is gone. `false`: it did not run.
pub(super) async fn stop(host: &Host, guest: u32) -> Result<bool, String> {
    let Some(pid) = process(host, guest)? else {
        return Ok(false);
    };
    let killed = host.run(kill::now(host.tools(), pid)).await;
    let began = host.clock().monotonic();
    loop {
        if process(host, guest)? != Some(pid) {
            return Ok(true);
        }
        if host.clock().since(began) > GONE_WITHIN {
            let said = match killed {
                Ok(finished) => finished.stderr_text().trim().to_owned(),
                Err(unknown) => unknown.reason,
            };
            return Err(format!("guest {guest} runs still, as process {pid} {said}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Stops every machine that runs here and belongs to another server. Says what was done.
///
/// # Errors
/// To whom guests belong can't be told now, or one could not be stopped.
pub(super) async fn stop_those_of_others(host: &Host) -> Result<Vec<String>, String> {
    let seen = Box::pin(observe(host, &[FacetName::Cluster, FacetName::Guests])).await;
    let cluster = seen.cluster.get().map_err(|unknown| unknown.reason.clone())?;
    // What a server that is cut off holds for true is how it was.
    match cluster.member() {
        Some(member) if !member.quorate => return Err("the server is not back in a quorate cluster".to_owned()),
        Some(_) if cluster.pmxcfs != Pmxcfs::Writable => return Err("/etc/pve can't be written yet".to_owned()),
        Some(_) => {}
        None => return Err("the server is no member of a cluster".to_owned()),
    }
    let guests = seen.guests.get().map_err(|unknown| unknown.reason.clone())?;
    let own = hostname(host);
    let mut said = Vec::new();
    let machines = guests.iter().filter(|guest| guest.kind == GuestKind::Vm);
    for guest in machines.filter(|guest| guest.node != own) {
        let (vmid, node) = (guest.vmid, &guest.node);
        if process(host, vmid)?.is_none() {
            continue;
        }
        // A migration has a process at both ends, and belongs to the one that it comes from until it is over.
        match strays::is_moving(host, guest).await {
            Ok(Some(false)) => {}
            Ok(Some(true)) => {
                said.push(format!(
                    "guest {vmid} of {node} is just being moved (lock: migrate), and is not stopped"
                ));
                continue;
            }
            Ok(None) => {
                return Err(format!(
                    "the configuration of guest {vmid} has just moved away from {node}"
                ));
            }
            Err(unknown) => return Err(unknown.reason),
        }
        if stop(host, vmid).await? {
            said.push(format!("guest {vmid} ran here and belongs to {node}: stopped"));
        }
    }
    match processes::containers(host.root()) {
        Ok(running) => {
            let others = guests
                .iter()
                .filter(|guest| guest.node != own && guest.kind == GuestKind::Container);
            said.extend(others.filter(|guest| running.contains(&guest.vmid)).map(|guest| {
                let (vmid, node) = (guest.vmid, &guest.node);
                format!(
                    "container {vmid} runs here and belongs to {node}, and is not stopped; decide, and if it is to end here: lxc-stop -n {vmid} --kill"
                )
            }));
        }
        Err(unknown) => said.push(format!(
            "whether containers of other servers run here can't be told: {}",
            unknown.reason
        )),
    }
    Ok(said)
}
