//! `chronyc` of chrony: how far the clock is from its sources.

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::system::ClockSync;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "chronyc";

/// Asks chronyd for its tracking report as comma-separated values.
///
/// # Errors
/// When chronyc is not installed.
pub fn tracking(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["-c", "tracking"]).build()?)
}

/// Position of `System time` in the report: how much chronyd still has to add to the clock, in seconds.
const CORRECTION: usize = 4;
/// Position of `Leap status`, the last one.
const LEAP_STATUS: usize = 13;

/// Reads the report's one line.
///
/// # Errors
/// When fields are missing, or the offset is no number, or the leap status is none of the four.
pub fn read(stdout: &str) -> Result<ClockSync, ParseError> {
    let line = stdout.lines().next().unwrap_or_default();
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let (Some(correction), Some(leap)) = (fields.get(CORRECTION), fields.get(LEAP_STATUS)) else {
        return Err(ParseError::at(NAME, line, "expected 14 comma-separated fields"));
    };
    let synchronised = match *leap {
        "Normal" | "Insert second" | "Delete second" => true,
        "Not synchronised" => false,
        _ => return Err(ParseError::at(NAME, line, "an unknown leap status")),
    };
    let correction = correction.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let Some(correction) = correction else {
        return Err(ParseError::at(NAME, line, "the system time's offset is no number"));
    };
    // What has to be added is what the clock lacks.
    let offset_seconds = synchronised.then_some(-correction);
    Ok(ClockSync { synchronised, source: NAME.to_owned(), offset_seconds })
}
