//! How the fleet's servers take callers in, so that nobody who calls can keep others from being heard.
//!
//! ```text
//! accept ──▶ Lobby: a place for the handshake ──▶ Book: a seat for the connection ──▶ Calls: each request has its time
//!            full: the oldest handshake of the        full: the oldest seat without        and its share of memory
//!            busiest address is broken off            a call is taken away
//! ```
//!
//! Nobody waits for a place: who behaves is through a handshake in milliseconds, so the oldest one is somebody who does not.
//! Whoever answers HTTP/2's pings and never asks anything is let go after a while; whoever does not answer them, by the keepalive.

mod accept;
mod book;
mod calls;
mod connection;
mod lobby;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use accept::{Arrival, receive};
pub use calls::{Calls, CallsLayer};
pub use connection::{Admitted, Connection};
pub use refusal::{finding, note, sentence};

use book::Book;
use lobby::Lobby;

/// What a server grants. Every figure is for one process.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Handshakes at one time.
    pub handshakes: usize,
    /// From an accepted connection to a finished handshake.
    pub handshake: Duration,
    /// Connections at one time.
    pub connections: usize,
    /// Connections of one caller: one certificate, one user of this host, or one address.
    pub per_caller: usize,
    /// From a finished handshake to the first call. Programs of ours dial because they have something to ask.
    pub first_call: Duration,
    /// Without any call, after the last one ended.
    pub idle: Duration,
    /// From a call's first byte to the last one of its request.
    pub request: Duration,
    /// Requests that are held at one time, in bytes, of all callers together.
    pub memory: usize,
    /// Calls for which the last two would be too little.
    pub large: Large,
}

/// Calls whose requests are large, with limits of their own.
#[derive(Debug, Clone, Copy)]
pub struct Large {
    /// By their paths, as HTTP/2 has them: `/package.Service/Method`.
    pub calls: &'static [&'static str],
    /// As [`Limits::request`].
    pub request: Duration,
    /// As [`Limits::memory`], and apart from it.
    pub memory: usize,
}

impl Large {
    /// There are none.
    pub const NONE: Self = Self {
        calls: &[],
        request: Duration::ZERO,
        memory: 0,
    };
}

impl Limits {
    /// What suits a server with few callers; each says what it does otherwise.
    #[must_use]
    pub fn usual(handshake: Duration) -> Self {
        Self {
            handshakes: 32,
            handshake,
            connections: 64,
            per_caller: 16,
            first_call: Duration::from_secs(10),
            // A command line asks and leaves; a coordinator's health stream is a call that never ends.
            idle: Duration::from_secs(300),
            // The largest message, 4 MiB, at 4 Mbit/s.
            request: Duration::from_secs(10),
            memory: 32 << 20,
            large: Large::NONE,
        }
    }
}

/// One server's reception. Clones share its books.
#[derive(Debug, Clone)]
pub struct Reception(Arc<Rooms>);

#[derive(Debug)]
struct Rooms {
    limits: Limits,
    lobby: Lobby,
    book: Arc<Book>,
    calls: calls::Limits,
}

impl Reception {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Rooms {
            lobby: Lobby::new(limits.handshakes),
            book: Arc::new(Book::new(limits.connections, limits.per_caller)),
            calls: calls::Limits::of(&limits),
            limits,
        }))
    }

    /// Ends every connection of a caller, with all that is asked over it. Returns how many there were.
    pub fn expel(&self, caller: &str) -> usize {
        self.0.book.expel(caller)
    }

    /// What stands before every service of the server, outermost.
    #[must_use]
    pub fn calls<C>(&self) -> CallsLayer<C> {
        CallsLayer::new(self.0.calls.clone())
    }

    /// A seat for somebody who is known by now: `caller` is what its connections are counted by. `None`: too many sit here, and
    /// each of them asks something.
    #[must_use]
    pub fn seat<S, C>(&self, stream: S, who: C, caller: &str) -> Option<Connection<S, C>> {
        let seat = self.0.book.seat(caller)?;
        Some(Connection::new(
            stream,
            who,
            seat,
            (self.0.limits.first_call, self.0.limits.idle),
        ))
    }

    fn lobby(&self) -> &Lobby {
        &self.0.lobby
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }
}

/// Ends when somebody is asked to leave.
type Leave = CancellationToken;
