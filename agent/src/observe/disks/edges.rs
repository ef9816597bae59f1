//! Whether disks that look free are: their first and last MiB, read by a process of our own that is given up if it hangs.

use std::path::PathBuf;
use std::time::Duration;

use quorate_exec::Invocation;
use quorate_model::ByteSize;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::disks::{Disk, Edges};
use quorate_model::observation::eligibility::{Role, judge};

use super::together;
use crate::host::{Host, ReadError, complaint, text, unreadable};

/// A disk that sleeps needs about ten seconds to spin up.
const WITHIN: Duration = Duration::from_secs(12);

/// Reading is our own work, which no lab makes faster.
const AT_LEAST: Duration = Duration::from_secs(3);

/// How many disks are read at the same time. Each costs a process for some milliseconds.
const AT_A_TIME: usize = 8;

/// PVE's own lock on disks: whoever makes pools, OSDs or file systems through PVE holds it, as our own tasks do. Source: PVE::Diskmanage,
/// `$DISK_LOCK`; an flock.
pub(crate) const DISK_LOCK: &str = "/run/lock/pve-diskmanage.lck";

/// Who works on disks while they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// Whoever holds [`DISK_LOCK`], and is not disturbed.
    Others,
    /// Nobody: we hold it, or are about to.
    Nobody,
}

/// What the process is called in what it says of itself.
const NAME: &str = "quorate-agent read-edges";

/// Reads the edges of each disk that is free as far as was seen until now.
pub(super) async fn add(host: &Host, disks: &mut [Disk], meanwhile: Meanwhile) {
    let mut free: Vec<&mut Disk> = disks.iter_mut().filter(|disk| may_be_free(disk)).collect();
    for group in free.chunks_mut(AT_A_TIME) {
        let read = group.iter_mut().map(|disk| async move {
            let read = read_device(host, &disk.path, disk.size, meanwhile).await;
            disk.edges = super::super::finished(host, read);
        });
        together(read.collect()).await;
    }
}

fn may_be_free(disk: &Disk) -> bool {
    let free = |role: &Role| {
        judge(disk, *role)
            .against
            .iter()
            .all(|reason| reason.kind.is_about_the_role())
    };
    Role::ALL.iter().any(free)
}

/// Reads the edges of a disk or a partition, and whether anybody holds it.
pub(crate) async fn read_device(
    host: &Host,
    device: &str,
    size: ByteSize,
    meanwhile: Meanwhile,
) -> Result<Edges, Unknown> {
    let failed = |reason: String| Unknown::new(UnknownKind::Failed, reason);
    let program = host
        .program()
        .ok_or_else(|| Unknown::new(UnknownKind::ToolMissing, "this agent's own program can't be found"))?;
    let text_of = |path: PathBuf| {
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| failed(format!("{} is no text", path.display())))
    };
    let device = host.root().unfollowed(device).map_err(unreadable)?;
    let mut args = vec!["read-edges".to_owned(), text_of(device)?, size.0.to_string()];
    if meanwhile == Meanwhile::Others {
        match host.root().unfollowed(DISK_LOCK) {
            Ok(lock) => args.push(text_of(lock)?),
            // Where there is no folder for it, nobody has locked it.
            Err(ReadError::NotFound { .. }) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let call = Invocation::of(program)
        .args(args)
        .deadline(host.pace().of(WITHIN).max(AT_LEAST))
        .build();
    let finished = host.run(call.map_err(Into::into)).await?;
    if !finished.exit.is_success() {
        return Err(complaint(NAME, &finished));
    }
    let unparsable = |error: serde_json::Error| Unknown::new(UnknownKind::Unparsable, format!("{NAME}: {error}"));
    serde_json::from_str(&text(NAME, &finished)?).map_err(unparsable)
}
