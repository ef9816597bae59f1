//! What is fixed for each kind of fault.

use std::fmt::Write as _;

use super::{Fault, FaultKind};

/// A fault that is to cause nothing is over by then: from 25 to 30 s on, an isolated server may not get its HA lock back in time, and the
/// watchdog resets it although all is well again.
pub const BLIP_AT_MOST: u32 = 20;

/// A fault that is to cause a failover lasts at least so long: the watchdog has reset the server after 72 s, its lock is free after 141 s. One that
/// ends in between is the worst of both: the server is reset, and may come back while its guests are being recovered elsewhere.
pub const FAILOVER_AT_LEAST: u32 = 180;

/// Nothing that is rehearsed lasts longer; a server's own policy (`max_fault`) usually says less.
const LONGEST: u32 = 3600;

/// Who ends a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultEnd {
    /// A timer on the server, whatever becomes of coordinator, agent and network.
    Timer,
    /// The server's next start, which is part of it.
    Reboot,
    /// Only somebody who switches the server on again, or a BMC.
    Person,
}

impl FaultEnd {
    /// As shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timer => "a timer",
            Self::Reboot => "a reboot",
            Self::Person => "only a person or a BMC",
        }
    }
}

/// How long a fault may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// At most [`BLIP_AT_MOST`], or at least [`FAILOVER_AT_LEAST`] and at most this, in seconds.
    BlipOrFailover(u32),
    /// From here to there, in seconds.
    Between(u32, u32),
    /// No time is given: it is done in an instant.
    Instant,
}

/// What a fault of this length is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Length {
    /// It is to cause nothing.
    Blip,
    /// It is to cause a failover.
    Failover,
    /// Its length makes no such difference.
    Either,
}

/// Why a fault is not to be had so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFault(String);

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultRules {
    /// The kind.
    pub kind: FaultKind,
    /// Who ends it.
    pub end: FaultEnd,
    /// How long it may last.
    pub lengths: Lengths,
    /// This version can do it.
    pub there: bool,
    /// What the cluster takes it for, in a few words.
    pub looks_like: &'static str,
    /// How the cluster sees it, and when.
    pub seen: &'static str,
    /// What it may cost.
    pub cost: &'static str,
    /// How it is undone. May be done twice, and when there is nothing to undo.
    pub undo: &'static str,
}

/// One row: kind, who ends it, lengths, whether it is there, what it looks like, how it is seen, what it may cost, its undo.
macro_rules! table {
    ($($kind:ident $end:ident $lengths:expr, $there:ident $like:literal $seen:literal $cost:literal $undo:literal;)*) => {
        /// The rules of a kind.
        #[must_use]
        pub const fn rules(kind: FaultKind) -> FaultRules {
            match kind {
                $(
                    FaultKind::$kind => FaultRules {
                        kind,
                        end: FaultEnd::$end,
                        lengths: $lengths,
                        there: said!($there),
                        looks_like: $like,
                        seen: $seen,
                        cost: $cost,
                        undo: $undo,
                    },
                )*
            }
        }

        /// The table.
        pub const FAULT_RULES: [FaultRules; FaultKind::ALL.len()] = [$(rules(FaultKind::$kind)),*];
    };
}

macro_rules! said {
    (there) => {
        true
    };
    (later) => {
        false
    };
}

