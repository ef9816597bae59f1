//! How often a guest is copied: as people say it (`5m`), or as a calendar event of PVE.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;

/// A schedule that PVE's replication can keep to: from each minute to once a week.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule(String);

/// PVE takes no longer one. Source: pve-guest-common ReplicationConfig.pm.
const LONGEST: usize = 128;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Such an interval can't be had from a calendar.
    #[error("PVE can't repeat every {0}: it goes by the clock, where {0} does not fit evenly into {1}")]
    Uneven(String, &'static str),
    /// Less than a minute, or more than a week.
    #[error("`{0}` is not from 1 minute to 1 week, which is what PVE can do")]
    OutOfRange(String),
    /// Neither an interval nor an event.
    #[error("`{0}` is neither an interval such as 5m nor a calendar event that repeats within a week")]
    Neither(String),
}

impl Schedule {
    /// In PVE's words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does a job with this `schedule` run at the same times?
    #[must_use]
    pub fn is_same_as(&self, other: &str) -> bool {
        self.0 == other || self.calendar().is_some_and(|own| other.parse() == Ok(own))
    }

    /// The longest time from one run to the next.
    #[must_use]
    pub fn longest_gap(&self) -> Option<Duration> {
        Some(self.calendar()?.longest_gap())
    }

    fn calendar(&self) -> Option<Calendar> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        if let Some((count, unit)) = interval(text) {
            return of_interval(text, count, unit).map(Self);
        }
        let event = text.len() <= LONGEST && !text.starts_with('-') && text.parse::<Calendar>().is_ok();
        if event {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadSchedule::Neither(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Schedule {
    type Error = BadSchedule;
    fn try_from(text: String) -> Result<Self, BadSchedule> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> String {
        schedule.0
    }
}

/// `5m`, `2h`, `1d`, `1w`, also `30s`, which is too short.
fn interval(text: &str) -> Option<(u32, char)> {
    let unit = text.chars().next_back().filter(|unit| "smhdw".contains(*unit))?;
    let count = text.strip_suffix(unit)?;
    let count = count.bytes().all(|byte| byte.is_ascii_digit()).then_some(count)?;
    Some((count.parse().ok()?, unit))
}

/// The event that repeats so: minutes fit into an hour, hours into a day.
fn of_interval(text: &str, count: u32, unit: char) -> Result<String, BadSchedule> {
    let out_of_range = || BadSchedule::OutOfRange(text.to_owned());
    let minutes = match unit {
        's' if count.is_multiple_of(60) => Some(count / 60),
        's' => None,
        'm' => Some(count),
        'h' => count.checked_mul(60),
        'd' => count.checked_mul(24 * 60),
        _ => count.checked_mul(7 * 24 * 60),
    };
    let minutes = minutes.ok_or_else(out_of_range)?;
    match minutes {
        1..=59 if 60 % minutes == 0 => Ok(format!("*/{minutes}")),
        1..=59 => Err(BadSchedule::Uneven(text.to_owned(), "an hour")),
        60 => Ok("hourly".to_owned()),
        1440 => Ok("daily".to_owned()),
        10_080 => Ok("weekly".to_owned()),
        61..1440 if minutes % 60 == 0 && 1440 % minutes == 0 => Ok(format!("0/{}:0", minutes / 60)),
        61..1440 => Err(BadSchedule::Uneven(text.to_owned(), "a day")),
        1441..10_080 => Err(BadSchedule::Uneven(text.to_owned(), "a week")),
        _ => Err(out_of_range()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<Schedule>()
            .map(|schedule| schedule.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn intervals_become_events_of_the_clock() {
        for (text, event) in [
            ("1m", "*/1"),
            ("5m", "*/5"),
            ("60m", "hourly"),
            ("1h", "hourly"),
            ("2h", "0/2:0"),
            ("120s", "*/2"),
            ("24h", "daily"),
            ("1d", "daily"),
            ("7d", "weekly"),
            ("mon..fri 22:30", "mon..fri 22:30"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(event), "{text}");
        }
        let gap = |text: &str| text.parse::<Schedule>().unwrap().longest_gap().unwrap().as_secs() / 60;
        assert_eq!((gap("5m"), gap("2h"), gap("1w")), (5, 120, 10_080));
    }

    #[test]
    fn what_pve_can_not_do_is_told() {
        assert_eq!(
            read("7m").unwrap_err(),
            "PVE can't repeat every 7m: it goes by the clock, where 7m does not fit evenly into an hour"
        );
        assert!(read("5h").unwrap_err().contains("into a day"));
        assert!(read("2d").unwrap_err().contains("into a week"));
        for outside in ["0m", "30s", "2w", "90s", "4294967295w"] {
            assert!(read(outside).unwrap_err().contains("1 minute to 1 week"), "{outside}");
        }
        for neither in ["", "soon", "monthly", "5 m", "--delete", "*-1..7 15:00"] {
            assert!(read(neither).unwrap_err().contains("is neither"), "{neither}");
        }
    }

    #[test]
    fn the_same_times_may_be_written_in_several_ways() {
        let five: Schedule = "5m".parse().unwrap();
        assert!(five.is_same_as("*/5") && five.is_same_as("*:0/5"));
        assert!(!five.is_same_as("*/15") && !five.is_same_as("monthly"));
    }
}
