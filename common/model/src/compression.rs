//! How a ZFS pool compresses what is written to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Compression of a pool's datasets. Source: PVE's `compression` of POST /nodes/N/disks/zfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// What ZFS thinks best (lz4).
    #[default]
    On,
    /// None.
    Off,
    /// Fast, and gives up early on what can't be compressed.
    Lz4,
    /// Denser and slower.
    Zstd,
    /// Dense and slow.
    Gzip,
    /// Runs of zeroes only.
    Zle,
    /// The oldest one.
    Lzjb,
}

/// A word that is no way to compress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no compression that PVE knows")]
pub struct InvalidCompression(String);

impl Compression {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::On,
        Self::Off,
        Self::Lz4,
        Self::Zstd,
        Self::Gzip,
        Self::Zle,
        Self::Lzjb,
    ];

    /// As written in the cluster file, and as ZFS has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Zle => "zle",
            Self::Lzjb => "lzjb",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Compression {
    type Err = InvalidCompression;

    fn from_str(text: &str) -> Result<Self, InvalidCompression> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == text);
        found.ok_or_else(|| InvalidCompression(text.to_owned()))
    }
}
