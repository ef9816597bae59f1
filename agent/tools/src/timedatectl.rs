//! `timedatectl` of systemd: whether a time service has set the clock.

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::system::ClockSync;

use crate::{CallError, ParseError};

/// Its name.
pub const NAME: &str = "timedatectl";

/// Asks whether the clock is synchronised.
///
/// # Errors
/// When timedatectl is not installed.
pub fn synchronised(tools: &Tools) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["show", "-p", "NTPSynchronized"]).build()?)
}

/// Reads `NTPSynchronized=yes`.
///
/// # Errors
/// When the property is missing or neither `yes` nor `no`.
pub fn read(stdout: &str) -> Result<ClockSync, ParseError> {
    let line = stdout.lines().find(|line| line.starts_with("NTPSynchronized="));
    let Some(line) = line else {
        return Err(ParseError::missing(NAME, "the property NTPSynchronized is missing"));
    };
    let synchronised = match line.trim_end() {
        "NTPSynchronized=yes" => true,
        "NTPSynchronized=no" => false,
        _ => return Err(ParseError::at(NAME, line, "neither yes nor no")),
    };
    Ok(ClockSync {
        synchronised,
        source: NAME.to_owned(),
        offset_seconds: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_no_and_nothing_else() {
        assert_eq!(
            synchronised(&Tools::imagined()).unwrap().to_string(),
            "/usr/bin/timedatectl show -p NTPSynchronized"
        );
        assert!(read(fixture!("timedatectl/252/yes.out")).unwrap().synchronised);
        assert!(!read(fixture!("timedatectl/252/no.out")).unwrap().synchronised);
        assert!(read("").is_err() && read("NTPSynchronized=maybe\n").is_err());
    }
}
