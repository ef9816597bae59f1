//! `systemctl show` of systemd: the state of a unit.

use quorate_exec::{Invocation, Tools};

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

#[cfg(test)]
mod tests {
    use super::*;

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
