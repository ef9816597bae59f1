//! `systemd-run --on-active`: a timer that fires in the world, whoever is dead by then.

use std::time::Duration;

use super::io::Stop;
use super::systemctl::start_unit;
use super::{Call, Reply, unknown};
use crate::world::complain;
use crate::world::nft::Timer;
use crate::world::state::State;

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
            let vmid = vmid.parse().unwrap_or(0);
            if state.get(index).is_some_and(|server| server.guest(vmid).is_some()) {
                state.start_guest_now(index, vmid);
            }
        }
        // The agent takes the disk in again as well; the world's own `zpool online` needs a call.
        ("zpool", ["online", ..]) => {}
        _ => complain(&format!("a timer does not know how to run {words:?}")),
    }
}
