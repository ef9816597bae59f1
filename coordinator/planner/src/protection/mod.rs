//! How guests are protected: copied to other servers, and restarted there by HA. PVE does both; here it is told what of.

mod copies;
mod guests;
mod ha;
mod migration;
mod standing;
mod unbound;

pub use guests::{Copying, copying};

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::{ConfiguredGuest, FacetName, PveConfig};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::spec::ClusterFile;
use quorate_model::{View, Wish};

use crate::report::{Report, Weight};
use crate::storages;

/// PVE's tools take about a second.
const TAKES: Duration = Duration::from_secs(2);

/// What of the servers must be seen for it, beside what every plan looks at.
pub(crate) fn needed(file: &ClusterFile) -> impl Iterator<Item = FacetName> + use<> {
    let guests = !file.replication.is_empty() || file.ha.is_some();
    let all = [FacetName::Storages, FacetName::Running, FacetName::Replication];
    all.into_iter().filter(move |_| guests)
}

/// What the file wants of guests, held against what is there. `steps`: those of the cluster, of pools and of storages, after which they come.
pub(crate) fn plan(file: &ClusterFile, wish: &Wish, view: &View, steps: &[Step], report: &mut Report) -> Vec<Step> {
    let Some(speaker) = storages::speaker(file, view, steps) else {
        return Vec::new();
    };
    let Ok(config) = view.facet(speaker, |o| &o.config) else {
        // What every plan looks at is told where it is missing.
        return Vec::new();
    };
    let mut found = migration::plan(file, view, steps, (speaker, config), report);
    let applied = config.spec.get().ok().and_then(Option::as_ref);
    let applied = applied.and_then(|kept| ClusterFile::parse("the file that was applied last", &kept.text).ok());
    let asked = |file: &ClusterFile| !file.replication.is_empty();
    if !asked(file) && file.ha.is_none() && !applied.as_ref().is_some_and(asked) {
        return found;
    }
    let guests = match config.guests.get() {
        Ok(guests) => guests,
        Err(unknown) => {
            let message = format!(
                "no guest's configuration could be seen on {speaker}: {}",
                unknown.reason
            );
            let next = format!("on {speaker}: ls /etc/pve/nodes/*/qemu-server /etc/pve/nodes/*/lxc");
            report.tell(Finding::new(Code::GuestUntold, speaker.as_str(), message, next));
            return found;
        }
    };
    let world = World {
        file,
        wish,
        view,
        steps,
        speaker,
        config,
        guests,
        applied: applied.as_ref(),
    };
    world.those_that_are_not_there(report);
    let migration = found.first().map(|step| step.id.clone());
    let copies = copies::plan(&world, migration.as_ref(), report);
    let ha = ha::plan(&world, &copies, report);
    let goes = |step: &Step| matches!(step.action, Action::RemoveReplication { .. });
    let (removed, copies): (Vec<_>, Vec<_>) = copies.into_iter().partition(goes);
    // A server loses its copy when HA sends the guest there no more.
    let removed = unbound::after_ha(&world, &ha, removed, report);
    found.extend(copies);
    found.extend(ha);
    found.extend(removed);
    found
}

/// All that is looked at.
#[derive(Clone, Copy)]
struct World<'a> {
    file: &'a ClusterFile,
    wish: &'a Wish,
    view: &'a View,
    steps: &'a [Step],
    /// By whose word guests, jobs and HA are what they are.
    speaker: &'a NodeName,
    config: &'a PveConfig,
    guests: &'a [ConfiguredGuest],
    /// The file that was applied last.
    applied: Option<&'a ClusterFile>,
}

/// A step in the making.
struct Making {
    verb: &'static str,
    /// What it is about, in its id.
    about: String,
    node: NodeName,
    action: Action,
    title: String,
    why: Vec<String>,
    needs: Vec<StepId>,
    done_when: Condition,
    undo: String,
}

impl<'a> World<'a> {
    /// An enrolled server by its name.
    fn server(&self, name: &str) -> Option<&'a NodeName> {
        self.view.nodes.keys().find(|node| node.as_str() == name)
    }

    /// Ids that the file names, and nobody has.
    fn those_that_are_not_there(&self, report: &mut Report) {
        let choices = self.file.replication.iter().map(|table| &table.guests);
        let choices = choices.chain(self.file.ha.iter().map(|ha| &ha.guests));
        for pick in choices.flat_map(|choice| choice.ids()) {
            let name = pick.value.to_string();
            if self.guests.iter().any(|there| there.guest.vmid.to_string() == name) {
                continue;
            }
            let message = format!("there is no guest {name}");
            let next = "write an id that `quorate guests` shows, or take it out until there is one";
            let finding = Finding::new(Code::GuestNotThere, guest_subject(&name), message, next);
            report.tell(finding.at(Some(pick.place.clone())));
        }
    }

    fn step(&self, making: Making) -> Option<Step> {
        let cluster = self.file.cluster.name.value.clone();
        Some(Step {
            id: StepId::new(format!("{}/{}", making.verb, making.about)).ok()?,
            gate: vec![Condition::Quorate {
                cluster,
                node: making.node.clone(),
            }],
            node: making.node,
            action: making.action,
            title: making.title,
            why: making.why,
            needs: making.needs,
            done_when: making.done_when,
            destroys: vec![],
            disks: BTreeSet::new(),
            estimate: TAKES,
            undo: Undo::Operator { how: making.undo },
            restores: None,
        })
    }

    /// Steps that bring these servers into the cluster.
    fn comes_in<'s>(&'s self, nodes: &'s BTreeSet<&NodeName>) -> impl Iterator<Item = StepId> + 's {
        let brings = |step: &&Step| {
            let brings = matches!(
                step.action,
                Action::CreateCluster { .. } | Action::JoinCluster { .. } | Action::FinishJoin { .. }
            );
            brings && nodes.contains(&step.node)
        };
        self.steps.iter().filter(brings).map(|step| step.id.clone())
    }

    /// Is this server in the cluster by then, and seen?
    fn is_in(&self, node: &NodeName) -> bool {
        let cluster = self.file.cluster.name.value.as_str();
        let seen = self.view.cluster_of(node).ok().and_then(|seen| seen.member());
        let inside = seen.is_some_and(|member| member.cluster == cluster && member.quorate);
        inside || self.comes_in(&BTreeSet::from([node])).next().is_some()
    }
}

/// How findings and steps call a guest.
fn guest_subject(id: impl std::fmt::Display) -> String {
    format!("guest {id}")
}

/// Tells of something that no step depends on.
fn told(report: &mut Report, code: Code, subject: String, message: String, next: &str) {
    report.weigh(Weight::Told, Finding::new(code, subject, message, next));
}
