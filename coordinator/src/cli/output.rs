//! The one place where the command line prints.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

use std::io::{IsTerminal, Write};

use quorate_model::failure::Failure;
use serde::Serialize;

use super::Format;

/// Text for people, on stdout.
pub(crate) fn text(text: &str) {
    print!("{text}");
    // A pipe that was closed early (`quorate status | head`) is no error of ours.
    drop(std::io::stdout().flush());
}

/// A JSON document for programs, on stdout.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string_pretty(value) {
        Ok(document) => text(&format!("{document}\n")),
        Err(error) => eprintln!("error: can't write JSON: {error}"),
    }
}

/// One JSON document on one line.
pub(crate) fn json_line<T: Serialize>(value: &T) {
    match serde_json::to_string(value) {
        Ok(document) => text(&format!("{document}\n")),
        Err(error) => eprintln!("error: can't write JSON: {error}"),
    }
}

/// One or the other.
pub(crate) fn either<T: Serialize>(format: Format, value: &T, show: impl FnOnce() -> String) {
    match format {
        Format::Table => text(&show()),
        Format::Json => json(value),
    }
}

/// Something to know that isn't the answer, on stderr.
pub(crate) fn aside(message: &str) {
    eprintln!("{message}");
}

/// A failure: what, why, findings, hints.
pub(crate) fn failure(failure: &Failure, format: Format) {
    if format == Format::Json {
        json(&serde_json::json!({ "error": failure }));
        return;
    }
    eprintln!("error: {failure}");
    if !failure.findings.is_empty() {
        eprint!("\n{}", quorate_show::findings(&failure.findings));
    }
    for hint in &failure.hints {
        eprintln!("hint: {hint}");
    }
}

/// Is somebody there to answer?
pub(crate) fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
