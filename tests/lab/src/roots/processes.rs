//! Guests' processes as they show in a server's `/run` and `/proc`. Source: qemu-server Helpers.pm (`vm_running_locally`), pve-container
//! LXC.pm (`list_active_containers`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;

use super::put;
use crate::description::GuestKind;
use crate::world::server::Server;

const HEAD: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

/// Brings them up to date, if anything has changed.
pub(crate) fn show(server: &mut Server) -> io::Result<()> {
    let kind = |vmid: &u32| {
        let guest = server.pmxcfs.replica.guests.get(vmid);
        let before = server.seen_running.get(vmid).map(|(kind, _)| *kind);
        guest.map(|guest| guest.kind).or(before).unwrap_or(GuestKind::Qemu)
    };
    let now: BTreeMap<u32, (GuestKind, u32)> = server
        .running
        .iter()
        .map(|(vmid, process)| (*vmid, (kind(vmid), process.pid)))
        .collect();
    if now == server.seen_running {
        return Ok(());
    }
    let folder = server.root.join("run/qemu-server");
    for (vmid, (kind, pid)) in &server.seen_running {
        if *kind == GuestKind::Qemu && now.get(vmid) != Some(&(*kind, *pid)) {
            gone(fs::remove_file(folder.join(format!("{vmid}.pid"))))?;
            gone(fs::remove_dir_all(server.root.join(format!("proc/{pid}"))))?;
        }
    }
    let mut sockets = HEAD.to_owned();
    for (vmid, (kind, pid)) in &now {
        match kind {
            GuestKind::Qemu => {
                put(&server.root.join(format!("proc/{pid}/cmdline")), &cmdline(*vmid))?;
                put(&folder.join(format!("{vmid}.pid")), &format!("{pid}\n"))?;
            }
            GuestKind::Lxc => {
                let path = format!("@/var/lib/lxc/{vmid}/command");
                writeln!(
                    sockets,
                    "00000000e3c2a1b4: 00000002 00000000 00010000 0001 01 {pid} {path}"
                )
                .ok();
            }
        }
    }
    put(&server.root.join("proc/net/unix"), &sockets)?;
    server.seen_running = now;
    Ok(())
}

fn cmdline(vmid: u32) -> String {
    let parts = [
        "/usr/bin/kvm".to_owned(),
        "-id".to_owned(),
        vmid.to_string(),
        "-no-shutdown".to_owned(),
        "-pidfile".to_owned(),
        format!("/var/run/qemu-server/{vmid}.pid"),
        "-daemonize".to_owned(),
    ];
    parts.join("\0") + "\0"
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
