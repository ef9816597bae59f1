//! For how long: spans as they are written in the cluster file, and the two kinds of drills.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Lengths, rules};

/// A span of whole seconds, as it is written: `20s`, `4m`, `2h`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lasting(u64);

/// The longest that can be written: ten years, far beyond anything that is meant.
const LONGEST: u64 = 3650 * 86_400;

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];

impl Lasting {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0
    }

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0 >= *size && self.0.is_multiple_of(*size);
        let (unit, size) = UNITS.iter().find(fits).copied().unwrap_or(("s", 1));
        f.pad(&format!("{}{unit}", self.0 / size))
    }
}

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no span of time")]
pub struct InvalidLasting(String);

impl FromStr for Lasting {
    type Err = InvalidLasting;

    fn from_str(text: &str) -> Result<Self, InvalidLasting> {
        let invalid = || InvalidLasting(text.to_owned());
        let found = UNITS
            .iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)));
        let (number, size) = found.ok_or_else(invalid)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size));
        match seconds {
            Some(seconds) if (1..=LONGEST).contains(&seconds) => Ok(Self(seconds)),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Lasting {
    type Error = InvalidLasting;
    fn try_from(text: String) -> Result<Self, InvalidLasting> {
        text.parse()
    }
}

impl From<Lasting> for String {
    fn from(lasting: Lasting) -> String {
        lasting.to_string()
    }
}

/// What a drill is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillKind {
    /// A short fault that must cause nothing.
    Blip,
    /// A fault that lasts until the guest runs elsewhere.
    #[default]
    Failover,
}

/// A link that is back within this has cost nothing: the latest safe moment is some 25 s after the cut, and 5 s are kept.
/// Source: facts on HA's time line, "latest safe restore".
pub const BLIP_MOST: Lasting = Lasting::seconds(20);
/// By then the watchdog has reset the victim (72 s) and its guests are started elsewhere (151 s): nothing that heals can meet a decision that is
/// under way. The victim that was HA's master takes a minute more, which its reset has healed long before.
pub const FAILOVER_LEAST: Lasting = Lasting::seconds(180);
/// Nobody needs a longer one, and a forgotten one should end.
pub const FAILOVER_MOST: Lasting = Lasting::seconds(1800);
/// Where nothing is written.
pub const BLIP_USUAL: Lasting = Lasting::seconds(10);
/// Where nothing is written: long enough also for the master's loss.
pub const FAILOVER_USUAL: Lasting = Lasting::seconds(300);

impl DrillKind {
    /// Both, the usual one first.
    pub const ALL: [Self; 2] = [Self::Failover, Self::Blip];

    /// As written in the cluster file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blip => "blip",
            Self::Failover => "failover",
        }
    }

    /// How long its fault lasts where nothing is written.
    #[must_use]
    pub fn usual(self) -> Lasting {
        match self {
            Self::Blip => BLIP_USUAL,
            Self::Failover => FAILOVER_USUAL,
        }
    }

    /// The shortest and the longest that its fault may last.
    #[must_use]
    pub fn bounds(self) -> (Lasting, Lasting) {
        match self {
            Self::Blip => (Lasting::seconds(1), BLIP_MOST),
            Self::Failover => (FAILOVER_LEAST, FAILOVER_MOST),
        }
    }

    /// The same of one fault, whose own table ([`rules`]) holds as well. `None`: it is done in an instant.
    #[must_use]
    pub fn bounds_of(self, fault: &Fault) -> Option<(Lasting, Lasting)> {
        let (least, most) = self.bounds();
        let (shortest, longest) = match rules(fault.kind()).lengths {
            Lengths::Instant => return None,
            Lengths::BlipOrFailover(longest) => (1, longest),
            Lengths::Between(shortest, longest) => (shortest, longest),
        };
        let own = |seconds: u32| Lasting::seconds(u64::from(seconds));
        Some((least.max(own(shortest)), most.min(own(longest))))
    }

    /// May this fault last so long in such a drill? `said`: the time, if one is said; without one it is the usual one, and that of a fault that is done
    /// in an instant does not matter.
    ///
    /// # Errors
    /// How long it may last, in words.
    pub fn may_last(self, fault: &Fault, said: Option<Lasting>) -> Result<(), String> {
        let Some((least, most)) = self.bounds_of(fault) else {
            return match said {
                None => Ok(()),
                Some(_) => Err(format!("{fault} is done in an instant: leave the time out")),
            };
        };
        if (least..=most).contains(&said.unwrap_or_else(|| self.usual())) {
            return Ok(());
        }
        let of = if (least, most) == self.bounds() {
            String::new()
        } else {
            format!(" by {fault}")
        };
        Err(format!("a {self}{of} lasts from {least} to {most}"))
    }
}

