//! What a script changed about a server's ports, file systems and services.

use std::collections::BTreeMap;

use super::server::Server;
use crate::description::DiskSpec;
use crate::plants::{ServiceIs, StorageIs};
use crate::roots;

/// Free bytes of a file system nobody planted anything about.
const FREE: u64 = 58_129_936_384;
/// Size of the root file system: 96 GiB less what ext4 keeps for itself.
const SIZE: u64 = 100_861_726_720;

/// What is out of the ordinary.
#[derive(Debug, Default)]
pub(crate) struct Hardware {
    /// Mbit/s and half duplex, by port.
    pub(crate) speeds: BTreeMap<String, (u32, bool)>,
    /// Bytes, by interface.
    pub(crate) mtus: BTreeMap<String, u32>,
    /// Free bytes, by folder.
    pub(crate) free: BTreeMap<String, u64>,
    /// Units that are not as usual, by name without `.service`.
    pub(crate) units: BTreeMap<String, ServiceIs>,
    /// Storages that are not as usual, by id.
    pub(crate) storages: BTreeMap<String, StorageIs>,
    /// Units that were switched on (true) or off at boot.
    pub(crate) enabled: BTreeMap<String, bool>,
    /// The watchdog resets nothing, although it is armed.
    pub(crate) watchdog_dead: bool,
}

impl Hardware {
    /// Free and whole size of the file system that holds a path.
    pub(crate) fn space(&self, path: &str) -> (u64, u64) {
        let planted = self
            .free
            .iter()
            .filter(|(folder, _)| {
                let folder = folder.trim_end_matches('/');
                path == folder || path.starts_with(&format!("{folder}/"))
            })
            .max_by_key(|(folder, _)| folder.len());
        (planted.map_or(FREE, |(_, bytes)| *bytes), SIZE)
    }

    pub(crate) fn mtu(&self, interface: &str) -> u32 {
        self.mtus.get(interface).copied().unwrap_or(1500)
    }
}

/// A disk is plugged in; one of its name is pulled first.
pub(crate) fn plug(server: &mut Server, disk: &DiskSpec) -> Result<(), String> {
    let place = server.disks.iter().position(|present| present.name == disk.name);
    if place.is_some() {
        pull(server, &disk.name)?;
    }
    roots::disks::add(&server.root, disk).map_err(|error| error.to_string())?;
    server.disks.insert(place.unwrap_or(server.disks.len()), disk.clone());
    Ok(())
}

/// A disk is pulled.
pub(crate) fn pull(server: &mut Server, name: &str) -> Result<DiskSpec, String> {
    let place = server.disks.iter().position(|disk| disk.name == name);
    let disk = server.disks.remove(place.ok_or("there is no such disk")?);
    roots::disks::remove(&server.root, &disk).map_err(|error| error.to_string())?;
    Ok(disk)
}
