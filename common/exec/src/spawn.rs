//! Where processes are made. Every process of the product starts through one of the two functions in this file.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::libc;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use tokio::process::Command;

use crate::{CommandLine, Sink};

/// The whole environment of every process. Nothing of our own environment is passed on.
///
/// `LC_ALL` fixes language and number format while leaving UTF-8 alone; `PATH` is for the tools that call others
/// (PVE's own tools set exactly this one themselves). `HOME` is left out on purpose: no tool that we call needs it,
/// and several would read a person's settings from there.
pub const ENVIRONMENT: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];

/// `POSIX_SPAWN_SETSID` of glibc and musl, which nix does not name.
const POSIX_SPAWN_SETSID: libc::c_int = 0x80;

/// A child of ours in `/`, leading a process group of its own, so that it can be ended together with what it starts
/// and is not hit by a Ctrl-C meant for us.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where processes are made"
)]
pub(crate) fn child(line: &CommandLine) -> Command {
    let mut command = Command::new(line.program());
    command
        .args(line.args())
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(line.env())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A process in a session of its own, without terminal, with default signal handling. Its working directory is ours:
/// `posix_spawn` cannot change it.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where processes are made"
)]
pub(crate) fn session(line: &CommandLine, stdout: &Sink, stderr: &Sink) -> io::Result<Pid> {
    let mut files = PosixSpawnFileActions::init()?;
    files.add_open(libc::STDIN_FILENO, c"/dev/null", OFlag::O_RDONLY, Mode::empty())?;
    connect(&mut files, stdout, libc::STDOUT_FILENO)?;
    connect(&mut files, stderr, libc::STDERR_FILENO)?;

    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::from_bits_retain(POSIX_SPAWN_SETSID),
    )?;
    attributes.set_sigmask(&SigSet::empty())?;
    // An ignored signal stays ignored across exec; the Rust runtime ignores SIGPIPE, `nohup` SIGHUP.
    attributes.set_sigdefault(&SigSet::from_iter([
        Signal::SIGPIPE,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGCHLD,
    ]))?;

    let program = CString::new(line.program().as_os_str().as_bytes())?;
    let mut args = vec![program.clone()];
    for arg in line.args() {
        args.push(CString::new(arg.to_owned().into_vec())?);
    }
    let own = line.env().iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let environment = ENVIRONMENT.into_iter().chain(own);
    let environment: Vec<CString> = environment
        .map(|(key, value)| CString::new(format!("{key}={value}")))
        .collect::<Result<_, _>>()?;
    Ok(posix_spawn::<CStr, _, _>(
        &program,
        &files,
        &attributes,
        &args,
        &environment,
    )?)
}

fn connect(files: &mut PosixSpawnFileActions, sink: &Sink, as_fd: RawFd) -> nix::Result<()> {
    match sink {
        Sink::Null => files.add_open(as_fd, c"/dev/null", OFlag::O_WRONLY, Mode::empty()),
        Sink::File(file) => files.add_dup2(file.as_raw_fd(), as_fd),
    }
}
