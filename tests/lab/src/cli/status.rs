//! `cargo lab status`.

use super::output::line;
use super::{ask, place};
use crate::control::{Answer, Request, ServerStatus};

pub(super) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let Answer::Status(servers) = ask(Request::Status).await? else {
        return Err("the world gave no status".into());
    };
    line(&format!("lab in {}", place::find()?.display()));
    for server in servers {
        let cluster = server.cluster.as_deref().unwrap_or("standalone");
        line(&format!(
            "  {:8} {:15} {cluster:12} {}",
            server.name,
            server.address,
            state(&server)
        ));
        for text in server.misbehaviour {
            line(&format!("  {:8} {text}", ""));
        }
    }
    Ok(())
}

fn state(server: &ServerStatus) -> String {
    if server.off {
        return "off".to_owned();
    }
    let quorum = if server.members.is_empty() {
        "no corosync".to_owned()
    } else {
        let word = if server.quorate { "quorate" } else { "NOT quorate" };
        format!("{word} with {}", server.members.join(", "))
    };
    let pve = match (server.mounted, server.writable) {
        (false, _) => "not mounted",
        (true, true) => "writable",
        (true, false) => "read-only",
    };
    let cut = if server.cut.is_empty() {
        String::new()
    } else {
        format!(", cut: {}", server.cut.join(", "))
    };
    format!("{quorum}, /etc/pve {pve}{cut}")
}
