//! Another version of this agent itself. The package's own scripts start it anew; whoever comes up then finds the operation in the ledger, and
//! tells its end.

use quorate_exec::Tools;
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::plan::Condition;
use quorate_model::{Code, Finding, Observation, Release};
use quorate_tools::{CallError, dpkg};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::Passed;
use crate::operations::task::CHANGING;

/// See [`quorate_model::operation::Action::UpgradeAgent`].
pub(super) struct UpgradeAgent {
    pub(super) version: Release,
}

impl Act for UpgradeAgent {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::System]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let runs = match seen.system.get() {
            Ok(system) => &system.agent.version,
            Err(unknown) => return vec![precheck::unknown(node, "system", unknown)],
        };
        match runs.parse::<Release>() {
            Ok(runs) if runs <= self.version => vec![],
            Ok(runs) => vec![Finding::new(
                Code::DowngradeRefused,
                node.as_str(),
                format!("this agent is of version {runs}, and the package of {}", self.version),
                format!("use a package of {runs} or later"),
            )],
            Err(error) => vec![Finding::new(
                Code::AgentVersionUnknown,
                node.as_str(),
                error.to_string(),
                "install the package by hand: dpkg --install FILE.deb",
            )],
        }
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        let runs = Condition::AgentRuns {
            node: node.clone(),
            version: self.version,
            cluster: None,
        };
        local::judged(node, seen, &runs)
    }

    fn how(&self, _tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        Ok(How::Task)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        let mut said = local::read_task(node, output);
        let untrusted = output.stderr.contains(UNTRUSTED);
        // Before anything was changed, what is wrong is the package and not the server.
        if untrusted && !output.stdout.lines().any(|line| line == CHANGING) {
            for finding in &mut said.findings {
                finding.code = Code::PackageNotTrusted;
                finding.next = format!(
                    "take the package and its signature from where you have the others from; on {node}, the keys are in {}",
                    crate::release::KEYS
                );
            }
        } else if !said.findings.is_empty() {
            let words = dpkg::complaints(&output.stderr).join("; ");
            for finding in &mut said.findings {
                finding.message = words.clone();
                finding.next = if words.contains("locked by another process") {
                    "another apt or dpkg is at work there: when it is done, upgrade again".to_owned()
                } else {
                    format!("on {node}: dpkg --audit; dpkg --configure --pending; then upgrade again")
                };
            }
        }
        said
    }
}

/// How a task begins to say that it does not believe the package.
pub(in crate::operations) const UNTRUSTED: &str = "the package is not believed";
