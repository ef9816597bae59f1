//! Reads recorded output from `tests/fixtures`, and makes lab and record comparable.

use std::path::{Path, PathBuf};

/// What a real tool left.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// One fixture by its name in the list, which also tells its exit code. An empty stream has no file.
pub(crate) fn read(name: &str) -> Recorded {
    let text = |ending: &str| std::fs::read_to_string(folder().join(format!("{name}.{ending}"))).ok();
    let stdout = ["out", "json", "conf"].into_iter().find_map(text);
    let stderr = text("err");
    assert!(stdout.is_some() || stderr.is_some(), "no fixture is called {name}");
    Recorded {
        stdout: stdout.unwrap_or_default(),
        stderr: stderr.unwrap_or_default(),
        code: code(name),
    }
}

/// What the fixtures' list says of its exit code.
fn code(name: &str) -> i32 {
    let text = std::fs::read_to_string(folder().join("tools.toml")).expect("the fixtures' list");
    let list: toml::Table = text.parse().expect("the fixtures' list is TOML");
    let tools = list["tool"].as_array().expect("tools");
    let cases = tools.iter().flat_map(|tool| {
        let folder = tool["folder"].as_str().expect("a folder");
        let cases = tool["cases"].as_array().expect("cases");
        cases.iter().map(move |case| (folder, case))
    });
    let named = |(folder, case): &(&str, &toml::Value)| {
        let rest = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some() && rest == case["name"].as_str()
    };
    let exits: Vec<i64> = cases
        .filter(named)
        .filter_map(|(_, case)| case.get("exit")?.as_integer())
        .collect();
    let exit = exits
        .first()
        .unwrap_or_else(|| panic!("the list has no exit code of {name}"));
    i32::try_from(*exit).expect("an exit code")
}

/// Text with what may differ between two runs taken out: dates, versions, ring numbers, times, fingerprints, and the
/// addresses of the hosts, which differ in their networks only.
pub(crate) fn comparable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = without_fingerprint(line)
            .replace("10.77.0.", "A.")
            .replace("10.78.0.", "A.")
            .replace("10.10.10.", "A.")
            .replace("192.168.1.1", "A.");
        let label = [
            "Config Version:",
            "Date:",
            "Ring ID:",
            "\"version\":",
            "config_version:",
        ];
        match label.iter().find(|label| line.trim_start().starts_with(**label)) {
            Some(label) => out.push_str(&format!("{label} …")),
            None => out.push_str(&without_number(
                &without_number(&line, "\"version\": "),
                "/backup/config-",
            )),
        }
        out.push('\n');
    }
    out
}

/// The number after a mark taken out: `"version": 5,`, `config-1795345812.sql.gz`.
fn without_number(line: &str, mark: &str) -> String {
    let Some((before, after)) = line.split_once(mark) else {
        return line.to_owned();
    };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{mark}…{rest}")
}

/// `fingerprint '5B:0F:…' not verified`
fn without_fingerprint(line: &str) -> String {
    let parts = line.split('\'').map(|part| {
        let is_one = part.len() == 95 && part.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
        if is_one { "FP" } else { part }
    });
    parts.collect::<Vec<_>>().join("'")
}
