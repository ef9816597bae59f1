//! `pveversion`.

use serde_json::{Value, json};

use super::Reply;
use crate::roots::proc;
use crate::world::server::Server;

const REPOID: &str = "2606ac85d1f3a9b4";

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let version = &server.spec.pve_version;
    let kernel = proc::kernel(server);
    match args {
        [] => Some((
            950,
            Reply::ok(format!("pve-manager/{version}/{REPOID} (running kernel: {kernel})\n")),
        )),
        ["-v" | "--verbose"] => {
            let major = server.spec.major();
            let packages = if major >= 9 { TRIXIE } else { BOOKWORM };
            let text = format!(
                "proxmox-ve: {major}.0.0 (running kernel: {kernel})\n\
                 pve-manager: {version} (running version: {version}/{REPOID})\n\
                 proxmox-kernel-{kernel}-signed: {}\n{packages}",
                kernel.trim_end_matches("-pve")
            );
            Some((957, Reply::ok(text)))
        }
        _ => None,
    }
}

/// `/version` of the API.
pub(super) fn json(server: &Server) -> Value {
    let version = &server.spec.pve_version;
    let release = version.rsplitn(2, '.').last().unwrap_or(version);
    json!({"release": release, "repoid": REPOID, "version": version})
}

const BOOKWORM: &str = "ceph-fuse: 17.2.7-pve3\ncorosync: 3.1.7-pve3\nlibpve-access-control: 8.2.3\n\
                        libpve-cluster-perl: 8.1.3\nlibpve-common-perl: 8.3.8\nlibpve-storage-perl: 8.3.8\n\
                        pve-cluster: 8.1.3\npve-container: 5.3.5\npve-ha-manager: 4.0.7\nqemu-server: 8.4.10\n\
                        smartmontools: 7.3-pve1\nzfsutils-linux: 2.2.7-pve2\n";
const TRIXIE: &str = "ceph-fuse: 19.2.3-pve1\ncorosync: 3.1.9-pve2\nlibpve-access-control: 9.1.1\n\
                      libpve-cluster-perl: 9.1.6\nlibpve-common-perl: 9.2.1\nlibpve-storage-perl: 9.1.7\n\
                      pve-cluster: 9.1.6\npve-container: 6.0.9\npve-ha-manager: 5.0.4\nqemu-server: 9.0.19\n\
                      smartmontools: 7.4-pve1\nzfsutils-linux: 2.3.4-pve1\n";
