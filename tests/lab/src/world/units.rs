//! The units of a server: the one table that says which there are and what they are when nobody touched them, and what
//! became of them since.
//!
//! `corosync` and `pve-cluster` run when the model's corosync and pmxcfs do; of them only the rest lies here.

use super::server::Server;
use crate::plants::ServiceIs;

/// One unit as it is installed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Installed {
    /// Without `.service`.
    pub(crate) name: &'static str,
    /// Other names that lead to it.
    aliases: &'static [&'static str],
    /// The package that it comes with, where that is not there on every host.
    package: &'static str,
    /// `enabled`, `disabled` or `static`.
    pub(crate) file: &'static str,
    /// Runs after boot.
    pub(crate) runs: bool,
    pub(crate) pid: u32,
}

const fn enabled(name: &'static str, pid: u32) -> Installed {
    Installed {
        name,
        aliases: &[],
        package: "",
        file: "enabled",
        runs: true,
        pid,
    }
}

const fn of_package(package: &'static str, unit: Installed) -> Installed {
    Installed { package, ..unit }
}

/// Every unit that is there.
const TABLE: &[Installed] = &[
    of_package("corosync", enabled("corosync", 0)),
    of_package("pve-cluster", enabled("pve-cluster", 0)),
    of_package("pve-manager", enabled("pveproxy", 811)),
    of_package("pve-manager", enabled("pvedaemon", 801)),
    of_package("pve-manager", enabled("pvestatd", 790)),
    of_package("pve-firewall", enabled("pve-firewall", 788)),
    of_package("pve-ha-manager", enabled("pve-ha-crm", 820)),
    of_package("pve-ha-manager", enabled("pve-ha-lrm", 830)),
    of_package("pve-manager", enabled("pvescheduler", 840)),
    Installed {
        file: "static",
        package: "pve-ha-manager",
        ..enabled("watchdog-mux", 610)
    },
    enabled("chrony", 640),
    Installed {
        aliases: &["sshd"],
        ..enabled("ssh", 650)
    },
    Installed {
        aliases: &["smartd"],
        package: "smartmontools",
        ..enabled("smartmontools", 560)
    },
    of_package("zfsutils-linux", enabled("zfs-zed", 570)),
    // Debian starts a daemon that it installs, but for this one, which has no configuration yet.
    Installed {
        package: "corosync-qdevice",
        file: "disabled",
        runs: false,
        ..enabled("corosync-qdevice", 0)
    },
    of_package("corosync-qnetd", enabled("corosync-qnetd", 455)),
];

/// The unit that a name leads to, with or without `.service`.
pub(crate) fn installed(name: &str) -> Option<&'static Installed> {
    let name = name.trim_end_matches(".service");
    TABLE
        .iter()
        .find(|unit| unit.name == name || unit.aliases.contains(&name))
}

/// The same, if it is installed on this server.
pub(crate) fn on(server: &Server, name: &str) -> Option<&'static Installed> {
    installed(name).filter(|unit| unit.package.is_empty() || server.packages.has(unit.package))
}

/// What a unit is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Active {
    Running,
    Stopped,
    Failed,
}

/// What a unit is doing as far as it was planted or ordered; of `corosync` and `pve-cluster` only whether they failed.
pub(crate) fn active(server: &Server, name: &str) -> Active {
    let Some(unit) = on(server, name) else {
        return Active::Stopped;
    };
    match server.hardware.units.get(unit.name) {
        Some(ServiceIs::Stopped | ServiceIs::Masked) => Active::Stopped,
        Some(ServiceIs::Failed) => Active::Failed,
        Some(ServiceIs::Usual) | None if unit.runs => Active::Running,
        Some(ServiceIs::Usual) | None => Active::Stopped,
    }
}

pub(crate) fn runs(server: &Server, name: &str) -> bool {
    active(server, name) == Active::Running
}

/// Starts, stops or fails a unit; a masked one stays so.
pub(crate) fn set(server: &mut Server, name: &str, active: Active) {
    let Some(unit) = installed(name) else { return };
    let is = match active {
        Active::Running => ServiceIs::Usual,
        Active::Stopped => ServiceIs::Stopped,
        Active::Failed => ServiceIs::Failed,
    };
    let entry = server.hardware.units.entry(unit.name.to_owned()).or_insert(is);
    if *entry != ServiceIs::Masked {
        *entry = is;
    }
}

/// `enabled`, `disabled`, `masked` or `static`.
pub(crate) fn file(server: &Server, name: &str) -> &'static str {
    let Some(unit) = installed(name) else { return "" };
    if server.hardware.units.get(unit.name) == Some(&ServiceIs::Masked) {
        return "masked";
    }
    match server.hardware.enabled.get(unit.name) {
        Some(true) => "enabled",
        Some(false) => "disabled",
        None => unit.file,
    }
}

/// After a boot runs what is enabled.
pub(crate) fn boot(server: &mut Server) {
    let enabled = server.hardware.enabled.clone();
    for name in enabled.keys() {
        server.hardware.units.entry(name.clone()).or_insert(ServiceIs::Usual);
    }
    for (name, is) in &mut server.hardware.units {
        *is = match *is {
            ServiceIs::Masked => ServiceIs::Masked,
            _ if enabled.get(name) == Some(&false) => ServiceIs::Stopped,
            _ => ServiceIs::Usual,
        };
    }
}
