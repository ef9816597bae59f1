//! The third dead man: the agent, which looks every second, when it is started, and so at boot.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::fault::{HealPhase, MetFault};
use tokio_util::sync::CancellationToken;

use super::heal::{first_corosync, is_up_again, leftovers, take_back, undone};
use super::records::{self, Held};
use super::{boot, heal};
use crate::host::Host;

/// A fault has to be gone within five seconds of its time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Reading a folder costs little; faster than this it need not be at any pace.
const SHORTEST: Duration = Duration::from_millis(50);

/// Ends what has to end, until `stop`.
pub async fn keep(host: Arc<Host>, state_dir: PathBuf, stop: CancellationToken) {
    for met in at_start(&host, &state_dir).await {
        say(&met);
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(host.pace().of(LOOK_EVERY).max(SHORTEST)) => {}
        }
        for met in round(&host, &state_dir).await {
            say(&met);
        }
    }
}

fn say(met: &MetFault) {
    let (id, fault) = (
        met.id.as_ref().map(ToString::to_string),
        met.fault.as_ref().map(ToString::to_string),
    );
    let said = met.said.join("; ");
    if met.phase == HealPhase::Failed {
        tracing::error!(id, fault, said, "a rehearsed failure can't be ended");
    } else {
        tracing::info!(id, fault, phase = %met.phase, said, "a rehearsed failure has ended");
    }
}

/// What an agent finds that was dead for a while: tables without a note go at once, and what is over is closed.
pub(super) async fn at_start(host: &Host, state_dir: &Path) -> Vec<MetFault> {
    let mut met = round(host, state_dir).await;
    met.extend(leftovers(host, state_dir, false).await);
    met
}

/// Looks at every open note.
pub(super) async fn round(host: &Host, state_dir: &Path) -> Vec<MetFault> {
    let (open, _) = records::open(state_dir);
    let mut met = Vec::new();
    for held in open {
        let anew = boot(host).is_ok_and(|boot| boot != held.boot);
        let now = host.now();
        if anew || held.ends_at.is_some_and(|end| now >= end) || is_up_again(host, &held) {
            met.push(undone(host, state_dir, &held).await);
        } else if held.opens_at.is_some_and(|opens| now >= opens) {
            met.push(second_stage(host, state_dir, &held).await);
        }
    }
    met
}

/// The kernel lets corosync pass by now: the server comes back, and its guests' ports are opened when no guest of another server's runs here.
async fn second_stage(host: &Host, state_dir: &Path, held: &Held) -> MetFault {
    let mut said = first_corosync(host, held).await;
    let phase = match take_back(
        host,
        state_dir,
        held,
        "its time was over; corosync came first, then guests",
    )
    .await
    {
        Ok(()) => HealPhase::Undone,
        Err(why) => {
            said.push(why);
            HealPhase::Failed
        }
    };
    heal::told(held, phase, said)
}
