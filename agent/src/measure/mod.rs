//! Measuring the way to other nodes: small UDP packets that the agents send one another.
//!
//! The coordinator opens a session on every node that takes part, each with the same random key. While it lasts, a node answers
//! packets that bear the key and come from the addresses it was told, with no more bytes than it was sent, and nothing else. A
//! session ends by itself: no word of the coordinator is needed for that.

mod line;
mod packet;
mod probe;
mod request;
mod socket;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::measurement::PairMeasurement;
use quorate_tools::ip;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::host::{Host, unparsable};
use line::Line;
use socket::Socket;

pub(crate) use request::key;
pub use request::{Invalid, LinkEnd, Measure, Open, Target};

/// Bytes of a session's key.
pub const KEY: usize = 16;

/// Series of measurements that one session takes at the same time.
const AT_ONCE: usize = 2;

/// A link's end that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// UDP port.
    pub port: u16,
    /// MTU of the interface that has the address.
    pub mtu: u32,
}

/// Why a measurement is not begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBegun {
    /// It was never opened, has ended by itself, or another one has taken its place.
    #[error("there is no such session (any more)")]
    NoSession,
    /// Enough is being measured already.
    #[error("this node is measuring already")]
    Busy,
}

/// What this agent takes part in. Clones take part in the same.
#[derive(Debug, Clone)]
pub struct Echo {
    host: Arc<Host>,
    ports: RangeInclusive<u16>,
    session: Arc<Mutex<Option<Session>>>,
}

#[derive(Debug)]
struct Session {
    key: [u8; KEY],
    lines: BTreeMap<u8, Arc<Line>>,
    places: Arc<Semaphore>,
    ends_at: Instant,
    /// Aborted when the session is dropped.
    listeners: JoinSet<()>,
}

impl Session {
    /// Gives the ports back: when this returns, they can be had again.
    async fn end(mut self) {
        self.listeners.shutdown().await;
    }
}

impl Echo {
    /// Nothing is open yet. `ports`: where it may be opened.
    #[must_use]
    pub fn new(host: Arc<Host>, ports: RangeInclusive<u16>) -> Self {
        Self {
            host,
            ports,
            session: Arc::default(),
        }
    }

    /// Opens a session in the place of the one before. A link that can't be opened is unknown, and why; the others are open.
    pub async fn open(&self, open: Open) -> BTreeMap<u8, Result<Ready, Unknown>> {
        let own = self.own_addresses().await;
        let mut session = self.session.lock().await;
        if let Some(before) = session.take() {
            before.end().await;
        }
        let mut lines = BTreeMap::new();
        let mut listeners = JoinSet::new();
        let mut opened = BTreeMap::new();
        for (number, end) in open.links {
            let line = own.as_ref().map_err(Clone::clone).and_then(|own| self.line(&end, own));
            let ready = line.and_then(|line| {
                let port = line.socket.port().map_err(|error| failed(&end, &error))?;
                let (ready, line) = (Ready { port, mtu: line.mtu }, Arc::new(line));
                listeners.spawn(Arc::clone(&line).listen(open.key));
                lines.insert(number, line);
                Ok(ready)
            });
            opened.insert(number, ready);
        }
        let ends_at = Instant::now() + open.lasts;
        *session = Some(Session {
            key: open.key,
            lines,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            ends_at,
            listeners,
        });
        drop(session);
        tokio::spawn(end_in_time(Arc::clone(&self.session), open.key, ends_at));
        opened
    }

