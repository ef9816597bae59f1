//! What to do when it isn't plain what happened: decided on a fresh view, never by trying again blindly.
//!
//! | what is recorded | ledger | view | what follows |
//! |---|---|---|---|
//! | nothing | – | gate holds | start |
//! | nothing | – | as wanted | verified, without having been asked for |
//! | nothing, and it disturbs | – | frozen, or no window open | waited, until there is leave or a cancel; held, if something waits to be taken back |
//! | intended | has it | – | accepted, followed |
//! | intended | has it not | as wanted | verified |
//! | intended | has it not | gate holds | another attempt |
//! | intended, and it disturbs | has it not | gate holds; frozen, or no window open | failed, nothing was changed |
//! | intended | has it not | neither | stuck |
//! | accepted | has it | – | followed, never sent again |
//! | accepted | has it not | – | ended, outcome unknown |
//! | accepted, to switch its own server off | does not answer | server seen off within the operation's time | ended: done |
//! | accepted, to switch its own server off | does not answer for that time | otherwise | ended, outcome unknown |
//! | this attempt: anything but done, to switch its own server off | does not answer | server seen off | held or stuck: it may only be cut off |
//! | ended: done or unknown | – | as wanted | verified |
//! | ended: unknown, and the tool runs no more | – | gate holds | another attempt |
//! | ended: unknown, and the tool may run | – | gate holds | stuck |
//! | ended: done | – | gate holds | failed |
//! | intended, refused for a reason that passes | – | gate holds | sent again |
//! | ended: failed without a trace, for a reason that passes | – | gate holds | another attempt |
//! | ended: failed | – | otherwise | failed |
//! | ended: done or unknown | – | neither, or not seen | stuck |
//!
//! "Another attempt" is one that the action's rules mark as safe, and at most as many as [`Patience`](crate::Patience) says.
//!
//! A step that takes back what another one did for the time of the rollout (`restores`) goes by the same table, but for when it
//! begins and when it is left out:
//!
//! | what is recorded of what it takes back | of all else that it needs | what follows |
//! |---|---|---|
//! | nothing, or held; it never will begin (a cancel, or what it needs stopped) | – | skipped |
//! | anything else | something runs, or can still run | waited |
//! | anything else | verified, stopped, or can't run any more | carried out, whatever failed and whoever cancelled |
//!
//! It asks nobody's leave, is waited for longer, and while it waits the rollout is not finished. A step that needs it needs all
//! that it needed as well: carried out after a failure, it lets nothing else begin.

use quorate_model::View;
use quorate_model::finding::Code;
use quorate_model::operation::{Outcome, rules};
use quorate_model::plan::{Step, Verdict};

/// How a step's world looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// What the step is to bring about is there.
    Reached(String),
    /// What must be before the step is there: nothing of it has happened. With why what is wanted is not there.
    Clean(String),
    /// Neither.
    Mixed {
        /// Why the gate does not hold.
        gate: String,
        /// Why what is wanted is not there.
        wanted: String,
    },
    /// It can't be told.
    Unseen(String),
}

impl Sight {
    /// Why what is wanted is not there; `None`: it is.
    #[must_use]
    pub fn why_not(&self) -> Option<&str> {
        match self {
            Self::Reached(_) => None,
            Self::Clean(why) | Self::Mixed { wanted: why, .. } | Self::Unseen(why) => Some(why),
        }
    }
}

/// Judges a step's outcome alone; if it is not there, it is as if it could not be told whether anything has happened.
#[must_use]
pub fn look_for_outcome(step: &Step, view: &View) -> Sight {
    match step.done_when.judge(view) {
        Verdict::Holds(evidence) => Sight::Reached(evidence),
        Verdict::Unknown(why) | Verdict::NotYet(why) => Sight::Unseen(why),
    }
}

/// Judges a step's gate and outcome on a view.
#[must_use]
pub fn look(step: &Step, view: &View) -> Sight {
    let wanted = match step.done_when.judge(view) {
        Verdict::Holds(evidence) => return Sight::Reached(evidence),
        Verdict::Unknown(why) => return Sight::Unseen(why),
        Verdict::NotYet(why) => why,
    };
    let mut mixed = None;
    for condition in &step.gate {
        match condition.judge(view) {
            Verdict::Holds(_) => {}
            Verdict::Unknown(why) => return Sight::Unseen(why),
            Verdict::NotYet(why) => {
                mixed.get_or_insert(why);
            }
        }
    }
    match mixed {
        None => Sight::Clean(wanted),
        Some(gate) => Sight::Mixed { gate, wanted },
    }
}

/// May a step whose attempt ended so be tried once more, if its gate holds again?
#[must_use]
pub fn may_try_again(step: &Step, outcome: &Outcome, failures: u32, attempts: u32) -> bool {
    let worth_it = match outcome {
        Outcome::Done { .. } => false,
        Outcome::Unknown { over, .. } => *over,
        Outcome::Failed { findings, unchanged } => *unchanged && findings.iter().all(|f| passes(f.code)),
    };
    worth_it && failures < attempts && rules(step.action.kind()).repeatable
}

/// Is it of a kind that may be over in a moment? What is not listed lasts until somebody does something about it.
pub(crate) fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::StepFailed
            | Code::StepOverdue
            | Code::NodeUnreachable
            | Code::NodeBusy
            | Code::JoinPeerUnreachable
            | Code::JoinLoginRefused
            | Code::JoinOtherFingerprint
            | Code::ClusterLocked
            | Code::FacetUnknown
            | Code::DataStale
            | Code::PmxcfsNotReady
            | Code::ClusterNotQuorate
            | Code::MemberOffline
    )
}
