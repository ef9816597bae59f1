//! The agent inside of a machine, and programs inside of a container: as far as whoever counts a guest's writes needs them.

use serde_json::json;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::inside;
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

/// The most that `qm guest exec --pass-stdin 1` takes. Source: qemu-server CLI/qm.pm.
const MOST: usize = 1 << 20;

/// `qm guest exec ID [OPTIONS] -- PROGRAM ARGUMENT…`; it ends with 0 whatever the program did.
pub(super) async fn exec(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let mut parts = args.splitn(2, |arg| *arg == "--");
    let (before, program) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (Some(Ok(vmid)), false) = (before.first().map(|vmid| vmid.parse::<u32>()), program.is_empty()) else {
        return unknown(call).await;
    };
    let (_, options) = super::options(before.get(1..).unwrap_or_default());
    let stdin = match options.get("pass-stdin").map(String::as_str) {
        Some("1") => call.io.rest().await?,
        _ => Vec::new(),
    };
    if stdin.len() > MOST {
        let text = "'input-data' (STDIN) is limited to 1 MiB, aborting\n";
        return call.reply(20, Reply::fail(255, text)).await;
    }
    if let Some(text) = silent(call, vmid, GuestKind::Qemu) {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    let ran = inside::run(call, vmid, program, &stdin);
    let mut answer = json!({"exited": 1, "exitcode": ran.code});
    for (key, text) in [("out-data", ran.out), ("err-data", ran.err)] {
        if let (false, Some(map)) = (text.is_empty(), answer.as_object_mut()) {
            map.insert(key.to_owned(), json!(text));
        }
    }
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    call.reply(200, Reply::ok(format!("{text}\n"))).await
}

/// `pct exec ID -- PROGRAM ARGUMENT…`: it ends as the program does.
pub(super) async fn inside(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some((Ok(vmid), program)) = args.split_first().map(|(vmid, rest)| (vmid.parse::<u32>(), rest)) else {
        return unknown(call).await;
    };
    if let Some(text) = silent(call, vmid, GuestKind::Lxc) {
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    let program: Vec<&str> = program.iter().copied().filter(|word| *word != "--").collect();
    let ran = inside::run(call, vmid, &program, &[]);
    call.io.err(&ran.err).await?;
    let reply = if ran.code == 0 {
        Reply::ok(ran.out)
    } else {
        Reply::fail(ran.code, "")
    };
    call.reply(200, reply).await
}

/// `pct push ID FILE DESTINATION`. Source: pve-container CLI/pct.pm.
pub(super) async fn push(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let Some((Ok(vmid), rest)) = args.split_first().map(|(vmid, rest)| (vmid.parse::<u32>(), rest)) else {
        return unknown(call).await;
    };
    let (words, options) = super::options(rest);
    let ([file, destination], true) = (words.as_slice(), options.keys().all(|key| key == "perms")) else {
        return unknown(call).await;
    };
    let not_there = || silent(call, vmid, GuestKind::Lxc);
    if let Some(text) = not_there() {
        let stopped = text.ends_with("not running!");
        let text = if stopped {
            "can only push files to a running CT".to_owned()
        } else {
            text
        };
        return call.reply(20, Reply::fail(255, format!("{text}\n"))).await;
    }
    match std::fs::read(file) {
        Ok(bytes) => {
            inside::put(call, vmid, destination, &bytes);
            call.reply(150, Reply::default()).await
        }
        Err(_) => {
            let text = format!("failed to open {file} for reading\n");
            call.reply(20, Reply::fail(255, text)).await
        }
    }
}
