//! Failover drills: a fault that is made on purpose, what is expected of it, and what was measured. Pure: whoever makes the fault and listens
//! stands elsewhere.
//!
//! [`crate::fault`] and [`lasting`] say what is done and for how long, [`predict`] what is to be expected from this cluster's own constants,
//! [`event`] what sources tell, [`timeline`] makes one line of it, [`figures`] what it comes to, [`compare`] and [`verdict`] what that
//! means, [`record`] what is kept, [`trend`] how it was before, and [`due`] when one is run by itself.

pub mod answers;
pub mod axis;
pub mod compare;
pub mod due;
pub mod event;
pub mod fate;
pub mod figures;
pub mod lasting;
pub mod phase;
pub mod predict;
pub mod probe;
pub mod record;
pub mod rows;
pub mod tally;
pub mod timeline;
pub mod timing;
pub mod trend;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use answers::{Answers, Gap};
pub use axis::{Instant, Range};
pub use due::{Due, DueRow};
pub use event::{Event, Source, Told, What};
pub use fate::{GuestFate, GuestFateKind};
pub use figures::{Figure, Figures};
pub use lasting::{DrillKind, Lasting};
pub use phase::Phase;
pub use predict::{Circumstances, Prediction, predict};
pub use probe::ProbeTarget;
pub use record::Record;
pub use rows::Rows;
pub use timeline::{Subject, Timeline};
pub use timing::Timing;
pub use verdict::Verdict;
