//! A pool that the members' free disks would make. It is a comment of the draft: nobody gets a pool without having written it.

use quorate_model::observation::disks::DiskKind;
use quorate_model::observation::eligibility::Role;

use super::survey::Server;

/// The fastest kind first.
const KINDS: [DiskKind; 3] = [DiskKind::Nvme, DiskKind::Ssd, DiskKind::Hdd];

/// Of the kind of which each member has most; `None`: they have no two of one kind each.
pub(super) fn pool(members: &[&Server]) -> Option<String> {
    let of_kind = |kind: DiskKind| {
        let free = |server: &&Server| {
            let disks = server.free.iter().flatten();
            disks
                .filter(|disk| disk.kind == kind && disk.roles.contains(&Role::Zfs))
                .count()
        };
        members.iter().map(free).min().unwrap_or(0)
    };
    let mut best: Option<(usize, DiskKind)> = None;
    for kind in KINDS {
        let count = of_kind(kind);
        if count >= 2 && best.is_none_or(|(most, _)| count > most) {
            best = Some((count, kind));
        }
    }
    let (count, kind) = best?;
    let (raid, count) = if count < 4 {
        ("mirror", 2)
    } else {
        ("raid10", count - count % 2)
    };
    Some(format!(
        "A pool for guests on each member, of disks that are free on all of them. Take the # away to have it made;\n\
         quorate plan FILE then names the disks.\n\
         [zfs.data_zfs]\n\
         raid = \"{raid}\"\n\
         disks = {{ count = {count}, kind = \"{}\" }}",
        kind.as_str()
    ))
}
