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

/// `ha-manager migrate SID NODE`: a machine goes to another node while it runs; HA copies local disks along. It only leaves the command.
///
/// # Errors
/// When ha-manager is not installed.
pub fn migrate(tools: &Tools, sid: &str, node: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["migrate", sid, node]).build()?)
}

/// `ha-manager relocate SID NODE`: it is shut down, moved and started again; containers always are. It only leaves the command.
///
/// # Errors
/// When ha-manager is not installed.
pub fn relocate(tools: &Tools, sid: &str, node: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["relocate", sid, node]).build()?)
}

/// `ha-manager crm-command node-maintenance enable|disable NODE`. It only leaves the command; a node that is not online is refused in the
/// master's log alone.
///
/// # Errors
/// When ha-manager is not installed.
pub fn maintenance(tools: &Tools, node: &str, on: bool) -> Result<Invocation, CallError> {
    let verb = if on { "enable" } else { "disable" };
    let call = tools.call(NAME)?;
    Ok(call.args(["crm-command", "node-maintenance", verb, node]).build()?)
}
