//! Guests start, write, stop and move. The HA manager's world calls this, and so do the guests' tools.

use std::time::Duration;

use super::State;
use crate::description::GuestKind;
use crate::plants::StorageIs;
use crate::tools::pvesm;
use crate::world::guest_times as times;
use crate::world::guests::{Drive, Guest, Process, Writer, next_version};
use crate::world::oplog::What;
use crate::world::server::Server;
use crate::world::under_ha;
use crate::world::volumes::{Home, Volume, WRITE, owner};

/// What PVE says of a guest that is not on this server.
pub(crate) fn no_conf(node: &str, kind: GuestKind, vmid: u32) -> String {
    let folder = match kind {
        GuestKind::Qemu => "qemu-server",
        GuestKind::Lxc => "lxc",
    };
    format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist")
}

impl State {
    /// Does its process run on this server?
    pub(crate) fn guest_runs(&self, index: usize, vmid: u32) -> bool {
        self.get(index).is_some_and(|server| server.running.contains_key(&vmid))
    }

    /// The last numbered write of a guest on this server: of its process, or what its disks here hold.
    pub(crate) fn number_of(&self, index: usize, vmid: u32) -> u64 {
        let Some(server) = self.get(index) else { return 0 };
        if let Some(process) = server.running.get(&vmid) {
            return process.number(self.now);
        }
        let guest = server.pmxcfs.replica.guests.get(&vmid);
        let home = guest.map_or(Home::Local, |guest| server.home_of(guest));
        let in_pools = server.volumes_of(vmid).iter().map(|(_, volume)| volume.number).max();
        match (home, in_pools) {
            (Home::Shared, _) => self.shared_numbers.get(&vmid).copied().unwrap_or(0),
            (Home::Pool, Some(number)) => number,
            _ => server.numbers.get(&vmid).copied().unwrap_or(0),
        }
    }

    /// Why a guest can't be started on this server, if it can't.
    pub(crate) fn start_guest_refusal(&self, index: usize, vmid: u32) -> Option<String> {
        let server = self.get(index)?;
        let known = server.pmxcfs.replica.guests.get(&vmid);
        let Some(guest) = server.guest(vmid) else {
            let kind = known.map_or(GuestKind::Qemu, |guest| guest.kind);
            return Some(no_conf(server.name(), kind, vmid));
        };
        let word = match guest.kind {
            GuestKind::Qemu => "VM",
            GuestKind::Lxc => "CT",
        };
        if guest.is_template() {
            return Some(match guest.kind {
                GuestKind::Qemu => "you can't start a vm if it's a template".to_owned(),
                GuestKind::Lxc => "you can't start a CT if it's a template".to_owned(),
            });
        }
        if let Some(lock) = guest.lock() {
            return Some(format!("{word} is locked ({lock})"));
        }
        if server.running.contains_key(&vmid) {
            return Some(match guest.kind {
                GuestKind::Qemu => format!("VM {vmid} already running"),
                GuestKind::Lxc => format!("CT {vmid} already running"),
            });
        }
        let drives = guest.drives();
        let mut used = drives.iter().filter(|drive| !drive.unused);
        used.find_map(|drive| drive_refusal(server, drive))
    }

    /// Its process begins, without a question.
    pub(crate) fn start_guest_now(&mut self, index: usize, vmid: u32) {
        if self.guest_runs(index, vmid) {
            return;
        }
        self.make_cloudinit(index, vmid);
        let (base, now) = (self.number_of(index, vmid), self.now);
        let writer = Writer {
            resumed: base,
            run: crate::world::random(),
        };
        self.begin(index, vmid, base, now, writer);
        if let Some(number) = self.numbers_told.remove(&vmid) {
            self.note(Some(index), What::NumbersTold, format!("{vmid} up to {number}"));
        }
        let sid = self.sid(index, vmid);
        self.note(Some(index), What::GuestStarted, format!("{sid} at {base}"));
    }

