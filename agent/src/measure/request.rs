//! Requests, checked: what a coordinator gone mad may ask for at most.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use quorate_proto::{ConvertError, field, v1};

use super::KEY;

/// As many links as corosync has.
const MOST_LINKS: usize = 8;
/// Twice as many as the largest clusters that are known.
const MOST_PEERS: usize = 128;
/// All pairs of 32 nodes with two links take 40 s.
const LONGEST_SESSION: Duration = Duration::from_secs(120);
/// A hundred give a 99th percentile.
const MOST_PACKETS: u32 = 1000;
/// 2000 small packets a second are 2 Mbit/s.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(500);
/// More is no series any more.
const LONGEST_INTERVAL: Duration = Duration::from_millis(100);

/// A session to open.
#[derive(Clone)]
pub struct Open {
    /// What its packets bear.
    pub key: [u8; KEY],
    /// When it ends by itself.
    pub lasts: Duration,
    /// The links by corosync's number.
    pub links: BTreeMap<u8, LinkEnd>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("lasts", &self.lasts)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}

/// This node's end of a link, and who is at the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEnd {
    /// Its own address.
    pub local: IpAddr,
    /// The others' addresses.
    pub peers: BTreeSet<IpAddr>,
}

/// A series to measure.
#[derive(Clone)]
pub struct Measure {
    /// The session's.
    pub key: [u8; KEY],
    /// The other ends.
    pub targets: Vec<Target>,
    /// Packets to each.
    pub packets: u32,
    /// Between two packets.
    pub every: Duration,
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measure")
            .field("targets", &self.targets)
            .field("packets", &self.packets)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Another node's end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The link.
    pub link: u8,
    /// Its address there.
    pub remote: IpAddr,
    /// Where its echo is open.
    pub port: u16,
}

/// A request that is not obeyed.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// It can't be understood.
    #[error(transparent)]
    Garbled(#[from] ConvertError),
    /// It asks for too much, or too little.
    #[error("{what} must be {limit}, not {asked}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// What is allowed.
        limit: String,
        /// What was asked for.
        asked: String,
    },
}

impl Invalid {
    fn of(what: &'static str, limit: impl Into<String>, asked: impl fmt::Display) -> Self {
        Self::Limit {
            what,
            limit: limit.into(),
            asked: asked.to_string(),
        }
    }
}

impl TryFrom<v1::OpenEchoRequest> for Open {
    type Error = Invalid;
    fn try_from(request: v1::OpenEchoRequest) -> Result<Self, Invalid> {
        let key = key(&request.key)?;
        let lasts = Duration::from_secs(request.seconds.into());
        if lasts.is_zero() || lasts > LONGEST_SESSION {
            let limit = format!("1 to {} seconds", LONGEST_SESSION.as_secs());
            return Err(Invalid::of("the session's length", limit, request.seconds));
        }
        if request.links.len() > MOST_LINKS {
            return Err(Invalid::of(
                "links",
                format!("{MOST_LINKS} at most"),
                request.links.len(),
            ));
        }
        let mut links = BTreeMap::new();
        for link in request.links {
            if link.peers.len() > MOST_PEERS {
                return Err(Invalid::of("peers", format!("{MOST_PEERS} at most"), link.peers.len()));
            }
            let number = field("link", link.link)?;
            let end = LinkEnd {
                local: field("local", link.local)?,
                peers: field::<Vec<IpAddr>, _>("peers", link.peers)?.into_iter().collect(),
            };
            if links.insert(number, end).is_some() {
                return Err(Invalid::of("each link", "named once", format!("{number} twice")));
            }
        }
        Ok(Self { key, lasts, links })
    }
}

impl TryFrom<v1::MeasureRequest> for Measure {
    type Error = Invalid;
    fn try_from(request: v1::MeasureRequest) -> Result<Self, Invalid> {
        let key = key(&request.key)?;
        if request.targets.len() > MOST_LINKS {
            return Err(Invalid::of(
                "targets",
                format!("{MOST_LINKS} at most"),
                request.targets.len(),
            ));
        }
        if request.packets == 0 || request.packets > MOST_PACKETS {
            return Err(Invalid::of("packets", format!("1 to {MOST_PACKETS}"), request.packets));
        }
        let every = Duration::from_micros(request.interval_micros.into());
        if every < SHORTEST_INTERVAL || every > LONGEST_INTERVAL {
            let limit = format!(
                "{} to {} microseconds",
                SHORTEST_INTERVAL.as_micros(),
                LONGEST_INTERVAL.as_micros()
            );
            return Err(Invalid::of("the interval", limit, request.interval_micros));
        }
        let target = |target: v1::EchoTarget| -> Result<Target, ConvertError> {
            Ok(Target {
                link: field("link", target.link)?,
                remote: field("remote", target.remote)?,
                port: field("port", target.port)?,
            })
        };
        Ok(Self {
            key,
            targets: request.targets.into_iter().map(target).collect::<Result<_, _>>()?,
            packets: request.packets,
            every,
        })
    }
}

/// The key of a request.
///
/// # Errors
/// It has another length.
pub(crate) fn key(bytes: &[u8]) -> Result<[u8; KEY], Invalid> {
    let key = <[u8; KEY]>::try_from(bytes);
    key.map_err(|_| Invalid::of("the key", format!("{KEY} bytes"), bytes.len()))
}
