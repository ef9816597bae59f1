//! What only this server can say of its disks: that its policy forbids to touch one, and that what lies on one is left from a try of ours.

use quorate_exec::Exit;
use quorate_model::observation::disks::{Disk, Disks, Partition};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role};
use quorate_model::pool_layout::PoolLayout;
use quorate_tools::blkid;

use crate::begun_pools;
use crate::host::Host;

/// The partition that ZFS makes for the data, and the small one that it makes behind it. Source: OpenZFS, `zpool_label_disk`.
const DATA: &str = "6a898cc3-1dd2-11b2-99a6-080020736631";
const RESERVED: &str = "6a945a3b-1dd2-11b2-99a6-080020736631";

/// Adds to the verdicts what the policy forbids, and takes out of them what is left from a pool that was begun here and never came about.
pub(super) async fn judge(host: &Host, disks: &mut Disks) {
    let begun = begun_pools::all(host.root());
    for index in 0..disks.disks.len() {
        let left_by = left_by(host, disks, index, &begun).await;
        let Some(disk) = disks.disks.get_mut(index) else {
            continue;
        };
        if let Some(pool) = left_by {
            pardon(disk, pool);
        }
        if let Some(name) = forbidden(disk, host.never_touch()) {
            let text = format!("/etc/quorate/agent.toml says never to touch {name}");
            disk.verdicts.iter_mut().for_each(|verdict| {
                verdict.against.push(Reason {
                    kind: ReasonKind::NeverTouch,
                    text: text.clone(),
                });
            });
        }
    }
}

/// The name by which the policy forbids it.
fn forbidden<'n>(disk: &Disk, never_touch: &'n [String]) -> Option<&'n str> {
    let names = || {
        let links = disk.by_id.iter().map(String::as_str);
        links.chain(disk.wwn.as_deref()).chain(disk.serial.as_deref())
    };
    let is_it = |forbidden: &str| {
        let bare = forbidden.strip_prefix("/dev/disk/by-id/").unwrap_or(forbidden);
        names().any(|name| name == bare || bare.strip_prefix("wwn-") == Some(name))
    };
    never_touch.iter().map(String::as_str).find(|name| is_it(name))
}

/// The pool, begun here, that left on the disk what it carries: nothing but the two empty partitions that ZFS makes first. A label in
/// them would be that of a pool that came about, here or elsewhere, and is nobody's leftover.
async fn left_by<'b>(host: &Host, disks: &Disks, index: usize, begun: &'b [PoolLayout]) -> Option<&'b PoolLayout> {
    let disk = disks.disks.get(index)?;
    let pool = begun.iter().find(|pool| {
        let mut planned = pool.all_disks();
        planned.any(|planned| planned.find(disks).is_ok_and(|found| found.path == disk.path))
    })?;
    let [data, reserved] = disk.partitions.as_slice() else {
        return None;
    };
    let as_zfs_makes_them = is(data, DATA, "1") && is(reserved, RESERVED, "9");
    let only_leftovers = disk
        .verdicts
        .iter()
        .flat_map(|verdict| &verdict.against)
        .all(|reason| reason.kind.goes_by_wiping() || reason.kind.is_about_the_role());
    if !as_zfs_makes_them || disk.fstype.is_some() || !only_leftovers {
        return None;
    }
    // udev's database may lag behind: the device itself is asked.
    let finished = host.run(blkid::probe(host.tools(), &data.path)).await.ok()?;
    let nothing = matches!(finished.exit, Exit::Code(0 | blkid::NOTHING));
    let empty = nothing && blkid::signature(finished.stdout_text().ok()?).is_none();
    empty.then_some(pool)
}

fn is(partition: &Partition, parttype: &str, number: &str) -> bool {
    let typed = partition
        .parttype
        .as_deref()
        .is_some_and(|is| is.eq_ignore_ascii_case(parttype));
    typed && partition.fstype.is_none() && partition.path.ends_with(number)
}

/// For ZFS alone: zpool takes such a disk without a word, `ceph-volume` does not.
fn pardon(disk: &mut Disk, pool: &PoolLayout) {
    for verdict in disk.verdicts.iter_mut().filter(|verdict| verdict.role == Role::Zfs) {
        verdict.against.retain(|reason| !reason.kind.goes_by_wiping());
        verdict.notes.push(format!(
            "carries two empty partitions, left here by a try to make pool {} that did not come to its end",
            pool.name
        ));
    }
}
