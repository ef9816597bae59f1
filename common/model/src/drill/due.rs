//! When a drill is run by itself: so long after the last one that was made, in a window, and never two in a row.
//!
//! A drill that was never made is not begun by itself: the first one is run by hand, by somebody who watches. So a cluster file that is applied, or a
//! state that was lost, never breaks anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lasting::Lasting;
use crate::finding::{Code, Finding};
use crate::ids::{ClusterName, DrillName};
use crate::maintenance::MaintenanceWindow;
use crate::time::Timestamp;

/// After any drill of a cluster none is begun by itself there for so long: what was missed is not made up in a row.
pub const APART: Duration = Duration::from_secs(24 * 3600);

/// After a try that something spoke against the next one follows at the earliest after this.
pub const AGAIN: Duration = Duration::from_secs(3600);

/// All windows come back within a week: what does not open within this never does.
const LOOK_AHEAD: Duration = Duration::from_secs(8 * 24 * 3600);

/// A wall clock that goes so much otherwise than the monotonic one was set.
const JUMP: Duration = Duration::from_secs(60);

/// When one may begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows {
    /// The drill's own: `windows`. Empty: the cluster's hold.
    pub own: Vec<MaintenanceWindow>,
    /// The cluster's: `maintenance`. Servers keep to them as well, so none is begun outside of them.
    pub cluster: Vec<MaintenanceWindow>,
}

impl Windows {
    fn is_open(&self, at: Timestamp) -> bool {
        let within = |all: &[MaintenanceWindow]| all.is_empty() || all.iter().any(|window| window.contains(at));
        !self.is_empty() && within(&self.own) && within(&self.cluster)
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.cluster.is_empty()
    }

    /// The first moment from this one on at which it may begin; `None`: there is none.
    fn opens(&self, from: Timestamp) -> Option<Timestamp> {
        let last = from.plus(LOOK_AHEAD);
        let mut at = from;
        while at <= last {
            if self.is_open(at) {
                return Some(at);
            }
            at = self
                .own
                .iter()
                .chain(&self.cluster)
                .map(|window| window.next_start(at))
                .min()?;
        }
        None
    }
}

/// What is known of one that is to be run by itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// When the last one of this name was over whose fault was made.
    pub made: Option<Timestamp>,
    /// When the last drill of the cluster was over, whichever it was and however it ended.
    pub any: Option<Timestamp>,
    /// The last time that it was to begin by itself.
    pub tried: Option<Timestamp>,
}

/// When one is run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It was never made: the first one is run by hand.
    Never,
    /// It is due, and there is no window in which it may begin.
    NoWindow {
        /// Since when.
        due: Timestamp,
    },
    /// It is due, and may begin.
    At {
        /// When it is due.
        due: Timestamp,
        /// When it may begin, at the earliest. Now or before: now.
        begins: Timestamp,
    },
}

impl Due {
    /// When one is due that is to be run every so often.
    #[must_use]
    pub fn of(every: Lasting, windows: &Windows, known: &Known, now: Timestamp) -> Self {
        let Some(made) = known.made else {
            return Self::Never;
        };
        let due = made.plus(every.duration());
        let mut from = due.max(now);
        if let Some(any) = known.any {
            from = from.max(any.plus(APART));
        }
        // A try in the future was before the clock was put back.
        if let Some(tried) = known.tried.filter(|tried| *tried <= now) {
            from = from.max(tried.plus(AGAIN));
        }
        match windows.opens(from) {
            Some(begins) => Self::At { due, begins },
            None => Self::NoWindow { due },
        }
    }

    /// Is it to begin now?
    #[must_use]
    pub fn is_now(&self, now: Timestamp) -> bool {
        matches!(self, Self::At { begins, .. } if *begins <= now)
    }
}

/// One that is run by itself, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueRow {
    /// Which.
    pub drill: DrillName,
    /// How long after the last one.
    pub every: Lasting,
    /// When it is due; `None`: it was never made.
    pub due: Option<Timestamp>,
    /// When it begins, at the earliest; `None`: never.
    pub begins: Option<Timestamp>,
    /// When it was to begin last and did not, or ended before its fault, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Tried>,
}

/// A try that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

impl DueRow {
    /// As it is shown.
    #[must_use]
    pub fn of(drill: DrillName, every: Lasting, due: &Due, failed: Option<Tried>) -> Self {
        let (due, begins) = match *due {
            Due::Never => (None, None),
            Due::NoWindow { due } => (Some(due), None),
            Due::At { due, begins } => (Some(due), Some(begins)),
        };
        Self {
            drill,
            every,
            due,
            begins,
            failed,
        }
    }

