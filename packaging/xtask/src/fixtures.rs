//! tests/fixtures against its list, tools.toml: every file is listed and every listed one is there, every tool of the agent has a
//! successful, an empty and a failed answer or says why it can have none, and the releases that count as tested were captured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use quorate_model::releases::{Knowledge, RELEASES};
use serde::Deserialize;

use crate::report::{Report, Stop};

/// The list, below the repository's root.
const LIST: &str = "tests/fixtures/tools.toml";

/// Files of agent/tools that call no tool and read nothing: what the others are made of.
const HELPERS: [&str; 7] = ["lib", "error", "json", "lenient", "pve_config", "pmxcfs", "mutations"];

/// The list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// Everything that the agent calls or reads.
    pub(crate) tool: Vec<Tool>,
}

impl List {
    /// The exit code of a fixture that was captured; `None`: there is none of this name, or it was not captured.
    #[cfg(test)]
    pub(crate) fn captured(&self, fixture: &str) -> Option<Option<i32>> {
        let cases = self
            .tool
            .iter()
            .flat_map(|tool| tool.cases.iter().map(move |case| (tool, case)));
        let mut found = cases.filter(|(tool, case)| format!("{}/{}", tool.folder, case.name) == fixture);
        found.find_map(|(_, case)| case.captured.as_ref().map(|_| case.exit))
    }
}

/// One tool, or one file that is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    pub(crate) name: String,
    folder: String,
    modules: Vec<String>,
    /// Readers in tests/fuzz, which looks itself whether they exist.
    #[serde(default, rename = "reads")]
    _reads: Vec<String>,
    #[serde(default)]
    pub(crate) without: BTreeMap<Kind, String>,
    pub(crate) cases: Vec<Case>,
}

/// One answer of a tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    name: String,
    pub(crate) kind: Kind,
    call: String,
    exit: Option<i32>,
    pub(crate) captured: Option<String>,
    pub(crate) source: Option<String>,
}

impl Case {
    /// The version that stands first in its name.
    pub(crate) fn version(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

/// What kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Success,
    Empty,
    Error,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Success, Self::Empty, Self::Error];
}

/// Reads the list.
pub(crate) fn read(text: &str) -> Result<List, Box<toml::de::Error>> {
    toml::from_str(text).map_err(Box::new)
}

pub(crate) fn check(root: &Path) -> Result<Report, Stop> {
    let path = root.join(LIST);
    let text = fs::read_to_string(&path).map_err(Stop::file(&path))?;
    let list = read(&text).map_err(|source| Stop::Policy {
        path: path.clone(),
        source,
    })?;
    let mut violations = Vec::new();
    let files = files(&root.join("tests/fixtures"))?;
    listed(&list, &files, &mut violations);
    for tool in &list.tool {
        violations.extend(wrong(tool));
    }
    modules(&list, root, &mut violations)?;
    releases(&list, &mut violations);
    let count = |pick: fn(&Case) -> bool| {
        list.tool
            .iter()
            .flat_map(|tool| &tool.cases)
            .filter(|c| pick(c))
            .count()
    };
    let checked = format!(
        "{} tools, {} fixtures captured, {} from source",
        list.tool.len(),
        count(|case| case.captured.is_some()),
        count(|case| case.source.is_some())
    );
    Ok(Report {
        name: "fixtures",
        checked,
        violations,
        ..Report::default()
    })
}

/// Every fixture's path without its ending, with the endings that it has.
fn files(folder: &Path) -> Result<BTreeMap<String, BTreeSet<String>>, Stop> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).map_err(Stop::file(&at))? {
            let path = entry.map_err(Stop::file(&at))?.path();
            if path.is_dir() {
                // What our own versions wrote has a list of its own: see `formats`.
                if path != folder.join("formats") {
                    open.push(path);
                }
                continue;
            }
            let Ok(below) = path.strip_prefix(folder) else { continue };
            let (Some(name), Some(ending)) = (below.with_extension("").to_str().map(str::to_owned), ending(&path))
            else {
                continue;
            };
            // The list itself and what introduces it.
            if below.components().count() > 1 {
                found.entry(name).or_default().insert(ending);
            }
        }
    }
    Ok(found)
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_owned())
}

