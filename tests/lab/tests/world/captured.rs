//! Reads recorded entries and makes lab and record comparable.

use std::path::Path;

/// One recorded call.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) node: String,
    pub(crate) line: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

pub(crate) fn read(file: &str) -> Vec<Call> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured").join(file);
    let text = std::fs::read_to_string(path).expect("the recorded file");
    let mut calls = Vec::new();
    let mut part = 0;
    for line in text.lines() {
        let head = line.strip_prefix('[').and_then(|rest| rest.split_once("]# "));
        if let Some((node, command)) = head {
            calls.push(Call {
                node: node.to_owned(),
                line: command.to_owned(),
                stdout: String::new(),
                stderr: String::new(),
                code: 0,
            });
            part = 0;
        }
        let Some(call) = calls.last_mut() else { continue };
        match line {
            "--- stdout:" => part = 1,
            "--- stderr:" => part = 2,
            _ if line.starts_with("--- exit code: ") => {
                let code = line
                    .trim_start_matches("--- exit code: ")
                    .split(' ')
                    .next()
                    .expect("a number");
                call.code = code.parse().expect("a number");
                part = 0;
            }
            _ if part == 1 => call.stdout.push_str(&format!("{line}\n")),
            _ if part == 2 => call.stderr.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    assert!(!calls.is_empty());
    calls
}

/// Text with what may differ between two runs taken out: dates, versions, ring numbers, times, and the addresses of the
/// hosts, which differ in their networks only.
pub(crate) fn comparable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let line = line
            .replace("10.77.0.", "A.")
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
            None => out.push_str(&cluster_version(&line)),
        }
        out.push('\n');
    }
    out
}

/// `"cluster": { "name": "lab1", "version": 5, …`: the version alone.
fn cluster_version(line: &str) -> String {
    let mark = "\"version\": ";
    let Some((before, after)) = line.split_once(mark) else {
        return line.to_owned();
    };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{mark}…{rest}")
}
