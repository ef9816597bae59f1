//! What a daemon said, and when.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A daemon's messages, each with its time of the day to the millisecond.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// The log that a daemon writes to this file.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long after `since` this was said first; `None`: not yet.
    #[must_use]
    pub fn after(&self, since: SystemTime, what: &str) -> Option<Duration> {
        let said = self.since(since).into_iter();
        said.filter(|(_, line)| line.contains(what))
            .map(|(later, _)| later)
            .min()
    }

    /// All that was said after `since`, and how long after it.
    #[must_use]
    pub fn since(&self, since: SystemTime) -> Vec<(Duration, String)> {
        let since = time_of_day(since);
        let later = |line: &str| {
            // What was said before is almost a day later by this clock.
            let later = (stamp(line)? + DAY).saturating_sub(since);
            let later = if later >= DAY { later - DAY } else { later };
            (later < DAY / 2).then(|| (later, line.to_owned()))
        };
        self.text().lines().filter_map(later).collect()
    }

    /// Waits until it is said, and tells how long after `since` that was.
    pub async fn waits_for(&self, since: SystemTime, what: &str) -> Duration {
        crate::until(what, async || self.after(since, what).is_some()).await;
        self.after(since, what).expect("it was there a moment ago")
    }
}

/// UTC, as daemons have it that know of no other zone.
fn time_of_day(at: SystemTime) -> Duration {
    let since_1970 = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since_1970 - DAY * u32::try_from(since_1970.as_secs() / DAY.as_secs()).unwrap_or(0)
}

/// `Nov 27 12:29:21.075 notice  [QUORUM] …`
fn stamp(line: &str) -> Option<Duration> {
    let mut parts = line.split_whitespace().nth(2)?.split([':', '.']);
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes, seconds, millis) = (number()?, number()?, number()?, number()?);
    Some(Duration::from_millis(
        ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::Log;

    #[test]
    fn times_are_told_from_a_moment_on_and_past_midnight() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let lines = "Nov 27 12:29:21.075 notice  [QUORUM] Members[2]: 1 2\nodd line\n\
                     Nov 27 23:59:59.500 notice  [QUORUM] Members[2]: 1 2\nNov 28 00:00:01.250 notice  [QUORUM] Members[3]: 1 2 3\n";
        std::fs::write(file.path(), lines).expect("written");
        let log = Log::at(file.path().to_owned());
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
        let noon = day + Duration::from_secs(12 * 3600 + 29 * 60 + 20);
        assert_eq!(log.after(noon, "Members[2]"), Some(Duration::from_millis(1075)));
        let midnight = day + Duration::from_secs(86_400 - 1);
        assert_eq!(log.after(midnight, "Members[2]"), Some(Duration::from_millis(500)));
        assert_eq!(log.after(midnight, "Members[3]"), Some(Duration::from_millis(2250)));
        assert_eq!(log.after(midnight, "Members[1]"), None);
    }
}
