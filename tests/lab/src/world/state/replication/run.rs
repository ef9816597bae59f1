//! One run of a job. Source: pve-guest-common Replication.pm (`replicate`).

use std::time::Duration;

use super::base::{Choice, Known, choose, received};
use super::{Fault, State, no_lock};
use crate::description::GuestKind;
use crate::tools::pvesm;
use crate::world::datacenter;
use crate::world::guest_times as times;
use crate::world::guests::{Drive, Guest};
use crate::world::oplog::What;
use crate::world::replication::jobs::Job;
use crate::world::replication::{Run, Step, Wanted, prefix, snapshot_name};
use crate::world::server::Server;
use crate::world::volumes::{Snapshot, WRITE, is_shared, owner};
use crate::world::zfs::fresh_guid;

/// Volumes of a guest that a job copies: dataset and volume id.
type Volumes = Vec<(String, String)>;

impl State {
    /// The first half of a run: everything up to the snapshots. Its log begins anew.
    pub(super) fn begin_run(&mut self, index: usize, wanted: &Wanted) -> Result<Run, Fault> {
        let failed = |why: String| Fault::Failed(why);
        let id = wanted.job.as_str();
        let server = self.get(index).ok_or_else(|| failed("no such server".to_owned()))?;
        let Some(job) = server.pmxcfs.replica.job(id) else {
            return Err(Fault::Locked(format!("no such job '{id}'")));
        };
        let vmid = job.guest();
        let held = server.replication.migrating.contains(&vmid);
        if held && !wanted.in_migration {
            return Err(Fault::Locked(no_lock(vmid)));
        }
        if let Some(how) = job.removal() {
            let full = how == "full";
            return self.begin_removal(index, &job, full).map_err(failed);
        }
        if job.disabled() && !wanted.in_migration {
            return Err(Fault::Locked(format!("job '{id}' is disabled")));
        }
        let guest = server.pmxcfs.replica.guests.get(&vmid);
        let Some(guest) = guest.filter(|guest| guest.node == server.name()).cloned() else {
            return Err(Fault::Locked(match guest {
                Some(_) => format!("guest '{vmid}' is not on local node"),
                None => format!("no such guest '{vmid}'"),
            }));
        };
        if job.target() == server.name() {
            return Err(failed("unable to sync to local node".to_owned()));
        }
        let start = self.fresh_start(index, &job);
        let last_sync = self.note_start(index, &job, start);
        let begun = self.prepare(index, &job, &guest, (start, last_sync));
        begun
            .map(|run| Run {
                in_migration: wanted.in_migration,
                ..run
            })
            .map_err(failed)
    }

