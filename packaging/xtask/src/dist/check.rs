//! What is looked at in finished packages.

use std::path::Path;

use super::place::Place;
use super::remove::empty;
use super::tool::{Tool, say};
use super::{Package, elf, exposure};
use crate::report::{Report, Stop};

/// What a package may weigh, in bytes: it is brought to servers over lines of any kind.
const HEAVIEST: u64 = 8 << 20;

/// What is put into guests may weigh this, in bytes: it goes through the guest agent, a few kilobytes at a time. Two thirds of a mebibyte
/// are the C library alone.
const HEAVIEST_GUEST: u64 = 3 << 19;

/// Where our files lie; nothing of ours is anywhere else. Debian 12 has its units below /lib.
const PLACES: [&str; 7] = [
    "./etc/quorate/",
    "./lib/systemd/system/",
    "./usr/bin/",
    "./usr/lib/systemd/system/",
    "./usr/lib/sysusers.d/",
    "./usr/lib/tmpfiles.d/",
    "./usr/share/",
];

pub(crate) fn all(packages: &[Package], place: &Place) -> Result<Vec<Report>, Stop> {
    say("looking at the packages");
    let folder = place.target.join("dist").join("unpacked");
    empty(&folder)?;
    for package in packages {
        Tool::new("dpkg-deb")
            .args([Path::new("--extract"), &package.path, &folder])
            .run_quietly()?;
    }
    Ok(vec![
        lintian(packages)?,
        sizes(packages)?,
        contents(packages)?,
        glibc(packages, &folder)?,
        guest(&folder)?,
        units(place)?,
    ])
}

/// Every remark counts, also the pedantic ones; what is meant to be as it is has an override with its reason.
fn lintian(packages: &[Package]) -> Result<Report, Stop> {
    let look = |more: &[&str]| {
        Tool::new("lintian")
            .args(["--display-info", "--pedantic", "--tag-display-limit", "0"])
            .args(["--allow-root", "--fail-on", "error,warning,info,pedantic"])
            .args(more)
            .args(packages.iter().map(|package| &package.path))
            .env("LC_ALL", "C.UTF-8")
            .verdict()
    };
    let begun = |text: &str, with: &[&str]| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| with.iter().any(|with| line.starts_with(with)));
        lines.map(str::to_owned).collect()
    };
    let (clean, text) = look(&[])?;
    let mut violations = begun(&text, &["E: ", "W: ", "I: ", "P: ", "X: "]);
    if !clean && violations.is_empty() {
        violations.push(format!("lintian failed: {text}"));
    }
    // Shown, what is overridden counts for lintian's exit code.
    let (_, text) = look(&["--show-overrides"])?;
    let overridden = begun(&text, &["O: "]);
    Ok(Report {
        name: "lintian",
        checked: format!("{} packages, {} remarks overridden", packages.len(), overridden.len()),
        notes: overridden,
        violations,
    })
}

fn sizes(packages: &[Package]) -> Result<Report, Stop> {
    let (mut notes, mut violations) = (Vec::new(), Vec::new());
    for package in packages {
        let size = std::fs::metadata(&package.path)
            .map_err(Stop::file(&package.path))?
            .len();
        notes.push(format!("{}: {}", package.name, mebibytes(size)));
        if size > HEAVIEST {
            violations.push(format!("{} is heavier than {}", package.name, mebibytes(HEAVIEST)));
        }
    }
    Ok(Report {
        name: "size",
        checked: format!("at most {} each", mebibytes(HEAVIEST)),
        notes,
        violations,
    })
}

fn contents(packages: &[Package]) -> Result<Report, Stop> {
    let mut violations = Vec::new();
    let mut files = 0;
    for package in packages {
        let listed = Tool::new("dpkg-deb")
            .args([Path::new("--contents"), &package.path])
            .output()?;
        let paths = listed.lines().filter_map(|line| line.split_whitespace().nth(5));
        let strange = |path: &&str| {
            !PLACES
                .iter()
                .any(|place| path.starts_with(place) || place.starts_with(*path))
        };
        for path in paths.inspect(|_| files += 1).filter(strange) {
            violations.push(format!("{} puts something at {path}", package.name));
        }
    }
    Ok(Report {
        name: "contents",
        checked: format!("{files} files and folders, all where they belong"),
        violations,
        ..Report::default()
    })
}

fn glibc(packages: &[Package], folder: &Path) -> Result<Report, Stop> {
    let (oldest_major, oldest_minor) = elf::OLDEST_GLIBC;
    let (mut notes, mut violations) = (Vec::new(), Vec::new());
    for package in packages {
        let (major, minor) = elf::glibc_of(&folder.join("usr/bin").join(package.name))?;
        notes.push(format!("{} needs glibc {major}.{minor}", package.name));
        if (major, minor) > elf::OLDEST_GLIBC {
            violations.push(format!(
                "{} needs glibc {major}.{minor}, so it does not start on Debian 12: build it there",
                package.name
            ));
        }
    }
    Ok(Report {
        name: "glibc",
        checked: format!("nothing newer than {oldest_major}.{oldest_minor}"),
        notes,
        violations,
    })
}

/// What is put into guests wants nothing of them: no other program that loads it, no libraries, and little room.
fn guest(folder: &Path) -> Result<Report, Stop> {
    let program = folder.join("usr/share/quorate/guest/quorate-tally");
    let mut violations: Vec<String> = elf::wants(&program)?
        .into_iter()
        .map(|wanted| format!("quorate-tally wants {wanted} of a guest"))
        .collect();
    let size = std::fs::metadata(&program).map_err(Stop::file(&program))?.len();
    if size > HEAVIEST_GUEST {
        violations.push(format!("quorate-tally is heavier than {}", mebibytes(HEAVIEST_GUEST)));
    }
    let (runs, said) = Tool::new(&program).args(["--version"]).verdict()?;
    if !runs || !said.starts_with("quorate-tally ") {
        violations.push(format!("quorate-tally --version says {said:?}"));
    }
    let unit = folder.join("usr/share/quorate/guest/quorate-tally.service");
    if !unit.is_file() {
        violations.push("the unit of quorate-tally is not beside it".to_owned());
    }
    Ok(Report {
        name: "guest",
        checked: format!("{}: {}, and all it needs is inside", said.trim_end(), mebibytes(size)),
        violations,
        ..Report::default()
    })
}

fn units(place: &Place) -> Result<Report, Stop> {
    let (notes, violations) = exposure::compare(&place.root.join("packaging/debian"))?;
    Ok(Report {
        name: "exposure",
        checked: format!("{} services", exposure::LIMITS.len()),
        notes,
        violations,
    })
}

/// A size as people read it.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20))
}