fn listed(list: &List, files: &BTreeMap<String, BTreeSet<String>>, violations: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    for tool in &list.tool {
        for case in &tool.cases {
            let name = format!("{}/{}", tool.folder, case.name);
            match files.get(&name) {
                // A stream that is empty has no file; what is read as a file has to be one.
                None if case.exit.is_none() && case.kind != Kind::Empty => {
                    violations.push(format!("{name}: listed, but has no file and no exit code"));
                }
                Some(endings) if endings.iter().filter(|ending| *ending != "err").count() > 1 => {
                    violations.push(format!("{name}: several files for one stream"));
                }
                _ => {}
            }
            if !names.insert(name.clone()) {
                violations.push(format!("{name}: listed twice"));
            }
        }
    }
    let strangers = files.keys().filter(|name| !names.contains(*name));
    violations.extend(strangers.map(|name| format!("{name}: a fixture that {LIST} does not tell of")));
}

fn wrong(tool: &Tool) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = &tool.name;
    for kind in Kind::ALL {
        let has = tool.cases.iter().any(|case| case.kind == kind);
        match (has, tool.without.contains_key(&kind)) {
            (false, false) => wrong.push(format!(
                "{name}: no case of the kind {kind:?}, and no reason why there is none"
            )),
            (true, true) => wrong.push(format!(
                "{name}: has a case of the kind {kind:?}, and a reason why there is none"
            )),
            _ => {}
        }
    }
    for case in &tool.cases {
        if case.captured.is_some() == case.source.is_some() {
            wrong.push(format!("{name}: {} is either captured or from source", case.name));
        }
        let origin = case
            .captured
            .iter()
            .chain(&case.source)
            .any(|origin| origin.trim().is_empty());
        if origin || case.call.trim().is_empty() {
            wrong.push(format!("{name}: {} lacks its call or its origin", case.name));
        }
    }
    wrong
}

/// Every file of agent/tools is some tool's.
fn modules(list: &List, root: &Path, violations: &mut Vec<String>) -> Result<(), Stop> {
    let source = root.join("agent/tools/src");
    let mut found = BTreeSet::new();
    for name in files_of(&source)? {
        found.insert(name);
    }
    let named: BTreeSet<&str> = list
        .tool
        .iter()
        .flat_map(|tool| tool.modules.iter().map(String::as_str))
        .collect();
    for module in &found {
        // A part of a module that is named, such as corosync_conf/edit.
        let parent = module.rsplit_once('/').map(|(parent, _)| parent);
        let covered = named.contains(module.as_str()) || parent.is_some_and(|parent| named.contains(parent));
        if !covered && !HELPERS.contains(&module.as_str()) && !module.ends_with("tests") {
            violations.push(format!("agent/tools/src/{module}: no tool of {LIST} is its"));
        }
    }
    let gone = named.iter().filter(|name| !found.contains(**name));
    violations.extend(gone.map(|name| format!("{LIST} names the module {name}, which does not exist")));
    Ok(())
}

/// Modules by path: `pvecm/join`; `pvecm` for `pvecm/mod.rs`.
fn files_of(source: &Path) -> Result<Vec<String>, Stop> {
    let mut found = Vec::new();
    let mut open = vec![source.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).map_err(Stop::file(&at))? {
            let path = entry.map_err(Stop::file(&at))?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(name) = path.strip_prefix(source).ok().and_then(|below| below.to_str()) {
                let name = name.trim_end_matches(".rs");
                found.push(name.trim_end_matches("/mod").to_owned());
            }
        }
    }
    Ok(found)
}

