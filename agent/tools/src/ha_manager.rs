//! `ha-manager` of pve-ha-manager.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "ha-manager";

/// `ha-manager crm-command disarm-ha freeze` (5.1.3 and later): services stay as they are, LRMs and the master let go of lock and
/// watchdog. It only leaves the command; the master carries it out in 10 to 20 s.
///
/// # Errors
/// When ha-manager is not installed.
pub fn disarm(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["crm-command", "disarm-ha", "freeze"]).build()?)
}

/// `ha-manager crm-command arm-ha`.
///
/// # Errors
/// When ha-manager is not installed.
pub fn arm(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["crm-command", "arm-ha"]).build()?)
}
