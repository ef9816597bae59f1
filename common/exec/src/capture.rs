//! Talking to a child over its three streams, within limits.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

use crate::{Partial, SecretBytes};

/// Stderr explains; what does not fit into this is noise. Stdout is data and has the caller's cap.
pub(crate) const STDERR_CAP: usize = 64 * 1024;

/// Why the conversation ended before its time.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Stdout is longer than its cap.
    TooLarge,
    /// A stream or the child's state could not be read.
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Our ends of the child's pipes.
#[derive(Debug)]
pub(crate) struct Streams {
    stdin: Feed,
    stdout: Capture<ChildStdout>,
    stderr: Capture<ChildStderr>,
}

impl Streams {
    pub(crate) fn of(child: &mut Child, input: Option<SecretBytes>, stdout_cap: usize) -> Self {
        Self {
            stdin: Feed {
                pipe: child.stdin.take(),
                input,
                written: 0,
            },
            stdout: Capture::new(child.stdout.take(), stdout_cap),
            stderr: Capture::new(child.stderr.take(), STDERR_CAP),
        }
    }

    /// Writes and reads until every stream is closed. Cancel-safe: what was read stays, and a second call goes on.
    pub(crate) async fn pump(&mut self) -> Result<(), Trouble> {
        let stdout = async {
            match self.stdout.drain(Overflow::Stop).await? {
                End::Closed => Ok(()),
                End::Full => Err(Trouble::TooLarge),
            }
        };
        let stderr = async {
            self.stderr
                .drain(Overflow::Discard)
                .await
                .map(drop)
                .map_err(Trouble::Io)
        };
        let stdin = async { self.stdin.write().await.map_err(Trouble::Io) };
        tokio::try_join!(stdin, stdout, stderr).map(drop)
    }

    /// Reads what a killed child left in its pipes; limits hold, troubles no longer matter.
    pub(crate) async fn finish(&mut self) {
        self.close_stdin();
        let stdout = self.stdout.drain(Overflow::Discard);
        let stderr = self.stderr.drain(Overflow::Discard);
        if let (Err(error), _) | (_, Err(error)) = tokio::join!(stdout, stderr) {
            tracing::debug!(target: "quorate::exec", %error, "the last output of a killed process is lost");
        }
    }

    /// Nobody is left who should read.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin.pipe = None;
    }

    pub(crate) fn into_output(self) -> (Partial, bool) {
        (
            Partial {
                stdout: self.stdout.bytes,
                stderr: self.stderr.bytes,
            },
            self.stderr.overflowed,
        )
    }
}

/// Stdin of the child.
#[derive(Debug)]
struct Feed {
    pipe: Option<ChildStdin>,
    input: Option<SecretBytes>,
    written: usize,
}

impl Feed {
    async fn write(&mut self) -> io::Result<()> {
        if let (Some(pipe), Some(input)) = (&mut self.pipe, &self.input) {
            while let Some(rest) = input.expose().get(self.written..).filter(|rest| !rest.is_empty()) {
                match pipe.write(rest).await {
                    Ok(count) => self.written += count,
                    // The child closed its stdin. Whether that is a fault shows in what it says and how it ends.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                    Err(error) => return Err(error),
                }
            }
        }
        self.pipe = None;
        Ok(())
    }
}

/// One output stream of the child, kept up to a cap.
#[derive(Debug)]
struct Capture<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
    cap: usize,
    overflowed: bool,
}

/// What to do with more output than the cap allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    Stop,
    Discard,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Full,
}

impl<R: AsyncRead + Unpin> Capture<R> {
    fn new(pipe: Option<R>, cap: usize) -> Self {
        Self {
            pipe,
            bytes: Vec::new(),
            cap,
            overflowed: false,
        }
    }

    async fn drain(&mut self, overflow: Overflow) -> io::Result<End> {
        let mut chunk = vec![0; 8 * 1024];
        while let Some(pipe) = &mut self.pipe {
            let count = pipe.read(&mut chunk).await?;
            if count == 0 {
                self.pipe = None;
                break;
            }
            let room = self.cap - self.bytes.len();
            self.bytes.extend(chunk.iter().take(count.min(room)));
            if count > room {
                self.overflowed = true;
                if overflow == Overflow::Stop {
                    return Ok(End::Full);
                }
            }
        }
        Ok(End::Closed)
    }
}
