//! `pvesr`: jobs that copy a guest of this node to other members. What the first copy takes is PVE's own time: here the job counts.

use quorate_exec::Tools;
use quorate_model::guest_ids::JobId;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::observation::{FacetName, PveConfig};
use quorate_model::plan::Condition;
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;
use quorate_model::{Code, Finding, Observation, Timestamp};
use quorate_tools::{CallError, pvesr};

use super::{Act, How, Said, State, local, precheck, said};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// What a job is to be like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) id: &'a JobId,
    /// The other end: the target, as long as this node owns the guest.
    pub(super) other: &'a NodeName,
    pub(super) schedule: &'a Schedule,
    pub(super) rate: Option<u32>,
    pub(super) returning_node: ReturningNode,
}

impl Job<'_> {
    fn told(&self) -> pvesr::Told<'_> {
        pvesr::Told {
            schedule: self.schedule,
            rate: self.rate,
            returning_node: self.returning_node,
        }
    }

    fn set(&self, node: &NodeName, enabled: bool) -> Condition {
        Condition::ReplicationSet {
            node: node.clone(),
            job: self.id.clone(),
            other: self.other.clone(),
            schedule: self.schedule.clone(),
            rate: self.rate,
            returning_node: self.returning_node,
            enabled,
        }
    }
}

/// See [`quorate_model::operation::Action::CreateReplication`].
pub(super) struct Create<'a>(pub(super) Job<'a>);

/// See [`quorate_model::operation::Action::ChangeReplication`].
pub(super) struct Change<'a> {
    pub(super) job: Job<'a>,
    pub(super) enable: bool,
}

/// See [`quorate_model::operation::Action::RemoveReplication`].
pub(super) struct Remove<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) id: &'a JobId,
    pub(super) target: &'a NodeName,
}

/// See [`quorate_model::operation::Action::SyncReplication`].
pub(super) struct Sync<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) id: &'a JobId,
    pub(super) other: &'a NodeName,
    pub(super) since: Timestamp,
}

impl Act for Create<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let job = self.0;
        let (mut findings, jobs) = against(node, seen, job.cluster, job.id);
        for there in jobs.iter().filter(|there| there.guest == job.id.guest) {
            let other = there.other_end(node.as_str());
            if there.id == job.id.to_string() || other == Some(job.other.as_str()) {
                let message = format!(
                    "there is the replication job {} to {} already, which was not planned so",
                    there.id, there.target
                );
                findings.push(changed(node, message));
            }
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        local::judged(node, seen, &self.0.set(node, true))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesr::create(tools, self.0.id, self.0.other, self.0.told()).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, pvesr::NAME, "writing replication.cfg")
    }
}

impl Act for Change<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (findings, jobs) = against(node, seen, self.job.cluster, self.job.id);
        the_one(findings, node, jobs, self.job.id, self.job.other)
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        local::judged(node, seen, &self.job.set(node, self.enable))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesr::update(tools, self.job.id, self.job.told(), self.enable).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, pvesr::NAME, "writing replication.cfg")
    }
}

impl Act for Remove<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (findings, jobs) = against(node, seen, self.cluster, self.id);
        let mut findings = the_one(findings, node, jobs, self.id, self.target);
        // After a recovery the other end may hold what was written last, until PVE has turned the job round.
        let id = self.id.to_string();
        let turns = |job: &&ReplicationJob| job.id == id && job.target != self.target.as_str();
        if findings.is_empty() && jobs.iter().any(|job| turns(&job)) {
            let message = format!(
                "PVE has not turned the job {id} round yet: what is on {} may be newer",
                self.target
            );
            findings.push(changed(node, message));
        }
        let mut own = jobs.iter().filter(|job| job.id == id);
        if let Some(held) = own.find_map(ReplicationJob::held) {
            let message = format!(
                "the job {id} is off since a recovery: what {} wrote before {}, and never copied, is held, and would go with the copy",
                held.node, held.since
            );
            let next = format!("quorate replication resolve {}; then plan again", self.id.guest);
            findings.push(Finding::new(Code::CopyHeld, node.as_str(), message, next));
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let gone = Condition::CopyGone {
            node: node.clone(),
            guest: self.id.guest,
            target: self.target.clone(),
        };
        match local::judged(node, seen, &gone) {
            State::Untouched if self.is_begun(node, seen) => {
                State::Between(format!("PVE's scheduler has taken the copy on {} away", self.target))
            }
            state => state,
        }
    }

    /// The mark stands in the file; asking again changes nothing.
    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let id = self.id.to_string();
        let jobs = seen.config.get().ok().and_then(|config| config.replication.get().ok());
        jobs.is_some_and(|jobs| jobs.iter().any(|job| job.id == id && job.removal.is_some()))
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesr::delete(tools, self.id).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, pvesr::NAME, "marking the job for removal")
    }
}

