//! Debian's packages that an agent may install.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Packages that an agent may install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Package {
    /// The vote of the third party, on every node of the cluster.
    CorosyncQdevice,
    /// The third party itself, on the host outside.
    CorosyncQnetd,
}

impl Package {
    /// All of them.
    pub const ALL: [Package; 2] = [Self::CorosyncQdevice, Self::CorosyncQnetd];

    /// The package's name, which is that of its unit as well.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CorosyncQdevice => "corosync-qdevice",
            Self::CorosyncQnetd => "corosync-qnetd",
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
