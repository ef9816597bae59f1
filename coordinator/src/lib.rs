//! The coordinator: a daemon that sees and drives a fleet's nodes, and the command line that talks to it.
//!
//! [`serve()`] tells the story of the daemon. The command line ([`cli`]) reaches a running daemon only through
//! [`client`], by the same gRPC API as everybody else; without one it can only [`init`](mod@init) a fleet.

pub mod cli;
pub mod client;
pub mod config;
pub mod init;

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;

mod api;
mod as_owner;
mod audit;
mod authority;
mod backup;
mod ca;
mod clusters;
mod documents;
mod drill;
mod driver;
mod enrol;
mod fleet;
mod host;
mod incoming;
mod liveness;
mod measure;
mod operators;
mod overview;
mod pace;
mod packages;
mod probe;
mod reach;
mod recovery;
mod report;
mod rollouts;
mod serve;
mod skew;
mod state_dir;
mod storage_secret;
mod store;
mod trust;

#[cfg(test)]
mod tests;

pub use serve::serve;
