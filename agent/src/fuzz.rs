//! The ways into what reads the agent's own files and packets, for tests/fuzz. No part of the product.

use std::fmt::Debug;
use std::path::Path;

use crate::begun_pools::Begun;
use crate::config::Config;
use crate::operations::folder::{Claim, Request, Status};
use crate::{ledger, measure};

/// What was made of it.
pub type Told = Box<dyn Debug>;

/// One of the two files of the ledger.
#[must_use]
pub fn ledger(bytes: &[u8]) -> Told {
    Box::new(ledger::fuzz(bytes))
}

/// agent.toml.
#[must_use]
pub fn config(text: &str) -> Told {
    Box::new(Config::parse(text, Path::new("agent.toml")).map_err(|error| error.to_string()))
}

/// The files of an operation's folder, and the notes on pools that were begun.
#[must_use]
pub fn notes(bytes: &[u8]) -> Told {
    Box::new((
        serde_json::from_slice::<Request>(bytes).ok(),
        serde_json::from_slice::<Claim>(bytes).ok(),
        serde_json::from_slice::<Status>(bytes).ok(),
        serde_json::from_slice::<Begun>(bytes).ok(),
    ))
}

/// A packet with which the network is measured.
#[must_use]
pub fn packet(bytes: &[u8]) -> Told {
    Box::new(measure::fuzz(bytes))
}
