//! How often one address may try a token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Tries that an address has at first, and at most.
const BURST: u32 = 10;

/// After this long it has one more.
const REFILL: Duration = Duration::from_secs(3);

/// Addresses that are remembered. When there are more, those with all their tries left are forgotten; if none is, new
/// ones have to wait.
const ADDRESSES: usize = 1024;

/// Counts tries by address.
#[derive(Debug, Default)]
pub(super) struct Rate {
    tries: HashMap<IpAddr, Tries>,
}

#[derive(Debug)]
struct Tries {
    left: u32,
    counted_at: Duration,
}

impl Rate {
    /// Takes one try of an address, if it has one left. `now` is monotonic.
    pub(super) fn admit(&mut self, from: IpAddr, now: Duration) -> bool {
        if self.tries.len() >= ADDRESSES && !self.tries.contains_key(&from) {
            self.tries.retain(|_, tries| {
                tries.refill(now);
                tries.left < BURST
            });
            if self.tries.len() >= ADDRESSES {
                return false;
            }
        }
        let tries = self.tries.entry(from).or_insert(Tries {
            left: BURST,
            counted_at: now,
        });
        tries.refill(now);
        match tries.left.checked_sub(1) {
            Some(left) => {
                tries.left = left;
                true
            }
            None => false,
        }
    }
}

impl Tries {
    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.counted_at);
        let more = u32::try_from(passed.as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.counted_at += REFILL.saturating_mul(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(number).into()
    }

    #[test]
    fn a_burst_passes_then_one_every_three_seconds() {
        let mut rate = Rate::default();
        let at = Duration::from_secs;
        assert!((0..BURST).all(|_| rate.admit(address(1), at(100))));
        assert!(!rate.admit(address(1), at(102)));
        assert!(rate.admit(address(2), at(102)), "others are not held back");
        assert!(rate.admit(address(1), at(103)));
        assert!(!rate.admit(address(1), at(103)));
        assert!((0..BURST).all(|_| rate.admit(address(1), at(1000))));
        assert!(!rate.admit(address(1), at(1000)), "no more than a burst is saved up");
    }

    #[test]
    fn many_addresses_cost_no_memory() {
        let mut rate = Rate::default();
        for number in 0..5000 {
            rate.admit(address(number), Duration::from_secs(1));
        }
        assert!(rate.tries.len() <= ADDRESSES);
        assert!(
            rate.admit(address(9_000_000), Duration::from_secs(600)),
            "the quiet ones are forgotten in time"
        );
    }
}
