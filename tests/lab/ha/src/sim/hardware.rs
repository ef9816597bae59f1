//! One virtual server.

use crate::env::NodeShutdown;
use crate::model::Seconds;
use crate::scenario::{Daemon, Hardware};

/// A server, and the clocks of its two daemons.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) power: bool,
    pub(super) network: bool,
    /// What it is going down for.
    pub(super) shutdown: NodeShutdown,
    /// pmxcfs can be read and written.
    pub(super) cfs_works: bool,
    /// pmxcfs takes over the newest state.
    pub(super) cfs_updates: bool,
    pub(super) version: Option<String>,
    pub(super) maxcpu: Option<f64>,
    pub(super) maxmem: Option<f64>,
    crm_time: Seconds,
    lrm_time: Seconds,
}

impl Server {
    pub(super) fn new(hardware: &Hardware) -> Self {
        Self {
            power: hardware.power,
            network: hardware.network,
            shutdown: NodeShutdown::No,
            cfs_works: true,
            cfs_updates: true,
            version: hardware.version.clone(),
            maxcpu: hardware.maxcpu,
            maxmem: hardware.maxmem,
            crm_time: 0,
            lrm_time: 0,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.power && self.network
    }

    /// A daemon's own clock: it stands still between its rounds.
    pub(super) fn time(&self, daemon: Daemon) -> Seconds {
        match daemon {
            Daemon::Crm => self.crm_time,
            Daemon::Lrm => self.lrm_time,
        }
    }

    pub(super) fn set_time(&mut self, daemon: Daemon, time: Seconds) {
        match daemon {
            Daemon::Crm => self.crm_time = time,
            Daemon::Lrm => self.lrm_time = time,
        }
    }
}
