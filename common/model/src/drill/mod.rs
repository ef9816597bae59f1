//! Failover drills.

pub mod event;

pub use event::{Event, Source, Told, What};
