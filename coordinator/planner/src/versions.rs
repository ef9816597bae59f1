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

/// One row: minor releases of a PVE release and how well they are known.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The part of pve-manager's version before the first dot.
    pub major: u32,
    /// First and last of the numbers after it.
    pub minors: (u32, u32),
    /// How well they are known.
    pub knowledge: Knowledge,
}

/// The table. A release that isn't in it is unknown, also a newer minor one: PVE changes its tools with these.
pub const RELEASES: [Release; 3] = [
    // Sources: the branch stable-bookworm from its beginning.
    Release {
        major: 8,
        minors: (0, 3),
        knowledge: Knowledge::ReadFromSource,
    },
    // Recorded: pve-manager 8.4.21.
    Release {
        major: 8,
        minors: (4, 4),
        knowledge: Knowledge::Captured,
    },
    // Sources: pve-manager up to 9.2.11.
    Release {
        major: 9,
        minors: (0, 2),
        knowledge: Knowledge::ReadFromSource,
    },
];

/// How well a version is known; one whose numbers can't be read is unknown.
#[must_use]
pub fn knowledge(version: &PveVersion) -> Knowledge {
    let (Some(major), Some(minor)) = (version.major(), version.minor()) else {
        return Knowledge::Unknown;
    };
    let row = RELEASES
        .iter()
        .find(|r| r.major == major && (r.minors.0..=r.minors.1).contains(&minor));
    row.map_or(Knowledge::Unknown, |r| r.knowledge)
}
