//! The last backups that vzdump made on this node: the logs that it keeps, one for each guest.

use quorate_model::Timestamp;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::{BackupEnd, GuestBackup};
use quorate_tools::vzdump_log::{self, FOLDER, TAIL};

use crate::host::{Host, ReadError, unreadable};

/// A folder with more logs than any cluster has guests is not what it seems, and is not read at every look.
const MOST: usize = 10_000;

/// Reads the logs' ends. Where there is no folder, no backup was ever made here.
pub(super) async fn observe(host: &Host) -> Result<Vec<GuestBackup>, Unknown> {
    let names = match host.root().read_dir(FOLDER) {
        Err(ReadError::NotFound { .. }) => return Ok(Vec::new()),
        names => names.map_err(unreadable)?,
    };
    let logs: Vec<_> = names
        .iter()
        .filter_map(|name| Some((name, vzdump_log::guest_of(name)?)))
        .collect();
    if logs.len() > MOST {
        let reason = format!(
            "{FOLDER} holds {} logs of guests, and at most {MOST} are read",
            logs.len()
        );
        return Err(Unknown::new(UnknownKind::Failed, reason));
    }
    let mut found = Vec::new();
    for (name, (kind, vmid)) in logs {
        if let Some((at, end)) = last(host, &format!("{FOLDER}/{name}"), vmid)? {
            found.push(GuestBackup { vmid, kind, at, end });
        }
        // Thousands of them take a while on a slow disk; others have their turn meanwhile.
        tokio::task::yield_now().await;
    }
    found.sort_by_key(|backup| (backup.vmid, backup.kind));
    Ok(found)
}

/// When a log was last written, and how it ends; `None`: it has just been removed.
fn last(host: &Host, path: &str, guest: u32) -> Result<Option<(Timestamp, BackupEnd)>, Unknown> {
    let Some(before) = there(host.root().modified(path))? else {
        return Ok(None);
    };
    let Some(text) = there(host.root().read_end(path, TAIL))? else {
        return Ok(None);
    };
    let Some(after) = there(host.root().modified(path))? else {
        return Ok(None);
    };
    // It was written between the looks: what was read and when it was written do not belong together, and whoever writes has not ended.
    let end = if before == after {
        vzdump_log::read(guest, &text)
    } else {
        BackupEnd::Open
    };
    Ok(Some((Timestamp::from_seconds(after), end)))
}

fn there<T>(read: Result<T, ReadError>) -> Result<Option<T>, Unknown> {
    match read {
        Err(ReadError::NotFound { .. }) => Ok(None),
        read => read.map(Some).map_err(unreadable),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::{Duration, UNIX_EPOCH};

    use quorate_model::observation::GuestKind;

    use super::super::testing::{Fake, fixture};
    use super::*;

    fn log(fake: &Fake, name: &str, text: &str, seconds: u64) {
        let path = format!("{FOLDER}/{name}");
        fake.put(&path, text);
        let file = File::options().write(true).open(fake.place(&path)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    #[tokio::test]
    async fn each_log_tells_of_the_last_backup_of_its_guest() {
        let fake = Fake::new();
        assert_eq!(observe(&fake.bare()).await, Ok(vec![]), "none was ever made here");
        let finished = fixture!("vzdump-log/pve-9/lxc-finished.log");
        log(&fake, "lxc-104.log", finished, 1_756_000_000);
        let long = "2025-08-24 00:05:03 INFO: 1% of it\n".repeat(20_000)
            + "2025-08-24 00:06:00 ERROR: Backup of VM 100 failed - no space\n";
        log(&fake, "qemu-100.log", &long, 1_756_000_060);
        log(&fake, "qemu-101.log", "", 1_756_000_070);
        log(&fake, "notes.txt", "of somebody else", 1_756_000_080);
        let backup = |vmid, kind, seconds, end| GuestBackup {
            vmid,
            kind,
            at: Timestamp::from_seconds(seconds),
            end,
        };
        let wanted = [
            backup(
                100,
                GuestKind::Vm,
                1_756_000_060,
                BackupEnd::Failed("no space".to_owned()),
            ),
            backup(101, GuestKind::Vm, 1_756_000_070, BackupEnd::Open),
            backup(104, GuestKind::Container, 1_756_000_000, BackupEnd::Finished),
        ];
        assert_eq!(observe(&fake.bare()).await, Ok(wanted.to_vec()));
    }

    #[tokio::test]
    async fn what_can_t_be_read_is_unknown() {
        let fake = Fake::new();
        fake.put(&format!("{FOLDER}/qemu-100.log/inside"), "");
        let unknown = observe(&fake.bare()).await.unwrap_err();
        assert!(
            unknown.reason.contains("qemu-100.log"),
            "a folder in a log's place: {}",
            unknown.reason
        );
    }
}
