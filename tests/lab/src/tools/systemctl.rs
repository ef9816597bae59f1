//! `systemctl`: questions about units, and orders to them.

mod orders;

use super::io::Stop;
use super::{Call, Reply, unknown};
use crate::world::server::Server;
use crate::world::state::State;
use crate::world::units::{self, Active};
use crate::world::zfs::boot::pool_of_unit;

const COST: u64 = 6;

pub(super) async fn run(call: &Call) -> Result<i32, Stop> {
    let args = call.args();
    let verb = args.iter().find(|arg| !arg.starts_with('-')).copied();
    match verb {
        Some("start" | "stop" | "restart" | "reload-or-restart" | "try-restart") => orders::order(call, &args).await,
        Some("enable" | "disable" | "mask" | "unmask") => orders::files(call, &args).await,
        Some(verb @ ("poweroff" | "reboot")) if args.len() == 1 => orders::power(call, verb == "reboot").await,
        Some("daemon-reload") if args.len() == 1 => call.reply(200, Reply::default()).await,
        Some("reset-failed") => call.reply(COST, Reply::default()).await,
        _ => match call.server(|server, _| question(server, &args)).flatten() {
            Some(reply) => call.reply(COST, reply).await,
            None => unknown(call).await,
        },
    }
}

/// As PID 1 itself starts a unit, for a timer.
pub(super) fn start_unit(state: &mut State, index: usize, unit: &str) {
    orders::obey(state, index, unit, "start").ok();
}

fn question(server: &Server, args: &[&str]) -> Option<Reply> {
    let reply = match args {
        ["is-active", units @ ..] if plain(units) => {
            let words: Vec<&str> = units.iter().map(|unit| unit_of(server, unit).active).collect();
            let code = if words.contains(&"active") { 0 } else { 3 };
            Reply {
                stdout: words.iter().map(|word| format!("{word}\n")).collect(),
                stderr: String::new(),
                code,
            }
        }
        ["is-enabled", unit] if plain(&[unit]) => match unit_of(server, unit) {
            Unit { load: "not-found", .. } => Reply::fail(
                1,
                format!(
                    "Failed to get unit file state for {}: No such file or directory\n",
                    full(unit)
                ),
            ),
            unit => Reply {
                stdout: format!("{}\n", unit.file),
                stderr: String::new(),
                code: i32::from(!["enabled", "static"].contains(&unit.file)),
            },
        },
        ["show", rest @ ..] => show(server, rest)?,
        _ => return None,
    };
    Some(reply)
}

fn plain(units: &[&str]) -> bool {
    !units.is_empty() && units.iter().all(|unit| !unit.starts_with('-'))
}

fn full(unit: &str) -> String {
    if unit.contains('.') {
        unit.to_owned()
    } else {
        format!("{unit}.service")
    }
}

fn show(server: &Server, args: &[&str]) -> Option<Reply> {
    let mut properties = Vec::new();
    let mut units = Vec::new();
    let mut value_only = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "-p" | "--property" => properties.extend(args.next()?.split(',')),
            "--value" => value_only = true,
            "--no-pager" => {}
            other => match other.strip_prefix("--property=") {
                Some(list) => properties.extend(list.split(',')),
                None if other.starts_with('-') => return None,
                None => units.push(other),
            },
        }
    }
    if properties.is_empty() || units.is_empty() {
        return None;
    }
    let blocks: Vec<String> = units
        .iter()
        .map(|name| {
            let unit = unit_of(server, name);
            let mut block = String::new();
            // Always in systemd's own order, whatever the order asked in.
            for (key, value) in unit.properties(&full(name)) {
                if properties.contains(&key) {
                    let line = if value_only {
                        format!("{value}\n")
                    } else {
                        format!("{key}={value}\n")
                    };
                    block.push_str(&line);
                }
            }
            block
        })
        .collect();
    Some(Reply::ok(blocks.join("\n")))
}

#[derive(Debug, Clone, Copy)]
struct Unit {
    load: &'static str,
    active: &'static str,
    sub: &'static str,
    file: &'static str,
    pid: u32,
}

impl Unit {
    fn properties(&self, id: &str) -> Vec<(&'static str, String)> {
        vec![
            (
                "Result",
                if self.active == "failed" {
                    "exit-code"
                } else {
                    "success"
                }
                .to_owned(),
            ),
            ("MainPID", self.pid.to_string()),
            ("Id", id.to_owned()),
            ("LoadState", self.load.to_owned()),
            ("ActiveState", self.active.to_owned()),
            ("SubState", self.sub.to_owned()),
            ("UnitFileState", self.file.to_owned()),
        ]
    }
}

/// The unit that imports a pool at boot: it is done, it failed, or it has not run. Source: zfs-import@.service of PVE
/// (`Type=oneshot`, `RemainAfterExit=yes`), not seen.
fn import_of(server: &Server, name: &str, pool: &str) -> Unit {
    let (active, sub) = if server.zfs_boot.failed.contains(pool) {
        ("failed", "failed")
    } else if server.zfs_boot.done.contains(pool) {
        ("active", "exited")
    } else {
        ("inactive", "dead")
    };
    let enabled = server.hardware.enabled.get(&full(name)) == Some(&true);
    Unit {
        load: "loaded",
        active,
        sub,
        file: if enabled { "enabled" } else { "disabled" },
        pid: 0,
    }
}

fn unit_of(server: &Server, name: &str) -> Unit {
    if server.timers.iter().any(|timer| timer.unit == name) {
        return Unit {
            load: "loaded",
            active: "active",
            sub: "waiting",
            file: "transient",
            pid: 0,
        };
    }
    if let Some(pool) = pool_of_unit(name) {
        return import_of(server, name, &pool);
    }
    let Some(unit) = units::on(server, name) else {
        return Unit {
            load: "not-found",
            active: "inactive",
            sub: "dead",
            file: "",
            pid: 0,
        };
    };
    let (active, pid) = match unit.name {
        "corosync" if server.corosync.is_some() => (
            Active::Running,
            server.corosync.as_ref().map_or(0, |corosync| corosync.pid),
        ),
        "pve-cluster" if server.pmxcfs.running => (Active::Running, server.pmxcfs.pid),
        "corosync-qdevice" if server.qdevice.is_some() => {
            (Active::Running, server.qdevice.as_ref().map_or(0, |daemon| daemon.pid))
        }
        "corosync-qnetd" if server.qnetd_running => (Active::Running, unit.pid),
        "pve-ha-lrm" if server.ha.lrm.is_some() => (Active::Running, unit.pid),
        "pve-ha-crm" if server.ha.crm.is_some() => (Active::Running, unit.pid),
        "corosync" | "pve-cluster" | "corosync-qdevice" | "corosync-qnetd" | "pve-ha-lrm" | "pve-ha-crm" => {
            match units::active(server, unit.name) {
                Active::Failed => (Active::Failed, 0),
                _ => (Active::Stopped, 0),
            }
        }
        _ => (units::active(server, unit.name), unit.pid),
    };
    let file = units::file(server, unit.name);
    let (active, sub, pid) = match active {
        Active::Running => ("active", "running", pid),
        Active::Stopped => ("inactive", "dead", 0),
        Active::Failed => ("failed", "failed", 0),
    };
    Unit {
        load: if file == "masked" { "masked" } else { "loaded" },
        active,
        sub,
        file,
        pid,
    }
}
