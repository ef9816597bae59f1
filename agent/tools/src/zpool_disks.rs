//! `zpool create`, `add` and `replace`: what gives disks to a pool. They are never forced: what zpool itself finds on a disk refuses.

use quorate_exec::{Invocation, Tools};
use quorate_model::ids::PoolName;
use quorate_model::observation::pools::VdevClass;
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};
use quorate_model::raid::Raid;

use crate::CallError;
use crate::zpool::NAME;

/// Makes the pool, on its disks' links below /dev/disk/by-id.
///
/// # Errors
/// When zpool is not installed.
pub fn create(tools: &Tools, layout: &PoolLayout) -> Result<Invocation, CallError> {
    let switch = if layout.autotrim { "on" } else { "off" };
    let mut args = vec!["create".to_owned()];
    for property in [format!("ashift={}", layout.ashift), format!("autotrim={switch}")] {
        args.extend(["-o".to_owned(), property]);
    }
    args.extend(["-O".to_owned(), format!("compression={}", layout.compression)]);
    args.push(layout.name.to_string());
    args.extend(vdevs(layout));
    Ok(tools.call(NAME)?.args(args).build()?)
}

/// `zpool add`: further vdevs for a pool that is there. Unforced as well: a vdev of another kind than the pool's is refused.
///
/// # Errors
/// When zpool is not installed.
pub fn add(tools: &Tools, layout: &PoolLayout) -> Result<Invocation, CallError> {
    let args = [
        "add".to_owned(),
        "-o".to_owned(),
        format!("ashift={}", layout.ashift),
        layout.name.to_string(),
    ];
    Ok(tools.call(NAME)?.args(args.into_iter().chain(vdevs(layout))).build()?)
}

/// `zpool replace`: a disk takes the place of another one, which zpool calls so; unforced.
///
/// # Errors
/// When zpool is not installed.
pub fn replace(tools: &Tools, pool: &PoolName, old: &str, with: &DiskIdentity) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["replace", pool.as_str(), old]);
    Ok(call.arg(path(with)).build()?)
}

/// `zpool offline -t`: a disk is left out until it is taken in again, or until the next start of the server.
///
/// # Errors
/// When zpool is not installed.
pub fn offline(tools: &Tools, pool: &PoolName, disk: &str) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["offline", "-t", pool.as_str(), disk]);
    Ok(call.on_host().build()?)
}

/// `zpool online`: the disk is taken in again, and what it missed is made anew.
///
/// # Errors
/// When zpool is not installed.
pub fn online(tools: &Tools, pool: &PoolName, disk: &str) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["online", pool.as_str(), disk]);
    Ok(call.on_host().build()?)
}

/// Whether zpool, by what it printed on stderr, was too early: the kernel did not find the partition that zpool had just made. udev takes
/// the partition's link away for a moment while it looks at the disk again, and ZFS waits one second for it; on a server with very much
/// to do that is not enough. Source: OpenZFS 2.1 vdev_disk.c (`zfs_vdev_open_timeout_ms`, `vdev_disk_open`); the words, which are those
/// for any ENOENT, were seen in a virtual machine whose processors and disk were saturated.
#[must_use]
pub fn was_too_early(stderr: &str) -> bool {
    stderr.trim_end().ends_with(": no such pool or dataset")
}

fn path(disk: &DiskIdentity) -> String {
    format!("/dev/disk/by-id/{}", disk.link)
}

fn vdevs(layout: &PoolLayout) -> Vec<String> {
    let mut args = Vec::new();
    let mut class = VdevClass::Data;
    for vdev in layout.vdevs() {
        if vdev.class != class {
            class = vdev.class;
            args.extend(word(class).map(str::to_owned));
        }
        if vdev.raid != Raid::Single {
            args.push(vdev.raid.as_str().to_owned());
        }
        args.extend(vdev.disks.iter().map(|disk| path(disk)));
    }
    args
}

/// The word before the vdevs of a class. Source: zpool-create(8), zpoolconcepts(7).
fn word(class: VdevClass) -> Option<&'static str> {
    match class {
        VdevClass::Data => None,
        VdevClass::Log => Some("log"),
        VdevClass::Cache => Some("cache"),
        VdevClass::Spare => Some("spare"),
        VdevClass::Special => Some("special"),
        VdevClass::Dedup => Some("dedup"),
    }
}