    fn begin(&mut self, index: usize, vmid: u32, base: u64, since: Duration, writer: Writer) {
        if let Some(server) = self.servers.get_mut(index) {
            let pid = server.pid();
            let process = Process {
                pid,
                since,
                base,
                writer,
            };
            server.running.insert(vmid, process);
        }
    }

    /// A machine's disc with what cloud-init reads, where it is missing: PVE makes it at every start.
    fn make_cloudinit(&mut self, index: usize, vmid: u32) {
        let missing: Vec<String> = self.get(index).map_or_else(Vec::new, |server| {
            let drives = server.guest(vmid).map_or_else(Vec::new, Guest::drives);
            let datasets = drives
                .iter()
                .filter(|drive| drive.is_cloudinit())
                .filter_map(|drive| server.dataset_of(drive));
            datasets.filter(|dataset| server.volume(dataset).is_none()).collect()
        });
        for dataset in missing {
            let volume = Volume {
                size: 4 << 20,
                ..Volume::default()
            };
            self.make_volume(index, &dataset, volume);
        }
    }

    /// Its process ends, in order or not: what it has written stays on its disks.
    pub(crate) fn stop_guest_now(&mut self, index: usize, vmid: u32) {
        let sid = self.sid(index, vmid);
        if let Some(number) = self.end_process(index, vmid) {
            self.note(Some(index), What::GuestStopped, format!("{sid} at {number}"));
        }
    }

    fn end_process(&mut self, index: usize, vmid: u32) -> Option<u64> {
        let now = self.now;
        let server = self.servers.get_mut(index)?;
        let number = server.running.remove(&vmid)?.number(now);
        self.persist(index, vmid, number);
        Some(number)
    }

