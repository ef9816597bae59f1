//! `pveversion`.

use serde_json::{Value, json};

use super::Reply;
use crate::roots::proc;
use crate::world::packages;
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
            let packages: String = packages::pve(major >= 9)
                .iter()
                .map(|(name, _)| match server.packages.version(name) {
                    Some(version) => format!("{name}: {version}\n"),
                    None => format!("{name}: not correctly installed\n"),
                })
                .collect();
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
