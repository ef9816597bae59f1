//! The agent on every server: it observes, it acts when the coordinator asks, and it reports what it sees.
//!
//! A request comes in through [`server`], which knows who asks; what changes something passes the [`guard`] and the
//! [`ledger`] before it becomes one of the [`operations`]; everything that is seen comes from [`observe`]. All of them
//! touch the machine through one [`host`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod begun_pools;
pub mod cli;
pub mod config;
pub mod edges;
pub mod enroll;
mod errors;
pub mod events;
pub mod faults;
#[cfg(test)]
mod formats;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod guard;
mod hold;
pub mod host;
pub mod join_ticket;
pub mod kept_spec;
pub mod ledger;
pub mod liveness;
pub mod measure;
pub mod observe;
pub mod operations;
pub mod pace;
mod probe;
pub mod recover;
pub mod release;
pub mod renewal;
pub mod server;
pub mod snapshot;
pub mod start;
