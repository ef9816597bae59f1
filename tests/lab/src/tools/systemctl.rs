//! `systemctl`: questions about units.

use super::Reply;
use crate::world::server::Server;
use crate::world::state::State;

const COST: u64 = 6;

pub(super) fn reply(server: &Server, _state: &State, args: &[&str]) -> Option<(u64, Reply)> {
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
                code: i32::from(unit.file != "enabled"),
            },
        },
        ["show", rest @ ..] => show(server, rest)?,
        _ => return None,
    };
    Some((COST, reply))
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

fn unit_of(server: &Server, name: &str) -> Unit {
    let running = |pid| Unit {
        load: "loaded",
        active: "active",
        sub: "running",
        file: "enabled",
        pid,
    };
    let stopped = Unit {
        load: "loaded",
        active: "inactive",
        sub: "dead",
        file: "enabled",
        pid: 0,
    };
    let failed = Unit {
        load: "loaded",
        active: "failed",
        sub: "failed",
        file: "enabled",
        pid: 0,
    };
    match name.trim_end_matches(".service") {
        "corosync" => server
            .corosync
            .as_ref()
            .map_or(stopped, |corosync| running(corosync.pid)),
        "pve-cluster" if server.pmxcfs.running => running(server.pmxcfs.pid),
        "pve-cluster" => failed,
        "pveproxy" if server.pveproxy_down => stopped,
        "pveproxy" => running(811),
        "pvedaemon" => running(801),
        "pvestatd" => running(790),
        "pve-firewall" => running(788),
        "pve-ha-crm" => running(820),
        "pve-ha-lrm" => running(830),
        "pvescheduler" => running(840),
        "watchdog-mux" => running(610),
        "chrony" => running(640),
        "ssh" | "sshd" => running(650),
        "smartmontools" | "smartd" => running(560),
        "zfs-zed" => running(570),
        _ => Unit {
            load: "not-found",
            active: "inactive",
            sub: "dead",
            file: "",
            pid: 0,
        },
    }
}
