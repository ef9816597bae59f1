//! Guests under HA: each bound strictly to the servers that have its copies. PVE looks neither at storages nor at copies when it chooses where to
//! recover a guest, so the binding is what makes recovery possible.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::{HaName, Sid};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestRun};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::spec::{HaSpec, NodeRole};

use super::guests::{Copying, Meant, called, copying};
use super::{Making, World, guest_subject, told};
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// `copies`: steps that make copies, after which HA comes.
pub(super) fn plan(world: &World<'_>, copies: &[Step], report: &mut Report) -> Vec<Step> {
    of_others(world, copies, report);
    let Some(wanted) = &world.file.ha else {
        return Vec::new();
    };
    let Some(ha) = report.facet(world.view, world.speaker, FacetName::Ha, Weight::Told, |o| &o.ha) else {
        return Vec::new();
    };
    let parts = (ha.resources.get(), ha.placements.get());
    let (resources, placements) = match parts {
        (Ok(resources), Ok(placements)) => (resources, placements),
        (Err(unknown), _) | (_, Err(unknown)) => {
            let finding = facet_unknown(world.speaker, FacetName::Ha, "guests under HA and what binds them", unknown);
            report.weigh(Weight::Told, finding);
            return Vec::new();
        }
    };
    let Some(way) = way(world, wanted, placements, report) else {
        return Vec::new();
    };
    let planner = Planner {
        world,
        wanted,
        ha: Seen { resources, placements },
        way,
        copies,
        two_votes: two_votes(world),
    };
    let mut steps = Vec::new();
    let mut refused = BTreeSet::new();
    for guest in world.guests {
        match world.names(&wanted.guests, guest) {
            Ok(None) => {}
            Ok(Some(_)) => steps.extend(planner.guest(guest, &mut refused, report)),
            Err(why) => waits(report, guest, &format!("what the file means by its tag or pool can't be told: {why}")),
        }
    }
    if !refused.is_empty() {
        let cluster = world.file.cluster.name.value.as_str();
        let message = format!(
            "{} would be under HA in a cluster of two votes: when one server fails, the other loses quorum and resets itself as well",
            in_a_row(&refused)
        );
        let next = "two ways out: a third vote on a host outside ([cluster.third_vote] qdevice = \"NAME\"), or a third server (role = \
                    \"witness\" if it is only to vote); or take [ha] out, and recover by hand after a failure";
        report.tell(Finding::new(Code::TwoServersHa, cluster, message, next).at(Some(wanted.place.clone())));
    }
    steps
}

/// Guests that somebody else put under HA, and that would not start elsewhere: that is told and not changed.
fn of_others(world: &World<'_>, copies: &[Step], report: &mut Report) {
    let Ok(ha) = world.view.facet(world.speaker, |o| &o.ha) else { return };
    let (Ok(resources), Ok(storages)) = (ha.resources.get(), world.view.facet(world.speaker, |o| &o.storages)) else {
        return;
    };
    let Ok(jobs) = world.config.replication.get() else { return };
    for guest in world.guests {
        let vmid = guest.guest.vmid;
        let service = Sid {
            vmid,
            kind: guest.guest.kind,
        };
        let ours = world.file.ha.as_ref().is_some_and(|ha| !matches!(world.names(&ha.guests, guest), Ok(None)));
        let makes = |step: &Step| matches!(&step.action, Action::CreateReplication { job, .. } if job.guest == vmid);
        let copied = jobs.iter().any(|job| job.guest == vmid) || copies.iter().any(makes);
        if ours || copied || !resources.contains_key(&service.to_string()) {
            continue;
        }
        if let Copying::Can { .. } | Copying::Cannot(_) = copying(guest, storages) {
            let message = format!("guest {} is under HA, and has no copy: recovered elsewhere it would not start", called(guest));
            let next = format!("quorate protect {vmid} --ha; or take it out of HA: ha-manager remove {service}");
            told(report, Code::HaWithoutCopies, guest_subject(vmid), message, &next);
        }
    }
}

/// How guests are bound to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By rules (PVE 9).
    Rules,
    /// By groups (PVE 8).
    Groups,
}