    /// Brings a guest's disks on this server up to a number.
    fn persist(&mut self, index: usize, vmid: u32, number: u64) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let guest = server.pmxcfs.replica.guests.get(&vmid);
        let shared = guest.is_none_or(|guest| server.home_of(guest) == Home::Shared);
        for pool in &mut server.pools {
            let own = pool.volumes.iter_mut().filter(|(name, _)| owner(name) == Some(vmid));
            own.for_each(|(_, volume)| volume.number = number);
        }
        server.numbers.insert(vmid, number);
        if shared {
            self.shared_numbers.insert(vmid, number);
        }
    }

    /// A server goes: all guests on it end.
    pub(super) fn end_all_guests(&mut self, index: usize) {
        let running: Vec<u32> = self
            .get(index)
            .map_or_else(Vec::new, |server| server.running.keys().copied().collect());
        for vmid in running {
            self.stop_guest_now(index, vmid);
        }
        if let Some(server) = self.servers.get_mut(index) {
            server.replication.forget_runs();
        }
    }

    /// Servers that booted start their guests once they are quorate: what they knew before is of the past.
    pub(super) fn start_guests_when_quorate(&mut self) {
        let now = self.now;
        for index in self.booted.keys().copied().collect::<Vec<_>>() {
            let there = self
                .get(index)
                .filter(|server| !server.power.off && server.pmxcfs.running);
            match there.map(|server| server.pmxcfs.writable()) {
                None => {
                    self.booted.remove(&index);
                }
                Some(false) => {
                    self.booted.insert(index, None);
                }
                Some(true) => {
                    let since = *self.booted.entry(index).or_default().get_or_insert(now);
                    if now.saturating_sub(since) >= times::SETTLES {
                        self.booted.remove(&index);
                        self.start_guests_at_boot(index);
                    }
                }
            }
        }
    }

    /// What PVE starts at boot: `onboot` guests that HA does not look after. Source: pve-manager PVE/API2/Nodes.pm (`startall`).
    fn start_guests_at_boot(&mut self, index: usize) {
        let Some(server) = self.get(index) else { return };
        let replica = &server.pmxcfs.replica;
        let wanted: Vec<u32> = server
            .guests()
            .filter(|(vmid, guest)| {
                guest.value("onboot") == Some("1")
                    && !guest.is_template()
                    && !under_ha::is_listed(replica, guest.kind, *vmid)
            })
            .map(|(vmid, _)| vmid)
            .collect();
        for vmid in wanted {
            if self.start_guest_refusal(index, vmid).is_none() {
                self.start_guest_now(index, vmid);
            }
        }
    }

    /// What a migration that went well has done in the end: the configuration lies on `to`, and the guest runs there if it ran. A
    /// copy that replication keeps on `to` is brought up to date first, what is left on `from` becomes the copy, and the job leads
    /// back; other volumes are copied, and removed on `from`.
    ///
    /// # Errors
    /// What PVE says; nothing was moved then.
    pub(crate) fn move_guest(&mut self, vmid: u32, from: usize, to: usize, online: bool) -> Result<(), String> {
        let (old, new) = self.names(from, to)?;
        let server = self.get(from).ok_or("no such server")?;
        let guest = server
            .guest(vmid)
            .cloned()
            .ok_or_else(|| no_conf(&old, GuestKind::Qemu, vmid))?;
        if from == to {
            return Err("target is local node.".to_owned());
        }
        if !server.pmxcfs.writable() {
            return Err("cluster not ready - no quorum?".to_owned());
        }
        let runs = server.running.contains_key(&vmid);
        if runs && !online {
            return Err(if guest.kind == GuestKind::Lxc {
                "can't migrate running container without --online or --restart".to_owned()
            } else {
                "can't migrate running VM without --online".to_owned()
            });
        }
        if !self.reaches(from, to) {
            return Err("Can't connect to destination address using public key".to_owned());
        }
        let copied = self.copied((vmid, &guest), from, to, &new)?;
        self.replicate_now(vmid, from, &new)?;
        let number = self.number_of(from, vmid);
        self.hand_over(vmid, (from, to), &copied, number);
        if runs {
            // The same programs go on.
            let writer = self
                .get(from)
                .and_then(|server| server.running.get(&vmid))
                .map(|process| process.writer);
            self.end_process(from, vmid);
            let writer = writer.unwrap_or(Writer {
                resumed: number,
                run: crate::world::random(),
            });
            self.begin(to, vmid, number, self.now, writer);
        }
        let moved = self.write(from, |replica| {
            let version = next_version(&replica.guests);
            if let Some(guest) = replica.guests.get_mut(&vmid) {
                guest.node.clone_from(&new);
                guest.version = version;
                for one in &copied {
                    guest.conf = guest.conf.replace(&one.volid, &one.named);
                }
            }
            replica.turn_jobs(vmid, &new, Some(&old));
        });
        moved.map_err(|_| "cluster not ready - no quorum?".to_owned())?;
        let sid = self.sid(to, vmid);
        self.note(Some(to), What::GuestMoved, format!("{sid} from {old} at {number}"));
        Ok(())
    }

    /// HA's recovery: the configuration is taken from a server that is gone, and no more.
    ///
    /// # Errors
    /// When it does not lie there, or /etc/pve may not be written.
    pub(crate) fn steal_guest(&mut self, writer: usize, vmid: u32, from: &str, to: &str) -> Result<(), String> {
        let kind = self
            .get(writer)
            .and_then(|server| server.pmxcfs.replica.guests.get(&vmid))
            .filter(|guest| guest.node == from)
            .map(|guest| guest.kind)
            .ok_or_else(|| no_conf(from, GuestKind::Qemu, vmid))?;
        let moved = self.write(writer, |replica| {
            let version = next_version(&replica.guests);
            if let Some(guest) = replica.guests.get_mut(&vmid) {
                to.clone_into(&mut guest.node);
                guest.version = version;
            }
        });
        moved.map_err(|_| "Permission denied".to_owned())?;
        let sid = under_ha::sid(kind, vmid);
        self.note(self.find(to), What::GuestRecovered, format!("{sid} from {from}"));
        Ok(())
    }

    /// How long a migration takes altogether.
    pub(crate) fn move_takes(&self, vmid: u32, from: usize, to: usize, online: bool) -> Duration {
        let Some(server) = self.get(from) else {
            return Duration::ZERO;
        };
        let runs = online && server.running.contains_key(&vmid);
        let rest = if runs { times::LIVE } else { times::MOVES };
        rest + times::CLEARS_UP + self.copy_takes(vmid, from, to)
    }

    /// How long it takes to copy what replication does not keep on the target, and to bring up to date what it does.
    pub(crate) fn copy_takes(&self, vmid: u32, from: usize, to: usize) -> Duration {
        let (Ok((_, new)), Some(server)) = (self.names(from, to), self.get(from)) else {
            return Duration::ZERO;
        };
        let Some(guest) = server.guest(vmid) else {
            return Duration::ZERO;
        };
        let rate = self.migration_rate(from);
        if self.job_to(from, vmid, &new).is_some() {
            let held = self.get(to).map_or_else(Vec::new, |target| target.volumes_of(vmid));
            let behind = held.iter().map(|(_, volume)| volume.number).min();
            let bytes = match behind {
                Some(number) => self.number_of(from, vmid).saturating_sub(number) * WRITE,
                None => server
                    .volumes_of(vmid)
                    .iter()
                    .map(|(_, volume)| volume.size / times::FILLED)
                    .sum(),
            };
            return times::REPLICATES + times::transfer(bytes, rate);
        }
        let local = guest.drives().into_iter().filter(|drive| is_local(server, drive));
        let bytes: u64 = local.map(|drive| drive.size / times::FILLED).sum();
        times::transfer(bytes, rate)
    }

    fn migration_rate(&self, from: usize) -> u64 {
        let road = self
            .get(from)
            .and_then(|server| crate::world::datacenter::road(&server.pmxcfs.replica, false).ok());
        road.map_or(times::PUBLIC_RATE, |road| road.rate(None))
    }

    /// Volumes in pools that go over as they are: nothing keeps a copy of them on the target.
    fn copied(&self, (vmid, guest): (u32, &Guest), from: usize, to: usize, new: &str) -> Result<Vec<Copied>, String> {
        let (Some(server), Some(target)) = (self.get(from), self.get(to)) else {
            return Err("no such server".to_owned());
        };
        // What cloud-init reads goes along under its own name, and is no part of replication. Source: qemu-server QemuMigrate.pm
        // (`scan_local_volumes`, `sync_offline_local_volumes`).
        let moves = |drive: &Drive| !drive.cdrom || drive.is_cloudinit();
        let drives: Vec<Drive> = guest.drives().into_iter().filter(moves).collect();
        let replicated = self.job_to(from, vmid, new).is_some();
        let mut copied = Vec::new();
        for drive in &drives {
            let Some(id) = &drive.storage else { continue };
            let section = server
                .storage(id)
                .ok_or_else(|| format!("storage '{id}' does not exist"))?;
            if !section.is_for(new) {
                return Err(format!("storage '{id}' is not available on node '{new}'"));
            }
            let Some(dataset) = server.dataset_of(drive) else {
                continue;
            };
            if replicated && drive.replicate && !drive.cdrom {
                continue;
            }
            if drive.is_cloudinit() && server.volume(&dataset).is_none() {
                continue;
            }
            let failed = |why: String| {
                format!(
                    "storage migration for '{}' to storage '{id}' failed - {why}",
                    drive.volid()
                )
            };
            if server.volume(&dataset).is_none() {
                return Err(failed(format!(
                    "zfs error: cannot open '{dataset}': dataset does not exist"
                )));
            }
            pvesm::activate(target, &section).map_err(failed)?;
            copied
                .push(Copied::of(target, vmid, drive, dataset).ok_or_else(|| failed("no free disk name".to_owned()))?);
        }
        Ok(copied)
    }

    /// Disks are on the target as they are here.
    fn hand_over(&mut self, vmid: u32, (from, to): (usize, usize), copied: &[Copied], number: u64) {
        self.persist(from, vmid, number);
        for one in copied {
            let volume = self.get(from).and_then(|server| server.volume(&one.here).cloned());
            let Some(volume) = volume else { continue };
            if let Some(target) = self.servers.get_mut(to) {
                target.put_volume(&one.there, Volume { number, ..volume });
            }
            if let Some(source) = self.servers.get_mut(from) {
                source.drop_volume(&one.here);
            }
        }
        // The rest, which replication keeps there, got the last blocks while the guest went over.
        if let Some(target) = self.servers.get_mut(to) {
            for pool in &mut target.pools {
                let own = pool.volumes.iter_mut().filter(|(name, _)| owner(name) == Some(vmid));
                own.for_each(|(_, volume)| volume.number = number);
            }
            target.numbers.insert(vmid, number);
        }
        let (Ok((old, new)), Some(source)) = (self.names(from, to), self.servers.get_mut(from)) else {
            return;
        };
        // The state goes over, and what was known of the way there is known of the way back.
        if let Some(mut states) = source.replication.states.remove(&vmid) {
            if let Some(state) = states.remove(&new) {
                states.insert(old, state);
            }
            source.keep_replication();
            if let Some(target) = self.servers.get_mut(to) {
                target.replication.states.insert(vmid, states);
                target.keep_replication();
            }
        }
    }

    pub(crate) fn names(&self, from: usize, to: usize) -> Result<(String, String), String> {
        let name = |index: usize| self.get(index).map(|server| server.name().to_owned());
        match (name(from), name(to)) {
            (Some(from), Some(to)) => Ok((from, to)),
            _ => Err("no such server".to_owned()),
        }
    }

    /// `vm:100`, of a guest that is known there or was.
    pub(crate) fn sid(&self, index: usize, vmid: u32) -> String {
        let guest = self
            .get(index)
            .and_then(|server| server.pmxcfs.replica.guests.get(&vmid));
        under_ha::sid(guest.map_or(GuestKind::Qemu, |guest| guest.kind), vmid)
    }

    /// Does ssh get through, on the network that is for migrations?
    pub(crate) fn reaches(&self, from: usize, to: usize) -> bool {
        let road = self
            .get(from)
            .and_then(|server| crate::world::datacenter::road(&server.pmxcfs.replica, true).ok());
        let network = road.map_or(crate::world::server::Network::Public, |road| road.network);
        self.connected(from, to, network)
    }

    /// What configurations name lies in the pools of the servers that they lie on, unless it was somewhere before: guests that are
    /// planted have disks.
    pub(super) fn make_planted_volumes(&mut self) {
        let stamps = self.servers.iter().map(|server| {
            let pools: Vec<u64> = server.pools.iter().map(|pool| pool.guid).collect();
            (server.pmxcfs.replica.sequence, pools)
        });
        let stamps: Vec<(u64, Vec<u64>)> = stamps.collect();
        if stamps == self.planted_for {
            return;
        }
        let mut missing = Vec::new();
        for server in self
            .servers
            .iter()
            .filter(|server| !server.power.off && !server.pools.is_empty())
        {
            for (vmid, guest) in server.guests() {
                for drive in guest.drives() {
                    if let Some(dataset) = server.dataset_of(&drive)
                        && !self.volumes_made.contains(&dataset)
                        && !self.servers.iter().any(|other| other.holds(&dataset))
                    {
                        missing.push((server.index, vmid, dataset, drive.size));
                    }
                }
            }
        }
        for (index, vmid, dataset, size) in missing {
            let number = self
                .get(index)
                .and_then(|server| server.numbers.get(&vmid))
                .copied()
                .unwrap_or(0);
            let volume = Volume {
                size,
                number,
                snapshots: Vec::new(),
            };
            if let Some(server) = self.servers.get_mut(index)
                && server.put_volume(&dataset, volume)
            {
                self.volumes_made.insert(dataset);
            }
        }
        self.planted_for = stamps;
    }

    /// A volume is made on purpose; no plant makes it again when it goes.
    pub(crate) fn make_volume(&mut self, index: usize, dataset: &str, volume: Volume) -> bool {
        self.volumes_made.insert(dataset.to_owned());
        let server = self.servers.get_mut(index);
        server.is_some_and(|server| server.put_volume(dataset, volume))
    }
}

