//! A server's package sources: Debian's, and PVE's for those without a subscription.

use std::io;

use super::put;
use crate::description::Role;
use crate::world::server::Server;

pub(crate) fn write(server: &Server) -> io::Result<()> {
    let apt = server.root.join("etc/apt");
    let pve = server.spec.role == Role::Pve;
    if server.spec.major() >= 9 {
        put(
            &apt.join("sources.list.d/debian.sources"),
            "Types: deb\nURIs: http://deb.debian.org/debian/\nSuites: trixie trixie-updates\nComponents: main contrib\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        )?;
        if pve {
            put(
                &apt.join("sources.list.d/proxmox.sources"),
                "Types: deb\nURIs: http://download.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-no-subscription\n\
                 Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n",
            )?;
        }
        return Ok(());
    }
    put(
        &apt.join("sources.list"),
        "deb http://deb.debian.org/debian bookworm main contrib\ndeb http://deb.debian.org/debian bookworm-updates main contrib\n",
    )?;
    if pve {
        put(
            &apt.join("sources.list.d/pve-install-repo.list"),
            "deb [arch=amd64] http://download.proxmox.com/debian/pve bookworm pve-no-subscription\n",
        )?;
    }
    Ok(())
}

/// The file that names the enterprise repository, and its text.
pub(crate) fn enterprise(server: &Server) -> (&'static str, &'static str) {
    if server.spec.major() >= 9 {
        (
            "etc/apt/sources.list.d/pve-enterprise.sources",
            "Types: deb\nURIs: https://enterprise.proxmox.com/debian/pve\nSuites: trixie\nComponents: pve-enterprise\n\
             Signed-By: /usr/share/keyrings/proxmox-archive-keyring.gpg\n",
        )
    } else {
        (
            "etc/apt/sources.list.d/pve-enterprise.list",
            "deb https://enterprise.proxmox.com/debian/pve bookworm pve-enterprise\n",
        )
    }
}
