//! The steps that put a guest under HA and bind it: by a rule on PVE 9, by a group on PVE 8.

use std::collections::BTreeSet;

use quorate_model::guest_ids::{HaName, Sid};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::{ConfiguredGuest, GuestRun};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};

use super::super::Making;
use super::super::guests::called;
use super::{Planner, waits};
use crate::report::{Report, in_a_row};

/// A guest that is to be under HA.
pub(super) struct Service<'a> {
    pub(super) guest: &'a ConfiguredGuest,
    pub(super) owner: &'a NodeName,
    pub(super) service: Sid,
    pub(super) there: Option<&'a HaResource>,
    /// To which nodes it is bound; `None`: it is not bound, or not by us.
    pub(super) nodes: Option<&'a BTreeSet<NodeName>>,
    pub(super) needs: Vec<StepId>,
}

fn why_bound(exists: bool) -> Vec<String> {
    let there = if exists {
        "what binds it says something else"
    } else {
        "nothing binds it yet"
    };
    vec![
        format!("{there}; HA does not look where a copy is"),
        "strict, without preference and failback: what runs stays where it is".to_owned(),
    ]
}

impl Planner<'_> {
    /// The resource first: PVE takes no rule about what is not under HA.
    pub(super) fn with_rule(&self, making: &Service<'_>, report: &mut Report) -> Vec<Step> {
        let no_failback = making.nodes.is_some();
        let resource = self.resource(making, None, no_failback, making.needs.clone(), report);
        let Some(nodes) = making.nodes else {
            return resource.into_iter().collect();
        };
        if making.there.is_none() && resource.is_none() {
            return vec![];
        }
        let sid = making.service.to_string();
        let own = |placement: &&HaPlacement| {
            placement.kind == HaPlacement::NODES
                && HaName::is_ours(&placement.name)
                && placement.services.contains(&sid)
        };
        let there = self.ha.placements.iter().find(own);
        if there.is_some_and(|there| there.binds_to(nodes)) {
            return resource.into_iter().collect();
        }
        let name = there
            .and_then(|there| there.name.parse().ok())
            .unwrap_or_else(|| HaName::of(making.service));
        let exists = self.ha.placements.iter().any(|there| there.name == name.as_str());
        let mut needs = making.needs.clone();
        needs.extend(resource.as_ref().map(|step| step.id.clone()));
        let rule = self.world.step(Making {
            verb: "ha.rule",
            about: sid,
            node: making.owner.clone(),
            title: format!("bind guest {} under HA to {}", called(making.guest), in_a_row(nodes)),
            action: Action::SetHaRule {
                cluster: self.world.file.cluster.name.value.clone(),
                rule: name.clone(),
                service: making.service,
                nodes: nodes.clone(),
                exists,
            },
            why: match there {
                Some(there) if there.disabled => vec![format!(
                    "its rule {name} is switched off: HA may recover it on any server"
                )],
                _ => why_bound(exists),
            },
            needs,
            done_when: Condition::HaBound {
                node: making.owner.clone(),
                name: name.clone(),
                service: Some(making.service),
                nodes: nodes.clone(),
            },
            undo: format!("on {}: ha-manager rules remove {name}", making.owner),
        });
        resource.into_iter().chain(rule).collect()
    }

    /// The group first: the resource names it.
    pub(super) fn with_group(&self, making: &Service<'_>, report: &mut Report) -> Vec<Step> {
        let Some(nodes) = making.nodes else {
            return self
                .resource(making, None, false, making.needs.clone(), report)
                .into_iter()
                .collect();
        };
        let own = making
            .there
            .and_then(|there| there.group.as_deref())
            .and_then(|group| group.parse().ok());
        let name: HaName = own.unwrap_or_else(|| HaName::of(making.service));
        let there = self
            .ha
            .placements
            .iter()
            .find(|there| there.kind == HaPlacement::GROUP && there.name == name.as_str());
        let right = there.is_some_and(|there| there.binds_to(nodes) && there.no_failback);
        let group = (!right).then(|| {
            self.world.step(Making {
                verb: "ha.group",
                about: making.service.to_string(),
                node: making.owner.clone(),
                title: format!("make the HA group {name} of {}", in_a_row(nodes)),
                action: Action::SetHaGroup {
                    cluster: self.world.file.cluster.name.value.clone(),
                    group: name.clone(),
                    nodes: nodes.clone(),
                    exists: there.is_some(),
                },
                why: why_bound(there.is_some()),
                needs: making.needs.clone(),
                done_when: Condition::HaBound {
                    node: making.owner.clone(),
                    name: name.clone(),
                    service: None,
                    nodes: nodes.clone(),
                },
                undo: format!("on {}: ha-manager groupremove {name}", making.owner),
            })
        });
        let group = group.flatten();
        let mut needs = making.needs.clone();
        needs.extend(group.as_ref().map(|step| step.id.clone()));
        let resource = self.resource(making, Some(&name), false, needs, report);
        if making.there.is_none() && resource.is_none() {
            return vec![];
        }
        group.into_iter().chain(resource).collect()
    }

    fn resource(
        &self,
        making: &Service<'_>,
        group: Option<&HaName>,
        no_failback: bool,
        mut needs: Vec<StepId>,
        report: &mut Report,
    ) -> Option<Step> {
        let number =
            |wanted: &Option<quorate_model::spec::Located<u8>>| wanted.as_ref().map(|number| u32::from(number.value));
        let (max_restart, max_relocate) = (number(&self.wanted.max_restart), number(&self.wanted.max_relocate));
        let done_when = Condition::HaResourceSet {
            node: making.owner.clone(),
            service: making.service,
            max_restart,
            max_relocate,
            group: group.cloned(),
            no_failback,
        };
        let cluster = self.world.file.cluster.name.value.clone();
        let sid = making.service.to_string();
        let called = called(making.guest);
        let Some(there) = making.there else {
            let started = self.runs(making, report)?;
            needs.extend(self.after_the_cluster());
            let state = if started {
                "it runs"
            } else {
                "it is stopped, and stays so"
            };
            let mut step = self.world.step(Making {
                verb: "ha.add",
                about: sid.clone(),
                node: making.owner.clone(),
                title: format!("put guest {called} under HA"),
                action: Action::AddHaResource {
                    cluster: cluster.clone(),
                    service: making.service,
                    started,
                    max_restart,
                    max_relocate,
                    group: group.cloned(),
                    no_failback,
                },
                why: vec![format!("the file wants it under HA; {state}")],
                needs,
                done_when,
                undo: format!(
                    "on {}: ha-manager remove {sid}; it neither starts nor stops the guest",
                    making.owner
                ),
            })?;
            step.gate.push(Condition::NotTwoVotes {
                cluster,
                node: making.owner.clone(),
            });
            return Some(step);
        };
        let mut why = Vec::new();
        for (what, wanted, there) in [
            ("max_restart", max_restart, there.max_restart),
            ("max_relocate", max_relocate, there.max_relocate),
        ] {
            // PVE takes 1 where nothing is written.
            if let Some(wanted) = wanted.filter(|wanted| there.unwrap_or(1) != *wanted) {
                why.push(format!("its {what} is {}, not {wanted}", there.unwrap_or(1)));
            }
        }
        if let Some(group) = group.filter(|group| there.group.as_deref() != Some(group.as_str())) {
            why.push(format!(
                "its group is {}, not {group}",
                there.group.as_deref().unwrap_or("none")
            ));
        }
        if no_failback && there.failback != Some(false) {
            why.push("it would move back as soon as its server returns, over what was written there last".to_owned());
        }
        if why.is_empty() {
            return None;
        }
        self.world.step(Making {
            verb: "ha.set",
            about: sid.clone(),
            node: making.owner.clone(),
            title: format!("change what HA is told of guest {called}"),
            action: Action::ChangeHaResource {
                cluster,
                service: making.service,
                max_restart,
                max_relocate,
                group: group.cloned(),
                no_failback,
            },
            why,
            needs,
            done_when,
            undo: format!(
                "on {}: ha-manager set {sid} with what it said before: ha-manager config",
                making.owner
            ),
        })
    }

    /// Whether it runs: HA makes of a guest what it is told, so that must be known.
    fn runs(&self, making: &Service<'_>, report: &mut Report) -> Option<bool> {
        let Sid { vmid, kind } = making.service;
        let running = match self.world.view.facet(making.owner, |o| &o.running) {
            Ok(running) => running,
            Err(unknown) => {
                waits(
                    report,
                    making.guest,
                    &format!("whether it runs can't be told: {}", unknown.reason),
                );
                return None;
            }
        };
        let why = match running
            .iter()
            .find(|guest| guest.vmid == vmid && guest.kind == kind)
            .map(|guest| &guest.run)
        {
            Some(GuestRun::Running) => return Some(true),
            Some(GuestRun::Stopped) => return Some(false),
            Some(GuestRun::Held(word)) => format!("it is {word}: HA would start or stop it"),
            None => format!("{} does not tell whether it runs", making.owner),
        };
        waits(report, making.guest, &why);
        None
    }

    /// While somebody joins or leaves, nothing must be under HA that was not before; and a third vote comes first.
    fn after_the_cluster(&self) -> Vec<StepId> {
        let changes = |step: &&Step| {
            let membership = matches!(
                step.action,
                Action::CreateCluster { .. }
                    | Action::JoinCluster { .. }
                    | Action::FinishJoin { .. }
                    | Action::AbandonJoin { .. }
                    | Action::AddLink { .. }
                    | Action::ExpectVotes { .. }
                    | Action::RemoveMember { .. }
                    | Action::SetUpQdevice { .. }
                    | Action::RemoveQdevice { .. }
            );
            membership && step.restores.is_none()
        };
        self.world
            .steps
            .iter()
            .filter(changes)
            .map(|step| step.id.clone())
            .collect()
    }
}
