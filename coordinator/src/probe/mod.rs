//! How long a guest is away while it is moved: it is called from here all the while, and what it leaves unanswered is the pause.

mod gaps;
mod prober;
pub(crate) mod tally;
mod target;

pub(crate) use prober::Prober;
pub(crate) use target::Target;
