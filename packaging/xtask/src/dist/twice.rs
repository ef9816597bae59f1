//! The same sources in another folder must give the same packages, byte for byte.

use std::fs;
use std::path::Path;

use super::place::Place;
use super::remove::{empty, remove};
use super::sign::Key;
use super::tool::{Tool, say};
use super::{Package, make};
use crate::report::{Report, Stop};

pub(crate) fn compare(place: &Place, key: Option<&Key>, packages: &[Package]) -> Result<Report, Stop> {
    let again = place.target.join("again");
    empty(&again)?;
    let elsewhere = Place {
        root: again.join("another-name"),
        target: again.join("out"),
        ..place.clone()
    };
    say("once more, in another folder");
    copy_sources(&place.root, &elsewhere.root)?;
    let second = make(&elsewhere, key)?;
    let (mut notes, mut violations) = (Vec::new(), Vec::new());
    for (first, second) in packages.iter().zip(&second) {
        let same = read(&first.path)? == read(&second.path)?;
        if same {
            notes.push(
                Tool::new("sha256sum")
                    .args([&first.path])
                    .output()?
                    .trim_end()
                    .to_owned(),
            );
        } else {
            violations.push(format!(
                "{} differs from {}",
                first.path.display(),
                second.path.display()
            ));
        }
    }
    // What differs is left for whoever wants to know why.
    if violations.is_empty() {
        remove(&again)?;
    }
    Ok(Report {
        name: "twice",
        checked: format!("{} packages, built in two folders", packages.len()),
        notes,
        violations,
    })
}

/// Everything that belongs to the repository or could come to, in the state in which it is now.
fn copy_sources(from: &Path, to: &Path) -> Result<(), Stop> {
    let listed = Tool::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .within(from)
        .output()?;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let (source, target) = (from.join(name), to.join(name));
        if !source.is_file() {
            continue;
        }
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(Stop::file(folder))?;
        }
        fs::copy(&source, &target).map_err(Stop::file(&source))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Stop> {
    fs::read(path).map_err(Stop::file(path))
}
