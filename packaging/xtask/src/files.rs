//! Habits that keep the files readable, and the repository free of somebody's machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::{Report, Stop};

/// A file of Rust longer than this has more than one idea.
const MOST_LINES: usize = 600;

/// Files that may be longer, with the reason.
pub(crate) const LONG: &[(&str, &str)] = &[];

/// Marks of work left undone. They belong in the tracker. Written apart so that this file has none.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Beginnings of paths that exist on one person's machine only.
const SOMEBODYS: [&str; 4] = [
    concat!("/ho", "me/"),
    concat!("/Use", "rs/"),
    concat!("/wo", "rk/main"),
    concat!("/wo", "rk/shared"),
];

/// Folders that are not ours to judge: what is built, what Git keeps, and the words of other people's tools.
const FOREIGN: [&str; 3] = ["target", ".git", "tests/fixtures"];

const TEXTS: [&str; 6] = ["rs", "toml", "md", "proto", "service", "sh"];

pub(crate) fn check(root: &Path, long: &[(&str, &str)]) -> Result<Report, Stop> {
    let mut paths = Vec::new();
    collect(root, Path::new(""), &mut paths)?;
    paths.sort();
    let (mut files, mut lines, mut violations) = (0, 0, Vec::new());
    for path in &paths {
        let full = root.join(path);
        let bytes = fs::read(&full).map_err(Stop::file(&full))?;
        let Ok(text) = String::from_utf8(bytes) else {
            violations.push(format!("{} is not UTF-8", path.display()));
            continue;
        };
        files += 1;
        lines += text.lines().count();
        violations.extend(wrong(path, &text, root, long));
    }
    let stale = long
        .iter()
        .filter(|(path, _)| !paths.iter().any(|found| found == Path::new(path)));
    violations.extend(stale.map(|(path, _)| format!("{path} is listed as long, but does not exist")));
    Ok(Report {
        name: "files",
        checked: format!("{files} files, {lines} lines"),
        violations,
        ..Report::default()
    })
}

/// All texts below a folder, relative to the root. Symbolic links are not followed.
fn collect(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<(), Stop> {
    let folder = root.join(below);
    for entry in fs::read_dir(&folder).map_err(Stop::file(&folder))? {
        let entry = entry.map_err(Stop::file(&folder))?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type().map_err(Stop::file(&path))?;
        if kind.is_dir() && !FOREIGN.iter().any(|foreign| path == Path::new(foreign)) {
            collect(root, &path, found)?;
        } else if kind.is_file() && is_text(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let known = path
        .extension()
        .is_some_and(|extension| TEXTS.iter().any(|known| extension == *known));
    known || path.starts_with(".ci")
}

fn wrong(path: &Path, text: &str, root: &Path, long: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = text.lines().count();
    let may_be_long = long.iter().any(|(listed, _)| path == Path::new(listed));
    if path.extension().is_some_and(|extension| extension == "rs") && (count > MOST_LINES) != may_be_long {
        wrong.push(match may_be_long {
            false => format!("{}: {count} lines, more than {MOST_LINES}", path.display()),
            true => format!("{}: listed as long, but has only {count} lines", path.display()),
        });
    }
    for (number, line) in (1..).zip(text.lines()) {
        let place = || format!("{}:{number}", path.display());
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| MARKS.contains(word)) {
            wrong.push(format!("{}: the mark {mark}", place()));
        }
        if line.contains(concat!("to", "do!")) {
            wrong.push(format!("{}: code that is not written yet", place()));
        }
        if SOMEBODYS.iter().any(|start| has_path(line, start)) || names(line, root) {
            wrong.push(format!("{}: a path of somebody's machine", place()));
        }
    }
    wrong
}

/// Whether a path with this beginning stands in a line. `a/b` and `scheme://b` are no paths that begin with `/b`.
fn has_path(line: &str, start: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || "/._-".contains(c);
    line.match_indices(start)
        .any(|(at, _)| !line.get(..at).is_some_and(|before| before.ends_with(goes_on)))
}

/// Whether a line names the very folder in which the repository lies now. A folder directly below `/` has a name too
/// common to tell.
fn names(line: &str, root: &Path) -> bool {
    root.components().count() > 2 && root.to_str().is_some_and(|root| line.contains(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(files: &[(&str, &str)], long: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.replace("ROOT", root.path().to_str().unwrap())).unwrap();
        }
        check(root.path(), long).unwrap().violations
    }

    #[test]
    fn a_long_file_is_wrong_unless_listed_and_a_listed_file_must_be_long() {
        let (long, short) = ("//\n".repeat(601), "//\n".repeat(600));
        assert_eq!(
            violations(&[("a/long.rs", &long), ("a/short.rs", &short), ("long.md", &long)], &[]),
            ["a/long.rs: 601 lines, more than 600"]
        );
        assert_eq!(
            violations(&[("a/long.rs", &long)], &[("a/long.rs", "a table")]),
            Vec::<String>::new()
        );
        assert_eq!(
            violations(
                &[("a/short.rs", &short)],
                &[("a/short.rs", "once"), ("gone.rs", "once")]
            ),
            [
                "a/short.rs: listed as long, but has only 600 lines",
                "gone.rs is listed as long, but does not exist"
            ]
        );
    }

    #[test]
    fn marks_are_found_as_words() {
        for mark in MARKS {
            let seen = violations(&[("a.rs", &format!("fn a() {{}}\n// {mark}: later\n"))], &[]);
            assert_eq!(seen, [format!("a.rs:2: the mark {mark}")]);
            assert_eq!(
                violations(&[("a.rs", &format!("// {mark}XX"))], &[]),
                Vec::<String>::new()
            );
        }
        let macro_call = concat!("to", "do!()");
        assert_eq!(
            violations(&[("a.rs", macro_call)], &[]),
            ["a.rs:1: code that is not written yet"]
        );
    }

    #[test]
    fn paths_of_a_machine_are_found_except_in_what_others_wrote() {
        let mine = format!("see {}anna/notes", SOMEBODYS[0]);
        let files = [
            ("README.md", mine.as_str()),
            (".ci/run", "cd ROOT/target"),
            ("tests/fixtures/a.sh", &mine),
        ];
        assert_eq!(
            violations(&files, &[]),
            [
                ".ci/run:1: a path of somebody's machine",
                "README.md:1: a path of somebody's machine"
            ]
        );
        assert_eq!(
            violations(&[("target/a.rs", &mine), ("a.bin", &mine)], &[]),
            Vec::<String>::new()
        );
    }
}
