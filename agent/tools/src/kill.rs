//! `kill` of procps: ends a process at once. A program of its own, so that on a simulated server no process of this machine is ever meant.

use quorate_exec::{Invocation, Tools};

use crate::CallError;

/// Its name.
pub const NAME: &str = "kill";

/// `kill -KILL PID`.
///
/// # Errors
/// When kill is not installed.
pub fn now(tools: &Tools, pid: u32) -> Result<Invocation, CallError> {
    let pid = pid.to_string();
    Ok(tools.call(NAME)?.args(["-KILL", &pid]).on_host().build()?)
}

/// Is this the command line of the QEMU that runs a guest? Arguments end with a NUL. Source: /proc/PID/cmdline; `-id` as
/// PVE::QemuServer writes it.
#[must_use]
pub fn runs_guest(cmdline: &str, guest: u32) -> bool {
    let words: Vec<&str> = cmdline.split('\0').collect();
    let program = words
        .first()
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default();
    let is_qemu = program == "kvm" || program.starts_with("qemu-system-");
    let id = guest.to_string();
    is_qemu
        && words
            .windows(2)
            .any(|pair| matches!(pair, ["-id", found] if *found == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_qemu_is_meant() {
        assert_eq!(
            now(&Tools::imagined(), 4711).unwrap().to_string(),
            "/usr/bin/kill -KILL 4711"
        );
        let line = "/usr/bin/kvm\0-id\0100\0-name\0web,debug-threads=on\0-pidfile\0/var/run/qemu-server/100.pid\0";
        assert!(runs_guest(line, 100));
        assert!(!runs_guest(line, 10) && !runs_guest(line, 1000));
        assert!(!runs_guest("/usr/bin/less\0-id\0100\0", 100) && !runs_guest("", 100));
    }
}
