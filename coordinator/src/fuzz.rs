//! The ways into what reads the coordinator's own files, for tests/fuzz. No part of the product.

use std::fmt::Debug;
use std::path::Path;

use crate::audit::verify::Chain;
use crate::clusters::Decided;
use crate::config::Config;
use crate::{audit, backup, cli, rollouts, store};

/// What was made of it.
pub type Told = Box<dyn Debug>;

/// One record of the journal. Whatever is read is written again as it was.
#[must_use]
pub fn frame(bytes: &[u8]) -> Told {
    store::fuzz(bytes)
}

/// The audit log, line by line.
#[must_use]
pub fn audit(text: &str) -> Told {
    let mut chain = Chain::new();
    for line in text.lines() {
        chain.take(line);
    }
    Box::new((
        chain.end(Some((3, ""))),
        text.lines().map(audit::fuzz).collect::<Vec<_>>(),
    ))
}

/// What is in a backup, once it is opened.
#[must_use]
pub fn backup(bytes: &[u8]) -> Told {
    Box::new(backup::fuzz(bytes))
}

/// A plan that was kept in a file.
#[must_use]
pub fn proposal(text: &str) -> Told {
    Box::new(cli::fuzz(text))
}

/// A restored history.
#[must_use]
pub fn history(text: &str) -> Told {
    rollouts::fuzz(text)
}

/// What was decided of a cluster.
#[must_use]
pub fn decided(text: &str) -> Told {
    Box::new(serde_json::from_str::<Decided>(text).map_err(|error| error.to_string()))
}

/// quorate.toml.
#[must_use]
pub fn config(text: &str) -> Told {
    Box::new(Config::parse(Path::new("quorate.toml"), text).map_err(|failure| failure.message))
}
