//! The source tree that dpkg-buildpackage packs: debian/ from this repository, and beside it what was built and generated.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::build::Built;
use super::place::Place;
use super::remove::empty;
use super::sign::Key;
use super::tool::Tool;
use super::{PACKAGES, changelog, third_party};
use crate::report::Stop;

/// The package that brings what is put into guests.
const WITH_GUEST: &str = "quorate";

/// Makes the tree anew, and returns its folder.
pub(crate) fn tree(place: &Place, built: &Built, key: Option<&Key>) -> Result<PathBuf, Stop> {
    let stage = place.target.join("dist").join("stage");
    empty(&stage)?;
    let tree = stage.join(format!("quorate-{}", place.version));
    let packaging = place.root.join("packaging");
    copy_folder(&packaging.join("debian"), &tree.join("debian"))?;
    copy_folder(&packaging.join("files"), &tree.join("files"))?;
    copy_folder(&built.manuals, &tree.join("manuals"))?;
    let bin = tree.join("bin");
    fs::create_dir_all(&bin).map_err(Stop::file(&bin))?;
    for name in PACKAGES {
        copy(&built.programs.join(name), &bin.join(name))?;
    }
    // What is put into guests, and is no program of this host.
    let guest = tree.join("guest");
    fs::create_dir_all(&guest).map_err(Stop::file(&guest))?;
    copy(&built.tally, &guest.join("quorate-tally"))?;
    copy(
        &packaging.join("files/quorate-tally.service"),
        &guest.join("quorate-tally.service"),
    )?;
    write_changelog(place, &tree)?;
    write_licences(place, &tree)?;
    if let Some(key) = key {
        pin(key, &tree)?;
    }
    Ok(tree)
}

fn write_changelog(place: &Place, tree: &Path) -> Result<(), Stop> {
    let date = Tool::new("date")
        .args(["--utc", "--rfc-email", &format!("--date=@{}", place.epoch)])
        .env("LC_ALL", "C.UTF-8")
        .output()?;
    let control = read(&tree.join("debian/control"))?;
    let maintainer = control
        .lines()
        .find_map(|line| line.strip_prefix("Maintainer: "))
        .unwrap_or_default();
    let markdown = read(&place.root.join("CHANGELOG.md"))?;
    let entry = changelog::debian(&markdown, &place.version, date.trim(), maintainer);
    write(&tree.join("debian/changelog"), &entry)
}

fn write_licences(place: &Place, tree: &Path) -> Result<(), Stop> {
    let own = read(&place.root.join("LICENSE-MIT"))?;
    let manifest = place.root.join("Cargo.toml").display().to_string();
    let options = [
        "--locked",
        "--filter-platform",
        "x86_64-unknown-linux-gnu",
        "--manifest-path",
        &manifest,
    ];
    let metadata = crate::metadata(&options.map(str::to_owned))?;
    for name in PACKAGES {
        let linked = third_party::linked(&metadata, name);
        let copyright = tree.join("debian").join(format!("{name}.copyright"));
        let mut text = third_party::copyright(&linked, &own);
        if name == WITH_GUEST {
            text.push_str(third_party::STATIC_GLIBC);
        }
        write(&copyright, &text)?;
        let notices = tree.join("third-party").join(name);
        fs::create_dir_all(&notices).map_err(Stop::file(&notices))?;
        write(&notices.join("third-party.txt"), &third_party::notices(&linked)?)?;
    }
    Ok(())
}

/// The agent's package brings the key by which the next one is known to be ours.
fn pin(key: &Key, tree: &Path) -> Result<(), Stop> {
    write(&tree.join("files/release.pub"), &key.public_text()?)?;
    let list = tree.join("debian/quorate-agent.install");
    let mut file = OpenOptions::new().append(true).open(&list).map_err(Stop::file(&list))?;
    file.write_all(b"files/release.pub etc/quorate\n")
        .map_err(Stop::file(&list))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Stop> {
    fs::create_dir_all(to).map_err(Stop::file(to))?;
    for entry in fs::read_dir(from).map_err(Stop::file(from))? {
        let path = entry.map_err(Stop::file(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            copy(&path, &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Stop> {
    fs::copy(from, to).map(drop).map_err(Stop::file(from))
}

fn read(path: &Path) -> Result<String, Stop> {
    fs::read_to_string(path).map_err(Stop::file(path))
}

fn write(path: &Path, text: &str) -> Result<(), Stop> {
    fs::write(path, text).map_err(Stop::file(path))
}
