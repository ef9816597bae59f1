//! What earlier versions wrote, kept for tests: never changed once its version is out.
//!
//! In each version's folder, `SHA256SUMS` lists what is in it, in the form of `sha256sum`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::report::{Report, Stop};

/// Where the folders of the versions lie.
pub(crate) const FOLDER: &str = "tests/fixtures/formats";

const LIST: &str = "SHA256SUMS";

type Sums = BTreeMap<String, String>;

/// Compares every version's files with its list.
pub(crate) fn check(folder: &Path) -> Result<Report, Stop> {
    let (mut files, mut versions, mut violations) = (0, 0, Vec::new());
    for entry in fs::read_dir(folder).map_err(Stop::file(folder))? {
        let path = entry.map_err(Stop::file(folder))?.path();
        if !path.is_dir() {
            continue;
        }
        versions += 1;
        let list = path.join(LIST);
        let listed = read(&fs::read_to_string(&list).map_err(Stop::file(&list))?);
        let found = sums(&path)?;
        files += found.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let altered = listed.iter().filter(|(file, sum)| found.get(*file) != Some(*sum));
        violations.extend(altered.map(|(file, _)| format!("{name}/{file} is gone, or not what that version wrote")));
        let more = found.keys().filter(|file| !listed.contains_key(*file));
        violations.extend(more.map(|file| format!("{name}/{file} is not in {LIST}")));
    }
    violations.sort();
    Ok(Report {
        name: "formats",
        checked: format!("{versions} versions, {files} files"),
        violations,
        ..Report::default()
    })
}

/// Lists the files of the present version.
pub(crate) fn list(folder: &Path, version: &str) -> Result<Report, Stop> {
    let path = folder.join(version);
    let found = sums(&path)?;
    let text: String = found.iter().map(|(file, sum)| format!("{sum}  {file}\n")).collect();
    let list = path.join(LIST);
    fs::write(&list, text).map_err(Stop::file(&list))?;
    Ok(Report {
        name: "formats",
        checked: format!("{} files of {version} listed", found.len()),
        ..Report::default()
    })
}

fn read(text: &str) -> Sums {
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(sum, file)| (file.to_owned(), sum.to_owned())).collect()
}

fn sums(folder: &Path) -> Result<Sums, Stop> {
    let mut sums = Sums::new();
    gather(folder, "", &mut sums)?;
    sums.remove(LIST);
    Ok(sums)
}

fn gather(folder: &Path, prefix: &str, sums: &mut Sums) -> Result<(), Stop> {
    for entry in fs::read_dir(folder).map_err(Stop::file(folder))? {
        let path = entry.map_err(Stop::file(folder))?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            gather(&path, &format!("{name}/"), sums)?;
        } else {
            let bytes = fs::read(&path).map_err(Stop::file(&path))?;
            sums.insert(name, HEXLOWER.encode(&Sha256::digest(bytes)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_wrote_stays_as_it_was() {
        let home = tempfile::tempdir().unwrap();
        let version = home.path().join("1.2.3");
        fs::create_dir_all(version.join("agent")).unwrap();
        fs::write(version.join("agent/ledger.json"), "{}").unwrap();
        list(home.path(), "1.2.3").unwrap();
        assert_eq!(check(home.path()).unwrap().violations, Vec::<String>::new());
        fs::write(version.join("agent/ledger.json"), "{ }").unwrap();
        fs::write(version.join("new"), "").unwrap();
        assert_eq!(
            check(home.path()).unwrap().violations,
            [
                "1.2.3/agent/ledger.json is gone, or not what that version wrote",
                "1.2.3/new is not in SHA256SUMS"
            ]
        );
    }
}
