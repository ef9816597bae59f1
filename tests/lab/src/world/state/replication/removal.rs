//! A job that is marked for removal goes, by its owner's scheduler: `local` with the snapshots here, `full` with the copy, too.

use super::State;
use crate::world::guest_times as times;
use crate::world::oplog::What;
use crate::world::replication::jobs::Job;
use crate::world::replication::{Run, prefix};

impl State {
    pub(super) fn begin_removal(&mut self, index: usize, job: &Job, full: bool) -> Result<Run, String> {
        let now = self.now;
        if let Some(server) = self.get(index) {
            server.replication_log(&job.id, true, "start replication job");
        }
        let target = self.find(job.target());
        let there = target.filter(|target| self.reaches(index, *target));
        if full && there.is_none() {
            return Err(format!(
                "command '/usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={}' -- pvesr prepare-local-job {} --force' failed: exit code 255",
                job.target(),
                job.id
            ));
        }
        Ok(Run {
            job: job.id.clone(),
            vmid: job.guest(),
            target: target.unwrap_or(index),
            removes: true,
            start: 0,
            began: now,
            ends: now + times::REPLICATES,
            in_migration: false,
            steps: Vec::new(),
        })
    }

    pub(super) fn finish_removal(&mut self, index: usize, run: &Run) -> Result<(), String> {
        let job = self.get(index).and_then(|server| server.pmxcfs.replica.job(&run.job));
        let Some(job) = job else { return Ok(()) };
        let prefix = prefix(&job.id);
        if job.removal() == Some("full") && run.target != index {
            let Some(target) = self.servers.get_mut(run.target) else {
                return Err("no such server".to_owned());
            };
            for (dataset, volume) in target.volumes_of(run.vmid) {
                // What another job made stays.
                if volume
                    .snapshots
                    .iter()
                    .any(|snapshot| snapshot.name.starts_with(&prefix))
                {
                    target.drop_volume(&dataset);
                }
            }
        }
        if let Some(server) = self.servers.get_mut(index) {
            for (dataset, _) in server.volumes_of(run.vmid) {
                if let Some(volume) = server.volume_mut(&dataset) {
                    volume.snapshots.retain(|snapshot| !snapshot.name.starts_with(&prefix));
                }
            }
            if let Some(states) = server.replication.states.get_mut(&run.vmid) {
                states.remove(job.target());
            }
            server.replication.states.retain(|_, states| !states.is_empty());
            server.keep_replication();
            server.replication_log(&job.id, false, "end replication job");
        }
        let gone = self.write(index, |replica| {
            replica.change_jobs(|jobs| jobs.retain(|other| other.id != job.id));
        });
        gone.map_err(|_| "unable to open file '/etc/pve/replication.cfg.tmp' - Permission denied".to_owned())?;
        let text = format!("{} to {} removed", job.id, job.target());
        self.note(Some(index), What::Replicated, text);
        Ok(())
    }
}
