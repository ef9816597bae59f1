//! A running tool's streams, its patience, and how it may be stopped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, mpsc, watch};

use crate::wire::{self, Frame};
use crate::world::clock::Pace;

/// Why a tool ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Stop {
    /// Nobody reads any more: the caller's program was killed.
    #[error("its caller vanished")]
    Gone,
    /// SIGTERM.
    #[error("terminated")]
    Terminated,
    /// A script killed it, or its server went off.
    #[error("killed by signal {0}, as scripted or for want of power")]
    Killed(i32),
}

/// The server that it runs on went off.
const NO_POWER: Stop = Stop::Killed(9);

/// The world's end of a tool's streams.
#[derive(Debug)]
pub(crate) struct Io {
    pace: Pace,
    writer: Mutex<OwnedWriteHalf>,
    stdin: Mutex<Stdin>,
    terminated: watch::Receiver<bool>,
    gone: watch::Receiver<bool>,
    /// Counts the server's losses of power, and how many there were at the start.
    losses: watch::Receiver<u32>,
    losses_before: u32,
    /// Lines until a scripted death; negative: none.
    lines_left: AtomicI64,
    death: AtomicI64,
}

#[derive(Debug)]
struct Stdin {
    chunks: mpsc::UnboundedReceiver<Vec<u8>>,
    wanted: bool,
    ended: bool,
    buffer: VecDeque<u8>,
}

impl Io {
    pub(crate) fn open(stream: UnixStream, pace: Pace, losses: watch::Receiver<u32>) -> Self {
        let losses_before = *losses.borrow();
        let (reader, writer) = stream.into_split();
        let (chunk, chunks) = mpsc::unbounded_channel();
        let (terminate, terminated) = watch::channel(false);
        let (leave, gone) = watch::channel(false);
        tokio::spawn(listen(reader, chunk, terminate, leave));
        Self {
            pace,
            writer: Mutex::new(writer),
            stdin: Mutex::new(Stdin {
                chunks,
                wanted: false,
                ended: false,
                buffer: VecDeque::new(),
            }),
            terminated,
            gone,
            losses,
            losses_before,
            lines_left: AtomicI64::new(-1),
            death: AtomicI64::new(9),
        }
    }

    pub(crate) fn die_after(&self, lines: u32, signal: i32) {
        self.death.store(i64::from(signal), Ordering::Relaxed);
        self.lines_left.store(i64::from(lines), Ordering::Relaxed);
    }

    /// Prints on stdout. Fails when nobody is there to read, as a write into a broken pipe does.
    pub(crate) async fn out(&self, text: &str) -> Result<(), Stop> {
        let left = self.lines_left.load(Ordering::Relaxed);
        if left < 0 {
            return self.send(Frame::Stdout(text.as_bytes().to_vec()), text).await;
        }
        for line in text.split_inclusive('\n') {
            if self.lines_left.fetch_sub(1, Ordering::Relaxed) <= 0 {
                return Err(Stop::Killed(
                    i32::try_from(self.death.load(Ordering::Relaxed)).unwrap_or(9),
                ));
            }
            self.send(Frame::Stdout(line.as_bytes().to_vec()), line).await?;
        }
        Ok(())
    }

    /// Prints on stderr.
    pub(crate) async fn err(&self, text: &str) -> Result<(), Stop> {
        self.send(Frame::Stderr(text.as_bytes().to_vec()), text).await
    }

    async fn send(&self, frame: Frame, text: &str) -> Result<(), Stop> {
        if *self.losses.borrow() != self.losses_before {
            return Err(NO_POWER);
        }
        if *self.gone.borrow() {
            return Err(Stop::Gone);
        }
        if text.is_empty() {
            return Ok(());
        }
        wire::send(&mut *self.writer.lock().await, &frame)
            .await
            .map_err(|_| Stop::Gone)
    }

    /// One line of stdin without its end; nothing at its end.
    pub(crate) async fn line(&self) -> Result<Option<String>, Stop> {
        let mut stdin = self.stdin.lock().await;
        self.want(&mut stdin).await?;
        loop {
            if let Some(end) = stdin.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = stdin.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if stdin.ended {
                let rest: Vec<u8> = stdin.buffer.drain(..).collect();
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            }
            self.more(&mut stdin).await?;
        }
    }