    /// What there is to say of it: that it is due, and why it was not begun.
    #[must_use]
    pub fn overdue(&self, cluster: &ClusterName, now: Timestamp) -> Option<Finding> {
        let due = self.due.filter(|due| *due <= now)?;
        let failed = self.failed.as_ref().filter(|tried| tried.at >= due);
        let (why, next) = match (self.begins, failed) {
            (None, _) => (
                "no window is named in which it may begin, or none lies within the cluster's `maintenance`".to_owned(),
                format!(
                    "write `windows` into [drills.{}] and apply the file; or run it by hand",
                    self.drill
                ),
            ),
            (Some(begins), Some(tried)) => (
                format!(
                    "it was not made at {}: {}; it is tried again at {begins}",
                    tried.at, tried.why
                ),
                format!("quorate drill preview {} --cluster {cluster}", self.drill),
            ),
            // It has not come to its turn yet.
            (Some(_), None) => return None,
        };
        let message = format!("it is due since {due}, and {why}");
        Some(Finding::new(
            Code::DrillOverdue,
            format!("{cluster}/drill {}", self.drill),
            message,
            next,
        ))
    }
}

/// Does the wall clock go steadily? One that was set may say anything: what is due by it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steady {
    last: Option<(Timestamp, Duration)>,
    since: Duration,
}

impl Steady {
    /// Takes a look at both clocks. Has the wall clock gone steadily for so long?
    pub fn look(&mut self, wall: Timestamp, monotonic: Duration, settles: Duration) -> bool {
        let was_set = self.last.is_none_or(|(wall_then, then)| {
            let expected = wall_then.plus(monotonic.saturating_sub(then));
            let off = Duration::from_micros(expected.0.abs_diff(wall.0));
            off > JUMP
        });
        if was_set {
            self.since = monotonic;
        }
        self.last = Some((wall, monotonic));
        monotonic.saturating_sub(self.since) >= settles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    /// A Saturday, 12:00.
    const NOON: &str = "2026-11-28T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn days(from: Timestamp, days: i64) -> Timestamp {
        Timestamp::from_seconds(from.seconds() + days * DAY)
    }

    fn windows(own: &[&str], cluster: &[&str]) -> Windows {
        let read = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
        Windows {
            own: read(own),
            cluster: read(cluster),
        }
    }

    fn every(text: &str) -> Lasting {
        text.parse().unwrap()
    }

    fn made(made: Timestamp) -> Known {
        Known {
            made: Some(made),
            any: Some(made),
            tried: None,
        }
    }

    #[test]
    fn it_begins_in_the_first_window_after_it_is_due() {
        let now = at(NOON);
        let night = windows(&["22:00-05:00"], &[]);
        let seen = |ago: i64| Due::of(every("90d"), &night, &made(days(now, -ago)), now);
        let due = days(now, 1);
        assert_eq!(
            seen(89),
            Due::At {
                due,
                begins: at("2026-11-29T22:00:00Z")
            }
        );
        let late = seen(400);
        assert_eq!(
            late,
            Due::At {
                due: days(now, -310),
                begins: at("2026-11-28T22:00:00Z")
            }
        );
        assert!(!late.is_now(now));
        let tonight = at("2026-11-28T23:00:00Z");
        let due = Due::of(every("90d"), &night, &made(days(now, -400)), tonight);
        assert!(due.is_now(tonight), "{due:?}");
    }

    #[test]
    fn one_that_was_never_made_is_not_begun_by_itself() {
        let now = at(NOON);
        let open = windows(&["00:00-24:00"], &[]);
        let ended_early = Known {
            any: Some(days(now, -400)),
            ..Known::default()
        };
        for known in [Known::default(), ended_early] {
            let due = Due::of(every("1d"), &open, &known, now);
            assert_eq!(due, Due::Never);
            assert!(!due.is_now(now));
        }
    }

    #[test]
    fn without_a_window_or_with_two_that_never_meet_it_is_told_and_not_begun() {
        let now = at(NOON);
        let known = made(days(now, -100));
        let due = days(now, -10);
        for none in [
            windows(&[], &[]),
            windows(&["22:00-23:00"], &["02:00-03:00"]),
            windows(&["sat 22:00-sun 04:00"], &["mon 22:00-tue 04:00"]),
        ] {
            assert_eq!(Due::of(every("90d"), &none, &known, now), Due::NoWindow { due });
        }
        // Within both.
        let both = windows(&["20:00-24:00"], &["sun 22:00-mon 04:00"]);
        let begins = at("2026-11-29T22:00:00Z");
        assert_eq!(Due::of(every("90d"), &both, &known, now), Due::At { due, begins });
        let of_cluster = windows(&[], &["sun 22:00-mon 04:00"]);
        assert_eq!(Due::of(every("90d"), &of_cluster, &known, now), Due::At { due, begins });
    }

