//! What `systemctl` does to units, and to the whole server.

use std::time::Duration;

use super::super::io::Stop;
use super::super::{Call, Reply, unknown};
use super::{COST, full, plain};
use crate::plants::ServiceIs;
use crate::roots;
use crate::world::complain;
use crate::world::oplog::What;
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::units::{self, Active};

/// `start`, `stop` and their kin, one unit after another.
pub(super) async fn order(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let words: Vec<&str> = args
        .iter()
        .copied()
        .filter(|arg| !["--quiet", "-q", "--no-ask-password"].contains(arg))
        .collect();
    let Some((verb, names)) = words.split_first().filter(|(_, names)| plain(names)) else {
        return unknown(call).await;
    };
    let mut code = 0;
    let mut stderr = String::new();
    for name in names {
        if *verb == "stop" && call.world.with(|state| timer_ends(state, call.node, name)) {
            continue;
        }
        let Some(unit) = call.server(|server, _| units::on(server, name)).flatten() else {
            stderr.push_str(&format!(
                "Failed to {} {}: Unit {} not found.\n",
                verb,
                full(name),
                full(name)
            ));
            code = 5;
            continue;
        };
        if call.server(|server, _| units::file(server, unit.name)) == Some("masked") && *verb != "stop" {
            stderr.push_str(&format!("Failed to {verb} {0}: Unit {0} is masked.\n", full(name)));
            code = 1;
            continue;
        }
        call.io.pause(cost(unit.name, verb)).await?;
        if !matches!(*verb, "start" | "try-restart") {
            stop_ha(call, unit.name).await?;
        }
        let result = call.world.with(|state| obey(state, call.node, unit.name, verb));
        if let Err(Refused) = result {
            let full = full(name);
            stderr.push_str(&format!(
                "Job for {full} failed because the control process exited with error code.\nSee \"systemctl status {full}\" and \
                 \"journalctl -xeu {full}\" for details.\n"
            ));
            code = 1;
        }
    }
    // What follows at once is there when the command ends.
    call.world.with(|_| ());
    call.io.err(&stderr).await?;
    Ok(code)
}

/// A transient timer that is stopped is gone.
fn timer_ends(state: &mut State, index: usize, unit: &str) -> bool {
    let Some(server) = state.servers.get_mut(index) else {
        return false;
    };
    let before = server.timers.len();
    server.timers.retain(|timer| timer.unit != unit);
    server.timers.len() < before
}

/// HA's daemons end in their rounds. The LRM first has its guests frozen: that is for ever without a master.
async fn stop_ha(call: &Call, unit: &str) -> Result<(), Stop> {
    let runs = |server: &Server| match unit {
        "pve-ha-lrm" => server.ha.lrm.is_some(),
        "pve-ha-crm" => server.ha.crm.is_some(),
        _ => false,
    };
    if call.server(|server, _| runs(server)) != Some(true) {
        return Ok(());
    }
    call.world.with(|state| match unit {
        "pve-ha-lrm" => state.stop_lrm(call.node),
        _ => state.stop_crm(call.node),
    });
    while call.server(|server, _| runs(server)).unwrap_or(false) {
        call.io.pause(Duration::from_millis(200)).await?;
    }
    Ok(())
}

/// As PVE's calls were seen to take.
fn cost(unit: &str, verb: &str) -> Duration {
    let ms = match (unit, verb) {
        ("pve-cluster", "stop") => 320,
        ("pve-cluster", "start") => 1050,
        ("pve-cluster", _) => 1370,
        ("corosync", _) => 450,
        ("pveproxy" | "pvedaemon", _) => 2000,
        _ => 200,
    };
    Duration::from_millis(ms)
}

pub(super) struct Refused;

