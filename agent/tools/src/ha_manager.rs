//! `ha-manager` of pve-ha-manager.

use std::collections::BTreeSet;

use quorate_exec::{Invocation, Tools};
use quorate_model::guest_ids::{HaName, Sid};
use quorate_model::ids::NodeName;

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

/// What a service under HA is told about itself; what is `None` is not said.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// `--max_restart`
    pub max_restart: Option<u32>,
    /// `--max_relocate`
    pub max_relocate: Option<u32>,
    /// `--group` (PVE 8)
    pub group: Option<&'a HaName>,
    /// `--failback 0` (PVE 9)
    pub no_failback: bool,
}

impl Told<'_> {
    fn args(self) -> Vec<String> {
        let mut args = Vec::new();
        let numbers = [
            ("--max_restart", self.max_restart),
            ("--max_relocate", self.max_relocate),
        ];
        for (option, number) in numbers
            .into_iter()
            .filter_map(|(option, number)| Some((option, number?)))
        {
            args.extend([option.to_owned(), number.to_string()]);
        }
        if let Some(group) = self.group {
            args.extend(["--group".to_owned(), group.to_string()]);
        }
        if self.no_failback {
            args.extend(["--failback".to_owned(), "0".to_owned()]);
        }
        args
    }
}

/// Puts a guest under HA. Without a state HA would start one that is stopped; told `stopped`, it would stop one that runs.
///
/// # Errors
/// When ha-manager is not installed.
pub fn add(tools: &Tools, service: Sid, started: bool, told: Told<'_>) -> Result<Invocation, CallError> {
    let state = if started { "started" } else { "stopped" };
    let call = tools.call(NAME)?.args(["add", &service.to_string(), "--state", state]);
    Ok(call.args(told.args()).build()?)
}

/// Takes a guest out of HA, which neither starts nor stops it.
///
/// # Errors
/// When ha-manager is not installed.
pub fn remove(tools: &Tools, service: Sid) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["remove", &service.to_string()]).build()?)
}

/// Tells a service something else.
///
/// # Errors
/// When ha-manager is not installed.
pub fn set(tools: &Tools, service: Sid, told: Told<'_>) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["set", &service.to_string()]);
    Ok(call.args(told.args()).build()?)
}

/// A rule that binds one service strictly to these nodes, none of them preferred (PVE 9). One that is there is switched on again: `set` leaves
/// alone what it is not told, and throws `--disable 0` away. Source: pve-ha-manager PVE/API2/HA/Rules.pm (`update_rule`).
///
/// # Errors
/// When ha-manager is not installed.
pub fn set_rule(
    tools: &Tools,
    (rule, exists): (&HaName, bool),
    service: Sid,
    nodes: &BTreeSet<NodeName>,
) -> Result<Invocation, CallError> {
    let verb = if exists { "set" } else { "add" };
    let call = tools.call(NAME)?.args(["rules", verb, "node-affinity", rule.as_str()]);
    let call = call.args(["--resources", &service.to_string(), "--nodes", &equally(nodes)]);
    let call = call.args(["--strict", "1"]);
    let call = if exists {
        call.args(["--delete", "disable"])
    } else {
        call
    };
    Ok(call.build()?)
}

/// A group that is restricted to these nodes, none of them preferred, without failback (PVE 8).
///
/// # Errors
/// When ha-manager is not installed.
pub fn set_group(
    tools: &Tools,
    (group, exists): (&HaName, bool),
    nodes: &BTreeSet<NodeName>,
) -> Result<Invocation, CallError> {
    let verb = if exists { "groupset" } else { "groupadd" };
    let call = tools
        .call(NAME)?
        .args([verb, group.as_str(), "--nodes", &equally(nodes)]);
    Ok(call.args(["--restricted", "1", "--nofailback", "1"]).build()?)
}

/// Nodes with one priority.
fn equally(nodes: &BTreeSet<NodeName>) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| format!("{node}:1")).collect();
    nodes.join(",")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_rules_and_groups_as_pve_has_them() {
        let tools = Tools::imagined();
        let (service, name): (Sid, HaName) = ("vm:100".parse().unwrap(), "quorate-vm-100".parse().unwrap());
        let told = Told {
            max_restart: Some(2),
            max_relocate: None,
            group: None,
            no_failback: true,
        };
        let text = |call: Result<Invocation, CallError>| {
            let call = call.unwrap();
            let args = call.command().args().map(|arg| arg.to_string_lossy().into_owned());
            args.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            text(add(&tools, service, false, told)),
            "add vm:100 --state stopped --max_restart 2 --failback 0"
        );
        let grouped = Told {
            group: Some(&name),
            no_failback: false,
            ..told
        };
        assert_eq!(
            text(set(&tools, service, grouped)),
            "set vm:100 --max_restart 2 --group quorate-vm-100"
        );
        let nodes = ["prox1", "prox2"].map(|node| node.parse().unwrap()).into();
        assert_eq!(
            text(set_rule(&tools, (&name, false), service, &nodes)),
            "rules add node-affinity quorate-vm-100 --resources vm:100 --nodes prox1:1,prox2:1 --strict 1"
        );
        assert_eq!(
            text(set_rule(&tools, (&name, true), service, &nodes)),
            "rules set node-affinity quorate-vm-100 --resources vm:100 --nodes prox1:1,prox2:1 --strict 1 --delete disable"
        );
        assert_eq!(
            text(set_group(&tools, (&name, true), &nodes)),
            "groupset quorate-vm-100 --nodes prox1:1,prox2:1 --restricted 1 --nofailback 1"
        );
    }
}