    /// Who tries, and when; what the last sync was.
    fn note_start(&mut self, index: usize, job: &Job, start: i64) -> i64 {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return 0;
        };
        let (name, pid) = (server.name().to_owned(), server.pid());
        let states = server.replication.states.entry(job.guest()).or_default();
        let state = states.entry(job.target().to_owned()).or_default();
        state.last_node = name;
        state.last_try = start;
        state.last_iteration = state.last_iteration.max(start);
        state.tried_at = Some(now);
        state.pid = Some(pid);
        let last_sync = state.last_sync;
        server.keep_replication();
        server.replication_log(&job.id, true, "start replication job");
        last_sync
    }

    fn prepare(
        &mut self,
        index: usize,
        job: &Job,
        guest: &Guest,
        (start, last_sync): (i64, i64),
    ) -> Result<Run, String> {
        let vmid = job.guest();
        if start <= last_sync {
            return Err(format!(
                "start time before last sync ({start} <= {last_sync}) - abort sync"
            ));
        }
        let server = self.get(index).ok_or("no such server")?;
        let volumes = replicatable(server, guest, vmid)?;
        let word = if guest.kind == GuestKind::Qemu { "VM" } else { "CT" };
        let pid = server.running.get(&vmid).map_or(0, |process| process.pid);
        let volids: Vec<&str> = volumes.iter().map(|(_, volid)| volid.as_str()).collect();
        let list = volids.join(",");
        server.replication_log(
            &job.id,
            false,
            &format!("guest => {word} {vmid}, running => {pid}\nvolumes => {list}"),
        );
        let road = datacenter::road(&server.pmxcfs.replica, true)?;
        let target = self
            .find(job.target())
            .ok_or_else(|| format!("no such cluster node '{}'", job.target()))?;
        if !self.reaches(index, target) {
            let node = job.target();
            let spoken = volids.join(" ");
            return Err(format!(
                "command '/usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={node}' root@{} -- pvesr prepare-local-job {} {spoken} \
                 --last_sync {last_sync}' failed: exit code 255",
                road.network.address_of(target),
                job.id
            ));
        }
        self.check_target(index, target, job, &volumes)?;
        self.clear_stale(index, job, &volumes, last_sync);
        self.clear_stale(target, job, &volumes, last_sync);
        self.free_strangers(target, job, &volumes);
        let choices = self.choices(index, target, job, guest, &volumes, last_sync)?;
        let name = snapshot_name(&job.id, start);
        let number = self.number_of(index, vmid);
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let (mut steps, mut bytes, mut lines) = (Vec::new(), 0, String::new());
        for ((dataset, volid), base) in volumes.into_iter().zip(choices) {
            let fresh = Snapshot {
                name: name.clone(),
                guid: fresh_guid(),
                number,
                at: start,
            };
            let Some(volume) = server.volume_mut(&dataset) else {
                return Err(format!("zfs error: cannot open '{dataset}': dataset does not exist"));
            };
            volume.snapshots.push(fresh.clone());
            bytes += match &base {
                Some(base) => number.saturating_sub(base.number).max(1) * WRITE,
                None => volume.size / times::FILLED,
            };
            lines.push_str(&format!("create snapshot '{name}' on {volid}\n"));
            steps.push(Step {
                dataset,
                volid,
                base,
                fresh,
            });
        }
        let way = if road.insecure { "insecure" } else { "secure" };
        let limit = job.rate().map_or("none".to_owned(), |rate| format!("{rate} MByte/s"));
        lines.push_str(&format!("using {way} transmission, rate limit: {limit}\n"));
        for step in &steps {
            lines.push_str(&match &step.base {
                Some(base) => format!("incremental sync '{}' ({} => {name})\n", step.volid, base.name),
                None => format!("full sync '{}' ({name})\n", step.volid),
            });
        }
        server.replication_log(&job.id, false, &lines);
        let takes = times::REPLICATES + times::transfer(bytes, road.rate(job.rate()));
        Ok(Run {
            job: job.id.clone(),
            vmid,
            target,
            removes: false,
            start,
            began: self.now,
            ends: self.now + takes,
            in_migration: false,
            steps,
        })
    }

    /// `pvesr prepare-local-job` on the target, as far as it refuses.
    fn check_target(&self, index: usize, target: usize, job: &Job, volumes: &Volumes) -> Result<(), String> {
        let (Some(server), Some(there)) = (self.get(index), self.get(target)) else {
            return Err("no such server".to_owned());
        };
        if !there.pmxcfs.running {
            return Err("prepare remote node failed - no result".to_owned());
        }
        if there.guest(job.guest()).is_some() {
            return Err(format!("guest '{}' is on local node", job.guest()));
        }
        for (_, volid) in volumes {
            let id = volid.split(':').next().unwrap_or_default();
            let section = server
                .storage(id)
                .ok_or_else(|| format!("storage '{id}' does not exist"))?;
            if !section.is_for(there.name()) || pvesm::activate(there, &section).is_err() {
                return Err(format!("storage '{id}' is not available on node '{}'", there.name()));
            }
        }
        Ok(())
    }

    /// Snapshots of this job that an earlier run left, but never the one that is needed.
    fn clear_stale(&mut self, index: usize, job: &Job, volumes: &Volumes, last_sync: i64) {
        let (prefix, last) = (prefix(&job.id), snapshot_name(&job.id, last_sync));
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        for (dataset, _) in volumes {
            if last_sync > 0
                && let Some(volume) = server.volume_mut(dataset)
                && volume.snapshot(&last).is_some()
            {
                volume
                    .snapshots
                    .retain(|snapshot| !snapshot.name.starts_with(&prefix) || snapshot.name == last);
            }
        }
    }

    /// Copies that this job made of volumes that the guest does not have any more.
    fn free_strangers(&mut self, target: usize, job: &Job, volumes: &Volumes) {
        let prefix = prefix(&job.id);
        let Some(server) = self.servers.get_mut(target) else {
            return;
        };
        for (dataset, volume) in server.volumes_of(job.guest()) {
            let ours = volume
                .snapshots
                .iter()
                .any(|snapshot| snapshot.name.starts_with(&prefix));
            if ours && !volumes.iter().any(|(known, _)| *known == dataset) {
                server.drop_volume(&dataset);
            }
        }
    }

    /// By volume: the snapshot to go on from.
    fn choices(
        &self,
        index: usize,
        target: usize,
        job: &Job,
        guest: &Guest,
        volumes: &Volumes,
        last_sync: i64,
    ) -> Result<Vec<Option<Snapshot>>, String> {
        let (Some(server), Some(there)) = (self.get(index), self.get(target)) else {
            return Err("no such server".to_owned());
        };
        let configured = snapshots_of(guest);
        let known = Known {
            job: &job.id,
            last_sync,
            parent: guest.value("parent"),
            configured: &configured,
        };
        let (mut choices, mut none) = (Vec::new(), Vec::new());
        for (dataset, volid) in volumes {
            let here = server
                .volume(dataset)
                .ok_or_else(|| format!("zfs error: cannot open '{dataset}': dataset does not exist"))?;
            match choose(&known, here, there.volume(dataset)) {
                Choice::Full => choices.push(None),
                Choice::From(base) => choices.push(Some(base)),
                Choice::NoCommon => none.push(volid.as_str()),
                Choice::InTheWay => return Err(format!("volume '{dataset}' already exists")),
            }
        }
        if none.is_empty() {
            return Ok(choices);
        }
        Err(format!(
            "No common base snapshot on volume(s) {}\nPlease remove the problematic volume(s) from the replication target or delete and \
             re-create the whole job {}",
            none.join(","),
            job.id
        ))
    }

    /// The second half: the target has it all, old snapshots go, and it is written down.
    pub(super) fn finish_run(&mut self, index: usize, run: &Run) -> Result<(), String> {
        if run.removes {
            return self.finish_removal(index, run);
        }
        if self.guest_runs(run.target, run.vmid) {
            // It ran on there when it was taken away: nothing can be received into a volume that is in use.
            return Err("cannot receive incremental stream: dataset is busy".to_owned());
        }
        let mut discarded = Vec::new();
        for step in &run.steps {
            let (Some(here), Some(target)) = (
                self.get(index).and_then(|server| server.volume(&step.dataset).cloned()),
                self.servers.get_mut(run.target),
            ) else {
                return Err(super::broken_pipe(run));
            };
            let there = target.volume(&step.dataset).cloned();
            let left = received(&here, there.as_ref(), step.base.as_ref(), &step.fresh);
            let kept = step.base.as_ref().map_or(0, |base| base.number);
            if let Some(there) = there.filter(|there| there.number > kept) {
                discarded.push(format!("{} from {} back to {kept}", step.dataset, there.number));
            }
            if !target.put_volume(&step.dataset, left) {
                return Err(super::broken_pipe(run));
            }
        }
        for text in discarded {
            // Only a migration brings what was written here there before.
            self.note(Some(run.target), What::WritesDiscarded, text);
        }
        self.note_success(index, run);
        Ok(())
    }

    fn note_success(&mut self, index: usize, run: &Run) {
        let took = self.now.saturating_sub(run.began).max(Duration::from_millis(1));
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(job) = server.pmxcfs.replica.job(&run.job) else {
            return;
        };
        let states = server.replication.states.entry(run.vmid).or_default();
        let state = states.entry(job.target().to_owned()).or_default();
        let before = std::mem::replace(&mut state.last_sync, run.start);
        state.synced_by.clone_from(&state.last_node);
        state.fail_count = 0;
        state.error = None;
        state.pid = None;
        state.duration = took.as_secs_f64();
        let storages = run.steps.iter().filter_map(|step| step.volid.split(':').next());
        let mut storages: Vec<String> = storages.map(str::to_owned).collect();
        storages.dedup();
        state.storages = storages;
        server.keep_replication();
        let old = snapshot_name(&run.job, before);
        let mut lines = String::new();
        for step in &run.steps {
            if before > 0 {
                lines.push_str(&format!(
                    "delete previous replication snapshot '{old}' on {}\n",
                    step.volid
                ));
            }
        }
        lines.push_str("end replication job");
        server.replication_log(&run.job, false, &lines);
        if before > 0 {
            for index in [index, run.target] {
                self.drop_snapshot(index, run, &old);
            }
        }
        let number = run.steps.iter().map(|step| step.fresh.number).max().unwrap_or(0);
        let text = format!("{} to {} up to {number}", run.job, job.target());
        self.note(Some(index), What::Replicated, text);
    }

    fn drop_snapshot(&mut self, index: usize, run: &Run, name: &str) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        for step in &run.steps {
            if let Some(volume) = server.volume_mut(&step.dataset) {
                volume.snapshots.retain(|snapshot| snapshot.name != name);
            }
        }
    }
}

