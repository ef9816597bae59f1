//! `qm list` and `pct list`.

use super::Reply;
use crate::description::GuestKind;
use crate::world::server::Server;

pub(super) fn reply(server: &Server, tool: &str, args: &[&str]) -> Option<(u64, Reply)> {
    if args != ["list"] {
        return None;
    }
    let kind = if tool == "qm" { GuestKind::Qemu } else { GuestKind::Lxc };
    let guests = server.pmxcfs.replica.guests.iter();
    let own: Vec<_> = guests
        .filter(|(_, guest)| guest.kind == kind && guest.node == server.name())
        .collect();
    let mut text = String::new();
    if !own.is_empty() {
        text.push_str(match kind {
            GuestKind::Qemu => "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID       \n",
            GuestKind::Lxc => "VMID       Status     Lock         Name                \n",
        });
    }
    for (vmid, guest) in own {
        let line = match kind {
            GuestKind::Qemu => {
                format!(
                    "{vmid:>10} {:20} {:10} {:<10} {:>12.2} {:<10}\n",
                    guest.name, "stopped", 512, 32.0, 0
                )
            }
            GuestKind::Lxc => format!("{vmid:<10} {:10} {:12} {:20}\n", "stopped", "", guest.name),
        };
        text.push_str(&line);
    }
    Some((440, Reply::ok(text)))
}
