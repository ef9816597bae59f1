//! A guest of a server that is off becomes this one's: its jobs are switched off first, or the lost server's return would overwrite what it wrote last.

use quorate_model::Observation;
use quorate_model::held::Held;
use quorate_tools::pvesr;

use super::{CHANGING, Stopped, Task, say, stopped};
use crate::recover::take_config::take;
use crate::recover::taking::{self, Kept, Taking};

pub(super) async fn run(task: &Task<'_>, what: &Taking<'_>) -> Result<(), Stopped> {
    let (host, own, lost) = (task.host, &task.node, what.lost);
    let seen = task.look_again().await?;
    // It may have come back since it was planned: it is asked on each network, in the instant before.
    let evidence = taking::evidence(host, &seen, own, lost).await?;
    if let Some(finding) = evidence.against(lost.as_str(), what.seen_off) {
        return stopped(finding.message);
    }
    let mut kept = Kept::begin(host, &task.state_dir, own, what, evidence)?;
    say(CHANGING);
    for job in what.jobs {
        if is_held(&seen, &job.to_string(), lost.as_str()) {
            say(&format!("{job} is held already"));
            continue;
        }
        let held = Held::now(lost.as_str(), host.now());
        task.change(pvesr::hold(host.tools(), job, &held)).await?;
    }
    // What pvesr said is evidence; what its file says counts. And once more: is it still away?
    let seen = task.look_again().await?;
    for job in what.jobs {
        if !is_held(&seen, &job.to_string(), lost.as_str()) {
            return stopped(format!("the job {job} is not seen to be switched off and to say why"));
        }
    }
    kept.moving()?;
    let folder = taking::folder(what.kind);
    say(&format!(
        "mv /etc/pve/nodes/{lost}/{folder}/{0}.conf /etc/pve/nodes/{own}/{folder}/{0}.conf",
        what.vmid
    ));
    take(host.root(), own.as_str(), lost.as_str(), folder, what.vmid).map_err(Stopped)?;
    kept.here()?;
    Ok(())
}

/// Is the job off, and does it say that what the lost server has is held?
fn is_held(seen: &Observation, job: &str, lost: &str) -> bool {
    let jobs = seen.config.get().and_then(|config| config.replication.get());
    jobs.is_ok_and(|jobs| {
        let mut own = jobs.iter().filter(|one| one.id == job);
        own.any(|one| one.disabled && one.held().is_some_and(|held| held.node == lost))
    })
}