impl fmt::Display for DrillKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no kind of drill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of drill")]
pub struct InvalidKind(String);

impl FromStr for DrillKind {
    type Err = InvalidKind;

    fn from_str(text: &str) -> Result<Self, InvalidKind> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| InvalidKind(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_by_their_largest_unit() {
        for (text, seconds) in [("20s", 20), ("4m", 240), ("2h", 7200), ("90d", 7_776_000), ("90s", 90)] {
            let read: Lasting = text.parse().unwrap();
            assert_eq!((read.as_secs(), read.to_string().as_str()), (seconds, text));
        }
        assert_eq!("120s".parse::<Lasting>().unwrap().to_string(), "2m");
    }

    #[test]
    fn the_bounds_are_those_of_the_faults() {
        assert_eq!(BLIP_MOST.as_secs(), u64::from(crate::fault::BLIP_AT_MOST));
        assert_eq!(FAILOVER_LEAST.as_secs(), u64::from(crate::fault::FAILOVER_AT_LEAST));
    }

    #[test]
    fn a_fault_s_own_limits_hold_as_well() {
        let fault = |text: &str| text.parse::<Fault>().unwrap();
        let may = |kind: DrillKind, text: &str, seconds: u64| {
            let lasts = Lasting::seconds(seconds);
            kind.may_last(&fault(text), Some(lasts))
        };
        let (blip, failover) = (DrillKind::Blip, DrillKind::Failover);
        for text in ["network", "corosync", "link:0"] {
            assert!(
                may(blip, text, 1).is_ok() && may(failover, text, 1800).is_ok(),
                "{text}"
            );
        }
        let disk = "disk:tank/ata-x";
        for text in ["lrm", disk] {
            assert_eq!(
                may(blip, text, 9),
                Err(format!("a blip by {text} lasts from 10s to 20s"))
            );
            assert!(
                may(blip, text, 10).is_ok() && may(failover, text, 1800).is_ok(),
                "{text}"
            );
        }
        assert!(may(failover, "guest:100", 600).is_ok());
        let long = may(failover, "guest:100", 601);
        assert_eq!(long, Err("a failover by guest:100 lasts from 3m to 10m".to_owned()));
        assert!(may(failover, "power:reset", 300).unwrap_err().contains("in an instant"));
        // What is accepted here the agent takes as well.
        for text in [
            "network",
            "cluster-network",
            "link:0",
            "corosync",
            "pmxcfs",
            "lrm",
            "guest:100",
            disk,
        ] {
            for kind in DrillKind::ALL {
                let (least, most) = kind.bounds_of(&fault(text)).unwrap();
                for lasts in [least, most, kind.usual()] {
                    let seconds = u32::try_from(lasts.as_secs()).unwrap();
                    assert!(fault(text).for_seconds(seconds).is_ok(), "{text} for {lasts}");
                }
                assert_eq!(kind.may_last(&fault(text), None), Ok(()));
            }
        }
        assert_eq!(failover.may_last(&fault("power:reset"), None), Ok(()));
    }

    #[test]
    fn what_is_no_span() {
        for text in [
            "",
            "s",
            "0s",
            "5",
            "5 m",
            "-5m",
            "1h30m",
            "4w",
            "99999999999999999999d",
            "5000d",
        ] {
            assert!(text.parse::<Lasting>().is_err(), "{text}");
        }
    }
}
