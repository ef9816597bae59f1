//! `zpool status`: how the imported pools are, vdev by vdev. It ends with 0 also where a pool is degraded.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use quorate_exec::{Invocation, Tools};
use quorate_model::Timestamp;
use quorate_model::observation::pools::{
    Leaf, Scan, ScanKind, ScanState, Vdev, VdevClass, VdevErrors, VdevHealth, VdevState,
};

use crate::{CallError, ParseError};

const NAME: &str = "zpool status";

/// Full paths (`-P`), numbers in full (`-p`); times in UTC, as zpool prints them in whatever zone it is told.
///
/// # Errors
/// When zpool is not installed.
pub fn status(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools
        .call(crate::zpool::NAME)?
        .args(["status", "-Pp"])
        .env("TZ", "UTC0")
        .build()?)
}

/// A pool as `zpool status` has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// `state:`
    pub state: VdevState,
    /// `status:`, on one line.
    pub complaint: Option<String>,
    /// `errors:`; see [`quorate_model::observation::pools::Pool::data_errors`].
    pub data_errors: Option<u64>,
    /// `scan:`
    pub scan: Option<Scan>,
    /// `config:`
    pub vdevs: Vec<Vdev>,
}

/// Reads all pools. Nothing at all: none is imported.
///
/// # Errors
/// A line stands where none can, a pool has no state, or its devices can't be told apart.
pub fn read(stdout: &str) -> Result<Vec<Status>, ParseError> {
    let mut pools: Vec<Text<'_>> = Vec::new();
    let mut section: Option<&str> = None;
    for line in stdout.lines() {
        if let Some((key, text)) = heading(line) {
            if key == "pool" {
                pools.push(Text::default());
            }
            let pool = pools.last_mut();
            let pool = pool.ok_or_else(|| ParseError::at(NAME, line, "a heading before any pool"))?;
            pool.sections.push((key, vec![text]));
            section = Some(key);
        } else if let (Some(_), Some((_, lines))) =
            (section, pools.last_mut().and_then(|pool| pool.sections.last_mut()))
        {
            lines.push(line);
        } else if !line.trim().is_empty() && !says_none(line) {
            return Err(ParseError::at(NAME, line, "a line before any pool"));
        }
    }
    pools.iter().map(Text::pool).collect()
}

/// `no pools available`, which zpool prints on one or the other stream.
fn says_none(line: &str) -> bool {
    line.trim() == "no pools available"
}

/// Headings are right-aligned to the same column, and end in a colon: `  pool: tank`, `errors: …`.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (key, text) = line.split_once(':')?;
    let word = key.trim_start_matches(' ');
    let fits = (key.len() == 6 || key == "checkpoint")
        && !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_lowercase());
    fits.then(|| (word, text.trim()))
}

/// A pool's text, section by section.
#[derive(Debug, Default)]
struct Text<'t> {
    sections: Vec<(&'t str, Vec<&'t str>)>,
}

impl<'t> Text<'t> {
    fn section(&self, key: &str) -> Option<&[&'t str]> {
        let found = self.sections.iter().find(|(name, _)| *name == key);
        found.map(|(_, lines)| lines.as_slice())
    }

    /// A section's lines as one.
    fn joined(&self, key: &str) -> Option<String> {
        let words = self.section(key)?.iter().flat_map(|line| line.split_whitespace());
        let text = words.collect::<Vec<_>>().join(" ");
        (!text.is_empty()).then_some(text)
    }

    fn pool(&self) -> Result<Status, ParseError> {
        let missing = |what: &str| ParseError::missing(NAME, format!("a pool without `{what}:`"));
        let name = self.joined("pool").ok_or_else(|| missing("pool"))?;
        let state = self.joined("state").ok_or_else(|| missing("state"))?;
        let config = self.section("config").ok_or_else(|| missing("config"))?;
        Ok(Status {
            state: VdevState::of(&state),
            complaint: self.joined("status"),
            data_errors: self.section("errors").and_then(data_errors),
            scan: self.joined("scan").and_then(|text| scan(&text)),
            vdevs: vdevs(&name, config)?,
            name,
        })
    }
}

/// `No known data errors`; `3 data errors, use '-v' for a list`; with `-v` a list below.
fn data_errors(lines: &[&str]) -> Option<u64> {
    let (first, rest) = lines.split_first()?;
    if *first == "No known data errors" {
        return Some(0);
    }
    if let Some((count, _)) = first.split_once(" data errors") {
        return count.parse().ok();
    }
    if first.starts_with("Permanent errors") {
        let named = rest.iter().filter(|line| !line.trim().is_empty()).count();
        return u64::try_from(named).ok();
    }
    None
}

/// `scrub repaired 24.2M in 00:00:01 with 0 errors on Sun Nov 22 11:16:18 2026`, `resilvered …`, `scrub in progress since … 41.99% done …`,
/// `scrub canceled on …`, `scrub paused since …`; `none requested` is nothing. Source: zpool_main.c `print_scan_status`, and seen.
fn scan(text: &str) -> Option<Scan> {
    let kind = if text.starts_with("resilver") {
        ScanKind::Resilver
    } else if text.starts_with("scrub") {
        ScanKind::Scrub
    } else {
        return None;
    };
    let after = |word: &str| text.split_once(word).map(|(_, rest)| time(rest));
    let stopped = |state, at| Scan {
        kind,
        state,
        at,
        percent: None,
        errors: None,
    };
    if let Some(at) = after(" in progress since ") {
        return Some(Scan {
            percent: percent(text),
            ..stopped(ScanState::Running, at)
        });
    }
    if let Some(at) = after(" paused since ") {
        return Some(stopped(ScanState::Paused, at));
    }
    if let Some(at) = after(" canceled on ") {
        return Some(stopped(ScanState::Cancelled, at));
    }
    let (errors, rest) = text.split_once(" with ")?.1.split_once(" errors on ")?;
    Some(Scan {
        errors: Some(errors.parse().ok()?),
        ..stopped(ScanState::Finished, time(rest))
    })
}

