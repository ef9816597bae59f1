//! `quorate-tally`: writes numbered records, each onto the disk before the next, and tells whoever connects the number of the last one.
//!
//! It goes on whatever happens: while the disk is full, broken or read-only, it tells the last number that is on it. It never tells one
//! that is not.

mod options;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::Read as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use quorate_clock::Clock;
use quorate_tally::record::Record;
use quorate_tally::{Answer, Door, Store};

use self::options::{Command, Options};

/// That of the package it came in.
const VERSION: &str = match option_env!("QUORATE_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// While nothing can be written, this is said again so often.
const SAID_AGAIN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match options::parse(&args) {
        Ok(Command::Help) => say_out(options::USAGE),
        Ok(Command::Version) => say_out(&format!("quorate-tally {VERSION}")),
        Ok(Command::Run(options)) => match run(&options) {
            Ok(never) => match never {},
            Err(why) => {
                say(&format!("error: {why}"));
                ExitCode::FAILURE
            }
        },
        Err(why) => {
            say(&format!("error: {why}\n{}", options::USAGE));
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<Infallible, String> {
    let (mut store, found) = Store::open(&options.records, options.keep).map_err(|error| chain(&error))?;
    let path = options.records.display();
    if found.torn > 0 {
        say(&format!(
            "{path}: a record of {} bytes was torn and is dropped",
            found.torn
        ));
    }
    if found.damaged > 0 {
        say(&format!(
            "{path}: {} records are damaged: look after the disk",
            found.damaged
        ));
    }
    if let Some(why) = found.unwritable {
        say(&format!(
            "{path} can't be written: {why}; record {} is told until it can",
            found.last.number
        ));
    }
    let door = match options.listen.as_slice() {
        [] => Door::open_all(quorate_tally::PORT),
        listen => Door::open(listen),
    };
    let mut door = door.map_err(|(address, error)| format!("can't listen on {address}: {error}"))?;
    let this_run = random()?;
    let shown = Arc::new(Mutex::new(Answer {
        number: found.last.number,
        time_ms: found.last.time_ms,
        resumed: found.last.number,
        run: this_run,
        host: first_line("/proc/sys/kernel/hostname"),
        boot: first_line("/proc/sys/kernel/random/boot_id"),
    }));
    for address in door.addresses() {
        say(&format!("listens on {address}"));
    }
    say(&format!(
        "{path}: goes on after record {}, as run {this_run:016x}",
        found.last.number
    ));
    let writer_shows = Arc::clone(&shown);
    let every = options.every;
    thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || {
            count_up(&mut store, every, this_run, |record| {
                let mut shown = writer_shows.lock().unwrap_or_else(PoisonError::into_inner);
                shown.number = record.number;
                shown.time_ms = record.time_ms;
            });
        })
        .map_err(|error| format!("can't start a thread: {error}"))?;
    loop {
        door.turn(|| shown.lock().unwrap_or_else(PoisonError::into_inner).to_string());
    }
}

/// Writes for ever, and shows each record that is on the disk.
fn count_up(store: &mut Store, every: Duration, run: u64, show: impl Fn(Record)) {
    let clock = Clock::system();
    let mut next = clock.monotonic();
    // Since when nothing could be written, and when that was said last.
    let mut trouble: Option<(Duration, Duration)> = None;
    loop {
        let time_ms = u64::try_from(clock.unix_micros() / 1000).unwrap_or(0);
        match store.append(time_ms, run) {
            Ok(record) => {
                show(record);
                if let Some((since, _)) = trouble.take() {
                    let seconds = clock.since(since).as_secs();
                    say(&format!(
                        "goes on after {seconds} s: record {} is on the disk",
                        record.number
                    ));
                }
            }
            Err(error) => {
                let now = clock.monotonic();
                let said = trouble.map(|(_, said)| said);
                if said.is_none_or(|said| now.saturating_sub(said) >= SAID_AGAIN) {
                    let last = store.last().number;
                    say(&format!(
                        "record {} can't be written: {error}; {last} is told until it can",
                        last.saturating_add(1)
                    ));
                    trouble = Some((trouble.map_or(now, |(since, _)| since), now));
                }
            }
        }
        next = next.saturating_add(every);
        let now = clock.monotonic();
        // What was missed while the disk was slow is not made up for.
        next = next.max(now);
        thread::sleep(next.saturating_sub(now));
    }
}

/// What tells this run from all others.
fn random() -> Result<u64, String> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom can't be read: {error}"))?;
    Ok(u64::from_ne_bytes(bytes))
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

/// To the log, which is systemd's.
#[expect(clippy::print_stderr, reason = "its log is what it prints")]
fn say(text: &str) {
    eprintln!("{text}");
}

#[expect(clippy::print_stdout, reason = "what was asked for")]
fn say_out(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}