/// A volume that goes over as it is.
struct Copied {
    /// Where it lies, and where it will.
    here: String,
    there: String,
    /// What the configuration calls it, and will.
    volid: String,
    named: String,
}

impl Copied {
    /// What lies there by that name is left alone: then it gets another one, also what cloud-init reads, which is an ordinary disc from then on. Source:
    /// qemu-server QemuMigrate.pm (`allow_rename`), pve-storage ZFSPoolPlugin.pm (`volume_import`, `find_free_diskname`).
    fn of(target: &crate::world::server::Server, vmid: u32, drive: &Drive, here: String) -> Option<Self> {
        let volid = drive.volid();
        if target.volume(&here).is_none() {
            return Some(Self {
                there: here.clone(),
                here,
                named: volid.clone(),
                volid,
            });
        }
        let (pool, _) = here.rsplit_once('/')?;
        let mut names = (0..1000).map(|number| format!("vm-{vmid}-disk-{number}"));
        let name = names.find(|name| target.volume(&format!("{pool}/{name}")).is_none())?;
        Some(Self {
            there: format!("{pool}/{name}"),
            named: format!("{}:{name}", drive.storage.as_deref()?),
            volid,
            here,
        })
    }
}

/// On this server's own storage, so that it has to be copied.
fn is_local(server: &Server, drive: &Drive) -> bool {
    let section = drive.storage.as_deref().and_then(|id| server.storage(id));
    !drive.cdrom && section.is_some_and(|section| !crate::world::volumes::is_shared(&section))
}

