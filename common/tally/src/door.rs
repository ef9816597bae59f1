//! Where the writer answers: whoever connects gets the line, and the connection is closed.
//!
//! The line goes into the empty buffer of a new connection at once, so that nobody waits for anybody. A caller who has sent something is not
//! cut off by that: the connection is only closed when he has closed his end, or after two seconds. If too many linger like this, the one
//! that has for longest goes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use quorate_clock::Clock;

/// How long a caller may keep a connection open after he was answered.
const LINGERS: Duration = Duration::from_secs(2);
/// How many may do so at a time.
const MOST: usize = 48;
/// What a caller may send, in bytes; nothing of it is looked at.
const HEARD: usize = 64 << 10;
/// How many are taken in before the others are looked at again.
const AT_ONCE: usize = 64;
/// After the kernel has refused a connection for want of something.
const BREATH: Duration = Duration::from_millis(20);

/// Open doors, and those who are on their way out.
#[derive(Debug)]
pub struct Door {
    listeners: Vec<TcpListener>,
    leaving: VecDeque<Leaving>,
    clock: Clock,
}

/// One who was answered.
#[derive(Debug)]
struct Leaving {
    stream: TcpStream,
    since: Duration,
    heard: usize,
}

impl Door {
    /// Listens on all these addresses.
    ///
    /// # Errors
    /// One of them can't be had; which one is told.
    pub fn open(addresses: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let bound = addresses
            .iter()
            .map(|address| bind(*address).map_err(|error| (*address, error)));
        Ok(Self::of(bound.collect::<Result<_, _>>()?))
    }

    /// Listens on this port of all addresses, IPv6 and IPv4, as far as this host has them.
    ///
    /// # Errors
    /// Neither can be had.
    pub fn open_all(port: u16) -> Result<Self, (SocketAddr, io::Error)> {
        let [six, four] = ["[::]", "0.0.0.0"].map(|any| format!("{any}:{port}").parse::<SocketAddr>().ok());
        let mut listeners = Vec::new();
        let mut failed = None;
        // The first one usually is for both; then the second is taken, and not needed.
        for address in [six, four].into_iter().flatten() {
            match bind(address) {
                Ok(listener) => listeners.push(listener),
                Err(error) => failed = failed.or(Some((address, error))),
            }
        }
        match failed {
            Some(failed) if listeners.is_empty() => Err(failed),
            _ => Ok(Self::of(listeners)),
        }
    }

    fn of(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            leaving: VecDeque::new(),
            clock: Clock::system(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        addresses.collect()
    }

    /// Waits until something happens, and sees to it: callers get what `line` says at that moment.
    pub fn turn(&mut self, line: impl Fn() -> String) {
        let (at_door, heard) = match self.wait() {
            Ok(ready) => ready,
            Err(Errno::EINTR) => return,
            Err(_) => {
                thread::sleep(BREATH);
                return;
            }
        };
        let now = self.clock.monotonic();
        let mut ready = heard.into_iter();
        self.leaving.retain_mut(|leaving| {
            let there = ready.next().unwrap_or(false);
            now.saturating_sub(leaving.since) < LINGERS && !(there && leaving.has_gone())
        });
        for (listener, _) in self.listeners.iter().zip(at_door).filter(|(_, there)| *there) {
            for _ in 0..AT_ONCE {
                match listener.accept() {
                    Ok((stream, _)) => {
                        if answer(&stream, &line()).is_ok() {
                            if self.leaving.len() >= MOST {
                                self.leaving.pop_front();
                            }
                            self.leaving.push_back(Leaving {
                                stream,
                                since: now,
                                heard: 0,
                            });
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    // The caller was gone before he was taken in.
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(_) => {
                        self.leaving.pop_front();
                        thread::sleep(BREATH);
                        break;
                    }
                }
            }
        }
    }

    /// Which listeners have somebody, and which of those who leave have said something.
    fn wait(&self) -> Result<(Vec<bool>, Vec<bool>), Errno> {
        let now = self.clock.monotonic();
        let first = self.leaving.front();
        let left = first.map(|leaving| LINGERS.saturating_sub(now.saturating_sub(leaving.since)));
        let timeout = match left {
            // One more, since what is left of a millisecond is cut off.
            Some(left) => PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::ZERO),
            None => PollTimeout::NONE,
        };
        let doors = self.listeners.iter().map(|listener| listener.as_fd());
        let streams = self.leaving.iter().map(|leaving| leaving.stream.as_fd());
        let mut fds: Vec<PollFd> = doors
            .chain(streams)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        poll(&mut fds, timeout)?;
        let mut ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let heard = ready.split_off(self.listeners.len().min(ready.len()));
        Ok((ready, heard))
    }
}

impl Leaving {
    /// Has he closed his end, or does he not stop talking?
    fn has_gone(&mut self) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => true,
            Ok(length) => {
                self.heard = self.heard.saturating_add(length);
                self.heard > HEARD
            }
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }
}

/// A listener that never makes anybody wait.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Says the line, whole, and that nothing follows.
fn answer(mut stream: &TcpStream, line: &str) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let length = stream.write(line.as_bytes())?;
    if length < line.len() {
        // A part of a line is no answer, and the reader knows it by its missing end.
        return Err(ErrorKind::WriteZero.into());
    }
    stream.shutdown(Shutdown::Write)
}
