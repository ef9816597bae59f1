//! How long a guest is away: it is called from here all the while, and what it leaves unanswered is the pause.
//!
//! A [`Target`] is what an operator writes; a [`Place`] is one whose address is known. Calls are made on a schedule that none of them can hold up
//! ([`schedule`]); from calls come gaps ([`gaps`]), and, where a numbered writer is called, what became of records ([`records`]).

mod call;
mod gaps;
mod icmp;
mod kept;
mod listened;
mod place;
mod prober;
mod records;
mod schedule;
mod show;
pub(crate) mod tally;
mod target;
mod web;

#[cfg(test)]
mod tests;

pub(crate) use kept::Listener;
pub(crate) use listened::{Listened, read as listened};
pub(crate) use place::Unable;
pub(crate) use prober::{Prober, answers, measure};
pub(crate) use show::Strip;
pub(crate) use target::{FORMS, Target};
