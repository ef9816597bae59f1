//! `cargo lab status`.

use super::output::line;
use super::{ask, place};
use crate::control::{Answer, GuestStatus, Request, ServerStatus};

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
        for guest in &server.guests {
            line(&format!("  {:8} {}", "", guest_line(guest)));
        }
        for text in server.misbehaviour {
            line(&format!("  {:8} {text}", ""));
        }
    }
    Ok(())
}

/// `guest 100 runs, at write 243`; `guest 100: a copy up to write 120`.
fn guest_line(guest: &GuestStatus) -> String {
    let (vmid, number) = (guest.vmid, guest.number);
    match (guest.running, guest.owned) {
        (true, _) => format!("guest {vmid} runs, at write {number}"),
        (false, true) => format!("guest {vmid} does not run, at write {number}"),
        (false, false) => format!("guest {vmid}: a copy up to write {number}"),
    }
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
