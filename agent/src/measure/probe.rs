//! A series of packets to one peer, and the search for the largest that passes.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::measurement::{PairMeasurement, RoundTrips};
use quorate_model::time::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

use super::KEY;
use super::line::Line;

/// Payload of the packets whose time is taken: as long as corosync's own heartbeats and tokens are, roughly.
const PAYLOAD: usize = 100;

/// How long the first answer is waited for after the last packet: what needs longer is no cluster network.
const SILENCE: Duration = Duration::from_millis(500);

/// How long the last answers are waited for once others came: a host that is busy for a moment has not lost them. Where all came,
/// nobody waits.
const LAST: Duration = Duration::from_millis(400);

/// The same for packets of a size that may not pass at all: there silence is the usual answer, and waited for often.
const SIZE: Duration = Duration::from_millis(50);

/// A search for the MTU among too many losses would find them and not the MTU. Percent.
const TOO_LOSSY: f64 = 20.0;

/// Packets of each size: one that passes must get lost this often in a row to be taken for one that doesn't.
const COPIES: usize = 3;

/// Sizes that are tried at once.
const WIDTH: u32 = 8;

/// Between two copies of the same sizes: a short burst of losses should not swallow all.
const APART: Duration = Duration::from_millis(2);

/// What is to be measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    /// The link's address at the other end.
    pub(super) remote: IpAddr,
    /// Where packets for it go.
    pub(super) to: SocketAddr,
    pub(super) packets: u32,
    pub(super) every: Duration,
}

impl Line {
    /// Measures. `now` tells the time of the server.
    pub(super) async fn measure(
        &self,
        series: Series,
        key: &[u8; KEY],
        now: impl Fn() -> Timestamp,
    ) -> Facet<PairMeasurement> {
        let (trips, refused) = self.round_trips(series, key).await;
        let (Some(p50), Some(p99), Some(max)) = (trips.percentile(50), trips.percentile(99), trips.percentile(100))
        else {
            let reason = match refused {
                Some(error) => format!("packets to {} can't be sent: {error}", series.remote),
                None => format!("no answer from {} to {} packets", series.remote, trips.sent()),
            };
            return Facet::unknown(UnknownKind::NoAnswer, reason);
        };
        let mut measurement = PairMeasurement {
            local: self.local,
            remote: series.remote,
            sent: trips.sent(),
            received: trips.received(),
            late: trips.late(),
            rtt_p50: p50,
            rtt_p99: p99,
            rtt_max: max,
            jitter: trips.jitter(),
            path_mtu: Facet::not_asked(),
            local_mtu: Some(self.mtu),
            remote_mtu: None,
        };
        measurement.path_mtu = if measurement.loss_percent() > TOO_LOSSY {
            let (lost, sent) = (measurement.lost(), measurement.sent);
            Facet::unknown(
                UnknownKind::Failed,
                format!("{lost} of {sent} packets were lost: too many to tell"),
            )
        } else {
            let patience = Duration::from_micros(max).saturating_mul(4).clamp(SIZE, SILENCE);
            match self.path_mtu(series.to, patience, key).await {
                Ok(mtu) => Facet::known(mtu, now()),
                Err(unknown) => Facet::Unknown(unknown),
            }
        };
        Facet::known(measurement, now())
    }

