//! Everything that reads what others wrote, in one table: what tools print, files on disk, messages, certificates.
//!
//! Three things stand on the table. The *replay* gives every target its seeds (tests/fixtures, and what is kept below `corpus` and
//! `regressions`) as a plain test. The *answers* keep, as snapshots, what each reader makes of each fixture. And the *fuzzer* beside this
//! crate (`libfuzzer`, started by `cargo xtask fuzz`) looks for bytes that make one of them panic.
//!
//! A target's function returns what it made of the bytes; it panics where reading must not have had this result.

pub mod fixtures;
pub mod seeds;
mod state;
mod tools;
mod trust;
mod wire;

use std::fmt::Debug;

/// What was made of the bytes: a value or an error, for people to read.
pub type Told = Box<dyn Debug>;

/// One reader.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As tests/fixtures/tools.toml, folders and the command line name it.
    pub name: &'static str,
    /// Reads.
    pub read: fn(&[u8]) -> Told,
    /// Is it JSON, so that it must bear unknown fields and missing ones?
    pub json: bool,
    /// Does it read stderr as well? Then its bytes are stdout, [`STDERR`], and that.
    pub both: bool,
}

impl Target {
    pub(crate) const fn new(name: &'static str, read: fn(&[u8]) -> Told) -> Self {
        Self {
            name,
            read,
            json: false,
            both: false,
        }
    }

    pub(crate) const fn json(name: &'static str, read: fn(&[u8]) -> Told) -> Self {
        Self {
            json: true,
            ..Self::new(name, read)
        }
    }

    pub(crate) const fn both(name: &'static str, read: fn(&[u8]) -> Told) -> Self {
        Self {
            both: true,
            ..Self::new(name, read)
        }
    }
}

/// All of them.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    tools::TARGETS
        .iter()
        .chain(wire::TARGETS)
        .chain(trust::TARGETS)
        .chain(state::TARGETS)
}

/// One of them.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    targets().find(|target| target.name == name)
}

/// What parts stdout from stderr in the bytes for a reader of both.
pub const STDERR: u8 = 0;

/// Bytes as text, damaged characters replaced: tools' output is looked at the same way.
pub(crate) fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Both streams.
pub(crate) fn streams(bytes: &[u8]) -> (String, String) {
    let mut parts = bytes.splitn(2, |byte| *byte == STDERR);
    let mut part = || text(parts.next().unwrap_or_default()).into_owned();
    (part(), part())
}
