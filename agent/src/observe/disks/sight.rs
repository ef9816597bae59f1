//! Could lsblk see what a disk carries at all? It has signatures from udev's database or, for a device that is not in
//! there, reads the device itself. Where it may not, it shows a disk full of data like an empty one, without a word.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use nix::fcntl::OFlag;
use quorate_model::observation::eligibility::{Reason, ReasonKind};
use quorate_tools::lsblk::Device;

use crate::host::Host;

/// Opening a device reads nothing of it; what takes longer hangs.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// The disks of which it can't be told whether they carry anything, by path.
pub(super) async fn unseen(host: &Host, devices: &[Device]) -> BTreeMap<String, Reason> {
    let mut unseen = BTreeMap::new();
    for disk in devices.iter().filter(|device| device.kind == "disk") {
        if host.root().is_lab() || udev_knows(host, disk) {
            continue;
        }
        if let Err(error) = open(disk.path.clone()).await {
            let why = if error.kind() == io::ErrorKind::PermissionDenied && !nix::unistd::geteuid().is_root() {
                "without root".to_owned()
            } else {
                format!("({} can't be opened: {error})", disk.path)
            };
            let text = format!("whether it carries a file system or label can't be seen {why}");
            let kind = ReasonKind::SignaturesUnseen;
            unseen.insert(disk.path.clone(), Reason { kind, text });
        }
    }
    unseen
}

/// udev's database has a file for each device that udev has looked at, named by the device's number.
fn udev_knows(host: &Host, disk: &Device) -> bool {
    let number = host
        .root()
        .read_text(&format!("/sys/class/block/{}/dev", disk.sysfs_name()));
    number.is_ok_and(|number| {
        let entry = format!("/run/udev/data/b{}", number.trim());
        host.root().exists(&entry).unwrap_or(false)
    })
}

async fn open(path: String) -> io::Result<()> {
    let opening = tokio::task::spawn_blocking(move || {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        options.open(path).map(drop)
    });
    match tokio::time::timeout(OPEN_WITHIN, opening).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_)) | Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use quorate_clock::Clock;
    use quorate_exec::Tools;
    use quorate_exec::scripted::Scripted;

    use super::*;
    use crate::host::HostRoot;

    fn disk(path: &str) -> Device {
        let disk = format!(
            r#"{{"blockdevices":[{{"name":"q","kname":"no-such-device","path":{path:?},"type":"disk","size":1,"rota":false,"ro":false,"rm":false}}]}}"#
        );
        quorate_tools::lsblk::read(&disk).unwrap().remove(0)
    }

    #[tokio::test]
    async fn a_disk_that_nobody_could_read_is_not_taken_for_empty() {
        let readable = tempfile::NamedTempFile::new().unwrap();
        let readable = readable.path().to_str().unwrap();
        let tools = Tools::imagined();
        let host = Host::new(HostRoot::real(), tools, Arc::new(Scripted::new([])), Clock::system());
        let unseen = unseen(&host, &[disk(readable), disk("/dev/no-such-device")]).await;
        let reasons: Vec<_> = unseen
            .iter()
            .map(|(path, reason)| (path.as_str(), reason.kind))
            .collect();
        assert_eq!(reasons, [("/dev/no-such-device", ReasonKind::SignaturesUnseen)]);
        let text = &unseen["/dev/no-such-device"].text;
        assert!(
            text.starts_with("whether it carries a file system or label can't be seen"),
            "{text}"
        );
    }
}
