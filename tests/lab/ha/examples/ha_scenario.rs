//! Plays scenarios: `ha_scenario DIR` prints the log, `ha_scenario --check DIR…` compares with each `log.expect`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((flag, dirs)) if flag == "--check" && !dirs.is_empty() => check(dirs),
        Some((dir, [])) if !dir.starts_with('-') => run(dir),
        _ => {
            eprintln!("usage: ha_scenario DIR | ha_scenario --check DIR…");
            ExitCode::from(2)
        }
    }
}

fn run(dir: &str) -> ExitCode {
    match quorate_lab_ha::run(Path::new(dir)) {
        Ok(log) => {
            for line in log {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(dirs: &[String]) -> ExitCode {
    let (mut full, mut identical) = (0, 0);
    for dir in dirs {
        match quorate_lab_ha::check(Path::new(dir)) {
            Ok(agreement) => {
                full += usize::from(agreement.is_full());
                identical += usize::from(agreement.is_identical());
                println!("{dir}: {agreement}");
            }
            Err(error) => println!("{dir}: {error}"),
        }
    }
    println!("{} scenarios, {full} agree, {identical} line by line", dirs.len());
    if full == dirs.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
