//! Which PVE releases Quorate knows, and how well.

use quorate_model::observation::system::PveVersion;

/// How well a release is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// Nothing is known: observing is safe, changing needs the operator's word.
    Unknown,
    /// How its tools behave was read from their source.
    ReadFromSource,
    /// Read from source, and its tools' real outputs were recorded from running clusters and are what parsers are held to.
    Captured,
}

/// One row: a PVE major release and how well it is known.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The part of pve-manager's version before the first dot.
    pub major: u32,
    /// How well it is known.
    pub knowledge: Knowledge,
}

/// The table. A release that isn't in it is unknown.
pub const RELEASES: [Release; 2] = [
    Release {
        major: 8,
        knowledge: Knowledge::Captured,
    },
    Release {
        major: 9,
        knowledge: Knowledge::ReadFromSource,
    },
];

/// How well a version is known; one whose major number can't be read is unknown.
#[must_use]
pub fn knowledge(version: &PveVersion) -> Knowledge {
    version
        .major()
        .and_then(|major| RELEASES.iter().find(|r| r.major == major))
        .map_or(Knowledge::Unknown, |r| r.knowledge)
}
