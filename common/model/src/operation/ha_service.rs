//! The daemons of HA, which some actions stop and start.

use serde::{Deserialize, Serialize};

/// The daemons of PVE's HA manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaService {
    /// `pve-ha-lrm`: starts and stops guests on its node, and feeds the watchdog.
    Lrm,
    /// `pve-ha-crm`: one of them is the master, who decides.
    Crm,
}

impl HaService {
    /// The unit's name.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Lrm => "pve-ha-lrm",
            Self::Crm => "pve-ha-crm",
        }
    }
}
