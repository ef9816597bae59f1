//! Quorum for what is left: judged as the coordinator judges it.

pub(crate) use quorate_model::lost::votes::{Quorum, explained, judge};

#[cfg(test)]
#[path = "votes_tests.rs"]
mod tests;
