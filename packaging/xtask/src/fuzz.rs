//! `cargo xtask fuzz`: every target of tests/fuzz under libFuzzer, with the stable toolchain.
//!
//! A target gets its time in slices, and no more of it once two slices in a row have brought nothing new: what reads one number is done
//! in seconds, what reads a cluster file gets all that it may have. What was found stays in the target folder for the next time.
#![expect(clippy::print_stdout, reason = "fuzzing takes its time, and says where it is")]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::processes::{Ended, Process};
use crate::report::{Report, Stop};

pub(crate) const USAGE: &str = "\
usage: cargo xtask fuzz [--seconds N] [--jobs N] [--build] [TARGET…]

  --seconds N   the most that each target gets (60)
  --jobs N      how many at once (as many as there are processors)
  --build       only build it
  TARGET        only these; all without";

/// What rustc puts in so that libFuzzer sees where an input leads. No sanitizer: there is no unsafe code of ours to watch.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                        -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Build scripts and macros run on this machine and are not to be instrumented: that takes a target by name.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Long enough that starting the program does not count.
const SLICE: u64 = 10;

/// An input that takes longer than this hangs.
const HANGS_AFTER: u64 = 10;

#[derive(Debug)]
struct Options {
    seconds: u64,
    jobs: usize,
    build: bool,
    targets: Vec<String>,
}

fn options(args: &[&str]) -> Result<Options, Stop> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        seconds: 60,
        jobs,
        build: false,
        targets: Vec::new(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--build" => options.build = true,
            "--seconds" => options.seconds = number(args.next())?,
            "--jobs" => options.jobs = usize::try_from(number(args.next())?).unwrap_or(1).max(1),
            name if !name.starts_with('-') => options.targets.push(name.to_owned()),
            _ => return Err(Stop::Usage(USAGE)),
        }
    }
    Ok(options)
}

fn number(arg: Option<&&str>) -> Result<u64, Stop> {
    arg.and_then(|arg| arg.parse().ok()).ok_or(Stop::Usage(USAGE))
}

pub(crate) fn run(root: &Path, args: &[&str]) -> Result<Report, Stop> {
    let options = options(args)?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let work = target_dir.join("fuzz");
    let program = build(root, &work)?;
    let all = seeds(root, &work)?;
    let chosen: Vec<String> = match options.targets.as_slice() {
        [] => all,
        some => match some.iter().find(|name| !all.contains(name)) {
            Some(name) => {
                return Err(Stop::Failed(format!(
                    "there is no target {name}; there are: {}",
                    all.join(", ")
                )));
            }
            None => some.to_vec(),
        },
    };
    let mut report = Report {
        name: "fuzz",
        checked: format!("{} targets, built", chosen.len()),
        ..Report::default()
    };
    if !options.build {
        let fuzzed = fuzz_all(&program, &work, chosen, &options);
        let runs: u64 = fuzzed.iter().map(|fuzzed| fuzzed.runs).sum();
        let seconds: u64 = fuzzed.iter().map(|fuzzed| fuzzed.seconds).sum();
        report.checked = format!("{} targets, {runs} inputs in {seconds} s", fuzzed.len());
        report.violations = fuzzed.into_iter().filter_map(|fuzzed| fuzzed.found).collect();
    }
    Ok(report)
}

/// Builds the fuzzer with the very versions of the workspace's lock file.
fn build(root: &Path, work: &Path) -> Result<PathBuf, Stop> {
    let package = root.join("tests/fuzz/libfuzzer");
    let lock = package.join("Cargo.lock");
    fs::copy(root.join("Cargo.lock"), &lock).map_err(Stop::file(&lock))?;
    let build = work.join("build");
    let ended = Process::new("cargo")
        .args(["build", "--target", PLATFORM, "--manifest-path"])
        .arg(package.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &build)
        .env("RUSTFLAGS", COVERAGE)
        .show()?;
    if !ended.success {
        return Err(Stop::Failed("the fuzzer could not be built".to_owned()));
    }
    Ok(build.join(PLATFORM).join("debug/any"))
}

