//! Scenarios in the form of PVE's regression simulator: a directory of small files (facts C.12).

mod command;
mod entries;
mod error;
mod files;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use command::{CfsPart, Command, CrmAction, Daemon, Do, ServiceAction, Stats};
pub use entries::{DatacenterFile, Hardware, ServiceFile};
pub use error::ScenarioError;

use crate::model::{ManagerStatus, Sid};
use files::Folder;

/// What a guest may use, and what it does: processors, and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GuestStats {
    /// Processors it may use.
    pub maxcpu: Option<f64>,
    /// Bytes it may use.
    pub maxmem: Option<f64>,
    /// Processors it uses.
    pub cpu: Option<f64>,
    /// Bytes it uses.
    pub mem: Option<f64>,
}

/// A scenario, as it was read.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The servers.
    pub hardware: BTreeMap<String, Hardware>,
    /// The services and where they are.
    pub services: BTreeMap<Sid, ServiceFile>,
    /// What an earlier master left.
    pub manager_status: ManagerStatus,
    /// What runs on each node from the start.
    pub running: BTreeMap<String, BTreeSet<Sid>>,
    /// The text of `rules.cfg`.
    pub rules: String,
    /// The text of `groups.cfg`.
    pub groups: String,
    /// `datacenter.cfg`.
    pub datacenter: DatacenterFile,
    /// What guests use; only for the weighed schedulers.
    pub stats: BTreeMap<Sid, GuestStats>,
    /// What happens, slot by slot.
    pub slots: Vec<Vec<Command>>,
}

impl Scenario {
    /// Reads a directory.
    ///
    /// # Errors
    ///
    /// A file is missing or says something that cannot be; the error names file, line and reason.
    pub fn read(dir: &Path) -> Result<Self, ScenarioError> {
        let folder = Folder::new(dir)?;
        let hardware = folder.hardware()?;
        let (services, stats) = folder.services(&hardware)?;
        let scenario = Self {
            running: folder.running(&hardware)?,
            manager_status: folder.manager_status()?,
            rules: folder.rules()?,
            groups: folder.groups()?,
            datacenter: folder.datacenter()?,
            slots: folder.slots(&hardware)?,
            hardware,
            services,
            stats,
        };
        Ok(scenario)
    }
}
