//! The setting for migration and replication in datacenter.cfg.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::property_string;
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, pvesh};

use super::{Act, How, Said, State, local, precheck, said};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::SetMigrationNetwork`].
pub(super) struct SetMigrationNetwork<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) migration: &'a str,
    pub(super) before: Option<&'a str>,
}

/// Is it as it was when the change was planned?
fn same(there: Option<&str>, planned: Option<&str>) -> bool {
    match (there, planned) {
        (Some(there), Some(planned)) => property_string::same(there, planned, "type"),
        (there, planned) => there == planned,
    }
}

impl Act for SetMigrationNetwork<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Config]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = local::quorate_member(node, seen, self.cluster)
            .err()
            .unwrap_or_default();
        let settings = seen.config.get().and_then(|config| config.datacenter.get());
        match settings {
            Err(unknown) => findings.push(precheck::unknown(node, "config", unknown)),
            // It is set as a whole: what somebody added meanwhile would be gone.
            Ok(settings) if !same(settings.get("migration").map(String::as_str), self.before) => {
                let there = settings.get("migration").map_or("nothing", String::as_str);
                let message = format!("the setting for migration is {there} now, which was not planned so");
                findings.push(Finding::new(Code::PlanChanged, node.as_str(), message, "plan again"));
            }
            Ok(_) => {}
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let set = Condition::MigrationSet {
            node: node.clone(),
            migration: self.migration.to_owned(),
        };
        local::judged(node, seen, &set)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesh::options::set_migration(tools, self.migration).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        said::of(node, output, pvesh::NAME, "writing datacenter.cfg")
    }
}
