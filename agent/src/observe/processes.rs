//! Guests that run here, by their processes: what PVE itself goes by. A machine runs when the process that its pid file names is its own QEMU, a
//! container when a socket takes its commands. Files alone tell, so that it can be looked at all the time.

use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::observation::GuestKind;
use quorate_tools::{proc, qemu_process};

use crate::host::{HostRoot, ReadError, unparsable, unreadable};

const SOCKETS: &str = "/proc/net/unix";

/// A guest's process on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// The guest.
    pub(crate) vmid: u32,
    /// What it is.
    pub(crate) kind: GuestKind,
    /// QEMU's; containers are known without it.
    pub(crate) pid: Option<u32>,
}

/// What a pid file comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noted {
    /// There is none, or its process is gone or another's by now.
    Nobody,
    /// QEMU has made the file and not written it yet.
    NotYet,
    /// This process runs the machine.
    Process(u32),
}

/// All guests that run here. One that starts in this very moment may be missing.
///
/// # Errors
/// It can't be told of one of them.
pub(crate) fn all(root: &HostRoot) -> Result<Vec<Process>, Unknown> {
    let mut found = machines(root)?;
    found.extend(containers(root)?.into_iter().map(|vmid| Process {
        vmid,
        kind: GuestKind::Container,
        pid: None,
    }));
    Ok(found)
}

/// The process that runs a machine here; `None`: it does not run.
///
/// # Errors
/// It can't be told, as while it starts.
pub(crate) fn machine(root: &HostRoot, vmid: u32) -> Result<Option<u32>, Unknown> {
    match noted(root, vmid)? {
        Noted::Process(pid) => Ok(Some(pid)),
        Noted::Nobody => Ok(None),
        Noted::NotYet => Err(Unknown::new(
            UnknownKind::Unparsable,
            format!("{} has no process's number", pid_file(vmid)),
        )),
    }
}

/// The containers that run here.
///
/// # Errors
/// It can't be told.
pub(crate) fn containers(root: &HostRoot) -> Result<Vec<u32>, Unknown> {
    match root.read_text(SOCKETS) {
        // A kernel has it; a folder that stands for a server without guests need not.
        Err(ReadError::NotFound { .. }) => Ok(Vec::new()),
        text => proc::containers(&text.map_err(unreadable)?).map_err(unparsable),
    }
}

fn machines(root: &HostRoot) -> Result<Vec<Process>, Unknown> {
    let names = match root.read_dir(qemu_process::FOLDER) {
        Err(ReadError::NotFound { .. }) => return Ok(Vec::new()),
        names => names.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for vmid in names.iter().filter_map(|name| qemu_process::guest_of(name)) {
        if let Noted::Process(pid) = noted(root, vmid)? {
            found.push(Process {
                vmid,
                kind: GuestKind::Vm,
                pid: Some(pid),
            });
        }
    }
    Ok(found)
}

fn pid_file(vmid: u32) -> String {
    format!("{}/{vmid}.pid", qemu_process::FOLDER)
}

fn noted(root: &HostRoot, vmid: u32) -> Result<Noted, Unknown> {
    let text = match root.read_text(&pid_file(vmid)) {
        Err(ReadError::NotFound { .. }) => return Ok(Noted::Nobody),
        text => text.map_err(unreadable)?,
    };
    if text.trim().is_empty() {
        return Ok(Noted::NotYet);
    }
    let pid = qemu_process::pid(&text).map_err(unparsable)?;
    if is_process_of(root, pid, vmid)? {
        return Ok(Noted::Process(pid));
    }
    Ok(Noted::Nobody)
}

/// A pid file stays where a process was killed, and its number may be another's by now.
fn is_process_of(root: &HostRoot, pid: u32, vmid: u32) -> Result<bool, Unknown> {
    match root.read_text(&format!("/proc/{pid}/cmdline")) {
        Ok(cmdline) => Ok(qemu_process::is_guest(&cmdline, vmid)),
        Err(ReadError::NotFound { .. }) => Ok(false),
        // It ended between two reads.
        Err(ReadError::Failed { source, .. }) if source.raw_os_error() == Some(nix::libc::ESRCH) => Ok(false),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, fixture};
    use super::*;

    #[test]
    fn a_machine_is_its_own_qemu_and_what_can_not_be_told_is_unknown() {
        let fake = Fake::new();
        let told = || machine(fake.bare().root(), 100);
        assert_eq!(told(), Ok(None));
        fake.put("/run/qemu-server/100.pid", "4711\n");
        assert_eq!(told(), Ok(None), "the process is gone");
        fake.put("/proc/4711/cmdline", "/usr/bin/less\0-id\x00100\0");
        assert_eq!(told(), Ok(None), "its number is another's by now");
        fake.put("/proc/4711/cmdline", fixture!("qemu-process/pve-9/cmdline.out"));
        assert_eq!(told(), Ok(Some(4711)));
        for starting in ["", "soon"] {
            fake.put("/run/qemu-server/100.pid", starting);
            assert!(told().is_err(), "{starting:?}");
        }
    }

    #[test]
    fn machines_and_containers_are_all_guests() {
        let fake = Fake::new();
        let ids = || -> Vec<u32> {
            let found = all(fake.bare().root()).unwrap();
            found.iter().map(|process| process.vmid).collect()
        };
        assert!(ids().is_empty(), "a server without PVE has none");
        fake.put("/run/qemu-server/100.pid", "4711\n");
        fake.put("/proc/4711/cmdline", fixture!("qemu-process/pve-9/cmdline.out"));
        fake.put("/run/qemu-server/102.pid", "");
        fake.put("/proc/net/unix", fixture!("proc/6.18/unix.out"));
        assert_eq!(ids(), [100, 101], "102 begins to start");
        fake.put("/proc/net/unix", "");
        assert!(all(fake.bare().root()).is_err());
    }
}
