//! A new ZFS pool, on disks that are still those that were planned, and still carry nothing.

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::disks::{against_use, disks_and_pools, given_to_guests, labels_of};
use super::{Act, How, Said, State, local};
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

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let (disks, pools) = match disks_and_pools(node, seen) {
            Ok(seen) => seen,
            Err(findings) => return findings,
        };
        let there = pools.iter().find(|pool| pool.name == self.layout.name.as_str());
        // An earlier try came so far; what is left to do touches no disk.
        if there.is_some_and(|pool| self.layout.lacks_only_its_import(pool, disks)) {
            return Vec::new();
        }
        let there = there.map(|pool| {
            Finding::new(
                Code::PlanChanged,
                node.as_str(),
                format!("there is a pool {} already, which was not planned so", pool.name),
                format!("look at it on {node}: zpool status {}; then plan again", pool.name),
            )
        });
        let planned = self.layout.all_disks();
        let of_disks = planned.filter_map(|planned| against_use(node, planned, disks, &self.layout.accepted));
        let labels = labels_of(node, &self.layout.name, self.layout.all_disks(), disks);
        let given = given_to_guests(node, seen, self.layout.all_disks(), disks);
        there.into_iter().chain(labels).chain(of_disks).chain(given).collect()
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
        local::from_to(node, seen, &free, &made)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