/// Writes the seeds out; names the targets.
fn seeds(root: &Path, work: &Path) -> Result<Vec<String>, Stop> {
    let folder = work.join("seeds");
    let Ended { success, stdout, .. } = Process::new("cargo")
        .args([
            "run",
            "--quiet",
            "--package",
            "quorate-fuzz",
            "--bin",
            "quorate-fuzz",
            "--",
        ])
        .arg(&folder)
        .in_folder(root)
        .output()?;
    if !success {
        return Err(Stop::Failed("the seeds could not be written".to_owned()));
    }
    Ok(stdout.lines().map(str::to_owned).collect())
}

/// What came of one target.
#[derive(Debug)]
struct Fuzzed {
    runs: u64,
    seconds: u64,
    found: Option<String>,
}

fn fuzz_all(program: &Path, work: &Path, targets: Vec<String>, options: &Options) -> Vec<Fuzzed> {
    let open = Mutex::new(VecDeque::from(targets));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(name) = next else { return };
                    let fuzzed = fuzz(program, work, &name, options.seconds).unwrap_or_else(|stop| Fuzzed {
                        runs: 0,
                        seconds: 0,
                        found: Some(format!("{name}: {stop}")),
                    });
                    let verdict = if fuzzed.found.is_none() {
                        ""
                    } else {
                        "  FOUND SOMETHING"
                    };
                    println!("{name:24} {:>11} inputs {:>5} s{verdict}", fuzzed.runs, fuzzed.seconds);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(fuzzed);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn fuzz(program: &Path, work: &Path, name: &str, most: u64) -> Result<Fuzzed, Stop> {
    let (corpus, artifacts) = (work.join("corpus").join(name), work.join("artifacts").join(name));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(Stop::file(folder))?;
    }
    let (mut runs, mut seconds, mut quiet) = (0, 0, 0);
    while seconds < most && quiet < 2 {
        let slice = SLICE.min(most - seconds);
        let ended = Process::new(program)
            .arg(&corpus)
            .arg(work.join("seeds").join(name))
            .args([
                format!("-max_total_time={slice}"),
                format!("-timeout={HANGS_AFTER}"),
                format!("-artifact_prefix={}/", artifacts.display()),
                "-print_final_stats=1".to_owned(),
                "-rss_limit_mb=4096".to_owned(),
                "-max_len=65536".to_owned(),
            ])
            .env("QUORATE_FUZZ_TARGET", name)
            .output()?;
        seconds += slice;
        runs += statistic(&ended.stderr, "number_of_executed_units");
        if !ended.success {
            let kept =
                newest(&artifacts).map_or_else(|| "no input was kept".to_owned(), |path| path.display().to_string());
            let said: Vec<&str> = ended.stderr.lines().filter(|line| tells(line)).take(4).collect();
            let found = format!(
                "{name}: {}\n            input: {kept}; once it is understood, it belongs into tests/fuzz/regressions/{name}",
                said.join("\n            ")
            );
            return Ok(Fuzzed {
                runs,
                seconds,
                found: Some(found),
            });
        }
        quiet = if statistic(&ended.stderr, "new_units_added") == 0 {
            quiet + 1
        } else {
            0
        };
    }
    Ok(Fuzzed {
        runs,
        seconds,
        found: None,
    })
}

/// The lines that say what happened.
fn tells(line: &str) -> bool {
    ["panicked at", "ERROR:", "left:", "right:", "assertion"]
        .iter()
        .any(|word| line.contains(word))
}

/// `stat::new_units_added:          12`
fn statistic(stderr: &str, name: &str) -> u64 {
    let line = stderr
        .lines()
        .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let read = options(&["--seconds", "5", "--jobs", "1", "lsblk", "--build"]).unwrap();
        assert_eq!(
            (read.seconds, read.jobs, read.build, read.targets),
            (5, 1, true, vec!["lsblk".to_owned()])
        );
        assert!(options(&["--seconds"]).is_err() && options(&["--frob"]).is_err());
    }

    #[test]
    fn statistics_are_found() {
        let said = "#2 INITED\nstat::number_of_executed_units: 1234\nstat::new_units_added:          7\n";
        assert_eq!(
            (
                statistic(said, "number_of_executed_units"),
                statistic(said, "new_units_added")
            ),
            (1234, 7)
        );
        assert_eq!(statistic("", "new_units_added"), 0);
    }
}