    #[test]
    fn what_was_missed_is_not_made_up_in_a_row() {
        let now = at(NOON);
        let open = windows(&["00:00-24:00"], &[]);
        // Four were missed, and another drill of the cluster was over ten hours ago.
        let known = Known {
            any: Some(at("2026-11-28T02:00:00Z")),
            ..made(days(now, -400))
        };
        let due = Due::of(every("90d"), &open, &known, now);
        assert!(
            matches!(due, Due::At { begins, .. } if begins == at("2026-11-29T02:00:00Z")),
            "{due:?}"
        );
        // Made once, it is due again as long after that as it says.
        let after = Due::of(every("90d"), &open, &made(now), now);
        assert!(
            matches!(after, Due::At { due, .. } if due == days(now, 90)),
            "{after:?}"
        );
    }

    #[test]
    fn after_a_try_it_waits_and_a_clock_that_was_put_back_holds_nothing_up() {
        let now = at(NOON);
        let open = windows(&["00:00-24:00"], &[]);
        let tried = |tried: Timestamp| {
            let known = Known {
                tried: Some(tried),
                ..made(days(now, -100))
            };
            Due::of(every("90d"), &open, &known, now)
        };
        let waits = tried(at("2026-11-28T11:30:00Z"));
        assert!(
            matches!(waits, Due::At { begins, .. } if begins == at("2026-11-28T12:30:00Z")),
            "{waits:?}"
        );
        assert!(tried(at("2026-11-28T11:00:00Z")).is_now(now));
        assert!(
            tried(days(now, 30)).is_now(now),
            "the try is of a time that has not come"
        );
        // A drill of the future, though, is waited for: the clock may be wrong now.
        let future = Due::of(every("1d"), &open, &made(days(now, 30)), now);
        assert!(!future.is_now(now));
    }

    #[test]
    fn a_clock_that_was_set_is_not_gone_by_for_a_while() {
        let second = Duration::from_secs;
        let settles = second(900);
        let wall = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let mut steady = Steady::default();
        assert!(!steady.look(wall(0), second(5), settles), "just begun");
        assert!(!steady.look(wall(899), second(904), settles));
        assert!(
            steady.look(wall(930), second(905 + 25), settles),
            "adjusted by less than a minute"
        );
        assert!(!steady.look(wall(90 * DAY), second(990), settles), "it jumped ahead");
        assert!(!steady.look(wall(90 * DAY + 600), second(1590), settles));
        assert!(steady.look(wall(90 * DAY + 900), second(1890), settles));
        assert!(!steady.look(wall(1900), second(1950), settles), "and back");
    }

    #[test]
    fn what_was_not_begun_says_why_and_when_it_is_tried_again() {
        let now = at(NOON);
        let cluster: ClusterName = "hk1".parse().unwrap();
        let row =
            |due: Due, failed: Option<Tried>| DueRow::of("cut-prox1".parse().unwrap(), every("90d"), &due, failed);
        let begins = at("2026-11-28T13:00:00Z");
        let late = Due::At {
            due: days(now, -1),
            begins,
        };
        let tried = |at: Timestamp| {
            Some(Tried {
                at,
                why: "QRT-DRILL-LINK-DOWN hk1: link 1 is down".to_owned(),
            })
        };
        assert_eq!(row(late, None).overdue(&cluster, now), None, "its window comes");
        assert_eq!(
            row(late, tried(days(now, -50))).overdue(&cluster, now),
            None,
            "of the one before"
        );
        let found = row(late, tried(now)).overdue(&cluster, now).unwrap();
        assert_eq!(
            (found.code, found.subject.as_str()),
            (Code::DrillOverdue, "hk1/drill cut-prox1")
        );
        assert!(
            found.message.contains("link 1 is down") && found.message.contains("2026-11-28T13:00:00Z"),
            "{}",
            found.message
        );
        let nowhere = row(Due::NoWindow { due: days(now, -1) }, None)
            .overdue(&cluster, now)
            .unwrap();
        assert!(nowhere.message.contains("no window"), "{}", nowhere.message);
        assert_eq!(row(Due::Never, None).overdue(&cluster, now), None);
    }
}
