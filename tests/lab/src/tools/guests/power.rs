//! `qm start`, `stop`, `shutdown` and `unlock`. What HA looks after is left to HA: the task says that it asked, and ends.

use std::time::Duration;

use super::super::io::Stop;
use super::super::worker::{Failure, Worker, died};
use super::Asked;
use crate::description::GuestKind;
use crate::world::guest_times as times;
use crate::world::state::guests::refuses_after;
use crate::world::under_ha;

pub(super) async fn start(asked: Asked<'_>) -> Result<i32, Stop> {
    let (word, kind, vmid) = (asked.word(), asked.kind, asked.vmid);
    if asked.is_managed() {
        let text = format!("Requesting HA start for {word} {vmid}");
        let order = move |replica: &mut _| under_ha::request_state(replica, kind, vmid, "started");
        return asked.by_ha("hastart", text, order).await;
    }
    let worker = asked.task("qmstart", "vzstart");
    let result = starts(&asked).await;
    worker.end_with(result, 255).await
}

/// Starts it here, whoever asked.
pub(super) async fn starts(asked: &Asked<'_>) -> Result<(), Failure> {
    let call = asked.call;
    let refusal = || {
        call.world
            .with(|state| state.start_guest_refusal(call.node, asked.vmid))
    };
    if let Some(text) = refusal() {
        // What is waited for may appear.
        call.io.pause(refuses_after(&text)).await?;
        if refusal().is_some() {
            return died(text);
        }
    }
    let takes = match asked.kind {
        GuestKind::Qemu => times::VM_STARTS,
        GuestKind::Lxc => times::CT_STARTS,
    };
    call.io.pause(takes).await?;
    if let Some(text) = refusal() {
        return died(text);
    }
    call.world.with(|state| state.start_guest_now(call.node, asked.vmid));
    Ok(())
}

pub(super) async fn stop(asked: Asked<'_>) -> Result<i32, Stop> {
    if asked.is_managed() {
        return by_ha(asked, 0).await;
    }
    let worker = asked.task("qmstop", "vzstop");
    let result = ends(&asked, times::KILLED).await;
    worker.end_with(result, 255).await
}

pub(super) async fn shutdown(asked: Asked<'_>) -> Result<i32, Stop> {
    let timeout = asked.seconds("timeout").unwrap_or(60);
    if asked.is_managed() {
        return by_ha(asked, timeout).await;
    }
    let worker = asked.task("qmshutdown", "vzshutdown");
    let result = obeys(&asked, &worker, Duration::from_secs(timeout)).await;
    worker.end_with(result, 255).await
}

async fn by_ha(asked: Asked<'_>, timeout: u64) -> Result<i32, Stop> {
    let text = format!("Requesting HA stop for {} {}", asked.word(), asked.vmid);
    let line = format!("stop {} {timeout}", under_ha::sid(asked.kind, asked.vmid));
    asked
        .by_ha("hastop", text, move |replica| under_ha::command(replica, &line))
        .await
}

fn runs(asked: &Asked<'_>) -> bool {
    asked
        .call
        .world
        .with(|state| state.guest_runs(asked.call.node, asked.vmid))
}

/// The order to end: a guest whose `acpi` is off does not hear it. Source: qemu-server QemuServer.pm (`_do_vm_stop`), pve-container LXC.pm
/// (`vm_stop`).
async fn obeys(asked: &Asked<'_>, worker: &Worker<'_>, patience: Duration) -> Result<(), Failure> {
    let deaf = asked.guest().is_some_and(|guest| guest.value("acpi") == Some("0"));
    let takes = match asked.kind {
        GuestKind::Qemu => times::VM_STOPS,
        GuestKind::Lxc => times::CT_STOPS,
    };
    if !deaf && takes <= patience {
        return ends(asked, takes).await;
    }
    if !runs(asked) {
        return ends(asked, Duration::ZERO).await;
    }
    asked.call.io.pause(patience).await?;
    if asked.is_on("forceStop") {
        return ends(asked, times::KILLED).await;
    }
    if asked.kind == GuestKind::Qemu {
        return died("VM quit/powerdown failed - got timeout");
    }
    // That lxc-stop has failed is a warning, which a worker has on stdout; the container gets as long again.
    worker
        .say(&format!(
            "command 'lxc-stop -n {} --nokill --timeout {}' failed: exit code 1\n",
            asked.vmid,
            patience.as_secs()
        ))
        .await?;
    let (left, more) = (takes.saturating_sub(patience), patience + times::CT_STOP_MORE);
    if !deaf && left <= more {
        return ends(asked, left).await;
    }
    asked.call.io.pause(more).await?;
    died("container did not stop")
}

/// Its process ends. A machine that does not run is no reason to complain; a container is.
pub(super) async fn ends(asked: &Asked<'_>, takes: Duration) -> Result<(), Failure> {
    if let Some(lock) = asked.guest().as_ref().and_then(|guest| guest.lock().map(str::to_owned)) {
        return died(format!("{} is locked ({lock})", asked.word()));
    }
    if !runs(asked) {
        return match asked.kind {
            GuestKind::Qemu => Ok(()),
            GuestKind::Lxc => died(format!("CT {} not running", asked.vmid)),
        };
    }
    asked.call.io.pause(takes).await?;
    asked
        .call
        .world
        .with(|state| state.stop_guest_now(asked.call.node, asked.vmid));
    Ok(())
}

pub(super) async fn unlock(asked: Asked<'_>) -> Result<i32, Stop> {
    match asked.change(|guest| guest.set("lock", None)) {
        Ok(()) => Ok(0),
        Err(Failure::Died(text)) => asked.refuse(&text).await,
        Err(Failure::Stopped(stop)) => Err(stop),
    }
}
