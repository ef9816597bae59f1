//! What can be said about a storage, in PVE's words and in the cluster file's, and what may stand there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A property of a storage. Content and nodes, which every kind has, are told apart from these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Property {
    /// A pool of ZFS, with a dataset or without; or one of Ceph.
    Pool,
    /// A folder.
    Path,
    /// A server's name or address.
    Server,
    /// What an NFS server exports.
    Export,
    /// A datastore of a backup server.
    Datastore,
    /// Who logs in.
    Username,
    /// SHA-256 of a backup server's certificate.
    Fingerprint,
    /// A namespace of a datastore, or of a Ceph pool.
    Namespace,
    /// A TCP port.
    Port,
    /// Monitors of a Ceph cluster that PVE does not manage.
    Monhost,
    /// Ceph's erasure-coded pool for the data.
    DataPool,
    /// Whether the kernel maps a Ceph image.
    Krbd,
    /// Whether room is taken when it is written to, and not when a disk is made.
    Thin,
    /// Where a ZFS dataset is mounted.
    Mountpoint,
    /// Options for mounting.
    Options,
    /// Whether a folder counts only while something is mounted there.
    IsMountpoint,
    /// Whether a folder is the same on all nodes.
    Shared,
    /// How many backups stay.
    PruneBackups,
}

/// What may stand as a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// One word.
    Word,
    /// A path from the root, with the few characters that PVE takes.
    Path,
    /// A TCP port.
    Port,
    /// Yes or no.
    Switch,
    /// 32 pairs of hexadecimal digits with colons between them.
    Fingerprint,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Pool,
        Self::Path,
        Self::Server,
        Self::Export,
        Self::Datastore,
        Self::Username,
        Self::Fingerprint,
        Self::Namespace,
        Self::Port,
        Self::Monhost,
        Self::DataPool,
        Self::Krbd,
        Self::Thin,
        Self::Mountpoint,
        Self::Options,
        Self::IsMountpoint,
        Self::Shared,
        Self::PruneBackups,
    ];

    /// As written in the cluster file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Path => "path",
            Self::Server => "server",
            Self::Export => "export",
            Self::Datastore => "datastore",
            Self::Username => "username",
            Self::Fingerprint => "fingerprint",
            Self::Namespace => "namespace",
            Self::Port => "port",
            Self::Monhost => "monhost",
            Self::DataPool => "data_pool",
            Self::Krbd => "krbd",
            Self::Thin => "thin",
            Self::Mountpoint => "mountpoint",
            Self::Options => "options",
            Self::IsMountpoint => "is_mountpoint",
            Self::Shared => "shared",
            Self::PruneBackups => "prune_backups",
        }
    }

    /// As PVE has it in storage.cfg and on the command line of pvesm.
    #[must_use]
    pub fn of_pve(self) -> &'static str {
        match self {
            Self::Thin => "sparse",
            Self::DataPool => "data-pool",
            Self::PruneBackups => "prune-backups",
            other => other.as_str(),
        }
    }

    /// What may stand there.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Path | Self::Mountpoint => Value::Path,
            Self::Port => Value::Port,
            Self::Krbd | Self::Thin | Self::IsMountpoint | Self::Shared => Value::Switch,
            Self::Fingerprint => Value::Fingerprint,
            _ => Value::Word,
        }
    }

    /// Are two values the same to PVE?
    #[must_use]
    pub fn same(self, one: &str, other: &str) -> bool {
        let parts = |text: &str| {
            let mut parts: Vec<String> = text
                .split([',', ';', ' '])
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect();
            parts.sort_unstable();
            parts
        };
        match self {
            Self::Fingerprint => one.eq_ignore_ascii_case(other),
            Self::Monhost | Self::PruneBackups => parts(one) == parts(other),
            Self::Path | Self::Export => one.trim_end_matches('/') == other.trim_end_matches('/'),
            // A word alone means yes, and what is not written means no. Source: PVE::SectionConfig.
            _ if self.value() == Value::Switch => is_yes(one) == is_yes(other),
            _ => one == other,
        }
    }

    /// What PVE takes where nothing is written; `None`: nothing in particular.
    #[must_use]
    pub fn unwritten(self) -> Option<&'static str> {
        match self {
            Self::Port => Some("8007"),
            _ if self.value() == Value::Switch => Some("0"),
            _ => None,
        }
    }

    /// Can this be its value?
    ///
    /// # Errors
    /// Why not, so that it reads on after the property's name.
    pub fn check(self, value: &str) -> Result<(), &'static str> {
        if value.is_empty() {
            return Err("is empty");
        }
        // As an argument it would be taken for an option.
        if value.starts_with('-') {
            return Err("begins with a hyphen");
        }
        if value.len() > 512 {
            return Err("is longer than 512 bytes");
        }
        if !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("has blanks, or characters that PVE does not take");
        }
        match self.value() {
            Value::Path => {
                let fine = |c: char| c.is_ascii_alphanumeric() || "/-_.@".contains(c);
                let whole =
                    value.starts_with('/') && value.chars().all(fine) && !value.split('/').any(|part| part == "..");
                whole
                    .then_some(())
                    .ok_or("is no path from the root of letters, digits, and -_.@")
            }
            Value::Port => match value.parse::<u16>() {
                Ok(port) if port > 0 => Ok(()),
                _ => Err("is no port from 1 to 65535"),
            },
            Value::Switch => match value {
                "0" | "1" => Ok(()),
                _ => Err("is neither 0 nor 1"),
            },
            Value::Fingerprint => {
                let pairs: Vec<&str> = value.split(':').collect();
                let pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
                (pairs.len() == 32 && pairs.iter().all(pair))
                    .then_some(())
                    .ok_or("is not 32 pairs of hexadecimal digits with colons")
            }
            Value::Word => Ok(()),
        }
    }
}

/// PVE's words for yes. Source: pve-common `parse_boolean`.
fn is_yes(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "" | "1" | "on" | "yes" | "true")
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no property.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no property of a storage")]
pub struct InvalidProperty(String);

impl FromStr for Property {
    type Err = InvalidProperty;

    fn from_str(text: &str) -> Result<Self, InvalidProperty> {
        let found = Self::ALL.into_iter().find(|property| property.as_str() == text);
        found.ok_or_else(|| InvalidProperty(text.to_owned()))
    }
}
