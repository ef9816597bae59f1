//! Logs of backups, as vzdump leaves them; the backups themselves are not simulated.
//!
//! Source: pve-manager VZDump.pm (`exec_backup_task`), pve-guest-common VZDump/Plugin.pm (`debugmsg`).

use std::fs::File;
use std::io;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};

use super::clock;
use super::server::Server;
use crate::description::GuestKind;
use crate::plants::BackupIs;
use crate::roots;

/// What a backup took, from its first line to its end.
const TAKES: SignedDuration = SignedDuration::from_secs(22);

/// Writes the log of a guest's last backup, which was written last so many seconds ago.
pub(crate) fn log(server: &Server, (kind, vmid): (GuestKind, u32), ago: u32, end: &BackupIs) -> Result<(), String> {
    if !server.spec.is_pve() {
        return Err(format!("{} is no PVE node", server.name()));
    }
    let back = |by: SignedDuration, at: Timestamp| at.checked_sub(by).map_err(|error| error.to_string());
    let ended = back(SignedDuration::from_secs(i64::from(ago)), server.now())?;
    let text = text((kind, vmid), back(TAKES, ended)?, ended, end);
    let path = server.root.join(format!("var/log/vzdump/{}-{vmid}.log", kind.word()));
    let write = || -> io::Result<()> {
        roots::put(&path, &text)?;
        File::options()
            .write(true)
            .open(&path)?
            .set_modified(SystemTime::from(ended))
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// The lab's servers are in UTC.
fn text((kind, vmid): (GuestKind, u32), began: Timestamp, ended: Timestamp, end: &BackupIs) -> String {
    let (first, last) = (clock::log(began), clock::log(ended));
    let mut text = format!(
        "{first} INFO: Starting Backup of VM {vmid} ({})\n{first} INFO: status = running\n{first} INFO: backup mode: snapshot\n\
         {first} INFO: ionice priority: 7\n",
        kind.word()
    );
    match end {
        BackupIs::Made => text.push_str(&format!(
            "{last} INFO: Finished Backup of VM {vmid} (00:00:{})\n",
            TAKES.as_secs()
        )),
        BackupIs::Failed(why) => text.push_str(&format!("{last} ERROR: Backup of VM {vmid} failed - {why}\n")),
        BackupIs::Open => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/vzdump-log/pve-9/lxc-finished.log"
    ));

    #[test]
    fn a_log_begins_and_ends_as_vzdumps() {
        let ended: Timestamp = "2025-08-24T00:05:24Z".parse().unwrap();
        let began = ended.checked_sub(TAKES).unwrap();
        let text = text((GuestKind::Lxc, 104), began, ended, &BackupIs::Made);
        let ends = |text: &str| {
            (
                text.lines().next().map(str::to_owned),
                text.lines().last().map(str::to_owned),
            )
        };
        assert_eq!(ends(&text), ends(MADE));
    }
}