    /// Measures the way to every target, at the same time. In the order of the targets.
    ///
    /// # Errors
    /// There is no such session, or it is busy.
    pub async fn measure(&self, measure: Measure) -> Result<Vec<Facet<PairMeasurement>>, NotBegun> {
        let (lines, places, ends_at) = {
            let session = self.session.lock().await;
            let ours = session.as_ref().filter(|session| session.key == measure.key);
            let ours = ours.ok_or(NotBegun::NoSession)?;
            (ours.lines.clone(), Arc::clone(&ours.places), ours.ends_at)
        };
        let Ok(_place) = places.try_acquire() else {
            return Err(NotBegun::Busy);
        };
        let mut series = JoinSet::new();
        for (index, target) in measure.targets.iter().enumerate() {
            let line = lines.get(&target.link).cloned();
            let real = self.host.links().real(target.remote);
            let (host, key, target) = (Arc::clone(&self.host), measure.key, *target);
            let (packets, every) = (measure.packets, measure.every);
            series.spawn(async move {
                let measured = match (line, real) {
                    (Some(line), Some(real)) if line.knows(real) => {
                        let series = probe::Series {
                            remote: target.remote,
                            to: SocketAddr::new(real, target.port),
                            packets,
                            every,
                        };
                        let measuring = line.measure(series, &key, || host.now());
                        let measured = tokio::time::timeout_at(ends_at, measuring).await;
                        measured
                            .unwrap_or_else(|_| Facet::unknown(UnknownKind::TimedOut, "the session ended meanwhile"))
                    }
                    _ => Facet::unknown(
                        UnknownKind::Failed,
                        format!(
                            "{} was not named when link {} was opened here",
                            target.remote, target.link
                        ),
                    ),
                };
                (index, measured)
            });
        }
        let mut measured: BTreeMap<usize, Facet<PairMeasurement>> = BTreeMap::new();
        while let Some(ended) = series.join_next().await {
            if let Ok((index, facet)) = ended {
                measured.insert(index, facet);
            }
        }
        let missing = || Facet::unknown(UnknownKind::Failed, "the measurement broke");
        Ok((0..measure.targets.len())
            .map(|index| measured.remove(&index).unwrap_or_else(missing))
            .collect())
    }

    /// Ends the session, if it is this one.
    pub async fn close(&self, key: [u8; KEY]) {
        end(&self.session, |session| session.key == key).await;
    }

    /// The server's addresses with the MTU of the interface that has each.
    async fn own_addresses(&self) -> Result<BTreeMap<IpAddr, u32>, Unknown> {
        let stdout = self.host.ask(ip::addresses(self.host.tools())).await?;
        let interfaces = ip::read(&stdout).map_err(unparsable)?;
        let of = |interface: &quorate_model::observation::network::Interface| {
            let mtu = interface.mtu;
            interface
                .addresses
                .iter()
                .map(move |a| (a.address, mtu))
                .collect::<Vec<_>>()
        };
        Ok(interfaces.iter().flat_map(of).collect())
    }

    fn line(&self, end: &LinkEnd, own: &BTreeMap<IpAddr, u32>) -> Result<Line, Unknown> {
        let Some(mtu) = own.get(&end.local) else {
            let reason = format!("{} is not an address of this server", end.local);
            return Err(Unknown::new(UnknownKind::Failed, reason));
        };
        let links = self.host.links();
        let unmapped = |address| Unknown::new(UnknownKind::Failed, format!("the lab has no way to {address}"));
        let real = links.real(end.local).ok_or_else(|| unmapped(end.local))?;
        let socket = Socket::bind(real, &self.ports).map_err(|error| failed(end, &error))?;
        let peers: BTreeSet<IpAddr> = end.peers.iter().filter_map(|peer| links.real(*peer)).collect();
        Ok(Line::new(socket, end.local, *mtu, peers))
    }
}

fn failed(end: &LinkEnd, error: &std::io::Error) -> Unknown {
    Unknown::new(UnknownKind::Failed, format!("no socket at {}: {error}", end.local))
}

async fn end_in_time(session: Arc<Mutex<Option<Session>>>, key: [u8; KEY], at: Instant) {
    tokio::time::sleep_until(at).await;
    end(&session, |session| session.key == key && session.ends_at == at).await;
}

async fn end(session: &Mutex<Option<Session>>, which: impl FnOnce(&Session) -> bool) {
    let mut session = session.lock().await;
    if session.as_ref().is_some_and(which)
        && let Some(ours) = session.take()
    {
        ours.end().await;
    }
}

/// Reads a packet of the session whose key is all zeros, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(bytes: &[u8]) -> impl std::fmt::Debug + use<> {
    packet::Packet::read(bytes, &[0; KEY])
}

#[cfg(test)]
mod tests;
