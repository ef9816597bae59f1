//! `journalctl`: the units that the world speaks for, in short format or as JSON.
//!
//! Seen with systemd 252: which fields always come, what is said of a cursor that is none, that `--after-cursor` passes over one entry more
//! than it finds, also where the cursor's own is not there; nothing is printed where JSON is asked for and nothing found; an entry's numbers go
//! on after journald was killed. What systemd itself says of a unit's start and stop is not there.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Reply;
use crate::roots::proc::boot_id;
use crate::world::clock;
use crate::world::journal::Line;
use crate::world::server::Server;

const COST: u64 = 30;

/// Fields that come whether they are asked for or not.
const ALWAYS: [&str; 4] = ["__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "_BOOT_ID"];

#[derive(Debug, Default)]
struct Asked<'a> {
    units: Vec<&'a str>,
    last: Option<usize>,
    this_boot: bool,
    quiet: bool,
    json: bool,
    /// Those that are wanted; `None`: all.
    fields: Option<BTreeSet<&'a str>>,
    since: Option<&'a str>,
    after: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// The outer `None`: the world does not know this. The inner error: what journalctl says.
    fn read(args: &[&'a str]) -> Option<Result<Self, String>> {
        let mut asked = Self::default();
        let mut rest = args.iter().copied();
        while let Some(arg) = rest.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (arg, None),
            };
            match (name, value) {
                ("-b" | "-b0" | "--boot", None) => asked.this_boot = true,
                ("--no-pager", None) => {}
                ("-q" | "--quiet", None) => asked.quiet = true,
                ("-u" | "--unit" | "-n" | "--lines" | "-o" | "--output" | "-S", None) => {
                    if let Err(said) = asked.take(name, rest.next()?)? {
                        return Some(Err(said));
                    }
                }
                (name, Some(value)) => {
                    if let Err(said) = asked.take(name, value)? {
                        return Some(Err(said));
                    }
                }
                _ => return None,
            }
        }
        if asked.since.is_some() && asked.after.is_some() {
            let text = "Please specify only one of --since=, --cursor=, and --after-cursor=.\n";
            return Some(Err(text.to_owned()));
        }
        Some(Ok(asked))
    }

    fn take(&mut self, name: &str, value: &'a str) -> Option<Result<(), String>> {
        match name {
            "-u" | "--unit" => self.units.push(value.trim_end_matches(".service")),
            "-n" | "--lines" => self.last = Some(value.parse().ok()?),
            "-o" | "--output" => match value {
                "short" => self.json = false,
                "json" => self.json = true,
                "cat" | "export" | "json-pretty" | "short-iso" | "short-precise" | "verbose" => return None,
                other => return Some(Err(format!("Unknown output format '{other}'.\n"))),
            },
            "--output-fields" => self.fields = Some(value.split(',').collect()),
            "-S" | "--since" => self.since = Some(value),
            "--after-cursor" => self.after = Some(value),
            _ => return None,
        }
        Some(Ok(()))
    }

    fn wants(&self, line: &Line, server: &Server) -> bool {
        (self.units.is_empty() || self.units.contains(&line.service()) || self.units.contains(&line.unit))
            && (!self.this_boot || line.boot == server.power.boots)
    }
}

/// From where on.
#[derive(Debug, PartialEq, Eq)]
enum From {
    /// The entry of this number, or the next one that there is.
    Number(u64),
    /// This time of this boot.
    Uptime(u32, u64),
    /// This time.
    Time(i64),
    Nowhere,
}

impl From {
    /// What a cursor says. By its number in the journal that gave it, else by its boot, else by its time.
    fn cursor(text: &str, server: &Server) -> Option<Self> {
        let (mut id, mut number, mut boot, mut uptime, mut time) = (None, None, None, None, None);
        for item in text.split(';') {
            let (key, value) = item.split_once('=').filter(|(key, _)| key.len() == 1)?;
            let hex = || u64::from_str_radix(value, 16).ok();
            match key {
                "s" => id = Some(value),
                "i" => number = Some(hex()?),
                "b" => boot = Some(value),
                "m" => uptime = Some(hex()?),
                "t" => time = Some(i64::from_str_radix(value, 16).ok()?),
                _ => {}
            }
        }
        if let (Some(id), Some(number)) = (id, number)
            && id == journal_id(server)
        {
            return Some(Self::Number(number));
        }
        if let (Some(boot), Some(uptime)) = (boot, uptime) {
            let own = (0..=server.power.boots).find(|own| plain(&boot_id(server.index, *own)) == boot);
            match (own, time) {
                (Some(own), _) => return Some(Self::Uptime(own, uptime)),
                (None, None) => return Some(Self::Nowhere),
                (None, Some(_)) => {}
            }
        }
        match time {
            Some(time) => Some(Self::Time(time)),
            None => (id.is_some() && number.is_some()).then_some(Self::Nowhere),
        }
    }

