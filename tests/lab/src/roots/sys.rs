//! `/sys/class/net` of a server.

use std::io;

use super::put;
use crate::world::server::Server;

pub(crate) fn write_network(server: &Server) -> io::Result<()> {
    let class = server.root.join("sys/class/net");
    for (name, (carrier, speed)) in server.interfaces() {
        let folder = class.join(name);
        put(&folder.join("operstate"), if carrier { "up\n" } else { "down\n" })?;
        put(&folder.join("carrier"), if carrier { "1\n" } else { "0\n" })?;
        // Without a carrier the kernel tells -1 and "unknown".
        let (speed, half) = server.hardware.speeds.get(name).copied().unwrap_or((speed, false));
        put(
            &folder.join("speed"),
            &if carrier {
                format!("{speed}\n")
            } else {
                "-1\n".to_owned()
            },
        )?;
        put(&folder.join("duplex"), duplex(carrier, half))?;
        put(&folder.join("mtu"), &format!("{}\n", server.hardware.mtu(name)))?;
        put(&folder.join("address"), &format!("{}\n", mac(server, name)))?;
        if name == "vmbr0" {
            put(&folder.join("bridge/stp_state"), "0\n")?;
        } else {
            put(&folder.join("device/vendor"), "0x8086\n")?;
        }
    }
    let lo = class.join("lo");
    put(&lo.join("operstate"), "unknown\n")?;
    put(&lo.join("carrier"), "1\n")?;
    put(&lo.join("mtu"), "65536\n")
}

fn duplex(carrier: bool, half: bool) -> &'static str {
    match (carrier, half) {
        (false, _) => "unknown\n",
        (true, true) => "half\n",
        (true, false) => "full\n",
    }
}

/// The bridge has its port's address.
pub(crate) fn mac(server: &Server, interface: &str) -> String {
    let port = if interface == "eno2" { 2 } else { 1 };
    format!("3c:ec:ef:10:{:02x}:{port:02x}", server.index + 1)
}
