//! `qm` and `pct`: a guest is moved, shut down, started; and what they say when that fails.
//!
//! Both run PVE's own task in the foreground: its lines come on stdout as they are written, the error without its prefix on stderr, and the exit
//! code is 255. `TASK OK` stands in the task's log alone.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::Code;
use quorate_model::moves::MoveKind;
use quorate_model::observation::GuestKind;

use crate::CallError;

/// A guest that does not go down within so many seconds is left running; PVE's own default is 60.
const SHUTDOWN_SECONDS: &str = "180";

/// The tool for guests of this kind.
#[must_use]
pub fn name(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Vm => "qm",
        GuestKind::Container => "pct",
    }
}

/// The type of PVE's task that moves a guest of this kind. `hamigrate` is none of them: it ends well when the command is only left with HA.
#[must_use]
pub fn task_type(kind: GuestKind) -> &'static str {
    match kind {
        GuestKind::Vm => "qmigrate",
        GuestKind::Container => "vzmigrate",
    }
}

/// `qm migrate ID TARGET --online 1 --with-local-disks 1`, `pct migrate ID TARGET --restart 1`. Disks that are on shared storages stay where
/// they are, and of replicated ones only what has changed is sent.
///
/// # Errors
/// When the tool is not installed.
pub fn migrate(
    tools: &Tools,
    kind: GuestKind,
    guest: u32,
    target: &str,
    how: MoveKind,
) -> Result<Invocation, CallError> {
    let id = guest.to_string();
    let call = tools.call(name(kind))?.args(["migrate", &id, target]);
    let call = match (kind, how) {
        (_, MoveKind::Offline) => call,
        (GuestKind::Vm, _) => call.args(["--online", "1", "--with-local-disks", "1"]),
        (GuestKind::Container, _) => call.args(["--restart", "1", "--timeout", SHUTDOWN_SECONDS]),
    };
    Ok(call.build()?)
}

/// `qm shutdown ID`, `pct shutdown ID`: asked to go down, and never switched off.
///
/// # Errors
/// When the tool is not installed.
pub fn shutdown(tools: &Tools, kind: GuestKind, guest: u32) -> Result<Invocation, CallError> {
    let id = guest.to_string();
    let call = tools.call(name(kind))?;
    Ok(call.args(["shutdown", &id, "--timeout", SHUTDOWN_SECONDS]).build()?)
}

/// `qm start ID`, `pct start ID`.
///
/// # Errors
/// When the tool is not installed.
pub fn start(tools: &Tools, kind: GuestKind, guest: u32) -> Result<Invocation, CallError> {
    Ok(tools.call(name(kind))?.args(["start", &guest.to_string()]).build()?)
}

/// How long the start of a machine may take: PVE gives it a second for each GiB of memory, and 30 at least.
const START_WITHIN: Duration = Duration::from_secs(120);

/// `qm start ID` beside the agent's sandbox, as one undoes what was killed.
///
/// # Errors
/// When the tool is not installed.
pub fn start_again(tools: &Tools, guest: u32) -> Result<Invocation, CallError> {
    let call = tools.call(name(GuestKind::Vm))?.args(["start", &guest.to_string()]);
    Ok(call.deadline(START_WITHIN).on_host().build()?)
}

/// Which kind of failure it is, by what was said: of qm and pct, of the task's log, or of our own following.
#[must_use]
pub fn trouble(said: &str) -> Code {
    let has = |part: &str| said.contains(part);
    // A replication run holds the same lock, and says nothing of it in the guest's configuration.
    let held = has("is locked (") || (has("can't lock file") && has("got timeout"));
    if held {
        Code::GuestLocked
    } else if has(HALFWAY) || has("migration problems") || has("migration finished with problems") {
        Code::MigrationHalfway
    } else if has(COMMAND_LOST) {
        Code::HaCommandLost
    } else {
        Code::MigrationFailed
    }
}

/// What is said where a task's end was not seen.
pub const HALFWAY: &str = "nobody saw the migration's end";
/// What is said where HA's master did nothing.
pub const COMMAND_LOST: &str = "the HA master did not carry it out";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(call: Result<Invocation, CallError>) -> String {
        call.unwrap().command().to_string()
    }

    #[test]
    fn each_kind_is_moved_in_its_own_way() {
        let tools = Tools::imagined();
        let migrate = |kind, how| line(migrate(&tools, kind, 100, "prox2", how));
        assert_eq!(
            migrate(GuestKind::Vm, MoveKind::Live),
            "/usr/bin/qm migrate 100 prox2 --online 1 --with-local-disks 1"
        );
        assert_eq!(
            migrate(GuestKind::Vm, MoveKind::Offline),
            "/usr/bin/qm migrate 100 prox2"
        );
        assert_eq!(
            migrate(GuestKind::Container, MoveKind::Restart),
            "/usr/bin/pct migrate 100 prox2 --restart 1 --timeout 180"
        );
        assert_eq!(
            line(shutdown(&tools, GuestKind::Vm, 100)),
            "/usr/bin/qm shutdown 100 --timeout 180"
        );
    }

    #[test]
    fn bad_endings_are_told_apart() {
        for (said, code) in [
            (fixture!("migrate/pve-9/aborted.err"), Code::MigrationFailed),
            (fixture!("migrate/pve-9/problems.err"), Code::MigrationHalfway),
            (fixture!("migrate/pve-9/problems.out"), Code::MigrationHalfway),
            (fixture!("migrate/pve-9/lock.err"), Code::GuestLocked),
            ("migration aborted", Code::MigrationFailed),
            ("migration problems", Code::MigrationHalfway),
            ("VM is locked (backup)", Code::GuestLocked),
            (
                "can't lock file '/var/lock/pve-manager/pve-migrate-100' - got timeout",
                Code::GuestLocked,
            ),
            (
                "storage 'local' is not available on node 'prox2'",
                Code::MigrationFailed,
            ),
            (COMMAND_LOST, Code::HaCommandLost),
            (HALFWAY, Code::MigrationHalfway),
        ] {
            assert_eq!(trouble(said), code, "{said}");
        }
    }
}