/// Names of the snapshots in a guest's configuration.
fn snapshots_of(guest: &Guest) -> Vec<String> {
    let sections = guest
        .conf
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    sections.filter(|name| *name != "PENDING").map(str::to_owned).collect()
}

/// What a job copies of a guest. Source: qemu-server QemuConfig.pm and pve-container LXC/Config.pm (`get_replicatable_volumes`).
pub(crate) fn replicatable(server: &Server, guest: &Guest, vmid: u32) -> Result<Volumes, String> {
    let mut found = Volumes::new();
    let wanted = |drive: &&Drive| !drive.cdrom && drive.replicate;
    let drives = guest.drives();
    for drive in drives.iter().filter(wanted) {
        let Some(id) = &drive.storage else {
            return Err(match guest.kind {
                GuestKind::Qemu => format!("unable to replicate local file/device '{}'", drive.name),
                GuestKind::Lxc => "unable to replicate mountpoint type 'bind'".to_owned(),
            });
        };
        let section = server
            .storage(id)
            .ok_or_else(|| format!("storage '{id}' does not exist"))?;
        if is_shared(&section) {
            continue;
        }
        let Some(dataset) = server.dataset_of(drive) else {
            if drive.unused {
                continue;
            }
            return Err(format!("missing replicate feature on volume '{}'", drive.volid()));
        };
        if owner(&dataset) == Some(vmid) {
            found.push((dataset, drive.volid()));
        }
    }
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}
