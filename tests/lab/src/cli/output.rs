//! The only place that prints.

use std::io::{Write, stderr, stdout};

/// A reader who goes away (`| head`) stops nothing.
pub(super) fn line(text: &str) {
    writeln!(stdout(), "{text}").ok();
}

pub(super) fn error(text: &str) {
    writeln!(stderr(), "{text}").ok();
}
