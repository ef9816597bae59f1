//! `systemd-run --on-active`: a timer that fires in the world, whoever is dead by then.

use std::time::Duration;

use super::io::Stop;
use super::systemctl::start_unit;
use super::zpool::online_by_timer;
use super::{Call, Reply, unknown};
use crate::world::complain;
use crate::world::nft::Timer;
use crate::world::state::State;
use crate::world::under_ha;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let split = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
    let (options, command) = args.split_at(split);
    let value = |name: &str| options.iter().find_map(|option| option.strip_prefix(name));
    let after = value("--on-active=").and_then(|time| time.strip_suffix("ms")?.parse().ok());
    let (Some(after), Some(unit), Some(argv)) = (
        after,
        value("--unit="),
        command.get(1..).filter(|argv| !argv.is_empty()),
    ) else {
        return unknown(call).await;
    };
    let (unit, argv) = (
        format!("{unit}.timer"),
        argv.iter().map(|word| (*word).to_owned()).collect(),
    );
    let after = call.world.pace.simulated(Duration::from_millis(after));
    let reply = call.world.with(|state| {
        let at = state.now + after;
        let server = state.servers.get_mut(call.node)?;
        if server.timers.iter().any(|timer| timer.unit == unit) {
            // Source: systemd's dbus-manager.c, not seen.
            let text = format!(
                "Failed to start transient timer unit: Unit {unit} was already loaded or has a fragment file.\n"
            );
            return Some(Reply::fail(1, text));
        }
        server.timers.push(Timer { unit, at, argv });
        Some(Reply::default())
    });
    call.reply(25, reply.unwrap_or_default()).await
}

/// PID 1 runs the command. What fails, fails unseen.
pub(crate) fn fire(state: &mut State, index: usize, argv: &[String]) {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let Some((program, args)) = words.split_first() else {
        return;
    };
    let tool = program.rsplit('/').next().unwrap_or(program);
    match (tool, args) {
        ("nft", ["delete", "table", family, name]) => {
            if let Some(server) = state.servers.get_mut(index) {
                server.nft.tables.remove(&((*family).to_owned(), (*name).to_owned()));
            }
        }
        ("systemctl", ["start", unit]) => start_unit(state, index, unit),
        ("qm", ["start", vmid]) => {
            start_guest(state, index, vmid.parse().unwrap_or(0));
        }
        ("zpool", ["online", pool, device]) => online_by_timer(state, index, pool, device),
        _ => complain(&format!("a timer does not know how to run {words:?}")),
    }
}

/// `qm start`, which leaves to HA what HA looks after, and refuses what it refuses.
fn start_guest(state: &mut State, index: usize, vmid: u32) {
    let Some(server) = state.get(index) else { return };
    let Some(kind) = server.guest(vmid).map(|guest| guest.kind) else {
        return;
    };
    if under_ha::is_managed(&server.pmxcfs.replica, kind, vmid) {
        let asked = state.write(index, |replica| {
            under_ha::request_state(replica, kind, vmid, "started");
        });
        if asked.is_err() {
            complain(&format!("a timer could not ask HA for guest {vmid}"));
        }
    } else if state.start_guest_refusal(index, vmid).is_none() {
        state.start_guest_now(index, vmid);
    }
}
