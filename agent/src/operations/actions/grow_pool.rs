//! Further vdevs for a pool that is well.

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::CallError;

use super::disks::{against_use, disks_and_pools, given_to_guests, pool_of};
use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::GrowPool`].
pub(super) struct GrowPool<'a> {
    pub(super) layout: &'a PoolLayout,
}

impl Act for GrowPool<'_> {
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
        let of_pool = match pool_of(node, pools, &self.layout.name) {
            Ok(pool) => pool.may_be_changed().err().map(|why| {
                Finding::new(
                    Code::PlanChanged,
                    node.as_str(),
                    format!(
                        "there is a pool {} {why}: it is not made larger before it is whole",
                        pool.name
                    ),
                    format!("look at it on {node}: zpool status {}; then plan again", pool.name),
                )
            }),
            Err(finding) => Some(finding),
        };
        let planned = self.layout.all_disks();
        let of_disks = planned.filter_map(|planned| against_use(node, planned, disks, &self.layout.accepted));
        let given = given_to_guests(node, seen, self.layout.all_disks(), disks);
        of_pool.into_iter().chain(of_disks).chain(given).collect()
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let has = Condition::PoolHas {
            node: node.clone(),
            layout: self.layout.clone(),
        };
        let can = Condition::PoolCanGrow {
            node: node.clone(),
            layout: self.layout.clone(),
        };
        local::from_to(node, seen, &can, &has)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        local::read_task(node, output)
    }
}
