//! What was measured between two servers on a link, agent to agent, and what corosync's guidance says about it.
//!
//! A measurement is a series of small UDP packets that come back at once, with the agents' own time stamps in them: what the far
//! agent needs for its answer is subtracted, as NTP does. Then the largest packet is searched that passes without being cut.

mod compare;
mod judge;
mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::facet::{Facet, UnknownKind};
use crate::ids::NodeName;
use crate::time::{Timestamp, spoken};

pub use compare::{REFERENCE_LASTS, WORSE_FACTOR, reference, together, worse};
pub use judge::{
    About, LATENCY_HIGH, LATENCY_TOO_HIGH, LOSS_REFUSED_PERCENT, Verdict, findings, judge, not_measured, refuses,
    silent, verdict_findings,
};
pub use statistics::{LATE, Round, RoundTrips};

/// A measurement older than this says little about the network of today.
pub const FRESH: Duration = Duration::from_secs(24 * 3600);

/// What was measured between two addresses. Times are round trips in microseconds, without what the far agent needed itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairMeasurement {
    /// The address that the packets came from.
    pub local: IpAddr,
    /// The address that answered.
    pub remote: IpAddr,
    /// Packets that were sent.
    pub sent: u32,
    /// Packets that came back: at least one, else there is no measurement.
    pub received: u32,
    /// Of those that came back, the ones that took longer than [`LATE`].
    pub late: u32,
    /// Half of the round trips took no longer: the typical one.
    pub rtt_p50: u64,
    /// Of a hundred round trips, 99 took no longer.
    pub rtt_p99: u64,
    /// The longest.
    pub rtt_max: u64,
    /// By how much a round trip differed from the one before it, on average (mean of the absolute differences).
    pub jitter: u64,
    /// The largest IP packet, in bytes, that passes both ways without being cut (don't-fragment set).
    pub path_mtu: Facet<u32>,
    /// MTU of the interface with `local`. Source: `ip -j -d address`, on that server.
    pub local_mtu: Option<u32>,
    /// MTU of the interface with `remote`, likewise.
    pub remote_mtu: Option<u32>,
}

impl PairMeasurement {
    /// Packets that did not come back.
    #[must_use]
    pub fn lost(&self) -> u32 {
        self.sent.saturating_sub(self.received)
    }

    /// Share of the packets that did not come back, in percent.
    #[must_use]
    pub fn loss_percent(&self) -> f64 {
        if self.sent == 0 {
            return 0.0;
        }
        100.0 * f64::from(self.lost()) / f64::from(self.sent)
    }
}

/// Two servers and a link. `from` sent the packets; round trips are the same the other way round.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ends {
    /// corosync's number of the link.
    pub link: u8,
    /// The server that sent.
    pub from: NodeName,
    /// The server that answered.
    pub to: NodeName,
}

impl Ends {
    /// The ends in the order in which they are kept: the first name sends.
    #[must_use]
    pub fn of(link: u8, one: NodeName, other: NodeName) -> Self {
        let (from, to) = if one <= other { (one, other) } else { (other, one) };
        Self { link, from, to }
    }
}

/// One pair of servers on one link, measured or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Who and where.
    #[serde(flatten)]
    pub ends: Ends,
    /// What was measured and when (on the coordinator's clock), or why nothing was.
    pub measured: Facet<PairMeasurement>,
}

/// All pairs of a cluster's servers on all of its links.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// By link, then by names; each pair stands there once for each link.
    pub pairs: Vec<Pair>,
}

impl Baseline {
    /// From pairs in any order. A pair that stands there twice counts as it stands there last.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = Pair>) -> Self {
        let sorted: BTreeMap<Ends, Facet<PairMeasurement>> = pairs.into_iter().map(|p| (p.ends, p.measured)).collect();
        let pair = |(ends, measured)| Pair { ends, measured };
        Self {
            pairs: sorted.into_iter().map(pair).collect(),
        }
    }

    /// One pair.
    #[must_use]
    pub fn pair(&self, ends: &Ends) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.ends == *ends)
    }

    /// The numbers of the links.
    #[must_use]
    pub fn links(&self) -> BTreeSet<u8> {
        self.pairs.iter().map(|pair| pair.ends.link).collect()
    }

    /// The servers.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<&NodeName> {
        self.pairs.iter().flat_map(|p| [&p.ends.from, &p.ends.to]).collect()
    }

    /// When the oldest and the newest measurement were made; `None`: nothing was measured.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times: BTreeSet<Timestamp> = self.pairs.iter().filter_map(|p| p.measured.collected_at()).collect();
        Some((*times.first()?, *times.last()?))
    }

    /// The same with the pairs of a newer one put in: a newer measurement replaces an older one, and a failure to measure does,
    /// too, since it says more about the network of today.
    #[must_use]
    pub fn with(self, newer: Self) -> Self {
        Self::of(self.pairs.into_iter().chain(newer.pairs))
    }

    /// Only the pairs that are wanted; one that was never measured, or at other addresses, is unknown.
    #[must_use]
    pub fn only(&self, wanted: impl IntoIterator<Item = (Ends, Facet<(IpAddr, IpAddr)>)>) -> Self {
        Self::of(wanted.into_iter().map(|(ends, addresses)| {
            let kept = self.pair(&ends).map(|pair| &pair.measured);
            let measured = match (kept, addresses) {
                (_, Facet::Unknown(unknown)) => Facet::Unknown(unknown),
                (None, Facet::Known { .. }) => Facet::unknown(UnknownKind::NotAsked, "never measured"),
                (Some(Facet::Known { value, .. }), Facet::Known { value: now, .. })
                    if (value.local, value.remote) != now =>
                {
                    Facet::unknown(UnknownKind::Stale, "measured at other addresses than the link has")
                }
                (Some(kept), Facet::Known { .. }) => kept.clone(),
            };
            Pair { ends, measured }
        }))
    }

    /// The same as it counts at `now`: what is older than `most` is unknown.
    #[must_use]
    pub fn as_of(mut self, now: Timestamp, most: Duration) -> Self {
        for pair in &mut self.pairs {
            let age = pair.measured.collected_at().map(|at| at.age(now));
            if let Some(age) = age.filter(|age| *age > most) {
                pair.measured = Facet::unknown(UnknownKind::Stale, format!("measured {} ago", spoken(age)));
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
