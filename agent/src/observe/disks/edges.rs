//! Whether disks that look free are: their first and last MiB, read by a process of our own that is given up if it hangs.

use std::time::Duration;

use quorate_exec::Invocation;
use quorate_model::ByteSize;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::disks::{Disk, Edges};
use quorate_model::observation::eligibility::{Role, judge};

use super::together;
use crate::host::{Host, complaint, text};

/// A disk that sleeps needs about ten seconds to spin up.
const WITHIN: Duration = Duration::from_secs(12);

/// Reading is our own work, which no lab makes faster.
const AT_LEAST: Duration = Duration::from_secs(3);

/// How many disks are read at the same time. Each costs a process for some milliseconds.
const AT_A_TIME: usize = 8;

/// What the process is called in what it says of itself.
const NAME: &str = "quorate-agent read-edges";

/// Reads the edges of each disk that is free as far as was seen until now.
pub(super) async fn add(host: &Host, disks: &mut [Disk]) {
    let mut free: Vec<&mut Disk> = disks.iter_mut().filter(|disk| may_be_free(disk)).collect();
    for group in free.chunks_mut(AT_A_TIME) {
        let read = group.iter_mut().map(|disk| async move {
            let read = read(host, disk).await;
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

async fn read(host: &Host, disk: &Disk) -> Result<Edges, Unknown> {
    read_device(host, &disk.path, disk.size).await
}

/// Reads the edges of a disk or a partition, and whether anybody holds it.
pub(crate) async fn read_device(host: &Host, device: &str, size: ByteSize) -> Result<Edges, Unknown> {
    let failed = |reason: String| Unknown::new(UnknownKind::Failed, reason);
    let program = host
        .program()
        .ok_or_else(|| Unknown::new(UnknownKind::ToolMissing, "this agent's own program can't be found"))?;
    let path = host.root().unfollowed(device).map_err(crate::host::unreadable)?;
    let path = path
        .to_str()
        .ok_or_else(|| failed(format!("{} is no text", path.display())))?;
    let call = Invocation::of(program)
        .args(["read-edges", path, &size.0.to_string()])
        .deadline(host.pace().of(WITHIN).max(AT_LEAST))
        .build();
    let finished = host.run(call.map_err(Into::into)).await?;
    if !finished.exit.is_success() {
        return Err(complaint(NAME, &finished));
    }
    let unparsable = |error: serde_json::Error| Unknown::new(UnknownKind::Unparsable, format!("{NAME}: {error}"));
    serde_json::from_str(&text(NAME, &finished)?).map_err(unparsable)
}
