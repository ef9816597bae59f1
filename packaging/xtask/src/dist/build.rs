//! The programs, in the profile `dist`, so that no path of this machine is in them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::Place;
use super::remove::empty;
use super::tool::{Tool, say};
use crate::report::Stop;

/// The target whose name is said where a program is linked statically: what is said for a target is not said for what runs while building.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// The folder with the programs.
    pub(crate) programs: PathBuf,
    /// The numbered writer, which runs in guests of any distribution.
    pub(crate) tally: PathBuf,
    /// The folder with manual pages and completions, one folder in it for each program.
    pub(crate) manuals: PathBuf,
}

pub(crate) fn programs(place: &Place) -> Result<Built, Stop> {
    say(&format!("building version {}", place.version));
    let cargo_home = cargo_home()?;
    let flags = flags(place, &cargo_home);
    cargo(place, &cargo_home, flags.clone())
        .args([
            "--package",
            "quorate",
            "--package",
            "quorate-agent",
            "--package",
            "quorate-manuals",
        ])
        .run()?;
    let mut all_inside = flags;
    all_inside.push("\u{1f}-Ctarget-feature=+crt-static");
    cargo(place, &cargo_home, all_inside)
        .args(["--package", "quorate-tally", "--target", TARGET])
        // It is copied into guests: small, and a panic has nothing to clean up.
        .env("CARGO_PROFILE_DIST_LTO", "fat")
        .env("CARGO_PROFILE_DIST_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_DIST_PANIC", "abort")
        .run()?;
    let tally = place.target.join(TARGET).join("dist").join("quorate-tally");
    let programs = place.target.join("dist");
    let manuals = programs.join("manuals");
    empty(&manuals)?;
    Tool::new(programs.join("quorate-manuals")).args([&manuals]).run()?;
    Ok(Built {
        programs,
        tally,
        manuals,
    })
}

/// The call of cargo that both have in common.
fn cargo(place: &Place, cargo_home: &Path, flags: OsString) -> Tool {
    Tool::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--profile", "dist"])
        .within(&place.root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .without_env("RUSTFLAGS")
        .env("CFLAGS", format!("-ffile-prefix-map={}=/cargo", cargo_home.display()))
        .env("CARGO_TARGET_DIR", place.target.clone())
        .env("CARGO_INCREMENTAL", "0")
        .env("QUORATE_VERSION", place.version.clone())
        .env("SOURCE_DATE_EPOCH", place.epoch.to_string())
}

/// Paths in messages and debug information are as anybody would have them. Of several that fit, the last one counts.
fn flags(place: &Place, cargo_home: &Path) -> OsString {
    let mapped = [
        (cargo_home, "/cargo"),
        (&place.root, "/quorate"),
        (&place.target, "/target"),
    ];
    let mut flags = OsString::new();
    for (from, to) in mapped {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

fn cargo_home() -> Result<PathBuf, Stop> {
    let said = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::home_dir().map(|home| home.join(".cargo"));
    said.or_else(usual)
        .ok_or_else(|| Stop::Failed("neither CARGO_HOME nor HOME is set".to_owned()))
}
