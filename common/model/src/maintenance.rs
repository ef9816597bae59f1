//! When a cluster may be disturbed: windows that come back every day or every week, in UTC, as an operator writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

const MINUTE: i64 = 60_000_000;
const DAY: u32 = 24 * 60;
const WEEK: u32 = 7 * DAY;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// 1970-01-01 was a Thursday: so many minutes after the begin of its week.
const EPOCH_IN_WEEK: i64 = 3 * DAY as i64;

/// A span of time that comes back: `22:00-05:00` every day, `sat 22:00-sun 04:00` every week. UTC; the begin belongs to it, the
/// end does not. One that ends before it begins goes over midnight, or over the end of the week (`sun 22:00-mon 04:00`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaintenanceWindow {
    /// After how many minutes it comes back: a day's or a week's.
    period: u32,
    /// Minutes after the begin of the day or week (Monday, 00:00).
    begin: u32,
    /// Minutes, from 1 to `period`.
    length: u32,
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no maintenance window: {reason}")]
pub struct InvalidWindow {
    /// The offending text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl MaintenanceWindow {
    /// Is it open at this instant?
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since_begin(at) < i64::from(self.length) * MINUTE
    }

    /// When it opens for the first time later than `after`; not at `after` itself.
    #[must_use]
    pub fn next_start(&self, after: Timestamp) -> Timestamp {
        let wait = i64::from(self.period) * MINUTE - self.since_begin(after);
        Timestamp(after.0.saturating_add(wait))
    }

    /// Microseconds since it opened last: 0 when it opens right then, always less than its period.
    fn since_begin(&self, at: Timestamp) -> i64 {
        let period = i64::from(self.period) * MINUTE;
        // Both are reduced before they meet, so that no time is too early or too late for it.
        let now = at.0.rem_euclid(period) + EPOCH_IN_WEEK * MINUTE;
        (now - i64::from(self.begin) * MINUTE).rem_euclid(period)
    }
}

impl fmt::Display for MaintenanceWindow {
    /// As it is written in the cluster file, with both days or none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |minute: u32| format!("{:02}:{:02}", minute % DAY / 60, minute % 60);
        let (begin, end) = (self.begin, self.begin + self.length);
        // An end at midnight belongs to the day that ends with it.
        let (last, until) = if end.is_multiple_of(DAY) {
            (end - 1, "24:00".to_owned())
        } else {
            (end, clock(end))
        };
        let day = |minute: u32| {
            let number = usize::try_from(minute % WEEK / DAY).unwrap_or_default();
            DAYS.get(number).copied().unwrap_or_default()
        };
        f.pad(&if self.period == DAY {
            format!("{}-{until}", clock(begin))
        } else {
            format!("{} {}-{} {until}", day(begin), clock(begin), day(last))
        })
    }
}

impl FromStr for MaintenanceWindow {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let wrong = |reason| InvalidWindow {
            text: text.to_owned(),
            reason,
        };
        let (begin, end) = text
            .split_once('-')
            .ok_or_else(|| wrong("it is not two times with a `-` between them"))?;
        let (first_day, begin) = moment(begin).map_err(wrong)?;
        let (last_day, end) = moment(end).map_err(wrong)?;
        if begin == DAY {
            return Err(wrong("it begins at 24:00; write 00:00 of the day after"));
        }
        let (period, begin, end) = match (first_day, last_day) {
            (None, None) => (DAY, begin, end),
            (Some(first), Some(last)) => (WEEK, first * DAY + begin, last * DAY + end),
            _ => {
                return Err(wrong(
                    "only one of its ends has a day; write both, or none for every day",
                ));
            }
        };
        let length = (i64::from(end) - i64::from(begin)).rem_euclid(i64::from(period));
        let length = match u32::try_from(length).unwrap_or(0) {
            // From 00:00 to 24:00, and from Monday 00:00 to Sunday 24:00, is all the time; from 22:00 to 22:00 may be nothing.
            0 if end == begin + period => period,
            0 => return Err(wrong("it ends when it begins")),
            length => length,
        };
        Ok(Self { period, begin, length })
    }
}

