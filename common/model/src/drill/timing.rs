//! What decides how long a failover takes: corosync's timers of this cluster, and the constants of PVE's HA manager.
//!
//! Sources: facts on HA's constants and time line (pve-ha-manager CRM.pm, LRM.pm, NodeStatus.pm, watchdog-mux.c; pve-cluster memdb.c; corosync.conf(5)),
//! held against what was seen on running clusters.

use serde::{Deserialize, Serialize};

use super::axis::Range;
use crate::observation::cluster::Totem;

/// What corosync takes where nothing is written (`totem.token`), in milliseconds.
pub const TOKEN: u64 = 3000;
/// What corosync takes where nothing is written (`totem.token_coefficient`), in milliseconds: clusters made before pve-cluster 9.1.
pub const COEFFICIENT: u64 = 650;
/// What PVE writes into clusters made with pve-cluster 9.1 and later.
pub const COEFFICIENT_NEW: u64 = 125;

/// A node is fenced when its master has not seen it for this long, in seconds (NodeStatus.pm).
pub const FENCE_DELAY: i64 = 60;
/// Rounds of HA's master and local managers, in seconds, from start to start.
pub const ROUND: i64 = 10;
/// A lock of pmxcfs can be taken when it was not refreshed for longer than this, in seconds (memdb.c).
pub const LOCK: i64 = 120;
/// The watchdog is not fed any more when its client was silent for longer than this, in seconds (watchdog-mux.c).
pub const WATCHDOG_CLIENT: i64 = 60;
/// Then it resets the server within this, in seconds.
pub const WATCHDOG_DEVICE: i64 = 10;

/// From the cut to the victim's reset: the last update was up to 10 s before it, the client's 60 s, the device's 10 s.
pub const RESET: Range = Range::seconds(60, 66, 72);
/// From the cut until the victim's agent lock is taken: its last refresh was up to 10 s before, 121 to 141 s after that.
pub const LOCK_TAKEN: Range = Range::seconds(111, 130, 141);
/// From the lock until the guest is started by the new owner's local manager.
pub const START_AFTER_LOCK: Range = Range::seconds(0, 5, 10);
/// QEMU's own start.
pub const QEMU: Range = Range::seconds(1, 3, 5);
/// A guest of which nobody knows how long it boots.
pub const BOOT_UNKNOWN: Range = Range::seconds(5, 30, 120);
/// The same where the victim was HA's master: somebody has to become master first (111 to 125 s), and begins to count its 60 s only then.
pub const FENCE_OF_MASTER: Range = Range::seconds(171, 184, 195);
/// … and the lock has expired by then, but is asked for once more.
pub const LOCK_OF_MASTER: Range = Range::seconds(171, 186, 205);
/// … and the start.
pub const START_OF_MASTER: Range = Range::seconds(171, 190, 215);
/// A QDevice is asked before anybody is without quorum: some 5 to 9 s were seen; corosync waits 30 s at most.
pub const QDEVICE: Range = Range::millis(4000, 8500, 30_000);

/// corosync's timers. `None`: not known, and what is said covers what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Nodes of the ring.
    pub nodes: u32,
    /// `totem.token` as it is written, or corosync's own, in milliseconds.
    pub token: Option<u64>,
    /// `totem.token_coefficient`, in milliseconds.
    pub coefficient: Option<u64>,
    /// `totem.consensus`, in milliseconds, where it is written; else it is 1.2 times the token.
    pub consensus: Option<u64>,
    /// The token as corosync runs with it, in milliseconds, the coefficient in it: where this is known, the two above are not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u64>,
    /// knet's pings on the link that is told of last; `None`: a quarter and a half of the token, as corosync takes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pings: Option<Pings>,
}

/// knet's pings, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pings {
    /// From one to the next.
    pub interval: u64,
    /// Without an answer for so long, a link is down.
    pub timeout: u64,
}

impl Timing {
    /// As corosync runs now. Of links that are asked at different paces the slowest counts.
    #[must_use]
    pub fn of(nodes: u32, totem: &Totem) -> Self {
        let slowest = totem.pings.iter().max_by_key(|pings| (pings.timeout, pings.interval));
        Self {
            running: Some(u64::from(totem.token)),
            consensus: Some(u64::from(totem.consensus)),
            pings: slowest.map(|pings| Pings {
                interval: u64::from(pings.interval),
                timeout: u64::from(pings.timeout),
            }),
            ..Self::unknown(nodes)
        }
    }

    /// Nothing but the number of nodes is known.
    #[must_use]
    pub fn unknown(nodes: u32) -> Self {
        Self {
            nodes,
            token: None,
            coefficient: None,
            consensus: None,
            running: None,
            pings: None,
        }
    }