/// `Sun Nov 22 11:16:18 2026`, and whatever follows it.
fn time(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_whitespace().take(5).collect();
    let civil = DateTime::strptime("%a %b %d %H:%M:%S %Y", words.join(" ")).ok()?;
    let at = TimeZone::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp::from_seconds(at.as_second()))
}

fn percent(text: &str) -> Option<f64> {
    let (before, _) = text.split_once("% done")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// A line of the tree.
struct Line<'t> {
    depth: usize,
    name: &'t str,
    health: VdevHealth,
    text: &'t str,
}

/// The tree below `NAME STATE READ WRITE CKSUM`: the pool, its vdevs two columns further right, their disks two more; the headings of the
/// other classes stand where pools do.
fn vdevs(pool: &str, config: &[&str]) -> Result<Vec<Vdev>, ParseError> {
    let mut lines = config.iter().filter(|line| !line.trim().is_empty());
    let header = lines
        .next()
        .ok_or_else(|| ParseError::missing(NAME, "a pool without devices"))?;
    if !header.trim_start().starts_with("NAME ") {
        return Err(ParseError::at(NAME, header, "expected the heading of the devices"));
    }
    let (mut class, mut vdevs) = (None, Vec::<Vdev>::new());
    let mut group: Option<(usize, String)> = None;
    for text in lines {
        // A pool's name may have a space in it; nothing else's has.
        let is_pool = class.is_none() && text.trim().strip_prefix(pool).is_some_and(|rest| rest.starts_with(' '));
        let line = line(text)?;
        let out_of_place = || Err(ParseError::at(NAME, line.text, "a device out of its place"));
        match line.depth {
            0 => {
                let heading = VdevClass::ALL.into_iter().find(|class| class.as_str() == line.name);
                class = match heading.filter(|class| *class != VdevClass::Data) {
                    _ if is_pool => Some(VdevClass::Data),
                    Some(heading) => Some(heading),
                    None => return out_of_place(),
                };
            }
            1 => {
                let Some(class) = class else { return out_of_place() };
                // In a pool of one disk, it and its successor stand where the disk stood.
                group = is_group(line.name).then(|| (1, line.name.to_owned()));
                let alone = is_leaf(line.name).then(|| Leaf {
                    name: line.name.to_owned(),
                    health: line.health.clone(),
                    group: None,
                });
                vdevs.push(Vdev {
                    class,
                    name: line.name.to_owned(),
                    health: line.health,
                    leaves: alone.into_iter().collect(),
                });
            }
            depth => {
                let Some(vdev) = vdevs.last_mut() else {
                    return out_of_place();
                };
                if group.as_ref().is_some_and(|(of, _)| depth <= *of) {
                    group = None;
                }
                if is_group(line.name) {
                    group = Some((depth, line.name.to_owned()));
                    continue;
                }
                vdev.leaves.push(Leaf {
                    name: line.name.to_owned(),
                    health: line.health,
                    group: group.as_ref().map(|(_, name)| name.clone()),
                });
            }
        }
    }
    Ok(vdevs)
}

/// Disks have full paths; one that is gone has its number instead.
fn is_leaf(name: &str) -> bool {
    name.starts_with('/') || name.bytes().all(|byte| byte.is_ascii_digit())
}

/// `replacing-1`, `spare-0`: disks that stand in one's place.
fn is_group(name: &str) -> bool {
    let numbered = |stem: &str| {
        let number = name.strip_prefix(stem);
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    numbered("replacing-") || numbered("spare-")
}

fn line(text: &str) -> Result<Line<'_>, ParseError> {
    let body = text
        .strip_prefix('\t')
        .ok_or_else(|| ParseError::at(NAME, text, "a device that is not set in"))?;
    let name_and_rest = body.trim_start_matches(' ');
    let spaces = body.len() - name_and_rest.len();
    let mut words = name_and_rest.split_whitespace();
    let Some(name) = words.next().filter(|_| spaces.is_multiple_of(2)) else {
        return Err(ParseError::at(NAME, text, "a device whose place can't be told"));
    };
    // A heading has nothing but its name.
    let state = words.next().map_or(VdevState::Other, VdevState::of);
    let mut words = words.peekable();
    let mut counters = Vec::new();
    while counters.len() < 3
        && let Some(count) = words.peek().and_then(|word| word.parse::<u64>().ok())
    {
        counters.push(count);
        words.next();
    }
    let note = words.collect::<Vec<_>>().join(" ");
    Ok(Line {
        depth: spaces / 2,
        name,
        health: VdevHealth {
            state,
            errors: match counters[..] {
                [read, write, checksum] => Some(VdevErrors { read, write, checksum }),
                _ => None,
            },
            note: (!note.is_empty()).then_some(note),
        },
        text,
    })
}

#[cfg(test)]
#[path = "zpool_status_tests.rs"]
mod tests;
