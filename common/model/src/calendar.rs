//! PVE's calendar events, as replication and backup jobs have them: on which minutes of a week one falls.
//!
//! Source: pve-docs calendar-events.adoc, and proxmox-time, which reads them: `[WEEKDAYS] [HOURS:]MINUTES`, where each part is a list of
//! numbers, ranges (`8..17`) and steps (`0/15`, `*/5`). Events with a date (`*-1..7 15:00`, `monthly`) fall on no fixed minutes of a week
//! and are not read here.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

const MINUTES_OF_DAY: u32 = 24 * 60;
const MINUTES_OF_WEEK: u32 = 7 * MINUTES_OF_DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A calendar event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// Minutes since Monday, 0:00; at least one.
    minutes: BTreeSet<u32>,
}

/// A text that is no event that repeats within a week.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no calendar event that repeats within a week")]
pub struct NotWeekly(String);

impl FromStr for Calendar {
    type Err = NotWeekly;

    fn from_str(text: &str) -> Result<Self, NotWeekly> {
        let minutes = read(text).filter(|minutes| !minutes.is_empty());
        let minutes = minutes.ok_or_else(|| NotWeekly(text.to_owned()))?;
        Ok(Self { minutes })
    }
}

impl Calendar {
    /// The longest time from one event to the next.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let next = self.minutes.iter().skip(1).copied();
        let over_the_week = self.minutes.first().map(|first| first + MINUTES_OF_WEEK);
        let gaps = self
            .minutes
            .iter()
            .zip(next.chain(over_the_week))
            .map(|(one, next)| next - one);
        Duration::from_secs(u64::from(gaps.max().unwrap_or(MINUTES_OF_WEEK)) * 60)
    }
}

fn read(text: &str) -> Option<BTreeSet<u32>> {
    let text = match text.trim() {
        "minutely" => "*/1",
        "hourly" => "*:0",
        "daily" => "0:0",
        "weekly" => "mon 0:0",
        other => other,
    };
    let (days, time) = match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [one] if is_days(one) => (days(one)?, "0:0".to_owned()),
        [one] => ((0..7).collect(), (*one).to_owned()),
        [first, second] if is_days(first) => (days(first)?, (*second).to_owned()),
        _ => return None,
    };
    // Seconds may follow: what falls within a minute falls on it.
    let (hours, minutes) = match time.split(':').collect::<Vec<_>>().as_slice() {
        [minutes] => ((0..24).collect(), list(minutes, 0..=59)?),
        [hours, minutes] | [hours, minutes, _] => (list(hours, 0..=23)?, list(minutes, 0..=59)?),
        _ => return None,
    };
    let mut found = BTreeSet::new();
    for day in &days {
        for hour in &hours {
            found.extend(minutes.iter().map(|minute| day * MINUTES_OF_DAY + hour * 60 + minute));
        }
    }
    Some(found)
}

fn is_days(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn days(word: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in word.split(',') {
        match part.split_once("..") {
            Some((from, to)) => {
                let (from, to) = (day(from)?, day(to)?);
                // `sat..mon` goes over the end of the week.
                let length = (to + 7 - from) % 7;
                found.extend((0..=length).map(|n| (from + n) % 7));
            }
            None => {
                found.insert(day(part)?);
            }
        }
    }
    Some(found)
}

/// `mon`, or the whole word.
fn day(word: &str) -> Option<u32> {
    const WHOLE: [&str; 7] = [
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
    ];
    let word = word.to_ascii_lowercase();
    let found = DAYS
        .iter()
        .zip(WHOLE)
        .position(|(short, whole)| word == *short || word == whole)?;
    u32::try_from(found).ok()
}

/// Numbers, ranges and steps with commas between them.
fn list(text: &str, within: RangeInclusive<u32>) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let range = match (range, range.split_once("..")) {
            ("*", _) => within.clone(),
            (_, Some((from, to))) => from.parse().ok()?..=to.parse().ok()?,
            // A number with a step goes on to the end, one without stands for itself.
            (from, None) => {
                let from = from.parse().ok()?;
                from..=if part.contains('/') { *within.end() } else { from }
            }
        };
        if range.is_empty() || !within.contains(range.start()) || !within.contains(range.end()) {
            return None;
        }
        found.extend(range.step_by(usize::try_from(step).ok()?));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Calendar {
        text.parse().unwrap()
    }

    fn gap(text: &str) -> u64 {
        event(text).longest_gap().as_secs() / 60
    }

    #[test]
    fn how_far_events_are_apart() {
        assert_eq!(gap("*/5"), 5);
        assert_eq!(gap("*/15"), 15);
        assert_eq!(gap("*:0/15"), 15);
        assert_eq!(gap("minutely"), 1);
        assert_eq!(gap("hourly"), 60);
        assert_eq!(gap("30"), 60, "each hour at half past");
        assert_eq!(gap("2,22:30"), 20 * 60);
        assert_eq!(gap("daily"), 24 * 60);
        assert_eq!(gap("weekly"), 7 * 24 * 60);
        assert_eq!(
            gap("mon..fri 8..17,22:0/15"),
            75 + 2 * 24 * 60 + 8 * 60,
            "from Friday to Monday"
        );
        assert_eq!(gap("*/7"), 7, "from 56 to the next hour's 0 it is less");
    }

    #[test]
    fn days_go_over_the_end_of_the_week() {
        assert_eq!(
            event("sat..mon 0:0").minutes,
            [0, 5, 6].map(|day| day * MINUTES_OF_DAY).into()
        );
        assert_eq!(event("Wednesday").minutes, [2 * MINUTES_OF_DAY].into());
    }

    #[test]
    fn what_is_none() {
        for bad in [
            "",
            "monthly",
            "*-1..7 15:00",
            "61",
            "*/0",
            "8..99",
            "5..3",
            "now",
            "mon 1 2",
            "a:b",
            "x..y",
            "-1",
        ] {
            assert!(bad.parse::<Calendar>().is_err(), "{bad}");
        }
    }
}
