//! A child that leads a process group, and the safe end of both.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::Exit;

/// A started process and the group it leads.
///
/// The child's end is *observed* before it is *reaped*: until it is reaped neither its pid nor its group id can be
/// given to another process, so a signal to the group can never hit a stranger. Dropping an unreaped group kills it,
/// which is what happens when a caller stops waiting.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    pid: Pid,
    kill_with: Signal,
    children_ended: SignalStream,
    reaped: bool,
}

impl Group {
    pub(crate) fn start(mut command: Command, kill_with: Signal) -> io::Result<Self> {
        // Listening begins before the child can end.
        let children_ended = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a child without a process id"))?;
        Ok(Self {
            child,
            pid,
            kill_with,
            children_ended,
            reaped: false,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns when the child has ended. Leaves it unreaped. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> io::Result<()> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::Pid(self.pid), look) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if self.children_ended.recv().await.is_none() {
                return Err(io::Error::other("the runtime stopped listening for signals"));
            }
        }
    }

    /// Kills the child and everything that stayed in its group.
    pub(crate) fn kill(&self) {
        match killpg(self.pid, self.kill_with) {
            // ESRCH: nobody is left who could be killed.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                tracing::warn!(target: "quorate::exec", pid = self.pid(), %error, "cannot kill a process group")
            }
        }
    }

    /// Takes note of the end of a child that has [`ended`](Self::ended).
    pub(crate) async fn reap(&mut self) -> io::Result<Exit> {
        let status = self.child.wait().await?;
        self.reaped = true;
        Ok(status.into())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
        }
    }
}
