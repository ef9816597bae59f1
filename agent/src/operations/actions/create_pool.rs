//! A new ZFS pool, on disks that are still those that were planned, and still carry nothing.

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::eligibility::Role;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::CreatePool`].
pub(super) struct CreatePool<'a> {
    pub(super) layout: &'a PoolLayout,
}

impl Act for CreatePool<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Disks, FacetName::Pools]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        against(self.layout, node, seen)
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let made = Condition::PoolMade {
            node: node.clone(),
            layout: self.layout.clone(),
        };
        let free = Condition::DisksFree {
            node: node.clone(),
            layout: self.layout.clone(),
        };
        match local::judged(node, seen, &made) {
            State::Untouched => match local::judged(node, seen, &free) {
                State::Reached(_) => State::Untouched,
                State::Untouched | State::Between(_) => State::Between(format!("{made}")),
            },
            state => state,
        }
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}

/// All that stands against making the pool on this server now.
pub(in crate::operations) fn against(layout: &PoolLayout, node: &NodeName, seen: &Observation) -> Vec<Finding> {
    let (disks, pools) = match (seen.disks.get(), seen.pools.get()) {
        (Ok(disks), Ok(pools)) => (disks, pools),
        (disks, pools) => {
            let unknown = |what, reason| precheck::unknown(node, what, reason);
            let disks = disks.err().map(|reason| unknown("disks", reason));
            return disks
                .into_iter()
                .chain(pools.err().map(|reason| unknown("pools", reason)))
                .collect();
        }
    };
    let mut findings = Vec::new();
    if let Some(pool) = pools.iter().find(|pool| pool.name == layout.name.as_str()) {
        findings.push(Finding::new(
            Code::PlanChanged,
            node.as_str(),
            format!("there is a pool {} already, which was not planned so", pool.name),
            format!("look at it on {node}: zpool status {}; then plan again", pool.name),
        ));
    }
    for planned in layout.all_disks() {
        let subject = format!("{node}/{}", planned.link);
        let disk = match planned.find(disks) {
            Ok(disk) => disk,
            Err(why) => {
                let message = format!("the disk {} {why}", planned.link);
                findings.push(Finding::new(
                    Code::DiskNotThere,
                    subject,
                    message,
                    "look at quorate disks; then plan again",
                ));
                continue;
            }
        };
        let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
        let texts: Vec<&str> = match verdict {
            Some(verdict) => {
                let reasons = verdict.against.iter().filter(|reason| !layout.accepts(reason));
                reasons.map(|reason| reason.text.as_str()).collect()
            }
            None => vec!["nobody has judged it"],
        };
        if !texts.is_empty() {
            let message = format!(
                "the disk {} ({}) is not free (any more): {}",
                planned.link,
                disk.path,
                texts.join("; ")
            );
            findings.push(Finding::new(
                Code::DiskNotFree,
                subject,
                message,
                "look at quorate disks; then plan again",
            ));
        }
    }
    findings
}