/// `pve-8.4` is a release of the table; what the table calls captured was.
fn releases(list: &List, violations: &mut Vec<String>) {
    let cases = || list.tool.iter().flat_map(|tool| &tool.cases);
    for release in RELEASES.iter().filter(|r| r.knowledge == Knowledge::Captured) {
        for minor in release.minors.0..=release.minors.1 {
            let version = format!("pve-{}.{minor}", release.major);
            if !cases().any(|case| case.version() == version && case.captured.is_some()) {
                violations.push(format!("{version} counts as captured, and no fixture of it is"));
            }
        }
    }
    let numbers = |version: &str| {
        let (major, minor) = version.strip_prefix("pve-")?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    for case in cases().filter(|case| case.captured.is_some()) {
        if let Some((major, minor)) = numbers(case.version())
            && !RELEASES
                .iter()
                .any(|r| r.has(major, minor) && r.knowledge == Knowledge::Captured)
        {
            violations.push(format!(
                "{} was captured of a release that the table does not call captured",
                case.name
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[tool]]
        name = "df"
        folder = "df"
        modules = ["df"]
        reads = ["df"]
        without.empty = "it always answers"
        cases = [
            { name = "9.1/one", kind = "success", call = "df /", exit = 0, captured = "Debian 12" },
            { name = "9.1/none", kind = "error", call = "df /nope", exit = 1, source = "df.c" },
        ]
    "#;

    fn violations(list: &str, files: &[&str]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(LIST, list);
        put("agent/tools/src/lib.rs", "");
        put("agent/tools/src/df.rs", "");
        for file in files {
            put(&format!("tests/fixtures/{file}"), "x");
        }
        let mut found = check(root.path()).unwrap().violations;
        // Said of every list as small as these.
        found.retain(|text| !text.contains("counts as captured"));
        found
    }

    #[test]
    fn a_list_that_fits_passes() {
        assert_eq!(violations(GOOD, &["df/9.1/one.out", "df/9.1/none.err"]), [""; 0]);
        // An empty stream has no file.
        assert_eq!(violations(GOOD, &["df/9.1/one.out"]), [""; 0]);
    }

    #[test]
    fn files_and_list_must_fit() {
        assert_eq!(
            violations(GOOD, &["df/9.1/one.out", "df/9.1/one.json", "df/9.2/two.out"]),
            [
                "df/9.1/one: several files for one stream",
                "df/9.2/two: a fixture that tests/fixtures/tools.toml does not tell of"
            ]
        );
        let no_exit = GOOD.replace("exit = 1, ", "");
        assert_eq!(
            violations(&no_exit.replace("9.1/none", "9.1/gone"), &["df/9.1/one.out"]),
            ["df/9.1/gone: listed, but has no file and no exit code"]
        );
    }

    #[test]
    fn kinds_and_origins_are_needed() {
        let none = GOOD.replace("without.empty = \"it always answers\"", "");
        assert_eq!(
            violations(&none, &["df/9.1/one.out"]),
            ["df: no case of the kind Empty, and no reason why there is none"]
        );
        let both = GOOD.replace("source =", "captured = \"Debian 13\", source =");
        assert_eq!(
            violations(&both, &["df/9.1/one.out"]),
            ["df: 9.1/none is either captured or from source"]
        );
        let twice = GOOD.replace("without.empty", "without.error = \"none\"\nwithout.empty");
        assert_eq!(
            violations(&twice, &["df/9.1/one.out"]),
            ["df: has a case of the kind Error, and a reason why there is none"]
        );
    }

    #[test]
    fn every_module_is_some_tools() {
        let gone = GOOD.replace("modules = [\"df\"]", "modules = [\"du\"]");
        assert_eq!(
            violations(&gone, &["df/9.1/one.out"]),
            [
                "agent/tools/src/df: no tool of tests/fixtures/tools.toml is its",
                "tests/fixtures/tools.toml names the module du, which does not exist"
            ]
        );
    }

    #[test]
    fn what_was_captured_of_a_release_makes_it_one_that_is() {
        let nine = GOOD.replace("9.1/one", "pve-9.1/one");
        assert_eq!(
            violations(&nine, &["df/pve-9.1/one.out"]),
            ["pve-9.1/one was captured of a release that the table does not call captured"]
        );
    }
}
