//! A disk that takes the place of another one in a pool.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::FacetName;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::DiskIdentity;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::disks::{against_use, disks_and_pools, pool_of};
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

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (disks, pools) = match disks_and_pools(node, seen) {
            Ok(seen) => seen,
            Err(findings) => return findings,
        };
        let of_pool = match pool_of(node, pools, self.pool) {
            Ok(pool) => {
                let leaf = pool.leaves().find(|leaf| leaf.name == self.old);
                let wrong = match leaf {
                    None => Some(format!("pool {} has no {} (any more)", self.pool, self.old)),
                    Some(leaf) if leaf.is_being_replaced() => {
                        Some(format!("{} is being replaced in pool {} already", self.old, self.pool))
                    }
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
        of_pool.into_iter().chain(of_disk).collect()
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
