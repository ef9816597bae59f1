//! QEMU's processes as PVE knows them: `/run/qemu-server/ID.pid`, and the command line of the process that it names.
//! Source: qemu-server Helpers.pm (`vm_running_locally`, `parse_cmdline`).

use crate::ParseError;

/// Where their files lie.
pub const FOLDER: &str = "/run/qemu-server";

/// The guest of a file in that folder; `None`: it is another file.
#[must_use]
pub fn guest_of(file: &str) -> Option<u32> {
    file.strip_suffix(".pid")?.parse().ok()
}

/// The number of a process in a pid file.
///
/// # Errors
/// It holds no number.
pub fn pid(text: &str) -> Result<u32, ParseError> {
    let pid = text.trim().parse();
    pid.map_err(|_| ParseError::at("a pid file of qemu-server", text.trim(), "expected a process's number"))
}

/// Is this the command line (parts end in NUL) of this guest's QEMU? A number in a pid file may be another process's by now.
#[must_use]
pub fn is_guest(cmdline: &str, guest: u32) -> bool {
    let mut parts = cmdline.split('\0');
    let program = parts
        .next()
        .and_then(|path| path.rsplit('/').next())
        .unwrap_or_default();
    if !program.ends_with("kvm") && !program.starts_with("qemu-system-") {
        return false;
    }
    let own = format!("/qemu-server/{guest}.pid");
    let of_pidfile = parts
        .skip_while(|part| part.trim_start_matches('-') != "pidfile")
        .nth(1);
    of_pidfile.is_some_and(|path| path.ends_with(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_a_guests_by_its_pid_file() {
        let cmdline = fixture!("qemu-process/pve-9/cmdline.out");
        assert!(is_guest(cmdline, 100) && !is_guest(cmdline, 10) && !is_guest(cmdline, 101));
        assert!(!is_guest(fixture!("qemu-process/pve-9/another.out"), 100));
        assert!(!is_guest("", 100) && !is_guest("/usr/bin/kvm\0-pidfile\0", 100));
        assert_eq!(
            (guest_of("100.pid"), guest_of("100.qmp"), guest_of("x.pid")),
            (Some(100), None, None)
        );
        assert_eq!(pid("4711\n"), Ok(4711));
        assert!(pid("").is_err() && pid("x").is_err());
    }
}
