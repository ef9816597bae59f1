//! `apt-get install` of what PVE does not bring along.

use std::collections::BTreeSet;

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::operation::Package;
use quorate_model::plan::Condition;
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;

use super::{Act, How, Said, State, local};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;

/// See [`quorate_model::operation::Action::InstallPackages`].
pub(super) struct InstallPackages<'a> {
    pub(super) packages: &'a BTreeSet<Package>,
}

impl Act for InstallPackages<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Readiness]
    }

    /// apt itself checks all that can be checked, and changes nothing before.
    fn precheck(&self, _node: &NodeName, _seen: &Observation) -> Vec<Finding> {
        vec![]
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let condition = Condition::Installed {
            node: node.clone(),
            packages: self.packages.clone(),
        };
        local::judged(node, seen, &condition)
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        quorate_tools::apt::install(tools, self.packages).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let trouble = quorate_tools::apt::read_install(&output.stdout, &output.stderr);
        Said {
            success: trouble.is_none(),
            // Unpacking is the first that changes anything.
            changed: output.stdout.lines().any(|line| line.starts_with("Unpacking ")),
            findings: trouble
                .map(|trouble| trouble.finding(node.as_str()))
                .into_iter()
                .collect(),
            stage: output.stdout.lines().last().unwrap_or("asking apt").trim().to_owned(),
        }
    }
}