    fn begins_at(&self, number: u64, line: &Line) -> bool {
        match self {
            Self::Number(from) => number >= *from,
            Self::Uptime(boot, uptime) => line.boot > *boot || (line.boot == *boot && line.monotonic >= *uptime),
            Self::Time(time) => line.at.as_microsecond() >= *time,
            Self::Nowhere => false,
        }
    }
}

/// Of the file's entries' numbers.
fn journal_id(server: &Server) -> String {
    format!("0639e0bb4c3c4d9d9a3e5a1f4a0f9e{:02x}", server.index & 0xff)
}

/// An id as the journal writes it.
fn plain(id: &str) -> String {
    id.replace('-', "")
}

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let fail = |said: String| Some((COST, Reply::fail(1, said)));
    let asked = match Asked::read(args)? {
        Ok(asked) => asked,
        Err(said) => return fail(said),
    };
    let since = match asked.since {
        None => None,
        // Other forms are not needed so far.
        Some(since) => match since.strip_prefix('@')?.parse::<i64>() {
            Ok(seconds) => Some(From::Time(seconds.saturating_mul(1_000_000))),
            Err(_) => return fail(format!("Failed to parse timestamp: {since}\n")),
        },
    };
    let after = match asked.after.map(|cursor| From::cursor(cursor, server)) {
        None => None,
        Some(Some(from)) => Some(from),
        Some(None) => return fail("Failed to seek to cursor: Invalid argument\n".to_owned()),
    };
    let passed_over = usize::from(after.is_some());
    let from = since.or(after);
    let found: Vec<(u64, &Line)> = (1..)
        .zip(server.journal.kept())
        .skip_while(|(number, line)| from.as_ref().is_some_and(|from| !from.begins_at(*number, line)))
        .filter(|(_, line)| asked.wants(line, server))
        .skip(passed_over)
        .collect();
    if found.is_empty() && !asked.json && !asked.quiet {
        return Some((COST, Reply::ok("-- No entries --\n")));
    }
    let surplus = asked.last.map_or(0, |last| found.len().saturating_sub(last));
    let shown = found.into_iter().skip(surplus).map(|(number, line)| match asked.json {
        true => json(server, &asked, number, line),
        false => short(server, line),
    });
    Some((COST, Reply::ok(shown.collect::<String>())))
}

fn short(server: &Server, line: &Line) -> String {
    format!(
        "{} {} {}[{}]: {}\n",
        clock::syslog(line.at),
        server.name(),
        line.identifier(),
        line.pid,
        line.text
    )
}

fn json(server: &Server, asked: &Asked<'_>, number: u64, line: &Line) -> String {
    let boot = plain(&boot_id(server.index, line.boot));
    let at = line.at.as_microsecond();
    let mixed = line.text.bytes().fold(number, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let cursor = format!(
        "s={};i={number:x};b={boot};m={:x};t={at:x};x={mixed:x}",
        journal_id(server),
        line.monotonic
    );
    let fields = [
        ("__CURSOR", cursor),
        ("__REALTIME_TIMESTAMP", at.to_string()),
        ("__MONOTONIC_TIMESTAMP", line.monotonic.to_string()),
        ("_BOOT_ID", boot),
        ("_HOSTNAME", server.name().to_owned()),
        ("_TRANSPORT", line.transport().to_owned()),
        ("_SYSTEMD_UNIT", format!("{}.service", line.service())),
        ("_PID", line.pid.to_string()),
        ("PRIORITY", line.priority.to_string()),
        ("SYSLOG_IDENTIFIER", line.identifier().to_owned()),
        ("MESSAGE", line.text.clone()),
    ];
    let wanted = |name: &str| ALWAYS.contains(&name) || asked.fields.as_ref().is_none_or(|some| some.contains(name));
    let object: Map<String, Value> = fields
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect();
    format!("{}\n", Value::Object(object))
}
