//! Tools that hang in the kernel, where nobody can end them: a `zpool status` of a pool whose disks are gone, a reader of a disk that is
//! dying. Each that is started beside them would hang as well, until the server has no room for processes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quorate_exec::{Invocation, ProcessIdentity};

/// The process that hangs, by what it was called with, and since when it does, on the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Hanging(Mutex<HashMap<String, (ProcessIdentity, Duration)>>);

impl Hanging {
    /// This process was given up.
    pub(super) fn note(&self, invocation: &Invocation, pid: i32, since: Duration) {
        // One that is gone by now hangs no more.
        if let Ok(Some(process)) = ProcessIdentity::of(pid) {
            let mut hanging = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hanging.insert(invocation.to_string(), (process, since));
        }
    }

    /// Since when a process that was called so hangs; `None`: none does.
    pub(super) fn since(&self, invocation: &Invocation) -> Option<Duration> {
        let mut hanging = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Where that can't be told, it is tried: a process too many is better than never to see anything again.
        hanging.retain(|_, (process, _)| process.is_alive().unwrap_or(false));
        hanging.get(&invocation.to_string()).map(|(_, since)| *since)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a child that hangs for as long as the test wants it to"
    )]
    fn what_hangs_is_known_until_it_ends() {
        let invocation = |argument: &str| Invocation::of("/bin/cat").args([argument]).build().unwrap();
        let hanging = Hanging::default();
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        hanging.note(&invocation("/dev/sda"), pid, Duration::from_secs(7));
        assert_eq!(hanging.since(&invocation("/dev/sda")), Some(Duration::from_secs(7)));
        assert_eq!(hanging.since(&invocation("/dev/sdb")), None);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(hanging.since(&invocation("/dev/sda")), None);
        hanging.note(&invocation("/dev/sda"), pid, Duration::ZERO);
        assert_eq!(hanging.since(&invocation("/dev/sda")), None);
    }
}