    /// All that is left of stdin.
    pub(crate) async fn rest(&self) -> Result<Vec<u8>, Stop> {
        let mut stdin = self.stdin.lock().await;
        self.want(&mut stdin).await?;
        while !stdin.ended {
            self.more(&mut stdin).await?;
        }
        Ok(stdin.buffer.drain(..).collect())
    }

    async fn want(&self, stdin: &mut Stdin) -> Result<(), Stop> {
        if stdin.wanted {
            return Ok(());
        }
        stdin.wanted = true;
        wire::send(&mut *self.writer.lock().await, &Frame::WantStdin)
            .await
            .map_err(|_| Stop::Gone)
    }

    async fn more(&self, stdin: &mut Stdin) -> Result<(), Stop> {
        let (mut terminated, mut gone) = (self.terminated.clone(), self.gone.clone());
        let mut losses = self.losses.clone();
        let chunk = tokio::select! {
            _ = losses.wait_for(|now| *now != self.losses_before) => return Err(NO_POWER),
            chunk = stdin.chunks.recv() => chunk,
            _ = terminated.wait_for(|yes| *yes) => return Err(Stop::Terminated),
            _ = gone.wait_for(|yes| *yes) => return Err(Stop::Gone),
        };
        match chunk {
            Some(bytes) if bytes.is_empty() => stdin.ended = true,
            Some(bytes) => stdin.buffer.extend(bytes),
            None => return Err(Stop::Gone),
        }
        Ok(())
    }

    /// Works for a simulated time; SIGTERM interrupts it, the death of the caller does not.
    pub(crate) async fn pause(&self, simulated: Duration) -> Result<(), Stop> {
        let mut terminated = self.terminated.clone();
        let mut losses = self.losses.clone();
        tokio::select! {
            biased;
            Ok(_) = losses.wait_for(|now| *now != self.losses_before) => Err(NO_POWER),
            Ok(_) = terminated.wait_for(|yes| *yes) => Err(Stop::Terminated),
            () = self.pace.sleep(simulated) => Ok(()),
        }
    }

    /// Works in the kernel, where no signal reaches it: only the loss of power ends it.
    pub(crate) async fn uninterruptible(&self, simulated: Duration) -> Result<(), Stop> {
        let mut losses = self.losses.clone();
        tokio::select! {
            biased;
            Ok(_) = losses.wait_for(|now| *now != self.losses_before) => Err(NO_POWER),
            () = self.pace.sleep(simulated) => Ok(()),
        }
    }

    /// Hangs until somebody ends it.
    pub(crate) async fn end(&self) -> Result<(), Stop> {
        let (mut terminated, mut gone) = (self.terminated.clone(), self.gone.clone());
        let mut losses = self.losses.clone();
        tokio::select! {
            Ok(_) = losses.wait_for(|now| *now != self.losses_before) => Err(NO_POWER),
            Ok(_) = terminated.wait_for(|yes| *yes) => Err(Stop::Terminated),
            Ok(_) = gone.wait_for(|yes| *yes) => Err(Stop::Gone),
        }
    }

    pub(crate) async fn exit(&self, code: i32) {
        // A caller that has gone needs no exit code.
        wire::send(&mut *self.writer.lock().await, &Frame::Exit(code))
            .await
            .ok();
    }

    pub(crate) async fn die(&self, signal: i32) {
        wire::send(&mut *self.writer.lock().await, &Frame::Signal(signal))
            .await
            .ok();
    }
}

async fn listen(
    mut reader: OwnedReadHalf,
    chunks: mpsc::UnboundedSender<Vec<u8>>,
    terminate: watch::Sender<bool>,
    leave: watch::Sender<bool>,
) {
    while let Ok(Some(frame)) = wire::receive(&mut reader).await {
        match frame {
            Frame::Stdin(bytes) => {
                // A tool that reads no further leaves the rest unread.
                chunks.send(bytes).ok();
            }
            Frame::Terminate => {
                terminate.send_replace(true);
            }
            _ => {}
        }
    }
    leave.send_replace(true);
    // The senders live as long as anybody may still wait for them.
    leave.closed().await;
}
