//! A disk on which everything goes, by the operator's word for just this one.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::disk_marks::Mark;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::DiskIdentity;
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;

use super::disks::{against_wiping, disks_and_pools, given_to_guests};
use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::WipeDisk`].
pub(super) struct WipeDisk<'a> {
    pub(super) disk: &'a DiskIdentity,
    pub(super) carries: &'a BTreeSet<Mark>,
}

impl Act for WipeDisk<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Disks, FacetName::Pools]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        match disks_and_pools(node, seen) {
            Ok((disks, _)) => against_wiping(node, self.disk, self.carries, disks)
                .into_iter()
                .chain(given_to_guests(node, seen, [self.disk], disks))
                .collect(),
            Err(findings) => findings,
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let empty = Condition::DiskEmpty {
            node: node.clone(),
            disk: self.disk.clone(),
        };
        let carries = Condition::DiskCarries {
            node: node.clone(),
            disk: self.disk.clone(),
            carries: self.carries.clone(),
        };
        local::from_to(node, seen, &carries, &empty)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
