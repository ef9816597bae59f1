//! The agent inside of a machine, and programs inside of a container: as far as whoever counts a guest's writes needs them.

use serde_json::json;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use crate::description::GuestKind;
use crate::world::state::guests::no_conf;

/// Why nobody inside answers.
fn silent(call: &Call, vmid: u32, kind: GuestKind) -> Option<String> {
    call.server(|server, _| {
        let Some(guest) = server.guest(vmid).filter(|guest| guest.kind == kind) else {
            return Some(no_conf(server.name(), kind, vmid));
        };
        let enabled = guest.value("agent").unwrap_or("0");
        if kind == GuestKind::Qemu && !(enabled.starts_with('1') || enabled.contains("enabled=1")) {
            return Some("No QEMU guest agent configured".to_owned());
        }
        (!server.running.contains_key(&vmid)).then(|| match kind {
            GuestKind::Qemu => format!("VM {vmid} is not running"),
            GuestKind::Lxc => format!("container '{vmid}' not running!"),
        })
    })
    .flatten()
}

pub(super) async fn command(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let [vmid, command] = args else {
        return unknown(call).await;
    };
    let Ok(vmid) = vmid.parse() else {
        return unknown(call).await;
    };
    if let Some(text) = silent(call, vmid, GuestKind::Qemu) {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    match *command {
        "ping" => call.reply(20, Reply::default()).await,
        "get-host-name" => {
            let name = call
                .server(|server, _| server.guest(vmid).map(|guest| guest.name(vmid)))
                .flatten();
            let text = format!("{{\n   \"host-name\" : \"{}\"\n}}\n", name.unwrap_or_default());
            call.reply(20, Reply::ok(text)).await
        }
        _ => unknown(call).await,
    }
}

/// `qm guest exec ID [OPTIONS] -- PROGRAM ARGUMENT…`; it ends with 0 whatever the program did.
pub(super) async fn exec(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut parts = args.splitn(2, |arg| *arg == "--");
    let (before, program) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (Some(Ok(vmid)), false) = (before.first().map(|vmid| vmid.parse::<u32>()), program.is_empty()) else {
        return unknown(call).await;
    };
    if let Some(text) = silent(call, vmid, GuestKind::Qemu) {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    let out = output(call, vmid, program);
    let mut answer = json!({"exited": 1, "exitcode": 0});
    if let (false, Some(map)) = (out.is_empty(), answer.as_object_mut()) {
        map.insert("out-data".to_owned(), json!(out));
    }
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    call.reply(200, Reply::ok(format!("{text}\n"))).await
}

/// `pct exec ID -- PROGRAM ARGUMENT…`.
pub(super) async fn inside(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some((Ok(vmid), program)) = args.split_first().map(|(vmid, rest)| (vmid.parse::<u32>(), rest)) else {
        return unknown(call).await;
    };
    if let Some(text) = silent(call, vmid, GuestKind::Lxc) {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    let program: Vec<&str> = program.iter().copied().filter(|word| *word != "--").collect();
    call.reply(200, Reply::ok(output(call, vmid, &program))).await
}

/// What a program inside prints: the number of the last write, if it asks for a number; everything else is silent.
fn output(call: &Call, vmid: u32, program: &[&str]) -> String {
    let asks = program
        .iter()
        .any(|word| word.contains("number") && !word.contains('>'));
    let number = call.world.with(|state| state.number_of(call.node, vmid));
    if asks { format!("{number}\n") } else { String::new() }
}
