//! Calls from this node: something is called at an interval for a time, and each call is told as it ends. All that are under way together stay
//! below one rate, whoever asked for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_probe::Target;
use quorate_proto::limits::{PROBE_CALLS_A_SECOND, PROBE_EVERY_MS, PROBE_SECONDS, PROBES_AT_ONCE};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Who is called.
    pub(crate) target: Target,
    /// From call to call.
    pub(crate) every: Duration,
    /// When it ends by itself.
    pub(crate) lasts: Duration,
}

impl Asked {
    /// Reads it.
    ///
    /// # Errors
    /// In words: what of it is none, or out of range.
    pub(crate) fn read(target: &str, every_ms: u32, seconds: u32) -> Result<Self, String> {
        let target = target.parse().map_err(|why| format!("target: {why}"))?;
        if !PROBE_EVERY_MS.contains(&every_ms) {
            let (least, most) = PROBE_EVERY_MS.into_inner();
            return Err(format!("every_ms: {every_ms} is not from {least} to {most}"));
        }
        if !PROBE_SECONDS.contains(&seconds) {
            let (least, most) = PROBE_SECONDS.into_inner();
            return Err(format!("seconds: {seconds} is not from {least} to {most}"));
        }
        Ok(Self {
            target,
            every: Duration::from_millis(every_ms.into()),
            lasts: Duration::from_secs(seconds.into()),
        })
    }
}

/// Calls in a thousand seconds: so that slow ones count, too.
fn rate(every: Duration) -> u64 {
    let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
    1_000_000_u64.div_ceil(millis)
}

/// How much is called from here at present. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probes(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    probes: usize,
    /// Calls in a thousand seconds.
    rate: u64,
}

/// As many calls are made already as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMany {
    /// In a second.
    #[error("this node makes {0} calls a second already, and at most {PROBE_CALLS_A_SECOND}")]
    Calls(u64),
    /// At one time, however slowly.
    #[error("this node calls {PROBES_AT_ONCE} targets already, and no more at one time")]
    Probes,
}

/// A share of the calls, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    probes: Probes,
    rate: u64,
}

impl Probes {
    /// Takes a share.
    ///
    /// # Errors
    /// There is none left of that size.
    pub(crate) fn share(&self, every: Duration) -> Result<Share, TooMany> {
        let rate = rate(every);
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.probes >= PROBES_AT_ONCE {
            return Err(TooMany::Probes);
        }
        let then = under_way.rate.saturating_add(rate);
        if then > u64::from(PROBE_CALLS_A_SECOND).saturating_mul(1000) {
            return Err(TooMany::Calls(under_way.rate.div_ceil(1000)));
        }
        under_way.rate = then;
        under_way.probes = under_way.probes.saturating_add(1);
        Ok(Share {
            probes: self.clone(),
            rate,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut under_way = self.probes.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.rate = under_way.rate.saturating_sub(self.rate);
        under_way.probes = under_way.probes.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_they_make_no_more_calls_than_one_may() {
        let probes = Probes::default();
        let ten = Duration::from_millis(100);
        let shares: Vec<Share> = (0..10).map(|_| probes.share(ten).unwrap()).collect();
        let refused = probes.clone().share(Duration::from_secs(60)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "this node makes 100 calls a second already, and at most 100"
        );
        drop(shares);
        let all = probes.share(Duration::from_millis(10)).unwrap();
        assert!(probes.share(ten).is_err());
        drop(all);
        assert!(probes.share(ten).is_ok());
        // Slow ones take room all the same: each has a stream of the coordinator's connection.
        let slow: Vec<Share> = (0..PROBES_AT_ONCE)
            .map(|_| probes.share(Duration::from_secs(60)).unwrap())
            .collect();
        assert_eq!(probes.share(ten).unwrap_err(), TooMany::Probes);
        drop(slow);
        assert!(probes.share(ten).is_ok());
    }

    #[test]
    fn what_is_out_of_range_or_none_of_these_forms_is_not_called() {
        let why = |target: &str, every_ms, seconds| Asked::read(target, every_ms, seconds).unwrap_err();
        assert!(why("postgres://drill@192.0.2.7/drill", 100, 10).contains("is not of one of the forms"));
        assert!(why("tcp:mail.example:22", 100, 10).starts_with("target: "));
        assert_eq!(why("tcp:192.0.2.7:22", 9, 10), "every_ms: 9 is not from 10 to 60000");
        assert_eq!(why("tcp:192.0.2.7:22", 100, 0), "seconds: 0 is not from 1 to 86400");
        assert!(why("tcp:192.0.2.7:22", 100, 86_401).starts_with("seconds: "));
        for target in ["tcp:[2001:db8::7]:22", "icmp:192.0.2.7", "tally:2001:db8::7"] {
            assert!(Asked::read(target, 10, 86_400).is_ok(), "{target}");
        }
    }
}
