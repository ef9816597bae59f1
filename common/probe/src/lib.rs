//! Does something answer? A [`Target`] is what an operator writes; a [`Place`] is one whose address is known, and can be called. Calls are made
//! on a schedule that none of them can hold up ([`keep_calling`]). What calls come to is the caller's business: the coordinator makes pauses of
//! them, an agent tells them on.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod icmp;
mod miss;
mod place;
mod schedule;
mod target;
mod web;

#[cfg(test)]
mod tests;

pub use miss::{BadMiss, Miss};
pub use place::{Patience, Place, Unable};
pub use schedule::{Ended, keep_calling};
pub use target::{FORMS, Page, Target};
