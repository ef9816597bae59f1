//! `systemd-run` of systemd: a timer that does one thing once, whoever else is dead by then.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "systemd-run";

/// How long PID 1 may take to make two units, on a server under load.
const WITHIN: Duration = Duration::from_secs(30);

/// What the command gets when its time has come: before everything else that waits for a processor, the disk or memory. A rehearsed failure
/// ends in its time also where all of that is taken.
const AT_ONCE: [&str; 5] = [
    "--property=CPUWeight=10000",
    "--property=Nice=-20",
    "--property=IOWeight=10000",
    "--property=IOSchedulingClass=realtime",
    "--property=OOMScoreAdjust=-900",
];

/// `systemd-run --on-active=…`: after that time the command is run as PID 1 would run it, with its absolute path and nothing of ours. By default
/// systemd lets timers be a minute late.
///
/// # Errors
/// When systemd-run is not installed, or the command is none.
pub fn timer(tools: &Tools, unit: &str, after: Duration, what: &Invocation) -> Result<Invocation, CallError> {
    let command = what.command();
    let call = tools
        .call(NAME)?
        .args(["--quiet", "--collect", "--timer-property=AccuracySec=100ms"])
        .args(AT_ONCE)
        .arg(format!("--on-active={}ms", after.as_millis()))
        .arg(format!("--unit={unit}"))
        .arg("--description=Quorate ends a rehearsed failure")
        .arg("--")
        .arg(command.program().as_os_str().to_owned());
    Ok(call
        .args(command.args().map(ToOwned::to_owned))
        .deadline(WITHIN)
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::{self, Family, Table};

    #[test]
    fn the_timer_runs_the_undo_itself() {
        let tools = Tools::imagined();
        let undo = nft::delete(&tools, &Table::of(Family::Netdev, "op-1")).unwrap();
        let call = timer(&tools, "quorate-heal-op-1", Duration::from_secs(20), &undo).unwrap();
        let argv: Vec<_> = call.command().args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(
            argv,
            [
                "--quiet",
                "--collect",
                "--timer-property=AccuracySec=100ms",
                "--property=CPUWeight=10000",
                "--property=Nice=-20",
                "--property=IOWeight=10000",
                "--property=IOSchedulingClass=realtime",
                "--property=OOMScoreAdjust=-900",
                "--on-active=20000ms",
                "--unit=quorate-heal-op-1",
                "--description=Quorate ends a rehearsed failure",
                "--",
                "/usr/bin/nft",
                "delete",
                "table",
                "netdev",
                "quorate_fault_op_1",
            ]
        );
    }
}