/// `22:00` or `sat 22:00`: the day's number, if there is one, and minutes since its midnight, up to 24:00.
fn moment(text: &str) -> Result<(Option<u32>, u32), &'static str> {
    let (day, time) = match text.split_once(' ') {
        None => (None, text),
        Some((day, time)) => {
            let number = DAYS.iter().position(|d| d.eq_ignore_ascii_case(day));
            let number = number.ok_or("a day is one of mon, tue, wed, thu, fri, sat, sun")?;
            (Some(u32::try_from(number).unwrap_or_default()), time)
        }
    };
    let two_digits = |t: &str| match t.as_bytes() {
        [a, b] if a.is_ascii_digit() && b.is_ascii_digit() => Some(u32::from(a - b'0') * 10 + u32::from(b - b'0')),
        _ => None,
    };
    let (hour, minute) = time
        .split_once(':')
        .and_then(|(hour, minute)| Some((two_digits(hour)?, two_digits(minute)?)))
        .ok_or("a time is written as HH:MM")?;
    if minute > 59 || hour > 24 || (hour == 24 && minute > 0) {
        return Err("a time lies between 00:00 and 24:00");
    }
    Ok((day, hour * 60 + minute))
}

impl TryFrom<String> for MaintenanceWindow {
    type Error = InvalidWindow;
    fn try_from(text: String) -> Result<Self, InvalidWindow> {
        text.parse()
    }
}

