//! Errors in one line, for logs and for findings.

use std::error::Error;

/// An error and its sources, from the outside in: `the agent does not start: can't listen on …: address in use`.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