#[rustfmt::skip]
table! {
    Network Timer Lengths::BlipOrFailover(LONGEST), there
        "a server that has vanished from every network"
        "all links down after 1–2 s, the server offline after the token's time (7–11 s); with an armed watchdog it resets itself after 60–72 s"
        "nobody reaches its guests; a failover loses what was written since the last copy"
        "the nft table goes; with a failover corosync's path first, and the guests' ports only when no guest runs here that belongs elsewhere";
    ClusterNetwork Timer Lengths::BlipOrFailover(LONGEST), there
        "a member that has fallen silent, while its guests still answer"
        "as `network`, while the server itself and its guests stay reachable until the reset"
        "as `network`; until the reset clients still write to guests of which an older copy is started elsewhere"
        "the nft table goes";
    Link Timer Lengths::BlipOrFailover(LONGEST), there
        "one link that is down; the others carry on"
        "one link down after 1–2 s; corosync goes on over another one, if there is one, and /etc/pve stalls for 2 s"
        "nothing, if another link works; without one, as `cluster-network`"
        "the nft table goes";
    PowerReset Reboot Lengths::Instant, there
        "a server that vanishes and comes back by itself"
        "the server vanishes, without a farewell; if it is back within 60 s its guests stay its own, and start when its old lock has run out"
        "everything in memory, and what guests had not yet written"
        "it starts anew by itself";
    PowerOff Person Lengths::Instant, there
        "a server that has vanished"
        "the server vanishes, without a farewell; HA starts its guests elsewhere after 111–151 s"
        "everything in memory, and what guests had not yet written; the server stays off"
        "somebody, or a BMC, switches it on";
    Shutdown Person Lengths::Instant, there
        "a server that takes its leave"
        "the server takes its leave; HA starts its guests elsewhere 60–70 s after it is offline"
        "guests are shut down; the server stays off"
        "somebody, or a BMC, switches it on";
    Corosync Timer Lengths::BlipOrFailover(LONGEST), there
        "a member that takes its leave of corosync, at once"
        "the server takes its leave at once, without the token's time; with an armed watchdog it resets itself after 60–72 s"
        "/etc/pve can't be written on it; a failover loses what was written since the last copy"
        "`systemctl start corosync`";
    Pmxcfs Timer Lengths::BlipOrFailover(LONGEST), there
        "a member whose /etc/pve is gone: HA counts it as offline, corosync does not"
        "offline for HA, although corosync sees it; with an armed watchdog it resets itself after 60–72 s"
        "/etc/pve is gone on it, and with it most of PVE's tools; a failover loses what was written since the last copy"
        "`systemctl start pve-cluster`";
    Lrm Timer Lengths::Between(10, LONGEST), there
        "a node whose HA manager has handed over: its guests are frozen and go on"
        "HA freezes the server's guests: none is started, moved or recovered; the watchdog is closed in good order"
        "guests of this server have no HA meanwhile"
        "`systemctl start pve-ha-lrm`";
    Guest Timer Lengths::Between(10, 600), there
        "nothing; HA's manager on that node finds the guest not running"
        "HA starts it again on the same server within 10 s or so; without HA it stays down until its time is over"
        "what the guest had not yet written"
        "`qm start ID`, which refuses if it runs";
    Disk Timer Lengths::Between(10, LONGEST), there
        "a pool that works without a disk"
        "the pool is degraded"
        "the pool has less to lose meanwhile; afterwards it makes anew what was written without that disk"
        "`zpool online POOL DISK`; a reboot does it as well";
    Osd Timer Lengths::Between(10, 600), later
        "an OSD that is down"
        "one OSD down; after ten minutes Ceph would begin to copy"
        "less redundancy meanwhile"
        "`systemctl start ceph-osd@ID`";
    Mon Timer Lengths::Between(10, LONGEST), later
        "a monitor that is down"
        "one monitor out of quorum"
        "the monitors may lose one less meanwhile"
        "`systemctl start ceph-mon@ID`";
    StorageNetwork Timer Lengths::BlipOrFailover(LONGEST), later
        "nothing: HA does not look at storages, and guests that wait for theirs hang"
        "nothing: HA does not see storages"
        "guests hang, and no failover helps them"
        "the nft table goes";
}

impl Lengths {
    /// In words.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::BlipOrFailover(longest) => format!("1–{BLIP_AT_MOST} s, or {FAILOVER_AT_LEAST}–{longest} s"),
            Self::Between(shortest, longest) => format!("{shortest}–{longest} s"),
            Self::Instant => "at once".to_owned(),
        }
    }
}

