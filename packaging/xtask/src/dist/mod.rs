//! `cargo xtask dist`: both Debian packages, from this folder and nothing else.

mod build;
mod changelog;
mod check;
#[cfg(test)]
mod debian;
mod elf;
mod exposure;
mod install;
mod options;
mod place;
mod remove;
mod sign;
mod stage;
mod third_party;
mod tool;
mod twice;

use std::path::{Path, PathBuf};

use self::options::Options;
pub(crate) use self::options::USAGE;
use self::place::Place;
use crate::report::{Report, Stop};

/// The packages, by the name of their program.
pub(crate) const PACKAGES: [&str; 2] = ["quorate-agent", "quorate"];

/// A package that was made.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: &'static str,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

/// Makes the packages, signs them if there is a key, and looks at them if that was asked for.
pub(crate) fn run(args: &[&str]) -> Result<Vec<Report>, Stop> {
    let options = Options::parse(args)?;
    tool::needed(&options)?;
    let place = Place::find(&options)?;
    let key = sign::Key::find(options.key.as_deref())?;
    let made = make(&place, key.as_ref())?;
    let packages = deliver(&made, &place.out)?;
    let mut reports = vec![told(&packages)?];
    if options.twice {
        reports.push(twice::compare(&place, key.as_ref(), &packages)?);
    }
    if options.check {
        reports.extend(check::all(&packages, &place)?);
    }
    if options.install {
        reports.extend(install::all(&packages, &place)?);
    }
    // What is signed is good for ever.
    if let Some(key) = key.filter(|_| reports.iter().all(|report| report.violations.is_empty())) {
        reports.push(sign::sign(&key, &packages, &place.version)?);
    }
    Ok(reports)
}

/// Builds, stages and packs. The packages lie below the target folder.
fn make(place: &Place, key: Option<&sign::Key>) -> Result<Vec<Package>, Stop> {
    let built = build::programs(place)?;
    let tree = stage::tree(place, &built, key)?;
    tool::say("packing");
    tool::Tool::new("dpkg-buildpackage")
        .args(["--build=binary", "--unsigned-source", "--unsigned-changes"])
        .within(&tree)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", place.epoch.to_string())
        .run_quietly()?;
    let beside = tree.parent().unwrap_or(Path::new("."));
    let package = |name| Package {
        name,
        path: beside.join(place.file(name)),
    };
    Ok(PACKAGES.map(package).to_vec())
}

fn deliver(made: &[Package], out: &Path) -> Result<Vec<Package>, Stop> {
    std::fs::create_dir_all(out).map_err(Stop::file(out))?;
    let copied = made.iter().map(|package| {
        let name = package.path.file_name().unwrap_or_default();
        let path = out.join(name);
        std::fs::copy(&package.path, &path).map_err(Stop::file(&path))?;
        Ok(Package {
            name: package.name,
            path,
        })
    });
    copied.collect()
}

fn told(packages: &[Package]) -> Result<Report, Stop> {
    let mut notes = Vec::new();
    for package in packages {
        let size = std::fs::metadata(&package.path)
            .map_err(Stop::file(&package.path))?
            .len();
        notes.push(format!("{} {}", package.path.display(), check::mebibytes(size)));
    }
    Ok(Report {
        name: "dist",
        checked: format!("{} packages", packages.len()),
        notes,
        ..Report::default()
    })
}
