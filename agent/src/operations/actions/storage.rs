//! `pvesm add` and `pvesm set`: storages of the cluster. PVE itself keeps others out by a lock, and takes back what it can't activate here.

use quorate_exec::Tools;
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::FacetName;
use quorate_model::storage::{Remedy, StorageDefinition};
use quorate_model::{Code, Finding, Observation};
use quorate_tools::{CallError, pvesm};

use super::{Act, How, Said, State, local, precheck};
use crate::operations::follow::Output;
use crate::operations::passed::{Passed, PassedKind};

/// See [`quorate_model::operation::Action::AddStorage`].
pub(super) struct AddStorage<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) storage: &'a StorageDefinition,
    pub(super) with_password: bool,
}

impl Act for AddStorage<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Storages]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = against(node, seen, self.cluster, self.storage);
        let there = seen.storages.get().ok();
        let there = there.and_then(|storages| storages.defined(self.storage.name.as_str()));
        if let Some(there) = there {
            let differs: Vec<String> = self
                .storage
                .differences(there)
                .iter()
                .map(ToString::to_string)
                .collect();
            let message = format!(
                "there is a storage {} already, which was not planned so: {}",
                self.storage.name,
                differs.join("; ")
            );
            findings.push(Finding::new(Code::StorageTaken, node.as_str(), message, "plan again"));
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        state(node, seen, self.storage)
    }

    /// It is defined as planned, and only not active here (yet): adding it again would be refused.
    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let storages = seen.storages.get().ok();
        let there = storages.and_then(|storages| storages.defined(self.storage.name.as_str()));
        there.is_some_and(|there| self.storage.differences(there).is_empty())
    }

    fn needs(&self) -> Option<PassedKind> {
        self.with_password.then_some(PassedKind::Storage)
    }

    fn how(&self, tools: &Tools, passed: Option<&Passed>) -> Result<How, CallError> {
        let password = match passed {
            Some(Passed::Storage(password)) => Some(password),
            Some(Passed::Join(_) | Passed::CorosyncConf(_) | Passed::Program(_)) | None => None,
        };
        pvesm::add(tools, self.storage, password).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        read(node, self.storage, output)
    }
}

/// See [`quorate_model::operation::Action::ExtendStorage`].
pub(super) struct ExtendStorage<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) storage: &'a StorageDefinition,
}

impl Act for ExtendStorage<'_> {
    fn facets(&self) -> &'static [FacetName] {
        &[FacetName::Storages]
    }

    fn precheck_facets(&self) -> &'static [FacetName] {
        &[FacetName::Cluster]
    }

    fn precheck(&self, node: &NodeName, seen: &Observation) -> Vec<Finding> {
        let mut findings = against(node, seen, self.cluster, self.storage);
        let Ok(storages) = seen.storages.get() else {
            return findings;
        };
        let name = &self.storage.name;
        let refused = |code, message| Finding::new(code, node.as_str(), message, "plan again");
        match storages.defined(name.as_str()) {
            None => findings.push(refused(
                Code::PlanChanged,
                format!("there is no storage {name} any more"),
            )),
            Some(there) => {
                let all = self.storage.differences(there);
                let other = all.iter().filter(|difference| difference.remedy != Remedy::Extend);
                let other: Vec<String> = other.map(ToString::to_string).collect();
                if !other.is_empty() {
                    let message = format!(
                        "the storage {name} is not the one that was planned: {}",
                        other.join("; ")
                    );
                    findings.push(refused(Code::StorageTaken, message));
                }
            }
        }
        findings
    }

    fn state(&self, node: &NodeName, seen: &Observation) -> State {
        match state(node, seen, self.storage) {
            State::Between(why) if !self.is_begun(node, seen) && seen.storages.is_known() => {
                // What is there may be extended again and again; whether it is the right one is told before.
                tracing::debug!(%why, "a storage is not extended yet");
                State::Untouched
            }
            state => state,
        }
    }

    fn is_begun(&self, _node: &NodeName, seen: &Observation) -> bool {
        let storages = seen.storages.get().ok();
        let there = storages.and_then(|storages| storages.defined(self.storage.name.as_str()));
        there.is_some_and(|there| self.storage.differences(there).is_empty())
    }

    fn how(&self, tools: &Tools, _passed: Option<&Passed>) -> Result<How, CallError> {
        pvesm::extend(tools, self.storage).map(How::Tool)
    }

    fn read(&self, node: &NodeName, output: &Output) -> Said {
        read(node, self.storage, output)
    }
}

/// What stands against any change of a storage here and now.
fn against(node: &NodeName, seen: &Observation, cluster: &ClusterName, storage: &StorageDefinition) -> Vec<Finding> {
    let mut findings = local::quorate_member(node, seen, cluster).err().unwrap_or_default();
    if let Err(unknown) = seen.storages.get() {
        findings.push(precheck::unknown(node, "storages", unknown));
    }
    if let Err(why) = storage.check() {
        let next = "report it: what is planned should have been refused before";
        findings.push(Finding::new(Code::StepFailed, node.as_str(), why, next));
    }
    findings
}

/// Is it defined so, and active here if it is to be here? The other nodes are the coordinator's to look at.
fn state(node: &NodeName, seen: &Observation, storage: &StorageDefinition) -> State {
    let name = &storage.name;
    let storages = match seen.storages.get() {
        Ok(storages) => storages,
        Err(unknown) => return State::Between(format!("the storages can be seen ({})", unknown.reason)),
    };
    let Some(there) = storages.defined(name.as_str()) else {
        return State::Untouched;
    };
    let differs: Vec<String> = storage.differences(there).iter().map(ToString::to_string).collect();
    if !differs.is_empty() {
        return State::Between(format!("storage {name} is as planned; so far {}", differs.join("; ")));
    }
    if !storage.is_on(node) {
        return State::Reached(format!("storage {name} is defined as planned"));
    }
    let here = quorate_model::plan::Condition::StorageReady {
        storage: storage.clone(),
        nodes: [node.clone()].into(),
    };
    local::awaited(node, seen, &here)
}

fn read(node: &NodeName, storage: &StorageDefinition, output: &Output) -> Said {
    let troubles = pvesm::read_troubles(&output.stderr);
    Said {
        // It says nothing when all went well.
        success: troubles.is_empty(),
        changed: !troubles.iter().any(pvesm::Trouble::took_nothing),
        findings: troubles
            .iter()
            .map(|trouble| trouble.finding(node.as_str(), storage.name.as_str()))
            .collect(),
        stage: "changing storage.cfg".to_owned(),
    }
}