impl From<MaintenanceWindow> for String {
    fn from(window: MaintenanceWindow) -> String {
        window.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_seconds(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    fn window(text: &str) -> MaintenanceWindow {
        text.parse().unwrap()
    }

    #[test]
    fn every_night_over_midnight() {
        let nightly = window("22:00-05:00");
        for inside in [
            "2026-11-24T22:00:00Z",
            "2026-11-24T23:59:59Z",
            "2026-11-25T00:00:00Z",
            "2026-11-25T04:59:59Z",
        ] {
            assert!(nightly.contains(at(inside)), "{inside}");
        }
        for outside in ["2026-11-24T21:59:59Z", "2026-11-25T05:00:00Z", "2026-11-25T12:00:00Z"] {
            assert!(!nightly.contains(at(outside)), "{outside}");
        }
        assert_eq!(
            nightly.next_start(at("2026-11-24T12:00:00Z")),
            at("2026-11-24T22:00:00Z")
        );
        assert_eq!(
            nightly.next_start(at("2026-11-24T22:00:00Z")),
            at("2026-11-25T22:00:00Z")
        );
        assert_eq!(
            nightly.next_start(at("2026-11-25T01:00:00Z")),
            at("2026-11-25T22:00:00Z")
        );
    }

    #[test]
    fn every_week_on_the_right_day() {
        // 2026-11-28 is a Saturday.
        let weekend = window("sat 22:00-sun 04:00");
        assert!(weekend.contains(at("2026-11-28T22:00:00Z")) && weekend.contains(at("2026-11-29T03:59:59Z")));
        assert!(!weekend.contains(at("2026-11-28T21:59:59Z")) && !weekend.contains(at("2026-11-29T04:00:00Z")));
        assert!(!weekend.contains(at("2026-11-27T23:00:00Z")));
        assert_eq!(
            weekend.next_start(at("2026-11-24T00:00:00Z")),
            at("2026-11-28T22:00:00Z")
        );
    }

    #[test]
    fn over_the_end_of_the_week() {
        let turn = window("sun 22:00-mon 04:00");
        assert!(turn.contains(at("2026-11-29T23:00:00Z")) && turn.contains(at("2026-11-30T03:00:00Z")));
        assert!(!turn.contains(at("2026-11-30T04:00:00Z")) && !turn.contains(at("2026-11-28T23:00:00Z")));
    }

    #[test]
    fn all_the_time() {
        for always in ["00:00-24:00", "mon 00:00-sun 24:00"] {
            assert!(window(always).contains(at("2026-11-25T23:59:59Z")), "{always}");
            assert_eq!(window(always).to_string(), always);
        }
    }

    #[test]
    fn what_is_no_window_says_why() {
        let told = |text: &str| text.parse::<MaintenanceWindow>().unwrap_err().reason;
        for (text, reason) in [
            ("", "it is not two times with a `-` between them"),
            ("22:00", "it is not two times with a `-` between them"),
            ("22-05", "a time is written as HH:MM"),
            ("9:00-10:00", "a time is written as HH:MM"),
            ("+1:00-10:00", "a time is written as HH:MM"),
            ("22:00 - 05:00", "a day is one of mon, tue, wed, thu, fri, sat, sun"),
            ("22:60-23:00", "a time lies between 00:00 and 24:00"),
            ("23:00-24:01", "a time lies between 00:00 and 24:00"),
            ("24:00-05:00", "it begins at 24:00; write 00:00 of the day after"),
            ("22:00-22:00", "it ends when it begins"),
            (
                "sat 24:00-sun 01:00",
                "it begins at 24:00; write 00:00 of the day after",
            ),
            (
                "sat 22:00-04:00",
                "only one of its ends has a day; write both, or none for every day",
            ),
            (
                "caturday 22:00-sun 04:00",
                "a day is one of mon, tue, wed, thu, fri, sat, sun",
            ),
            ("sat 22:00-sat 22:00", "it ends when it begins"),
        ] {
            assert_eq!(told(text), reason, "{text}");
        }
    }

    #[test]
    fn it_is_a_text_in_json() {
        let read: MaintenanceWindow = serde_json::from_str("\"Sat 22:00-SUN 04:00\"").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"sat 22:00-sun 04:00\"");
        assert!(serde_json::from_str::<MaintenanceWindow>("\"soon\"").is_err());
    }

    fn any_window() -> impl Strategy<Value = MaintenanceWindow> {
        prop_oneof![Just(DAY), Just(WEEK)]
            .prop_flat_map(|period| (Just(period), 0..period, 1..=period))
            .prop_map(|(period, begin, length)| {
                // All the time has one spelling: from the begin of the day or week.
                let begin = if length == period { 0 } else { begin };
                MaintenanceWindow { period, begin, length }
            })
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(window in any_window()) {
            prop_assert_eq!(window.to_string().parse::<MaintenanceWindow>().unwrap(), window);
        }

        #[test]
        fn no_text_makes_it_panic(text in "([a-z]{3} )?[0-9:]{0,6}-?([a-z]{3} )?.{0,6}") {
            drop(text.parse::<MaintenanceWindow>());
        }

        #[test]
        fn no_time_makes_it_panic(window in any_window(), at in any::<i64>()) {
            let next = window.next_start(Timestamp(at));
            prop_assert!(next > Timestamp(at) || at > i64::MAX - i64::from(WEEK) * MINUTE);
            prop_assert!(window.contains(Timestamp(at)) || window.length < window.period);
        }

        #[test]
        fn it_opens_at_its_start_and_not_before(window in any_window(), at in -4_000_000_000i64..8_000_000_000) {
            let after = Timestamp::from_seconds(at);
            let start = window.next_start(after);
            let before = Timestamp(start.0 - 1);
            prop_assert!(window.contains(start));
            prop_assert!(start > after);
            prop_assert!(start.0 - after.0 <= i64::from(window.period) * MINUTE, "within one period");
            prop_assert!(!window.contains(before) || window.length == window.period);
            let end = Timestamp(start.0 + i64::from(window.length) * MINUTE);
            prop_assert!(window.contains(Timestamp(end.0 - 1)));
            prop_assert!(!window.contains(end) || window.length == window.period);
            prop_assert_eq!(window.contains(after), after.0 < end.0 - i64::from(window.period) * MINUTE);
        }
    }
}
