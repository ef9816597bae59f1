//! `/etc` of a server.

use std::io;

use super::put;
use crate::description::{OwnName, ServerSpec};
use crate::world::server::Server;

pub(crate) fn write(server: &Server) -> io::Result<()> {
    let etc = server.root.join("etc");
    let name = server.name();
    put(&etc.join("hostname"), &format!("{name}\n"))?;
    put(&etc.join("hosts"), &hosts(name, server.index, server.spec.own_name))?;
    put(&etc.join("resolv.conf"), "search lab.example\nnameserver 192.168.1.1\n")?;
    put(
        &etc.join("machine-id"),
        &format!("{:016x}{:016x}\n", 0x5151_0000 + server.index, server.index + 1),
    )?;
    put(&etc.join("os-release"), &os_release(server.spec.major()))?;
    put(
        &etc.join("debian_version"),
        if server.spec.major() >= 9 { "13.1\n" } else { "12.11\n" },
    )?;
    put(&etc.join("network/interfaces"), &interfaces(server))
}

/// `/etc/hosts`: what PVE's or Debian's installer writes about the own name, or nothing.
pub(crate) fn hosts(name: &str, index: usize, own_name: OwnName) -> String {
    let own = match own_name {
        OwnName::Address => format!("{} {name}.lab.example {name}\n", ServerSpec::public_address(index)),
        OwnName::Loopback => format!("127.0.1.1 {name}.lab.example {name}\n"),
        OwnName::Missing => String::new(),
    };
    format!(
        "127.0.0.1 localhost.localdomain localhost\n{own}\n::1     ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\n"
    )
}

/// What `/etc/hosts` calls a server.
pub(crate) fn names(name: &str) -> String {
    format!("{name}.lab.example {name}")
}

fn os_release(major: u32) -> String {
    let (number, word) = if major >= 9 { (13, "trixie") } else { (12, "bookworm") };
    format!(
        "PRETTY_NAME=\"Debian GNU/Linux {number} ({word})\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"{number}\"\n\
         VERSION=\"{number} ({word})\"\nVERSION_CODENAME={word}\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n\
         SUPPORT_URL=\"https://www.debian.org/support\"\nBUG_REPORT_URL=\"https://bugs.debian.org/\"\n"
    )
}

fn interfaces(server: &Server) -> String {
    format!(
        "auto lo\niface lo inet loopback\n\niface eno1 inet manual\n\nauto eno2\niface eno2 inet static\n\taddress {}/24\n\n\
         auto vmbr0\niface vmbr0 inet static\n\taddress {}/24\n\tgateway 192.168.1.1\n\tbridge-ports eno1\n\tbridge-stp off\n\
         \tbridge-fd 0\n\nsource /etc/network/interfaces.d/*\n",
        server.cluster(),
        server.public()
    )
}