/// Why a drive keeps a guest from starting. Source: pve-storage Storage.pm (`activate_storage`), ZFSPoolPlugin.pm (`activate_volume`).
fn drive_refusal(server: &Server, drive: &Drive) -> Option<String> {
    let id = drive.storage.as_deref()?;
    let Some(section) = server.storage(id) else {
        return Some(format!("storage '{id}' does not exist"));
    };
    if !section.is_for(server.name()) {
        return Some(format!("storage '{id}' is not available on node '{}'", server.name()));
    }
    if let Some(StorageIs::Away | StorageIs::Hangs) = server.hardware.storages.get(id)
        && section.kind == "lvmthin"
    {
        return Some(format!("no such logical volume {id}"));
    }
    if let Err(why) = pvesm::activate(server, &section) {
        return Some(why);
    }
    let dataset = server.dataset_of(drive)?;
    if drive.is_cloudinit() || server.volume(&dataset).is_some() {
        return None;
    }
    // A container's is asked for at once, the device of a machine's is waited for.
    let name = dataset.rsplit('/').next().unwrap_or(&dataset);
    Some(if name.starts_with("subvol-") || name.starts_with("basevol-") {
        format!("zfs error: cannot open '{dataset}': dataset does not exist")
    } else {
        format!("{NO_DEVICE}'{name}' found after 300 sec.")
    })
}

const NO_DEVICE: &str = "timeout: no zvol device link for ";

/// How long PVE tries before it refuses to start a guest so.
pub(crate) fn refuses_after(refusal: &str) -> Duration {
    if refusal.starts_with(NO_DEVICE) {
        times::DEVICE_APPEARS
    } else {
        Duration::ZERO
    }
}
