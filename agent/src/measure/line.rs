//! One end of a link within a session: answers what its peers send, and keeps track of what it sent itself.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::KEY;
use super::packet::{HEAD, Packet};
use super::socket::{Arrival, Socket};

/// No UDP packet is longer.
const LONGEST: usize = 65_535;

/// By how much the wall clock's word about a round trip may exceed the monotonic clock's before it is not believed.
const CLOCK_SLACK: Duration = Duration::from_millis(1);

/// One end of a link.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) socket: Socket,
    /// The link's address on this server.
    pub(super) local: IpAddr,
    /// MTU of the interface that has it.
    pub(super) mtu: u32,
    /// From where packets are taken (where they really come from).
    peers: BTreeSet<IpAddr>,
    next: AtomicU64,
    sent: Mutex<HashMap<u64, Sent>>,
    answered: Notify,
}

/// A request that is under way or answered.
#[derive(Debug, Clone, Copy)]
struct Sent {
    to: SocketAddr,
    wall: i64,
    monotonic: Instant,
    round_trip: Option<u64>,
}

impl Line {
    pub(super) fn new(socket: Socket, local: IpAddr, mtu: u32, peers: BTreeSet<IpAddr>) -> Self {
        Self {
            socket,
            local,
            mtu,
            peers,
            next: AtomicU64::new(1),
            sent: Mutex::default(),
            answered: Notify::new(),
        }
    }

    pub(super) fn knows(&self, peer: IpAddr) -> bool {
        self.peers.contains(&peer)
    }

    fn sent(&self) -> MutexGuard<'_, HashMap<u64, Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers, and takes answers, for ever.
    pub(super) async fn listen(self: Arc<Self>, key: [u8; KEY]) {
        let mut buffer = vec![0; LONGEST];
        loop {
            match self.socket.receive(&mut buffer).await {
                Ok(arrival) => self.take(arrival, buffer.get(..arrival.length).unwrap_or_default(), &key),
                Err(error) => {
                    tracing::debug!(%error, local = %self.local, "a packet could not be received");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    fn take(&self, arrival: Arrival, bytes: &[u8], key: &[u8; KEY]) {
        if !self.peers.contains(&arrival.from.ip()) {
            return;
        }
        match Packet::read(bytes, key) {
            Some(Packet::Request { number }) => {
                let there = (arrival.at, self.socket.now());
                let answer = Packet::Answer { number, there };
                // What can't be sent is lost, as on any network.
                self.socket.send(&answer.write(arrival.length, key), arrival.from).ok();
            }
            Some(Packet::Answer { number, there }) => {
                if let Some(sent) = self.sent().get_mut(&number)
                    && sent.to == arrival.from
                    && sent.round_trip.is_none()
                {
                    sent.round_trip = Some(round_trip((sent.wall, arrival.at), there, sent.monotonic.elapsed()));
                }
                self.answered.notify_waiters();
            }
            None => {}
        }
    }

    /// Sends a request of this length (payload of UDP). Returns its number.
    pub(super) async fn request(&self, to: SocketAddr, length: usize, key: &[u8; KEY]) -> (u64, io::Result<()>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = Packet::Request { number }.write(length.max(HEAD), key);
        if let Err(error) = self.socket.ready_to_send().await {
            return (number, Err(error));
        }
        let sent = Sent {
            to,
            wall: self.socket.now(),
            monotonic: Instant::now(),
            round_trip: None,
        };
        self.sent().insert(number, sent);
        (number, self.socket.send(&bytes, to))
    }

    /// The round trip of a request in microseconds, once it is answered.
    pub(super) fn round_trip(&self, number: u64) -> Option<u64> {
        self.sent().get(&number)?.round_trip
    }

    /// Waits until `enough` holds, looking whenever an answer comes, but no longer than this.
    pub(super) async fn wait(&self, most: Duration, enough: impl Fn() -> bool) {
        let waiting = async {
            loop {
                let answered = self.answered.notified();
                if enough() {
                    return;
                }
                answered.await;
            }
        };
        // Not enough in time: whoever waits looks at what there is.
        tokio::time::timeout(most, waiting).await.ok();
    }

    /// What comes from now on for these requests is too late.
    pub(super) fn forget(&self, numbers: &[u64]) {
        let mut sent = self.sent();
        for number in numbers {
            sent.remove(number);
        }
    }
}

/// The way there and back without the stay, as NTP counts. Both differences are of one clock each; if a clock was set in between,
/// they are nonsense, and the monotonic clock's longer word counts.
fn round_trip(here: (i64, i64), there: (i64, i64), elapsed: Duration) -> u64 {
    let elapsed_micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    let whole = u64::try_from(here.1.saturating_sub(here.0)).ok();
    let stay = u64::try_from(there.1.saturating_sub(there.0)).ok();
    let slack = u64::try_from(CLOCK_SLACK.as_micros()).unwrap_or(0);
    match (whole, stay) {
        (Some(whole), Some(stay)) if stay <= whole && whole <= elapsed_micros.saturating_add(slack) => whole - stay,
        _ => elapsed_micros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stay_is_not_counted_and_a_clock_that_was_set_is_not_believed() {
        let elapsed = Duration::from_micros(10_000);
        assert_eq!(round_trip((1_000, 9_000), (500_000, 503_000), elapsed), 5_000);
        assert_eq!(
            round_trip((1_000, 3_601_000_000), (0, 0), elapsed),
            10_000,
            "set forward"
        );
        assert_eq!(round_trip((9_000, 1_000), (0, 0), elapsed), 10_000, "set back");
        assert_eq!(round_trip((1_000, 9_000), (0, 9_000), elapsed), 10_000, "set there");
        assert_eq!(
            round_trip((1_000, 9_000), (9_000, 0), elapsed),
            10_000,
            "set back there"
        );
    }
}
