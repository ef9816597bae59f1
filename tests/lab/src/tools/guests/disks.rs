//! Disks of guests are made where a storage is: `STORAGE:SIZE` in gibibytes.

use super::super::pvesm;
use super::super::worker::{Failure, died};
use super::Asked;
use crate::description::GuestKind;
use crate::world::guests::is_drive;
use crate::world::volumes::Volume;

/// Of an image that is imported, whatever it is.
const IMAGE: u64 = 3;

/// What a drive's value became, and what is said of it.
pub(super) struct Made {
    pub(super) value: String,
    pub(super) line: String,
}

/// Makes the volume that a drive's value asks for, if it asks for one.
pub(super) fn make(asked: &Asked<'_>, key: &str, value: &str) -> Result<Option<Made>, Failure> {
    if !is_drive(asked.kind, key) {
        return Ok(None);
    }
    let (volume, options) = value.split_once(',').unwrap_or((value, ""));
    let Some((storage, wanted)) = volume.split_once(':') else {
        return Ok(None);
    };
    let cloudinit = wanted == "cloudinit";
    let Some(gib) = wanted.parse::<u64>().ok().or(cloudinit.then_some(0)) else {
        return Ok(None);
    };
    let mut kept: Vec<&str> = options.split(',').filter(|part| !part.is_empty()).collect();
    let import = kept
        .iter()
        .find_map(|part| part.strip_prefix("import-from="))
        .map(str::to_owned);
    kept.retain(|part| !part.starts_with("import-from="));
    let gib = match &import {
        Some(path) => {
            let there = asked
                .call
                .server(|server, _| server.root.join(path.trim_start_matches('/')).is_file())
                .unwrap_or(false);
            if path.starts_with('/') && !there {
                // Source: pve-storage Storage.pm (`abs_filesystem_path`), by qemu-server API2/Qemu.pm (`create_disks`).
                return died(format!("can't find file '{path}'"));
            }
            IMAGE
        }
        None => gib,
    };
    let name = allocate(asked, storage, gib, cloudinit)?;
    let size = if cloudinit { "4M".to_owned() } else { format!("{gib}G") };
    if cloudinit {
        kept.push("media=cdrom");
    }
    let size_part = format!("size={size}");
    kept.push(&size_part);
    kept.sort_unstable();
    let value = format!("{storage}:{name},{}", kept.join(","));
    let verb = if import.is_some() { "imported" } else { "created" };
    let line = match asked.kind {
        GuestKind::Qemu => format!("{key}: successfully {verb} disk '{value}'\n"),
        GuestKind::Lxc => String::new(),
    };
    Ok(Some(Made { value, line }))
}

fn allocate(asked: &Asked<'_>, id: &str, gib: u64, cloudinit: bool) -> Result<String, Failure> {
    let (vmid, node) = (asked.vmid, asked.call.node);
    let allocated = asked.call.world.with(|state| {
        let server = state.get(node).ok_or("no such server")?;
        let section = server
            .storage(id)
            .ok_or_else(|| format!("storage '{id}' does not exist"))?;
        if !section.is_for(server.name()) {
            return Err(format!("storage '{id}' is not available on node '{}'", server.name()));
        }
        let content = section.get("content").unwrap_or("images,rootdir");
        let wanted = match asked.kind {
            GuestKind::Qemu => "images",
            GuestKind::Lxc => "rootdir",
        };
        if !content.split(',').any(|kind| kind == wanted) {
            return Err(format!("storage '{id}' does not support content-type '{wanted}'"));
        }
        pvesm::activate(server, &section)?;
        let kind = match asked.kind {
            GuestKind::Qemu => "vm",
            GuestKind::Lxc => "subvol",
        };
        let pool = section
            .get("pool")
            .filter(|_| section.kind == "zfspool")
            .map(str::to_owned);
        // Names of other kinds of storages are taken by what configurations name.
        let named = |name: &str| {
            let volid = format!("{id}:{name}");
            server
                .pmxcfs
                .replica
                .guests
                .values()
                .any(|guest| guest.conf.contains(&volid))
        };
        let taken = |name: &str| match &pool {
            Some(pool) => server.volume(&format!("{pool}/{name}")).is_some(),
            None => named(name),
        };
        let name = if cloudinit {
            format!("vm-{vmid}-cloudinit")
        } else {
            let mut names = (0..1000).map(|number| format!("{kind}-{vmid}-disk-{number}"));
            names.find(|name| !taken(name)).ok_or("no free disk name")?
        };
        if let Some(pool) = pool {
            let volume = Volume {
                size: if cloudinit { 4 << 20 } else { gib << 30 },
                ..Volume::default()
            };
            if !state.make_volume(node, &format!("{pool}/{name}"), volume) {
                return Err(format!("could not activate storage '{id}'"));
            }
        }
        Ok(name)
    });
    allocated.map_err(Failure::Died)
}