/// By the version that all members have; `None`: that is told.
fn way(world: &World<'_>, wanted: &HaSpec, placements: &[HaPlacement], report: &mut Report) -> Option<Way> {
    let mut majors = BTreeSet::new();
    let mut unseen = Vec::new();
    for (node, _) in world.file.members() {
        let version = world.view.facet(node, |o| &o.system).ok().and_then(|system| system.pve.get().ok());
        match version.and_then(Option::as_ref).and_then(quorate_model::observation::system::PveVersion::major) {
            Some(major) => drop(majors.insert(major)),
            None => unseen.push(node),
        }
    }
    let why = if !unseen.is_empty() {
        format!("the version of PVE on {} can't be told", in_a_row(unseen))
    } else if majors.iter().all(|major| *major <= 8) {
        return Some(Way::Groups);
    } else if majors.iter().any(|major| *major <= 8) {
        "some servers run PVE 8 and some a later one: groups and rules of HA do not go together".to_owned()
    } else if let Some(group) = placements.iter().find(|there| there.kind == HaPlacement::GROUP) {
        format!("PVE has not made rules of its groups yet ({})", group.name)
    } else {
        return Some(Way::Rules);
    };
    let message = format!("no guest is put under HA or bound now: {why}");
    let next = "plan again when all servers run one version, and are online";
    let finding = Finding::new(Code::HaWaits, world.file.cluster.name.value.as_str(), message, next);
    report.weigh(Weight::Told, finding.at(Some(wanted.place.clone())));
    None
}

/// Will the cluster hang on two votes, without a third?
fn two_votes(world: &World<'_>) -> bool {
    let member = world.view.cluster_of(world.speaker).ok().and_then(|seen| seen.member());
    let leaves = |name: &str| world.wish.removed().any(|removed| removed.as_str() == name);
    let mut names: BTreeSet<&str> = world.file.members().map(|(node, _)| node.as_str()).collect();
    let counted = member.map(|member| member.configured.as_slice()).unwrap_or_default();
    names.extend(counted.iter().map(|node| node.name.as_str()).filter(|name| !leaves(name)));
    let third = world.file.qnetd().is_some() || member.is_some_and(|member| member.qdevice.is_some());
    names.len() == 2 && !third
}

/// HA as it is.
struct Seen<'a> {
    resources: &'a std::collections::BTreeMap<String, HaResource>,
    placements: &'a [HaPlacement],
}

struct Planner<'a> {
    world: &'a World<'a>,
    wanted: &'a HaSpec,
    ha: Seen<'a>,
    way: Way,
    copies: &'a [Step],
    two_votes: bool,
}

/// Where a guest may be recovered.
enum Places {
    /// On any member.
    Anywhere,
    /// On these, when these steps are done.
    On(BTreeSet<NodeName>, Vec<StepId>),
    /// Not yet, for this reason.
    NotYet(String),
    /// Nowhere but on its own server.
    Nowhere(String),
}

