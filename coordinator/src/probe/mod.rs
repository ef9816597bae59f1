//! How long a guest is away: it is called all the while, and what it leaves unanswered is the pause.
//!
//! Who may be called from anywhere, and how, is the library's ([`quorate_probe`]); from here rows are also written into a database ([`database`]).
//! From calls come gaps ([`gaps`]), and, where a numbered writer is called, what became of records ([`records`]). What a node calls comes over the
//! wire ([`distant`]).

mod call;
mod callee;
mod database;
pub(crate) mod distant;
mod encryption;
mod gaps;
mod kept;
mod listened;
mod prober;
mod records;
mod show;
pub(crate) mod tally;
mod target;

#[cfg(test)]
mod tests;

pub(crate) use call::{Call, Gathering};
pub(crate) use database::{Password, found};
pub(crate) use gaps::Measured;
pub(crate) use kept::{Listener, Sheet};
pub(crate) use listened::{Listened, read as listened};
pub(crate) use prober::{Prober, answers, measure};
pub(crate) use quorate_probe::Unable;
pub(crate) use show::Strip;
pub(crate) use target::{FORMS, Target};
