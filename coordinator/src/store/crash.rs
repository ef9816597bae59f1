//! Death at a chosen moment, for tests of what comes after it. Only a lab's coordinator can be told to die.

use std::str::FromStr;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, raise};

/// The moments around the writing of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Nothing of it is written: what came before has happened, and no record tells of it.
    Before,
    /// sled has it in memory.
    Unflushed,
    /// It is on disk; the head file does not know of it.
    Unheaded,
    /// All of it is on disk; what it announces has not begun.
    After,
}

/// When to die: at the record with this position in the journal, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CrashAt {
    position: u64,
    moment: Moment,
}

impl FromStr for CrashAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not RECORD:before, :unflushed, :unheaded or :after");
        let (position, moment) = text.split_once(':').ok_or_else(wrong)?;
        let moment = match moment {
            "before" => Moment::Before,
            "unflushed" => Moment::Unflushed,
            "unheaded" => Moment::Unheaded,
            "after" => Moment::After,
            _ => return Err(wrong()),
        };
        Ok(Self {
            position: position.parse().map_err(|_| wrong())?,
            moment,
        })
    }
}

static CRASH: OnceLock<CrashAt> = OnceLock::new();

/// Chooses the moment, once for this process.
pub(crate) fn plan(at: CrashAt) {
    CRASH.get_or_init(|| at);
}

/// Dies, if this is the moment: at once, as by `kill -9`.
pub(super) fn here(position: u64, moment: Moment) {
    if CRASH.get() == Some(&CrashAt { position, moment })
        && let Err(error) = raise(Signal::SIGKILL)
    {
        tracing::error!(%error, "this process can't be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read() {
        assert_eq!(
            "7:unheaded".parse(),
            Ok(CrashAt {
                position: 7,
                moment: Moment::Unheaded
            })
        );
        for wrong in ["", "7", "x:after", "7:later"] {
            assert!(wrong.parse::<CrashAt>().is_err(), "{wrong}");
        }
    }
}
