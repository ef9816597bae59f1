//! `journalctl`: the units that the world speaks for, short format.

use super::Reply;
use crate::world::clock;
use crate::world::server::Server;

const COST: u64 = 30;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let mut units = Vec::new();
    let mut last = usize::MAX;
    let mut this_boot = false;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "-u" | "--unit" => units.push(args.next()?.trim_end_matches(".service")),
            "-n" | "--lines" => last = args.next()?.parse().ok()?,
            "-b" | "-b0" | "--boot" => this_boot = true,
            "--no-pager" | "-q" | "--quiet" => {}
            "-o" | "--output" if args.next() == Some(&"short") => {}
            other => match other.split_once('=') {
                Some(("--unit", unit)) => units.push(unit.trim_end_matches(".service")),
                Some(("--lines", number)) => last = number.parse().ok()?,
                _ => return None,
            },
        }
    }
    let asked = |unit: &str| {
        units.is_empty()
            || units
                .iter()
                .any(|asked| *asked == unit || (*asked == "pve-cluster" && unit == "pmxcfs"))
    };
    let lines: Vec<String> = server
        .journal
        .iter()
        .skip(if this_boot { server.power.journal_from } else { 0 })
        .filter(|line| asked(line.unit))
        .map(|line| {
            format!(
                "{} {} {}[{}]: {}\n",
                clock::syslog(line.at),
                server.name(),
                line.unit,
                line.pid,
                line.text
            )
        })
        .collect();
    if lines.is_empty() {
        return Some((COST, Reply::ok("-- No entries --\n")));
    }
    Some((
        COST,
        Reply::ok(
            lines
                .get(lines.len().saturating_sub(last)..)
                .unwrap_or_default()
                .concat(),
        ),
    ))
}
