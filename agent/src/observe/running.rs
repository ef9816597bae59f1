//! How the guests of this node run. PVE's API tells: it knows of QEMU and of LXC.

use quorate_model::facet::Unknown;
use quorate_model::observation::{GuestKind, GuestStatus};
use quorate_tools::pvesh::{self, guests};

use super::hostname;
use crate::host::{Host, complaint, text, unparsable};

/// Asks for machines and containers at once: each call costs half a second.
pub(super) async fn observe(host: &Host) -> Result<Vec<GuestStatus>, Unknown> {
    let (machines, containers) = tokio::join!(list(host, GuestKind::Vm), list(host, GuestKind::Container));
    let mut found = machines?;
    found.extend(containers?);
    found.sort_by_key(|guest| guest.vmid);
    Ok(found)
}

async fn list(host: &Host, kind: GuestKind) -> Result<Vec<GuestStatus>, Unknown> {
    let finished = host.run(guests::list(host.tools(), &hostname(host), kind)).await?;
    if !finished.exit.is_success() {
        return Err(complaint(pvesh::NAME, &finished));
    }
    guests::read(kind, &text(pvesh::NAME, &finished)?).map_err(unparsable)
}
