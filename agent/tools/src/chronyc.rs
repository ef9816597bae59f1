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

/// Reference ids that are no reference: none yet, and chronyd's own clock (`local` in its configuration).
const NO_REFERENCE: [&str; 2] = ["00000000", "7F7F0101"];
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
        "Normal" | "Insert second" | "Delete second" => !fields.first().is_some_and(|id| NO_REFERENCE.contains(id)),
        "Not synchronised" => false,
        _ => return Err(ParseError::at(NAME, line, "an unknown leap status")),
    };
    let correction = correction.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    let Some(correction) = correction else {
        return Err(ParseError::at(NAME, line, "the system time's offset is no number"));
    };
    // What has to be added is what the clock lacks.
    let offset_seconds = synchronised.then_some(-correction);
    Ok(ClockSync {
        synchronised,
        source: NAME.to_owned(),
        offset_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_added_is_what_the_clock_lacks() {
        assert_eq!(
            tracking(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/chronyc -c tracking"
        );
        let sync = read(fixture!("chronyc/4.3/synchronised.out")).unwrap();
        assert_eq!((sync.synchronised, sync.offset_seconds), (true, Some(-0.000_012_345)));
    }

    #[test]
    fn without_a_reference_there_is_no_offset() {
        let text = fixture!("chronyc/4.3/synchronised.out");
        let own_clock = read(&text.replace("C0000201", "7F7F0101")).unwrap();
        for sync in [read(fixture!("chronyc/4.3/not-synchronised.out")).unwrap(), own_clock] {
            assert_eq!((sync.synchronised, sync.offset_seconds), (false, None));
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        let text = fixture!("chronyc/4.3/synchronised.out");
        assert!(read(fixture!("chronyc/4.3/no-daemon.out")).is_err());
        assert!(read(&text.replace("Normal", "Odd")).is_err());
        assert!(read(&text.replace("0.000012345", "NaN")).is_err());
    }
}