pub(super) fn obey(state: &mut State, index: usize, unit: &str, verb: &str) -> Result<(), Refused> {
    let Some(server) = state.servers.get_mut(index) else {
        return Err(Refused);
    };
    let running = match unit {
        "corosync" => server.corosync.is_some(),
        "pve-cluster" => server.pmxcfs.running && !server.pmxcfs.by_hand,
        "corosync-qdevice" => server.qdevice.is_some(),
        "corosync-qnetd" => server.qnetd_running,
        "pve-ha-lrm" => server.ha.lrm.is_some(),
        "pve-ha-crm" => server.ha.crm.is_some(),
        other => units::runs(server, other),
    };
    let stops = verb != "start" && (running || verb == "stop");
    let starts = match verb {
        "stop" => false,
        "start" => !running,
        "try-restart" => running,
        _ => true,
    };
    match unit {
        "corosync" => {
            if stops {
                units::set(server, unit, Active::Stopped);
                state.stop_corosync(index, What::CorosyncStopped, "systemctl");
            }
            if starts {
                return state.start_corosync_unit(index).map_err(|_| Refused);
            }
        }
        // It holds the lock that the unit's own one would need.
        "pve-cluster" if server.pmxcfs.by_hand && server.pmxcfs.running => {
            if starts {
                return Err(Refused);
            }
            units::set(server, unit, Active::Stopped);
        }
        "pve-cluster" => {
            if stops {
                units::set(server, unit, Active::Stopped);
                state.stop_pmxcfs(index);
            }
            if starts {
                return state.start_pmxcfs_unit(index).map_err(|_| Refused);
            }
        }
        other => {
            if stops {
                units::set(server, other, Active::Stopped);
                state.follow_unit(index, other, false).ok();
            }
            if starts {
                state.follow_unit(index, other, true).map_err(|()| Refused)?;
                if let Some(server) = state.servers.get_mut(index) {
                    units::set(server, other, Active::Running);
                }
            }
        }
    }
    Ok(())
}

/// `enable`, `disable`, `mask`, `unmask`, with `--now`.
pub(super) async fn files(call: &Call, args: &[&str]) -> Result<i32, Stop> {
    let now = args.contains(&"--now");
    let words: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--now").collect();
    if let [verb @ ("enable" | "disable"), unit] = words[..]
        && unit.starts_with("zfs-import@")
    {
        return import_at_boot(call, &full(unit), verb == "enable").await;
    }
    let Some((verb, names)) = words.split_first().filter(|(_, names)| plain(names)) else {
        return unknown(call).await;
    };
    let missing = call.server(|server, _| names.iter().find(|name| units::on(server, name).is_none()).copied());
    if let Some(name) = missing.flatten() {
        let text = format!("Failed to {verb} unit: Unit file {} does not exist.\n", full(name));
        return call.reply(COST, Reply::fail(1, text)).await;
    }
    call.world.with(|state| {
        for name in names {
            if let Some(server) = state.servers.get_mut(call.node) {
                let Some(unit) = units::installed(name) else { continue };
                match *verb {
                    "mask" => {
                        server.hardware.units.insert(unit.name.to_owned(), ServiceIs::Masked);
                    }
                    "unmask" => {
                        server.hardware.units.insert(unit.name.to_owned(), ServiceIs::Stopped);
                    }
                    verb => {
                        server.hardware.enabled.insert(unit.name.to_owned(), verb == "enable");
                    }
                }
            }
        }
    });
    if now && ["enable", "disable", "mask"].contains(verb) {
        let mut follow = vec![if *verb == "enable" { "start" } else { "stop" }];
        follow.extend(names);
        return order(call, &follow).await;
    }
    call.reply(400, Reply::default()).await
}

/// An instance of ZFS's own unit, which is there wherever ZFS is. Source of what `disable` says: systemd's install.c, not seen.
async fn import_at_boot(call: &Call, unit: &str, on: bool) -> Result<i32, Stop> {
    let before = call.world.with(|state| {
        let server = state.servers.get_mut(call.node)?;
        if let Err(error) = roots::wanted(&server.root, "zfs-import.target", unit, "zfs-import@.service", on) {
            complain(&format!("{unit}: {error}"));
        }
        server.hardware.enabled.insert(unit.to_owned(), on)
    });
    let link = format!("/etc/systemd/system/zfs-import.target.wants/{unit}");
    let text = match (before == Some(true), on) {
        (false, true) => format!("Created symlink {link} \u{2192} /lib/systemd/system/zfs-import@.service.\n"),
        (true, false) => format!("Removed \"{link}\".\n"),
        _ => String::new(),
    };
    call.reply(
        400,
        Reply {
            stderr: text,
            ..Reply::default()
        },
    )
    .await
}

/// The order is taken at once; the server goes down after it.
pub(super) async fn power(call: &Call, again: bool) -> Result<i32, Stop> {
    call.io.pause(Duration::from_millis(60)).await?;
    call.world.with(|state| state.shut_down(call.node, again));
    Ok(0)
}