impl Fault {
    /// What it is if it lasts for so many seconds, if that makes sense.
    ///
    /// # Errors
    /// It is not in this version, lasts too short or too long, or nobody would end it.
    pub fn for_seconds(&self, seconds: u32) -> Result<Length, BadFault> {
        let rules = rules(self.kind());
        if !rules.there {
            return Err(BadFault(format!("a fault of {self} is not in this version")));
        }
        if let (FaultEnd::Person, Self::Power { attended: false, .. }) = (rules.end, self) {
            let why =
                format!("after {self} the server stays off: say that somebody, or a BMC, is there to switch it on");
            return Err(BadFault(why));
        }
        if let Self::Disk { disk, .. } = self
            && !disk.starts_with("/dev/disk/by-id/")
        {
            let why = format!(
                "`{disk}` is no lasting name: write the path below /dev/disk/by-id, as zpool status -P shows it"
            );
            return Err(BadFault(why));
        }
        let length = match rules.lengths {
            Lengths::BlipOrFailover(_) if (1..=BLIP_AT_MOST).contains(&seconds) => Some(Length::Blip),
            Lengths::BlipOrFailover(longest) if (FAILOVER_AT_LEAST..=longest).contains(&seconds) => {
                Some(Length::Failover)
            }
            Lengths::Between(shortest, longest) if (shortest..=longest).contains(&seconds) => Some(Length::Either),
            Lengths::Instant if seconds == 0 => Some(Length::Either),
            _ => None,
        };
        length.ok_or_else(|| {
            let mut why = format!("{self} for {seconds} s: it may last {}", rules.lengths.text());
            if matches!(rules.lengths, Lengths::BlipOrFailover(_)) && (BLIP_AT_MOST..FAILOVER_AT_LEAST).contains(&seconds) {
                // Writing to a String can't fail.
                let _infallible = write!(
                    why,
                    "; what ends in between is the worst of both: the server resets itself, and comes back in the middle of the recovery"
                );
            }
            BadFault(why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::PowerCut;

    #[test]
    fn every_kind_has_its_own_row_in_full() {
        for kind in FaultKind::ALL {
            let rules = rules(kind);
            assert_eq!(rules.kind, kind);
            assert!(
                !rules.looks_like.is_empty()
                    && !rules.seen.is_empty()
                    && !rules.cost.is_empty()
                    && !rules.undo.is_empty()
            );
            let instant = rules.lengths == Lengths::Instant;
            assert_eq!(
                instant,
                rules.end != FaultEnd::Timer,
                "{kind:?}: who has a timer has a time"
            );
        }
    }

    #[test]
    fn a_blip_or_a_failover_and_nothing_in_between() {
        for fault in [
            Fault::Network,
            Fault::ClusterNetwork,
            Fault::Corosync,
            Fault::Pmxcfs,
            Fault::Link { link: 0 },
        ] {
            assert_eq!(fault.for_seconds(1), Ok(Length::Blip));
            assert_eq!(fault.for_seconds(20), Ok(Length::Blip));
            assert_eq!(fault.for_seconds(180), Ok(Length::Failover));
            for seconds in [21, 25, 60, 179] {
                let why = fault.for_seconds(seconds).unwrap_err().to_string();
                assert!(why.contains("the worst of both"), "{why}");
            }
            for seconds in [0, 3601] {
                let why = fault.for_seconds(seconds).unwrap_err().to_string();
                assert!(why.ends_with("it may last 1–20 s, or 180–3600 s"), "{why}");
            }
        }
        assert_eq!(Fault::Guest { guest: 100 }.for_seconds(60), Ok(Length::Either));
        assert!(Fault::Guest { guest: 100 }.for_seconds(9).is_err());
    }

    #[test]
    fn what_nobody_would_end_is_refused() {
        let power = |how, attended| Fault::Power { how, attended }.for_seconds(0);
        assert!(power(PowerCut::Reset, false).is_ok());
        for how in [PowerCut::Off, PowerCut::Shutdown] {
            assert!(power(how, true).is_ok());
            let why = power(how, false).unwrap_err().to_string();
            assert!(why.contains("switch it on"), "{why}");
        }
        assert!(
            Fault::Power {
                how: PowerCut::Reset,
                attended: false
            }
            .for_seconds(5)
            .is_err()
        );
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        for fault in [Fault::Osd { osd: 3 }, Fault::Mon, Fault::StorageNetwork] {
            let why = fault.for_seconds(20).unwrap_err().to_string();
            assert!(why.contains("not in this version"), "{why}");
        }
    }

    #[test]
    fn a_disk_is_named_by_a_name_that_lasts() {
        let disk = |disk: &str| {
            Fault::Disk {
                pool: "tank".parse().unwrap(),
                disk: disk.into(),
            }
            .for_seconds(60)
        };
        assert!(disk("/dev/disk/by-id/wwn-0x5000c500a1b2c301-part1").is_ok());
        assert!(disk("/dev/sdb").unwrap_err().to_string().contains("/dev/disk/by-id"));
    }
}
