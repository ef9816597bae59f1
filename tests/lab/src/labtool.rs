//! The multi-call program: what stands in each server's `bin` folder under the names of the host tools.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::getpid;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::layout::Layout;
use crate::wire::{self, Frame, Hello};

/// Runs as the tool whose name this program was called by.
#[must_use]
pub fn main() -> ExitCode {
    sigpipe::reset();
    // Blocked and waited for, not handled: so that the program can still die of them.
    requests_to_end().thread_block().ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(call());
            // A thread may still wait for standard input.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error),
    };
    match ended {
        Ok(Ended::Exit(code)) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        Ok(Ended::Signal(number)) => die(number),
        Err(error) => {
            writeln!(io::stderr(), "quorate-labtool: {error}").ok();
            ExitCode::from(90)
        }
    }
}

enum Ended {
    Exit(i32),
    Signal(i32),
}

async fn call() -> io::Result<Ended> {
    let mut words = env::args_os();
    let own = PathBuf::from(words.next().unwrap_or_default());
    let (node, tool, layout) = place(&own)?;
    let argv = words
        .map(|word| String::from_utf8_lossy(word.as_bytes()).into_owned())
        .collect();
    let cwd = env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let hello = serde_json::to_vec(&Hello::Tool { node, tool, argv, cwd })?;

    let stream = UnixStream::connect(layout.socket())
        .await
        .map_err(|error| io::Error::other(format!("the lab's world is not running: {error}")))?;
    let (mut reader, mut writer) = stream.into_split();
    wire::send(&mut writer, &Frame::Hello(hello)).await?;

    let (end_sender, mut end) = mpsc::channel(1);
    std::thread::spawn(move || requests_to_end().wait().is_ok() && end_sender.blocking_send(()).is_ok());
    let (stdin_sender, mut stdin) = mpsc::channel(4);
    let mut stdin_sender = Some(stdin_sender);
    let (frame_sender, mut frames) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok(Some(frame)) = wire::receive(&mut reader).await {
            if frame_sender.send(frame).await.is_err() {
                break;
            }
        }
    });
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(Frame::Stdout(bytes)) => write(io::stdout(), &bytes)?,
                Some(Frame::Stderr(bytes)) => write(io::stderr(), &bytes)?,
                Some(Frame::Exit(code)) => return Ok(Ended::Exit(code)),
                Some(Frame::Signal(number)) => return Ok(Ended::Signal(number)),
                Some(Frame::WantStdin) => if let Some(sender) = stdin_sender.take() {
                    std::thread::spawn(move || forward(&sender));
                },
                Some(_) => {}
                // A tool does not outlive its world.
                None => return Ok(Ended::Signal(Signal::SIGKILL as i32)),
            },
            Some(bytes) = stdin.recv() => wire::send(&mut writer, &Frame::Stdin(bytes)).await?,
            Some(()) = end.recv() => wire::send(&mut writer, &Frame::Terminate).await?,
        }
    }
}

/// `DIR/nodes/NODE/bin/TOOL`: from the path it was called by, or from `PATH` when called by its name alone.
fn place(own: &Path) -> io::Result<(String, String, Layout)> {
    let full = if own.parent().is_some_and(|parent| !parent.as_os_str().is_empty()) {
        own.to_owned()
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .map(|folder| folder.join(own))
            .find(|candidate| candidate.symlink_metadata().is_ok())
            .ok_or_else(|| io::Error::other("called by a name that is not in PATH"))?
    };
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let mut up = full.ancestors();
    let tool = text(up.next().and_then(Path::file_name));
    let _bin = up.next();
    let node = text(up.next().and_then(Path::file_name));
    let dir = up.nth(1);
    match (tool, node, dir) {
        (Some(tool), Some(node), Some(dir)) => Ok((node, tool, Layout::new(dir))),
        _ => Err(io::Error::other("not called as DIR/nodes/NODE/bin/TOOL")),
    }
}

fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

fn forward(to: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    let mut stdin = io::stdin().lock();
    loop {
        let count = stdin.read(&mut buffer).unwrap_or(0);
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if to.blocking_send(bytes).is_err() || count == 0 {
            return;
        }
    }
}

fn requests_to_end() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT])
}

/// Ends by a signal, as a real tool would.
fn die(number: i32) -> ExitCode {
    requests_to_end().thread_unblock().ok();
    if let Ok(signal) = Signal::try_from(number) {
        kill(getpid(), signal).ok();
    }
    // Only reached for signals that do not kill.
    ExitCode::from(u8::try_from(128 + (number & 0x7f)).unwrap_or(255))
}