    /// The round trips, and why nothing could be sent, if something couldn't.
    async fn round_trips(&self, series: Series, key: &[u8; KEY]) -> (RoundTrips, Option<std::io::Error>) {
        let mut ticks = interval(series.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut numbers = Vec::new();
        let mut refused = None;
        for _ in 0..series.packets {
            ticks.tick().await;
            let (number, sent) = self.request(series.to, PAYLOAD, key).await;
            numbers.push(number);
            refused = sent.err().or(refused);
        }
        let answered = || numbers.iter().filter_map(|n| self.round_trip(*n));
        self.wait(SILENCE, || answered().next().is_some()).await;
        let slowest = Duration::from_micros(answered().max().unwrap_or(0));
        if !slowest.is_zero() {
            let last = slowest.saturating_mul(4).clamp(LAST, SILENCE);
            self.wait(last, || answered().count() == numbers.len()).await;
        }
        let trips = RoundTrips::of(numbers.iter().map(|n| self.round_trip(*n)).collect());
        self.forget(&numbers);
        (trips, refused)
    }

    /// The largest IP packet that passes both ways; at most the interface's MTU.
    async fn path_mtu(&self, to: SocketAddr, patience: Duration, key: &[u8; KEY]) -> Result<u32, Unknown> {
        let heads = heads(to.ip());
        // What the series has shown to pass.
        let mut passes = heads + u32::try_from(PAYLOAD).unwrap_or(0);
        let mut fails = self.mtu.min(65_535) + 1;
        if fails <= passes {
            return Err(Unknown::new(
                UnknownKind::Failed,
                format!("the interface's MTU is {}, less than the packets that passed", self.mtu),
            ));
        }
        // Most ways pass what the interface sends.
        let mut sizes = vec![fails - 1];
        while !sizes.is_empty() {
            let passed = self.passing(&sizes, to, heads, patience, key).await;
            passes = passed.unwrap_or(passes).max(passes);
            fails = sizes
                .iter()
                .copied()
                .filter(|size| *size > passes)
                .min()
                .unwrap_or(fails)
                .min(fails);
            sizes = between(passes, fails);
        }
        Ok(passes)
    }

    /// The largest of these sizes that came back.
    async fn passing(
        &self,
        sizes: &[u32],
        to: SocketAddr,
        heads: u32,
        patience: Duration,
        key: &[u8; KEY],
    ) -> Option<u32> {
        let mut sent: Vec<(u32, u64)> = Vec::new();
        for copy in 0..COPIES {
            if copy > 0 {
                self.wait(APART, || all_answered(self, &sent, sizes)).await;
            }
            for size in sizes {
                if is_answered(self, &sent, *size) {
                    continue;
                }
                let length = usize::try_from(size.saturating_sub(heads)).unwrap_or(0);
                // Too large for the interface itself (EMSGSIZE): it does not pass, and is not waited for in vain any longer
                // than the others.
                let (number, _) = self.request(to, length, key).await;
                sent.push((*size, number));
            }
        }
        self.wait(patience, || all_answered(self, &sent, sizes)).await;
        let passed = sizes
            .iter()
            .copied()
            .filter(|size| is_answered(self, &sent, *size))
            .max();
        self.forget(&sent.iter().map(|(_, number)| *number).collect::<Vec<_>>());
        passed
    }
}

fn is_answered(line: &Line, sent: &[(u32, u64)], size: u32) -> bool {
    sent.iter()
        .any(|(s, number)| *s == size && line.round_trip(*number).is_some())
}

fn all_answered(line: &Line, sent: &[(u32, u64)], sizes: &[u32]) -> bool {
    sizes.iter().all(|size| is_answered(line, sent, *size))
}

/// Bytes of the IP and UDP heads.
fn heads(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(_) => 20 + 8,
        IpAddr::V6(_) => 40 + 8,
    }
}

/// Sizes to try next: evenly spread between what passes and what doesn't; none if nothing is left between.
fn between(passes: u32, fails: u32) -> Vec<u32> {
    let gap = fails.saturating_sub(passes);
    let count = gap.saturating_sub(1).min(WIDTH);
    let mut sizes: Vec<u32> = (1..=count).map(|n| passes + gap * n / (count + 1)).collect();
    sizes.dedup();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_closes_in_on_every_mtu() {
        for (top, truth) in [
            (1501, 1400),
            (9001, 1499),
            (9001, 8999),
            (65_536, 129),
            (1501, 1500),
            (140, 130),
        ] {
            let (mut passes, mut fails, mut rounds) = (128, top, 0);
            loop {
                let sizes = between(passes, fails);
                if sizes.is_empty() {
                    break;
                }
                assert!(
                    sizes.iter().all(|s| *s > passes && *s < fails),
                    "{sizes:?} in {passes}..{fails}"
                );
                passes = sizes.iter().copied().filter(|s| *s <= truth).max().unwrap_or(passes);
                fails = sizes.iter().copied().filter(|s| *s > truth).min().unwrap_or(fails);
                rounds += 1;
            }
            assert_eq!(passes, truth.min(top - 1));
            assert!(rounds <= 5, "{rounds} rounds for {truth} below {top}");
        }
    }
}
