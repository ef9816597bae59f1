//! `systemctl show` of systemd: the state of a unit.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::readiness::ServiceState;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "systemctl";

/// Asks for the state of one unit.
///
/// # Errors
/// When systemctl is not installed.
pub fn show(tools: &Tools, unit: &str) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["show", "-p", "LoadState,ActiveState,SubState,Result", unit])
        .build()?)
}

/// Asks for the state of several units in one call.
///
/// # Errors
/// When systemctl is not installed.
pub fn show_each(tools: &Tools, units: &[&str]) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["show", "-p", "LoadState,ActiveState,SubState,UnitFileState"]);
    Ok(call.args(units.iter().copied()).build()?)
}

/// A change of units waits for its job: stopping an LRM first freezes its guests.
const CHANGE_WITHIN: Duration = Duration::from_secs(180);

fn change(tools: &Tools, verb: &str, units: &[&str]) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.arg(verb).args(units.iter().copied());
    Ok(call.deadline(CHANGE_WITHIN).build()?)
}

/// `systemctl start UNIT`.
///
/// # Errors
/// When systemctl is not installed.
pub fn start(tools: &Tools, unit: &str) -> Result<Invocation, CallError> {
    change(tools, "start", &[unit])
}

/// `systemctl enable UNIT`.
///
/// # Errors
/// When systemctl is not installed.
pub fn enable(tools: &Tools, unit: &str) -> Result<Invocation, CallError> {
    change(tools, "enable", &[unit])
}

/// `systemctl stop UNIT`.
///
/// # Errors
/// When systemctl is not installed.
pub fn stop(tools: &Tools, unit: &str) -> Result<Invocation, CallError> {
    change(tools, "stop", &[unit])
}

/// `systemctl restart UNIT`.
///
/// # Errors
/// When systemctl is not installed.
pub fn restart(tools: &Tools, unit: &str) -> Result<Invocation, CallError> {
    change(tools, "restart", &[unit])
}

/// `systemctl reload-or-restart UNIT…`.
///
/// # Errors
/// When systemctl is not installed.
pub fn reload_or_restart(tools: &Tools, units: &[&str]) -> Result<Invocation, CallError> {
    change(tools, "reload-or-restart", units)
}

/// `systemctl poweroff`.
///
/// # Errors
/// When systemctl is not installed.
pub fn poweroff(tools: &Tools) -> Result<Invocation, CallError> {
    change(tools, "poweroff", &[])
}

/// `systemctl reboot`.
///
/// # Errors
/// When systemctl is not installed.
pub fn reboot(tools: &Tools) -> Result<Invocation, CallError> {
    change(tools, "reboot", &[])
}

/// State of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// `running`, `dead`, `exited` …
    pub sub: String,
    /// How its last run ended: `success`, `exit-code`, `timeout` …; empty where the unit has no runs.
    pub result: String,
}

impl UnitState {
    /// Is it installed?
    #[must_use]
    pub fn exists(&self) -> bool {
        self.load != "not-found"
    }

    /// Does it run?
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

/// Reads the properties, in whatever order.
///
/// # Errors
/// When a line is no property, or one that is needed is missing.
pub fn read(stdout: &str) -> Result<UnitState, ParseError> {
    let mut properties = Vec::new();
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let property = line
            .split_once('=')
            .ok_or_else(|| ParseError::at(NAME, line, "expected PROPERTY=VALUE"))?;
        properties.push(property);
    }
    let value = |name: &str| {
        properties
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    let needed = |name: &str| value(name).ok_or_else(|| ParseError::missing(NAME, format!("{name} is missing")));
    Ok(UnitState {
        load: needed("LoadState")?,
        active: needed("ActiveState")?,
        sub: needed("SubState")?,
        result: value("Result").unwrap_or_default(),
    })
}

/// Reads the states of several units, in the order in which they were asked for: blocks with an empty line between them.
///
/// # Errors
/// When a line is no property, one that is needed is missing, or there are not as many blocks as units.
pub fn read_each(stdout: &str, units: &[&str]) -> Result<BTreeMap<String, ServiceState>, ParseError> {
    let mut blocks: Vec<Vec<(&str, &str)>> = vec![vec![]];
    for line in stdout.lines() {
        if line.trim().is_empty() {
            blocks.push(vec![]);
            continue;
        }
        let property = line
            .split_once('=')
            .ok_or_else(|| ParseError::at(NAME, line, "expected PROPERTY=VALUE"))?;
        if let Some(block) = blocks.last_mut() {
            block.push(property);
        }
    }
    blocks.retain(|block| !block.is_empty());
    if blocks.len() != units.len() {
        let reason = format!("{} blocks for {} units", blocks.len(), units.len());
        return Err(ParseError::missing(NAME, reason));
    }
    let states = units.iter().zip(&blocks).map(|(unit, block)| {
        let value = |name: &str| {
            block
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim().to_owned())
        };
        let needed =
            |name: &str| value(name).ok_or_else(|| ParseError::missing(NAME, format!("{name} of {unit} is missing")));
        let state = ServiceState {
            load: needed("LoadState")?,
            active: needed("ActiveState")?,
            sub: needed("SubState")?,
            enabled: value("UnitFileState").unwrap_or_default(),
        };
        Ok(((*unit).to_owned(), state))
    });
    states.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_several_units() {
        let units = ["corosync", "pve-ha-lrm", "nothing"];
        let call = show_each(&Tools::imagined(), &units).unwrap().to_string();
        assert_eq!(
            call,
            "/usr/bin/systemctl show -p LoadState,ActiveState,SubState,UnitFileState corosync pve-ha-lrm nothing"
        );
        let text = fixture!("systemctl/252/several.out");
        let states = read_each(text, &units).unwrap();
        assert!(states["corosync"].is_running() && states["corosync"].enabled == "enabled");
        assert!(!states["pve-ha-lrm"].is_running() && states["pve-ha-lrm"].active == "failed");
        assert!(!states["nothing"].is_installed() && states["nothing"].enabled.is_empty());
        assert_eq!(
            read_each(text, &["corosync"]).unwrap_err().to_string(),
            "systemctl: 3 blocks for 1 units"
        );
        assert!(read_each("", &["corosync"]).is_err());
        assert!(read_each("LoadState=loaded\n", &["corosync"]).is_err());
        assert_eq!(read_each("", &[]).unwrap().len(), 0);
    }

    #[test]
    fn states_of_units() {
        let call = show(&Tools::imagined(), "corosync").unwrap().to_string();
        assert_eq!(
            call,
            "/usr/bin/systemctl show -p LoadState,ActiveState,SubState,Result corosync"
        );
        let active = read(fixture!("systemctl/252/active.out")).unwrap();
        assert!(active.exists() && active.is_active() && active.result == "success");
        let missing = read(fixture!("systemctl/252/not-found.out")).unwrap();
        assert!(!missing.exists() && !missing.is_active());
        assert!(read("").is_err());
        assert_eq!(
            read("active\n").unwrap_err().to_string(),
            "systemctl: expected PROPERTY=VALUE: `active`"
        );
    }
}
