//! Death at chosen moments, for tests of what comes after it. Only a lab's coordinator can be told to die.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, raise};
use quorate_model::rollout::Record;

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

impl Moment {
    const ALL: [(Self, &str); 4] = [
        (Self::Before, "before"),
        (Self::Unflushed, "unflushed"),
        (Self::Unheaded, "unheaded"),
        (Self::After, "after"),
    ];
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::ALL.iter().filter(|(moment, _)| moment == self);
        names.map(|(_, name)| *name).try_for_each(|name| f.write_str(name))
    }
}

/// When to die: at a record of this content, at this moment. By content and not by position: a death makes later records move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CrashAt {
    /// As [`named`] names it.
    record: String,
    moment: Moment,
}

impl FromStr for CrashAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not RECORD/STEP:MOMENT; moments are before, unflushed, unheaded and after");
        let (record, moment) = text.rsplit_once(':').ok_or_else(wrong)?;
        let known = Moment::ALL.iter().find(|(_, name)| *name == moment);
        let (moment, _) = known.ok_or_else(wrong)?;
        if record.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            record: record.to_owned(),
            moment: *moment,
        })
    }
}

static CRASHES: OnceLock<Vec<CrashAt>> = OnceLock::new();

/// Chooses the moments, once for this process. It dies at the first of them that comes.
pub(crate) fn plan(at: Vec<CrashAt>) {
    CRASHES.get_or_init(|| at);
}

/// A record as the command line names it: its kind, and its step if it is about one.
pub(super) fn named(record: &Record) -> String {
    let (kind, step) = match record {
        Record::Created { .. } => ("created", None),
        Record::Intended { step, .. } => ("intended", Some(step)),
        Record::Accepted { step } => ("accepted", Some(step)),
        Record::Ended { step, .. } => ("ended", Some(step)),
        Record::Verified { step, .. } => ("verified", Some(step)),
        Record::Stopped { step, .. } => ("stopped", Some(step)),
        Record::Skipped { step, .. } => ("skipped", Some(step)),
        Record::CancelRequested { .. } => ("cancel_requested", None),
        Record::Finished { .. } => ("finished", None),
    };
    step.map_or_else(|| kind.to_owned(), |step| format!("{kind}/{step}"))
}

/// Dies, if this is one of the moments: at once, as by `kill -9`, after a line in the log that says at which.
pub(super) fn here(record: &Record, moment: Moment) {
    let Some(planned) = CRASHES.get() else { return };
    let record = named(record);
    if !planned.iter().any(|at| at.moment == moment && at.record == record) {
        return;
    }
    tracing::error!("told to die at {record}:{moment}");
    if let Err(error) = raise(Signal::SIGKILL) {
        tracing::error!(%error, "this process can't be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read() {
        for (moment, name) in Moment::ALL {
            let at: CrashAt = format!("accepted/cluster.join/prox2:{name}").parse().unwrap();
            assert_eq!((at.record.as_str(), at.moment), ("accepted/cluster.join/prox2", moment));
            assert_eq!(moment.to_string(), name);
        }
        for wrong in ["", "created", ":after", "created:later"] {
            assert!(wrong.parse::<CrashAt>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_is_named_by_its_kind_and_step() {
        let step = "cluster.join/prox2".parse().unwrap();
        assert_eq!(named(&Record::Accepted { step }), "accepted/cluster.join/prox2");
        assert_eq!(
            named(&Record::CancelRequested { by: "anna".to_owned() }),
            "cancel_requested"
        );
    }
}
