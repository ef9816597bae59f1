//! `pve-firewall status`.

use super::Reply;
use crate::world::server::Server;
use crate::world::units;

/// From the tool's source: `Status: enabled/running`; a service that does not run ends with the same words.
pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    if args != ["status"] {
        return None;
    }
    let text = server.pmxcfs.replica.files.get("firewall/cluster.fw");
    let enabled = text.is_some_and(|text| {
        text.lines()
            .skip_while(|line| !line.trim().eq_ignore_ascii_case("[OPTIONS]"))
            .any(|line| line.replace(' ', "").eq_ignore_ascii_case("enable:1"))
    });
    let words = format!(
        "Status: {}/{}\n",
        if enabled { "enabled" } else { "disabled" },
        if units::runs(server, "pve-firewall") {
            "running"
        } else {
            "stopped"
        }
    );
    Some((420, Reply::ok(words)))
}