impl Act for Sync<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config, FacetName::Replication]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (findings, jobs) = against(node, seen, self.cluster, self.id);
        let mut findings = the_one(findings, node, jobs, self.id, self.other);
        let name = self.id.to_string();
        let job = jobs.iter().find(|job| job.id == name);
        if let Some(held) = job.and_then(ReplicationJob::held) {
            let message = format!(
                "the job {name} is off since a recovery: what {} wrote before {}, and never copied, is held",
                held.node, held.since
            );
            let next = format!("quorate replication resolve {}", self.id.guest);
            findings.push(Finding::new(Code::CopyHeld, node.as_str(), message, next));
        } else if job.is_some_and(|job| job.disabled || job.removal.is_some()) {
            // PVE would take the request, and run nothing.
            findings.push(changed(
                node,
                format!("the job {name} is switched off, or being removed: it would not run"),
            ));
        }
        if let Err(unknown) = seen.replication.get() {
            findings.push(precheck::unknown(node, "replication", unknown));
        }
        findings
    }

    fn state(&self, _node: &NodeName, seen: &Observation) -> State {
        let states = match seen.replication.get() {
            Ok(states) => states,
            Err(unknown) => {
                return State::Between(format!(
                    "how the copying goes can be seen; it can't be: {}",
                    unknown.reason
                ));
            }
        };
        let state = states
            .iter()
            .find(|state| state.guest == self.id.guest && state.target == self.other.as_str());
        match state.map(|state| state.last_try) {
            // PVE runs such a job with the next pass by itself, and leaves it alone when it is put forward.
            None => State::Reached(format!("the job {} has never run here: it is due", self.id)),
            Some(None) => State::Reached(format!("the job {} is due", self.id)),
            Some(Some(at)) if at >= self.since => State::Reached(format!("the job {} ran, begun at {at}", self.id)),
            Some(Some(_)) => State::Untouched,
        }
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesr::schedule_now(tools, self.id).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, pvesr::NAME, "putting the job forward")
    }
}

/// What stands against any change of a job of this node's guest, and the jobs that are there.
fn against<'o>(
    node: &NodeName,
    seen: &'o Observation,
    cluster: &ClusterName,
    job: &JobId,
) -> (Vec<Finding>, &'o [ReplicationJob]) {
    let mut findings = local::quorate_member(node, seen, cluster).err().unwrap_or_default();
    let config: &PveConfig = match seen.config.get() {
        Ok(config) => config,
        Err(unknown) => {
            findings.push(precheck::unknown(node, "config", unknown));
            return (findings, &[]);
        }
    };
    match config.guests.get() {
        Err(unknown) => findings.push(precheck::unknown(node, "config", unknown)),
        Ok(guests) => {
            let owner = guests
                .iter()
                .find(|guest| guest.guest.vmid == job.guest)
                .map(|guest| &guest.guest.node);
            if owner.map(String::as_str) != Some(node.as_str()) {
                let whose = owner.map_or_else(|| "is gone".to_owned(), |owner| format!("is on {owner} now"));
                findings.push(changed(node, format!("guest {} {whose}, not on {node}", job.guest)));
            }
        }
    }
    match config.replication.get() {
        Ok(jobs) => (findings, jobs),
        Err(unknown) => {
            findings.push(precheck::unknown(node, "config", unknown));
            (findings, &[])
        }
    }
}

/// Is it the job that was planned?
fn the_one(
    mut findings: Vec<Finding>,
    node: &NodeName,
    jobs: &[ReplicationJob],
    id: &JobId,
    other: &NodeName,
) -> Vec<Finding> {
    if !findings.is_empty() {
        return findings;
    }
    let name = id.to_string();
    match jobs.iter().find(|job| job.id == name) {
        Some(job) if job.other_end(node.as_str()) == Some(other.as_str()) => {}
        Some(job) => {
            let message = format!("the job {id} copies to {} now, not to {other}", job.target);
            findings.push(changed(node, message));
        }
        None => findings.push(changed(node, format!("there is no replication job {id} any more"))),
    }
    findings
}

fn changed(node: &NodeName, message: String) -> Finding {
    Finding::new(Code::PlanChanged, node.as_str(), message, "plan again")
}

#[cfg(test)]
#[path = "replication_tests.rs"]
mod tests;
