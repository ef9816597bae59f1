//! A disk that takes the place of another one in a pool.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::FacetName;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::{DiskIdentity, disk_of};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::disks::{against_taking_out, against_use, disks_and_pools, given_to_guests, pool_of};
use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::ReplaceDisk`].
pub(super) struct ReplaceDisk<'a> {
    pub(super) pool: &'a PoolName,
    pub(super) old: &'a str,
    pub(super) with: &'a DiskIdentity,
    pub(super) accepted: &'a BTreeSet<ReasonKind>,
}

impl Act for ReplaceDisk<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Disks, FacetName::Pools]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (disks, pools) = match disks_and_pools(node, seen) {
            Ok(seen) => seen,
            Err(findings) => return findings,
        };
        let mut taken_out = None;
        let of_pool = match pool_of(node, pools, self.pool) {
            Ok(pool) => {
                let leaf = pool.leaves().find(|leaf| leaf.name == self.old);
                let old = leaf.and_then(|leaf| disk_of(leaf, disks));
                taken_out = old.and_then(|disk| against_taking_out(node, disk));
                let wrong = match leaf {
                    None => Some(format!("pool {} has no {} (any more)", self.pool, self.old)),
                    Some(leaf) if leaf.is_being_replaced() => {
                        Some(format!("{} is being replaced in pool {} already", self.old, self.pool))
                    }
                    Some(leaf) if leaf.whole_disk().is_none() => Some(format!(
                        "{} is not known to take up a whole disk: what else was on it has to be put on the new one by hand",
                        self.old
                    )),
                    Some(_) => None,
                };
                wrong.map(|message| {
                    let next = format!("look at it on {node}: zpool status {}; then plan again", self.pool);
                    Finding::new(Code::PlanChanged, node.as_str(), message, next)
                })
            }
            Err(finding) => Some(finding),
        };
        let of_disk = against_use(node, self.with, disks, self.accepted);
        let given = given_to_guests(node, seen, [self.with], disks);
        of_pool
            .into_iter()
            .chain(taken_out)
            .chain(of_disk)
            .chain(given)
            .collect()
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let replaced = Condition::DiskReplaced {
            node: node.clone(),
            pool: self.pool.clone(),
            old: self.old.to_owned(),
            with: self.with.clone(),
        };
        let can = Condition::DiskCanReplace {
            node: node.clone(),
            pool: self.pool.clone(),
            old: self.old.to_owned(),
            with: self.with.clone(),
            accepted: self.accepted.clone(),
        };
        local::from_to(node, seen, &can, &replaced)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