    /// Is all of it known that is needed?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.running.is_some() || self.token.is_some() && (self.coefficient.is_some() || self.nodes < 3)
    }

    /// After how long without a token corosync gives a node up: token + (nodes - 2) × coefficient, from three nodes on.
    #[must_use]
    pub fn token(&self) -> Range {
        if let Some(running) = self.running {
            let running = i64::try_from(running).unwrap_or(i64::MAX);
            return Range::millis(running, running, running);
        }
        let more = u64::from(self.nodes.saturating_sub(2));
        let of = |coefficient: u64| {
            let token = self
                .token
                .unwrap_or(TOKEN)
                .saturating_add(coefficient.saturating_mul(more));
            i64::try_from(token).unwrap_or(i64::MAX)
        };
        let (least, most) = match self.coefficient {
            Some(known) => (of(known), of(known)),
            None => (of(COEFFICIENT_NEW), of(COEFFICIENT)),
        };
        Range::millis(least, most, most)
    }

    /// When knet calls a link down: its pings go out each quarter of the token, and half of it is waited for, if nothing else is written.
    #[must_use]
    pub fn link_down(&self) -> Range {
        if let Some(Pings { interval, timeout }) = self.pings {
            let millis = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            return Range::millis(
                millis(timeout.saturating_sub(interval)),
                millis(timeout),
                millis(timeout.saturating_add(interval)),
            );
        }
        let token = self.token();
        Range {
            likely: token.likely / 2,
            least: token.least / 4,
            most: token.most / 4 * 3,
        }
    }

    /// When a node that is silent is out of the membership: token and consensus, and the forming of the new one.
    #[must_use]
    pub fn detection(&self) -> Range {
        let token = self.token();
        let consensus = |token: i64| match self.consensus {
            Some(known) => i64::try_from(known).unwrap_or(i64::MAX).saturating_mul(1000),
            None => token.saturating_mul(6) / 5,
        };
        Range {
            likely: token.likely.saturating_add(consensus(token.likely)),
            least: token
                .least
                .saturating_add(consensus(token.least))
                .saturating_sub(500_000),
            most: token
                .most
                .saturating_add(consensus(token.most))
                .saturating_add(3_000_000),
        }
    }
}

/// When a node that is out of the membership after `detection` is to be fenced: its master saw it last in a round before that, and waits 60 s;
/// and looks each 10 s.
#[must_use]
pub fn fence(detection: Range) -> Range {
    detection.then(Range::seconds(
        FENCE_DELAY - ROUND - 1,
        FENCE_DELAY - 3,
        FENCE_DELAY + ROUND - 1,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::cluster::LinkPings;

    fn known(nodes: u32, coefficient: u64) -> Timing {
        Timing {
            coefficient: Some(coefficient),
            token: Some(TOKEN),
            ..Timing::unknown(nodes)
        }
    }

    #[test]
    fn detection_is_what_was_seen_on_running_clusters() {
        // Three nodes of Debian's corosync: 7.80 to 8.04 s in eight cuts; links were called down after 1.07 to 2.0 s.
        let three = known(3, COEFFICIENT);
        let seen = three.detection();
        assert_eq!(seen.likely, 8_030_000);
        assert!(seen.least <= 7_800_000 && seen.most >= 8_040_000, "{seen:?}");
        let link = three.link_down();
        assert!(link.least <= 1_070_000 && link.most >= 2_000_000, "{link:?}");
        // Two nodes: 6.6 s.
        assert_eq!(known(2, COEFFICIENT).detection().likely, 6_600_000);
        assert_eq!(known(10, COEFFICIENT).detection().likely, 18_040_000);
        assert_eq!(known(5, COEFFICIENT_NEW).detection().likely, 7_425_000);
    }

    #[test]
    fn what_runs_is_what_counts_whatever_is_written() {
        let ping = |link: u8, interval: u32, timeout: u32| LinkPings {
            link,
            interval,
            timeout,
        };
        // As three nodes of Debian's corosync told it.
        let totem = Totem {
            token: 3650,
            consensus: 4380,
            pings: vec![ping(0, 912, 1825)],
        };
        let three = Timing::of(3, &totem);
        assert!(three.is_known());
        assert_eq!(three.detection(), known(3, COEFFICIENT).detection());
        let link = three.link_down();
        assert!(link.least <= 1_070_000 && link.most >= 2_000_000, "{link:?}");
        // Somebody gave it more time, and one link more than the other.
        let slow = Totem {
            token: 10_000,
            consensus: 12_000,
            pings: vec![ping(0, 5000, 9000), ping(1, 200, 400)],
        };
        let slow = Timing::of(3, &slow);
        assert_eq!(slow.detection().likely, 22_000_000);
        assert_eq!(slow.link_down().likely, 9_000_000);
        let json = serde_json::to_string(&known(3, 650)).unwrap();
        assert!(!json.contains("running") && !json.contains("pings"), "{json}");
    }

    #[test]
    fn what_is_not_known_widens_the_range() {
        let unknown = Timing::unknown(10).detection();
        assert!(unknown.least < known(10, COEFFICIENT_NEW).detection().likely);
        assert!(unknown.most > known(10, COEFFICIENT).detection().likely);
        assert!(!Timing::unknown(3).is_known() && known(3, 650).is_known());
    }

    #[test]
    fn fencing_is_decided_when_the_facts_say() {
        // Seen: 68 s after the cut, on three nodes; by the source 57 to 80 s.
        let fence = fence(known(3, COEFFICIENT).detection());
        assert!(fence.may_lie_in(Range::seconds(68, 68, 68)), "{fence:?}");
        assert!(
            fence.least <= 57_000_000 && (80_000_000..90_000_000).contains(&fence.most),
            "{fence:?}"
        );
    }
}
