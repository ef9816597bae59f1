//! SECURITY.md promises nothing that no test shows: every claim names the tests, and each of them exists and is one.
//!
//! A claim is a line that begins with `* `; below it, `Shown by` and the tests, as `file.rs: name, name`.

use std::fs;
use std::path::Path;

use crate::report::{Report, Stop};

const PAGE: &str = "SECURITY.md";
const CLAIM: &str = "* ";
const SHOWN_BY: &str = "Shown by ";

/// A claim, and where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Claim {
    line: usize,
    tests: Vec<(String, String)>,
}

pub(crate) fn check(root: &Path) -> Result<Report, Stop> {
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page).map_err(Stop::file(&page))?;
    let claims = claims(&text);
    let mut violations = Vec::new();
    let mut tests = 0;
    for claim in &claims {
        if claim.tests.is_empty() {
            violations.push(format!("{PAGE}:{}: the claim names no test", claim.line));
        }
        for (file, name) in &claim.tests {
            tests += 1;
            let there = fs::read_to_string(root.join(file)).is_ok_and(|text| has_test(&text, name));
            if !there {
                violations.push(format!("{PAGE}:{}: there is no test {name} in {file}", claim.line));
            }
        }
    }
    Ok(Report {
        name: "claims",
        checked: format!("{} claims of {PAGE}, {tests} named tests", claims.len()),
        violations,
        ..Report::default()
    })
}

fn claims(text: &str) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with(CLAIM) {
            claims.push(Claim {
                line: number + 1,
                tests: Vec::new(),
            });
        }
        let Some((_, named)) = line.split_once(SHOWN_BY) else {
            continue;
        };
        let Some(claim) = claims.last_mut() else { continue };
        for group in named.trim_end_matches('.').split(';') {
            let Some((file, names)) = group.split_once(':') else {
                continue;
            };
            let bare = |text: &str| text.trim().trim_matches('`').to_owned();
            claim
                .tests
                .extend(names.split(',').map(|name| (bare(file), bare(name))));
        }
    }
    claims
}

/// Is there such a function, with an attribute above it that makes it a test?
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_it = |line: &str| {
        let rest = line.trim_start_matches("async ").strip_prefix("fn ");
        rest.and_then(|rest| rest.split(['(', '<']).next()) == Some(name)
    };
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines.iter().take(at).rev().take_while(|line| line.starts_with('#'));
        is_it(line) && above.into_iter().any(|line| line.contains("test"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_and_their_tests_are_found() {
        let page =
            "# Title\n\n* It holds.\n  Shown by `a/b.rs`: `one`, `two`; `c.rs`: `three`.\n* It does not say why.\n";
        let test = |file: &str, name: &str| (file.to_owned(), name.to_owned());
        assert_eq!(
            claims(page),
            [
                Claim {
                    line: 3,
                    tests: vec![test("a/b.rs", "one"), test("a/b.rs", "two"), test("c.rs", "three")]
                },
                Claim { line: 5, tests: vec![] }
            ]
        );
    }

    #[test]
    fn a_function_is_a_test_by_what_stands_above_it() {
        let text = "    #[test]\n    fn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\nfn three() {}\n";
        assert!(has_test(text, "one") && has_test(text, "two"));
        assert!(!has_test(text, "three") && !has_test(text, "on"));
    }
}
