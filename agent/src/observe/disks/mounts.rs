//! What is mounted where on the host, and not in the sandbox of a service.
//!
//! lsblk takes mount points from its own namespace, which is the agent's. In a sandbox of systemd's, parts of the system are mounted a
//! second time to make them read-only, and others are hidden under something empty. What counts for a disk is what PID 1 sees.

use std::collections::BTreeSet;

use quorate_model::facet::Unknown;
use quorate_tools::lsblk::{Device, SWAP};
use quorate_tools::mountinfo::{self, Mount};

use crate::host::{Host, ReadError, unparsable, unreadable};

/// As PID 1 sees it, and as we do.
const OF_INIT: &str = "/proc/1/mountinfo";
const OUR_OWN: &str = "/proc/self/mountinfo";

/// Puts right what lsblk said of mount points. Where there are no tables of mounts, as in a lab, lsblk's word stands.
///
/// # Errors
/// PID 1 can't be looked at: then a mount that the sandbox hides would pass for none.
pub(super) fn as_on_the_host(host: &Host, devices: &mut [Device]) -> Result<(), Unknown> {
    let own = match host.root().read_text(OUR_OWN) {
        Err(ReadError::NotFound { .. }) => return Ok(()),
        own => own.map_err(unreadable)?,
    };
    let of_init = host.root().read_text(OF_INIT).map_err(unreadable)?;
    if of_init == own {
        return Ok(());
    }
    let mounts = mountinfo::read(&of_init).map_err(unparsable)?;
    let points: BTreeSet<&str> = mounts.iter().map(|mount| mount.point.as_str()).collect();
    devices
        .iter_mut()
        .for_each(|device| put_right(host, device, &mounts, &points));
    Ok(())
}

fn put_right(host: &Host, device: &mut Device, mounts: &[Mount], points: &BTreeSet<&str>) {
    device
        .mountpoints
        .retain(|point| point == SWAP || points.contains(point.as_str()));
    let number = host
        .root()
        .read_text(&format!("/sys/class/block/{}/dev", device.sysfs_name()));
    let number = number.unwrap_or_default();
    let path = device.path.clone();
    let of_it = |mount: &&Mount| mount.device == number.trim() || mount.source == path;
    for mount in mounts.iter().filter(of_it) {
        if !device.mountpoints.contains(&mount.point) {
            device.mountpoints.push(mount.point.clone());
        }
    }
    device
        .children
        .iter_mut()
        .for_each(|child| put_right(host, child, mounts, points));
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Fake;
    use super::*;

    const LSBLK: &str = r#"{"blockdevices": [
        {"name": "sda", "kname": "sda", "path": "/dev/sda", "type": "disk", "size": 1, "rota": false, "ro": false, "rm": false,
         "mountpoints": [null], "children": [
            {"name": "sda1", "kname": "sda1", "path": "/dev/sda1", "type": "part", "size": 1, "rota": false, "ro": false, "rm": false,
             "mountpoints": ["/var/lib/quorate-agent", "/usr", "/"]},
            {"name": "sda2", "kname": "sda2", "path": "/dev/sda2", "type": "part", "size": 1, "rota": false, "ro": false, "rm": false,
             "mountpoints": ["[SWAP]"]},
            {"name": "sda3", "kname": "sda3", "path": "/dev/sda3", "type": "part", "size": 1, "rota": false, "ro": false, "rm": false,
             "mountpoints": [null]}]}]}"#;
    const INIT: &str = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                        22 21 8:3 / /home rw - ext4 /dev/root rw\n\
                        23 21 8:3 /sub /srv rw - ext4 /dev/root rw\n";
    const SANDBOX: &str = "41 1 8:1 / / ro - ext4 /dev/sda1 rw\n\
                           42 41 8:1 /usr /usr ro - ext4 /dev/sda1 rw\n\
                           43 41 8:1 /var/lib/quorate-agent /var/lib/quorate-agent rw - ext4 /dev/sda1 rw\n";

    fn seen(fake: &Fake) -> Vec<Vec<String>> {
        let mut devices = quorate_tools::lsblk::read(LSBLK).unwrap();
        as_on_the_host(&fake.bare(), &mut devices).unwrap();
        devices
            .iter()
            .flat_map(Device::tree)
            .map(|device| device.mountpoints.clone())
            .collect()
    }

    #[test]
    fn what_a_sandbox_adds_and_hides_is_not_seen() {
        let fake = Fake::new();
        fake.put("/sys/class/block/sda3/dev", "8:3\n");
        let as_lsblk_says = [
            vec![],
            vec!["/var/lib/quorate-agent", "/usr", "/"],
            vec!["[SWAP]"],
            vec![],
        ];
        assert_eq!(seen(&fake), as_lsblk_says, "there are no tables of mounts");
        fake.put("/proc/self/mountinfo", SANDBOX);
        let mut devices = quorate_tools::lsblk::read(LSBLK).unwrap();
        let unknown = as_on_the_host(&fake.bare(), &mut devices).unwrap_err();
        assert!(unknown.reason.contains("/proc/1/mountinfo"), "{unknown:?}");
        fake.put("/proc/1/mountinfo", INIT);
        fake.put("/proc/self/mountinfo", INIT);
        assert_eq!(seen(&fake), as_lsblk_says, "we are in no sandbox");
        fake.put("/proc/self/mountinfo", SANDBOX);
        assert_eq!(seen(&fake), [vec![], vec!["/"], vec!["[SWAP]"], vec!["/home", "/srv"]]);
        fake.put("/proc/1/mountinfo", "nonsense\n");
        let mut devices = quorate_tools::lsblk::read(LSBLK).unwrap();
        assert!(as_on_the_host(&fake.bare(), &mut devices).is_err());
    }
}