#[cfg(test)]
mod tests {
    use quorate_model::ByteSize;
    use quorate_model::compression::Compression;
    use quorate_model::pool_layout::DisksBeside;

    use super::*;

    fn disk(link: &str) -> DiskIdentity {
        DiskIdentity {
            link: link.to_owned(),
            serial: None,
            wwn: None,
            model: None,
            size: ByteSize(0),
        }
    }

    fn layout(raid: Raid, disks: &[&str], beside: &[(VdevClass, &[&str])]) -> PoolLayout {
        let of = |links: &[&str]| links.iter().map(|link| disk(link)).collect::<Vec<_>>();
        PoolLayout {
            name: "data_zfs".parse().unwrap(),
            raid,
            disks: of(disks),
            data_vdevs: 1,
            beside: beside
                .iter()
                .map(|(class, links)| DisksBeside {
                    class: *class,
                    disks: of(links),
                })
                .collect(),
            ashift: 12,
            compression: Compression::On,
            autotrim: true,
            accepted: [].into(),
        }
    }

    fn line(raid: Raid, disks: &[&str], beside: &[(VdevClass, &[&str])]) -> String {
        let call = create(&Tools::imagined(), &layout(raid, disks, beside))
            .unwrap()
            .to_string();
        let begin = "/usr/bin/zpool create -o ashift=12 -o autotrim=on -O compression=on data_zfs ";
        call.strip_prefix(begin).unwrap().replace("/dev/disk/by-id/", "")
    }

    #[test]
    fn vdevs_are_written_as_zpool_wants_them() {
        assert_eq!(line(Raid::Single, &["a"], &[]), "a");
        assert_eq!(line(Raid::Mirror, &["a", "b", "c"], &[]), "mirror a b c");
        assert_eq!(line(Raid::Raid10, &["a", "b", "c", "d"], &[]), "mirror a b mirror c d");
        assert_eq!(line(Raid::Raidz2, &["a", "b", "c", "d"], &[]), "raidz2 a b c d");
        let beside: &[(VdevClass, &[&str])] = &[
            (VdevClass::Log, &["l", "m"]),
            (VdevClass::Cache, &["x", "y"]),
            (VdevClass::Spare, &["s"]),
            (VdevClass::Special, &["n", "o"]),
        ];
        assert_eq!(
            line(Raid::Mirror, &["a", "b"], beside),
            "mirror a b log mirror l m cache x y spare s special mirror n o"
        );
    }

    #[test]
    fn what_is_added_stands_by_itself_and_a_new_disk_comes_after_the_old_one() {
        let tools = Tools::imagined();
        let mut more = layout(
            Raid::Raidz,
            &["a", "b", "c", "d", "e", "f"],
            &[(VdevClass::Spare, &["s"])],
        );
        more.data_vdevs = 2;
        let call = add(&tools, &more).unwrap().to_string().replace("/dev/disk/by-id/", "");
        assert_eq!(
            call,
            "/usr/bin/zpool add -o ashift=12 data_zfs raidz a b c raidz d e f spare s"
        );
        let none: &[&str] = &[];
        let only_log = layout(Raid::Mirror, none, &[(VdevClass::Log, &["l"])]);
        let call = add(&tools, &only_log)
            .unwrap()
            .to_string()
            .replace("/dev/disk/by-id/", "");
        assert_eq!(call, "/usr/bin/zpool add -o ashift=12 data_zfs log l");
        let call = replace(&tools, &more.name, "/dev/disk/by-id/ata-A", &disk("ata-B"))
            .unwrap()
            .to_string();
        assert_eq!(
            call,
            "/usr/bin/zpool replace data_zfs /dev/disk/by-id/ata-A /dev/disk/by-id/ata-B"
        );
    }

    #[test]
    fn a_link_that_was_away_for_a_moment_is_told_from_other_failures() {
        let replace = "cannot replace /dev/disk/by-id/a-part1 with /dev/disk/by-id/b: ";
        assert!(was_too_early(&format!("{replace}no such pool or dataset\n")));
        assert!(!was_too_early(&format!("{replace}device is too small\n")));
        assert!(!was_too_early("cannot open 'tank': no such pool\n"));
        assert!(!was_too_early(""));
    }
}
