//! The coordinator: a daemon that sees and drives a fleet's nodes, and the command line that talks to it.
//!
//! [`serve`] tells the story of the daemon. The command line ([`cli`]) reaches a running daemon only through
//! [`client`], by the same gRPC API as everybody else; without one it can only [`init`] a fleet.

pub mod cli;
pub mod client;
pub mod config;
pub mod init;

mod authority;
mod documents;
mod pace;
mod serve;
mod state_dir;
mod trust;

pub use serve::serve;