impl Planner<'_> {
    fn guest(&self, guest: &ConfiguredGuest, refused: &mut BTreeSet<Sid>, report: &mut Report) -> Vec<Step> {
        let (world, vmid) = (self.world, guest.guest.vmid);
        let service = Sid {
            vmid,
            kind: guest.guest.kind,
        };
        let there = self.ha.resources.get(&service.to_string());
        let config = match guest.config.get() {
            Ok(config) => config,
            Err(unknown) => {
                waits(report, guest, &format!("its configuration can't be told: {}", unknown.reason));
                return vec![];
            }
        };
        if config.template {
            return vec![];
        }
        if self.two_votes {
            refused.insert(service);
            return vec![];
        }
        let Some(owner) = world.server(&guest.guest.node) else {
            waits(report, guest, &format!("its server {} is not enrolled", guest.guest.node));
            return vec![];
        };
        if !world.is_in(owner) {
            waits(report, guest, &format!("its server {owner} can't be seen, or has no quorum"));
            return vec![];
        }
        if !config.bound_by.is_empty() {
            let message = format!("guest {} is bound to its server by {}", called(guest), in_a_row(&config.bound_by));
            let next = format!("take the device out of it, or leave it out: except = [{vmid}]");
            told(report, Code::HaPassthrough, guest_subject(vmid), message, &next);
            return vec![];
        }
        let (nodes, needs) = match self.places(guest, owner) {
            Places::Anywhere => (None, vec![]),
            Places::On(nodes, needs) => (Some(nodes), needs),
            Places::NotYet(why) => {
                if there.is_some() {
                    let message = format!("HA may recover guest {} where it has no copy: {why}", called(guest));
                    let next = "quorate replication; plan again when the copies are there";
                    told(report, Code::HaNodeWithoutCopy, guest_subject(vmid), message, next);
                } else {
                    waits(report, guest, &why);
                }
                return vec![];
            }
            Places::Nowhere(why) => {
                let message = format!("guest {} can't be recovered elsewhere: {why}", called(guest));
                let next = format!("name it in [[replication]], or leave it out of HA: except = [{vmid}]");
                told(report, Code::HaWithoutCopies, guest_subject(vmid), message, &next);
                return vec![];
            }
        };
        let nodes = nodes.filter(|nodes| !self.bound_by_others(guest, service, there, nodes, report));
        let making = Service {
            guest,
            owner,
            service,
            there,
            nodes: nodes.as_ref(),
            needs,
        };
        match self.way {
            Way::Rules => self.with_rule(&making, report),
            Way::Groups => self.with_group(&making, report),
        }
    }

    fn places(&self, guest: &ConfiguredGuest, owner: &NodeName) -> Places {
        let world = self.world;
        let storages = match world.view.facet(world.speaker, |o| &o.storages) {
            Ok(storages) => storages,
            Err(unknown) => return Places::NotYet(format!("the storages can't be seen: {}", unknown.reason)),
        };
        match copying(guest, storages) {
            Copying::Needless => {
                let members = || world.file.members();
                if members().all(|(_, node)| node.role == NodeRole::Member) {
                    return Places::Anywhere;
                }
                // A witness runs no guests.
                let full = members().filter(|(_, node)| node.role == NodeRole::Member);
                return Places::On(full.map(|(node, _)| node.clone()).collect(), vec![]);
            }
            Copying::Untold(why) => return Places::NotYet(why),
            Copying::Cannot(reasons) => return Places::Nowhere(reasons.join("; ")),
            Copying::Can { .. } => {}
        }
        let table = match world.meant(world.file, guest) {
            Meant::By(table) => table,
            Meant::No => return Places::Nowhere("its disks are on its own server alone, and no table of replication means it".to_owned()),
            Meant::Twice(..) => return Places::NotYet("two tables of replication mean it".to_owned()),
            Meant::Untold(why) => return Places::NotYet(why),
        };
        let nodes = &table.copies_on.value;
        if !nodes.contains(owner) {
            return Places::NotYet(format!(
                "it is on {owner}, which is none of {}: HA would move it at once; move it there first",
                in_a_row(nodes)
            ));
        }
        let mut needs = Vec::new();
        for target in nodes.iter().filter(|node| *node != owner) {
            let makes = |step: &&Step| match &step.action {
                Action::CreateReplication { job, target: to, .. } => job.guest == guest.guest.vmid && to == target,
                _ => false,
            };
            if let Some(step) = self.copies.iter().find(makes) {
                needs.push(step.id.clone());
                continue;
            }
            let made = Condition::CopyMade {
                node: owner.clone(),
                guest: guest.guest.vmid,
                target: target.clone(),
            };
            match made.judge(world.view) {
                quorate_model::plan::Verdict::Holds(_) => {}
                quorate_model::plan::Verdict::NotYet(why) | quorate_model::plan::Verdict::Unknown(why) => {
                    return Places::NotYet(why);
                }
            }
        }
        Places::On(nodes.clone(), needs)
    }

    /// Somebody else binds it: that is told, and left alone.
    fn bound_by_others(
        &self,
        guest: &ConfiguredGuest,
        service: Sid,
        there: Option<&HaResource>,
        copies: &BTreeSet<NodeName>,
        report: &mut Report,
    ) -> bool {
        let sid = service.to_string();
        let theirs = |placement: &&HaPlacement| {
            let about = match self.way {
                Way::Rules => placement.kind == HaPlacement::NODES && placement.services.contains(&sid) && !placement.disabled,
                Way::Groups => there.and_then(|there| there.group.as_ref()) == Some(&placement.name),
            };
            about && !HaName::is_ours(&placement.name)
        };
        let Some(theirs) = self.ha.placements.iter().find(theirs) else {
            return false;
        };
        let vmid = service.vmid;
        let what = if self.way == Way::Rules { "rule" } else { "group" };
        let message = format!(
            "guest {} is bound by the {what} {}, which is none of ours: it is not changed",
            called(guest),
            theirs.name
        );
        let next = format!("take {sid} out of it, if Quorate is to bind it to {}", in_a_row(copies));
        told(report, Code::HaBoundByOthers, guest_subject(vmid), message, &next);
        let without = theirs.nodes.keys().filter(|node| !copies.iter().any(|copy| copy.as_str() == node.as_str()));
        let without: Vec<&String> = without.collect();
        if !without.is_empty() || !theirs.strict {
            let whom = if without.is_empty() || !theirs.strict {
                "any server".to_owned()
            } else {
                in_a_row(&without)
            };
            let message = format!(
                "the {what} {} lets HA recover guest {} on {whom}, and copies are on {} only",
                theirs.name,
                called(guest),
                in_a_row(copies)
            );
            told(report, Code::HaNodeWithoutCopy, guest_subject(vmid), message, &next);
        }
        true
    }

    /// The resource first: PVE takes no rule about what is not under HA.
    fn with_rule(&self, making: &Service<'_>, report: &mut Report) -> Vec<Step> {
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
            placement.kind == HaPlacement::NODES && HaName::is_ours(&placement.name) && placement.services.contains(&sid)
        };
        let there = self.ha.placements.iter().find(own);
        if there.is_some_and(|there| there.binds_to(nodes)) {
            return resource.into_iter().collect();
        }
        let name = there.and_then(|there| there.name.parse().ok()).unwrap_or_else(|| HaName::of(making.service));
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
            why: why_bound(exists),
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
    fn with_group(&self, making: &Service<'_>, report: &mut Report) -> Vec<Step> {
        let Some(nodes) = making.nodes else {
            return self.resource(making, None, false, making.needs.clone(), report).into_iter().collect();
        };
        let own = making.there.and_then(|there| there.group.as_deref()).and_then(|group| group.parse().ok());
        let name: HaName = own.unwrap_or_else(|| HaName::of(making.service));
        let there = self.ha.placements.iter().find(|there| there.kind == HaPlacement::GROUP && there.name == name.as_str());
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
        let number = |wanted: &Option<quorate_model::spec::Located<u8>>| wanted.as_ref().map(|number| u32::from(number.value));
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
            let state = if started { "it runs" } else { "it is stopped, and stays so" };
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
                undo: format!("on {}: ha-manager remove {sid}; it neither starts nor stops the guest", making.owner),
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
            why.push(format!("its group is {}, not {group}", there.group.as_deref().unwrap_or("none")));
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
            undo: format!("on {}: ha-manager set {sid} with what it said before: ha-manager config", making.owner),
        })
    }

    /// Whether it runs: HA makes of a guest what it is told, so that must be known.
    fn runs(&self, making: &Service<'_>, report: &mut Report) -> Option<bool> {
        let Sid { vmid, kind } = making.service;
        let running = match self.world.view.facet(making.owner, |o| &o.running) {
            Ok(running) => running,
            Err(unknown) => {
                waits(report, making.guest, &format!("whether it runs can't be told: {}", unknown.reason));
                return None;
            }
        };
        let why = match running.iter().find(|guest| guest.vmid == vmid && guest.kind == kind).map(|guest| &guest.run) {
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
        self.world.steps.iter().filter(changes).map(|step| step.id.clone()).collect()
    }
}

/// A guest that is to be under HA.
struct Service<'a> {
    guest: &'a ConfiguredGuest,
    owner: &'a NodeName,
    service: Sid,
    there: Option<&'a HaResource>,
    /// To which nodes it is bound; `None`: it is not bound, or not by us.
    nodes: Option<&'a BTreeSet<NodeName>>,
    needs: Vec<StepId>,
}

fn why_bound(exists: bool) -> Vec<String> {
    let there = if exists { "what binds it says something else" } else { "nothing binds it yet" };
    vec![
        format!("{there}; HA does not look where a copy is"),
        "strict, without preference and failback: what runs stays where it is".to_owned(),
    ]
}

fn waits(report: &mut Report, guest: &ConfiguredGuest, why: &str) {
    let message = format!("guest {} is not put under HA yet: {why}", called(guest));
    let next = "plan again when that is over; quorate guests, quorate replication";
    told(report, Code::HaWaits, guest_subject(guest.guest.vmid), message, next);
}
