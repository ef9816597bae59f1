//! What this server has of a guest that was recovered elsewhere is kept aside: its volumes get names that PVE takes for none of its own.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::held::GuestVolume;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::observation::{FacetName, GuestRun};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation, Timestamp};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::KeepVolumes`].
pub(super) struct KeepVolumes<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) volumes: &'a BTreeSet<GuestVolume>,
    pub(super) since: Timestamp,
}

impl Act for KeepVolumes<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Pools]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[
            FacetName::Cluster,
            FacetName::Config,
            FacetName::Running,
            FacetName::Storages,
        ]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut against = local::quorate_member(node, seen, self.cluster)
            .err()
            .unwrap_or_default();
        against.extend(self.is_held(node, seen));
        against.extend(self.runs_here(node, seen));
        against.extend(self.are_there(node, seen));
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let kept = Condition::VolumesKept {
            node: node.clone(),
            volumes: self.volumes.clone(),
            since: self.since,
        };
        local::judged(node, seen, &kept)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

impl KeepVolumes<'_> {
    fn changed(&self, message: String) -> Finding {
        Finding::new(
            Code::PlanChanged,
            format!("guest {}", self.guest),
            message,
            "quorate replication; then decide again",
        )
    }

    /// Another server owns it, and the job that would overwrite what is here is off for just that reason.
    fn is_held(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let config = match seen.config.get() {
            Ok(config) => config,
            Err(unknown) => return vec![precheck::unknown(node, "config", unknown)],
        };
        let (guests, jobs) = match (config.guests.get(), config.replication.get()) {
            (Ok(guests), Ok(jobs)) => (guests, jobs),
            (Err(unknown), _) | (_, Err(unknown)) => return vec![precheck::unknown(node, "config", unknown)],
        };
        let found = guests.iter().find(|guest| guest.guest.vmid == self.guest);
        let Some(owner) = found.map(|guest| guest.guest.node.as_str()) else {
            return vec![self.changed(format!("there is no guest {}", self.guest))];
        };
        if owner == node.as_str() {
            return vec![self.changed(format!(
                "guest {} is on {node}: its volumes there are its own",
                self.guest
            ))];
        }
        let held = |job: &ReplicationJob| {
            let held = job.held().filter(|_| job.guest == self.guest);
            held.is_some_and(|held| held.node == node.as_str() && held.since == self.since)
        };
        if jobs.iter().any(held) {
            return vec![];
        }
        let message = format!(
            "no job of guest {} says that what is on {node} is held since {}",
            self.guest, self.since
        );
        vec![self.changed(message)]
    }

    /// PVE only tells of guests that are a server's own; that no process is left here the task itself looks at.
    fn runs_here(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let running = match seen.running.get() {
            Ok(running) => running,
            Err(unknown) => return vec![precheck::unknown(node, "running", unknown)],
        };
        let mut here = running.iter().filter(|guest| guest.vmid == self.guest);
        if here.any(|guest| guest.run != GuestRun::Stopped) {
            return vec![self.changed(format!("guest {} runs on {node}", self.guest))];
        }
        vec![]
    }

    /// Each volume is one of PVE's, and is there by one of its two names, and not by both.
    fn are_there(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let pools = match seen.pools.get() {
            Ok(pools) => pools,
            Err(unknown) => return vec![precheck::unknown(node, "pools", unknown)],
        };
        let storages = match seen.storages.get() {
            Ok(storages) => storages,
            Err(unknown) => return vec![precheck::unknown(node, "storages", unknown)],
        };
        let mut against = Vec::new();
        if self.volumes.is_empty() {
            against.push(self.changed("no volume is named".to_owned()));
        }
        for volume in self.volumes {
            if volume.guest() != self.guest {
                against.push(self.changed(format!("{volume} is no volume of guest {}", self.guest)));
                continue;
            }
            if !storages.has_volume(node, volume) {
                against.push(self.changed(format!("{volume} lies on no storage of {node}: it is nothing of PVE's")));
                continue;
            }
            let name = volume.as_str().split('/').next().unwrap_or_default();
            let Some(pool) = pools.iter().find(|pool| pool.name == name) else {
                against.push(self.changed(format!("{node} has no pool {name}")));
                continue;
            };
            let there = match pool.volumes.get() {
                Ok(there) => there,
                Err(unknown) => {
                    against.push(precheck::unknown(node, "pools", unknown));
                    continue;
                }
            };
            let kept = volume.kept(self.since);
            match (there.iter().any(|one| one == volume.as_str()), there.contains(&kept)) {
                (true, false) | (false, true) => {}
                (true, true) => against.push(self.changed(format!("{node} has {kept} already, beside {volume}"))),
                (false, false) => against.push(self.changed(format!("{node} has no {volume} any more"))),
            }
        }
        against
    }
}

#[cfg(test)]
#[path = "keep_volumes_tests.rs"]
mod tests;
