//! What this server has of a canary's disc for cloud-init, since it was lost and the canary was started elsewhere, is freed. A copy that is held is let
//! go of in the same way: by what all members see now, and by no order alone.

use quorate_exec::Tools;
use quorate_model::canary::{TAG, is_tagged};
use quorate_model::canary_discs::{disc_name, is_disc_of};
use quorate_model::held::GuestVolume;
use quorate_model::ids::{ClusterName, NodeName, StorageName};
use quorate_model::observation::{FacetName, GuestKind, GuestRun};
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::FreeCanaryDisc`].
pub(super) struct FreeCanaryDisc<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) guest: u32,
    pub(super) owner: &'a NodeName,
    pub(super) storage: &'a StorageName,
    pub(super) volume: &'a GuestVolume,
}

impl Act for FreeCanaryDisc<'_> {
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
        let quorate = local::quorate_member(node, seen, self.cluster);
        let mut against = quorate.err().unwrap_or_default();
        against.extend(self.is_ours_and_elsewhere(node, seen).err());
        against.extend(self.runs_here(node, seen).err());
        against.extend(self.is_left(node, seen).err());
        against
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let gone = Condition::VolumeGone {
            node: node.clone(),
            volume: self.volume.clone(),
        };
        local::judged(node, seen, &gone)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

impl FreeCanaryDisc<'_> {
    fn refuse(&self, code: Code, message: String) -> Finding {
        let next = format!(
            "quorate guests {0}; then decide again: quorate guest clear-canary {0}",
            self.guest
        );
        Finding::new(code, format!("guest {}", self.guest), message, next)
    }

    /// By the configuration that all members have: it bears our tag, is where it was planned to be, and nothing holds it.
    fn is_ours_and_elsewhere(&self, node: &NodeName, seen: &Observation) -> Result<(), Finding> {
        let id = self.guest;
        let guests = seen.config.get().and_then(|config| config.guests.get());
        let guests = guests.map_err(|unknown| precheck::unknown(node, "config", unknown))?;
        let there = guests.iter().find(|one| one.guest.vmid == id);
        let there = there.ok_or_else(|| self.refuse(Code::PlanChanged, format!("there is no guest {id}")))?;
        if there.guest.kind != GuestKind::Vm {
            return Err(self.refuse(Code::PlanChanged, format!("guest {id} is of another kind")));
        }
        if there.guest.node == node.as_str() {
            let message = format!("guest {id} is on {node}: its disc there is its own");
            return Err(self.refuse(Code::PlanChanged, message));
        }
        if there.guest.node != self.owner.as_str() {
            let message = format!("guest {id} is on {}, not on {}", there.guest.node, self.owner);
            return Err(self.refuse(Code::PlanChanged, message));
        }
        let config = there.config.get();
        let config = config.map_err(|unknown| precheck::unknown(node, "config", unknown))?;
        if is_tagged(there) != Some(true) {
            let message = format!("guest {id} does not bear the tag {TAG}");
            return Err(self.refuse(Code::CanaryNotOurs, message));
        }
        match &config.lock {
            // It may be on its way here.
            Some(lock) => Err(self.refuse(Code::GuestLocked, format!("guest {id} is locked ({lock})"))),
            None => Ok(()),
        }
    }

    /// PVE only tells of guests that are a server's own; that no process is left here the task itself looks at.
    fn runs_here(&self, node: &NodeName, seen: &Observation) -> Result<(), Finding> {
        let running = seen.running.get();
        let running = running.map_err(|unknown| precheck::unknown(node, "running", unknown))?;
        let mut here = running.iter().filter(|guest| guest.vmid == self.guest);
        if here.any(|guest| guest.run != GuestRun::Stopped) {
            return Err(self.refuse(Code::PlanChanged, format!("guest {} runs on {node}", self.guest)));
        }
        Ok(())
    }

    /// It is that disc and no other volume, on a storage that is this node's alone.
    fn is_left(&self, node: &NodeName, seen: &Observation) -> Result<(), Finding> {
        let volume = self.volume;
        if !is_disc_of(volume, self.guest) {
            let message = format!("{volume} is not {}", disc_name(self.guest));
            return Err(self.refuse(Code::PlanChanged, message));
        }
        let storages = seen.storages.get();
        let storages = storages.map_err(|unknown| precheck::unknown(node, "storages", unknown))?;
        let storage = storages.local_of(node, volume);
        if storage.is_none_or(|storage| storage.id != self.storage.as_str()) {
            let message = format!(
                "{volume} does not lie on {}, or that is not a storage of {node} alone",
                self.storage
            );
            return Err(self.refuse(Code::PlanChanged, message));
        }
        let pools = seen.pools.get();
        let pools = pools.map_err(|unknown| precheck::unknown(node, "pools", unknown))?;
        let name = volume.as_str().split('/').next().unwrap_or_default();
        let pool = pools.iter().find(|pool| pool.name == name);
        let pool = pool.ok_or_else(|| self.refuse(Code::PlanChanged, format!("{node} has no pool {name}")))?;
        let there = pool.volumes.get();
        let there = there.map_err(|unknown| precheck::unknown(node, "pools", unknown))?;
        if there.iter().any(|one| one == volume.as_str()) {
            Ok(())
        } else {
            Err(self.refuse(Code::PlanChanged, format!("{node} has no {volume} any more")))
        }
    }
}

#[cfg(test)]
#[path = "free_canary_disc_tests.rs"]
mod tests;
