//! `corosync-quorumtool`.

use std::fmt::Write as _;

use super::Reply;
use crate::world::clock;
use crate::world::corosync::Corosync;
use crate::world::qdevice::Flag;
use crate::world::server::Server;

const COST: u64 = 18;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let reply = match args {
        ["-s"] => status(server, false),
        ["-siH"] => status(server, true),
        ["-l"] => members(server, false),
        _ => return None,
    };
    Some((COST, reply))
}

/// `-s`, or `-siH`: addresses and hexadecimal numbers. Ends with 2 without quorum.
pub(super) fn status(server: &Server, raw: bool) -> Reply {
    let Some(corosync) = &server.corosync else {
        return Reply::fail(1, "Cannot initialize CMAP service\n");
    };
    let node = if raw {
        format!("0x{:08x}", corosync.node_id)
    } else {
        corosync.node_id.to_string()
    };
    let yes = corosync.quorate;
    let mut text = format!(
        "Quorum information\n------------------\nDate:             {}\nQuorum provider:  corosync_votequorum\n\
         Nodes:            {}\nNode ID:          {node}\nRing ID:          {}\nQuorate:          {}\n\n",
        clock::ctime(server.now()),
        corosync.members.len(),
        corosync.ring_id(),
        if yes { "Yes" } else { "No" },
    );
    write!(
        text,
        "Votequorum information\n----------------------\nExpected votes:   {}\nHighest expected: {}\n\
         Total votes:      {}\nQuorum:           {} {}\nFlags:            {}\n\n",
        corosync.expected_votes,
        corosync.expected_votes,
        corosync.total_votes(),
        corosync.quorum(),
        if yes { " " } else { "Activity blocked" },
        flags(corosync),
    )
    .ok();
    text.push_str(&membership(corosync, raw));
    Reply {
        stdout: text,
        stderr: String::new(),
        code: if yes { 0 } else { 2 },
    }
}

/// `-l`: the members alone, after an empty line.
pub(super) fn members(server: &Server, raw: bool) -> Reply {
    match &server.corosync {
        Some(corosync) => Reply::ok(format!("\n{}", membership(corosync, raw))),
        None => Reply::fail(1, "Cannot initialize QUORUM service\n"),
    }
}

/// The device's flag stands where its daemon is registered with this corosync, alive or not.
fn flags(corosync: &Corosync) -> String {
    let mut text = String::new();
    if corosync.quorate {
        text.push_str("Quorate ");
    }
    if corosync.device_registered {
        text.push_str("Qdevice ");
    }
    text
}

/// With a quorum device, also after it was removed, there is one more column, and a row of its own.
fn membership(corosync: &Corosync, raw: bool) -> String {
    let device = corosync.conf.device.is_some() || corosync.device_seen;
    let column = if device { "    Qdevice" } else { "" };
    let mut text = format!("Membership information\n----------------------\n    Nodeid      Votes{column} Name\n");
    let number = |id: u32| {
        if raw {
            format!("0x{id:08x}")
        } else {
            format!("{id:>10}")
        }
    };
    for id in &corosync.members {
        let votes = corosync.conf.node(*id).map_or(0, |node| node.votes);
        let local = if *id == corosync.node_id { " (local)" } else { "" };
        let name = if raw {
            corosync.first_address_of(*id)
        } else {
            corosync.name_of(*id)
        };
        let flag = corosync.device_flags.get(id).copied().unwrap_or(Flag::NotRegistered);
        let flag = if device {
            format!(" {:>10}", flag.to_string())
        } else {
            String::new()
        };
        writeln!(text, "{} {votes:>10}{flag} {name}{local}", number(*id)).ok();
    }
    if device {
        let cast = corosync.device_vote;
        let configured = corosync.conf.device_votes();
        let note = if cast == 0 {
            format!(" (votes {configured})")
        } else {
            String::new()
        };
        writeln!(text, "{} {cast:>10}            Qdevice{note}", number(0)).ok();
    }
    text
}
