//! Guests under HA: each bound strictly to the servers that have its copies. PVE looks neither at storages nor at copies when it chooses where to
//! recover a guest, so the binding is what makes recovery possible.

mod steps;

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::{HaName, Sid};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::{ConfiguredGuest, FacetName};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::spec::{HaSpec, NodeRole};

use super::guests::{Copying, Meant, called, copying};
use super::{World, guest_subject, told};
use crate::report::{Report, Weight, facet_unknown, in_a_row};
use steps::Service;

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
            let finding = facet_unknown(
                world.speaker,
                FacetName::Ha,
                "guests under HA and what binds them",
                unknown,
            );
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
            Err(why) => waits(
                report,
                guest,
                &format!("what the file means by its tag or pool can't be told: {why}"),
            ),
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
    let Ok(ha) = world.view.facet(world.speaker, |o| &o.ha) else {
        return;
    };
    let (Ok(resources), Ok(storages)) = (ha.resources.get(), world.view.facet(world.speaker, |o| &o.storages)) else {
        return;
    };
    let Ok(jobs) = world.config.replication.get() else {
        return;
    };
    for guest in world.guests {
        let vmid = guest.guest.vmid;
        let service = Sid {
            vmid,
            kind: guest.guest.kind,
        };
        let ours = world
            .file
            .ha
            .as_ref()
            .is_some_and(|ha| !matches!(world.names(&ha.guests, guest), Ok(None)));
        let makes = |step: &Step| matches!(&step.action, Action::CreateReplication { job, .. } if job.guest == vmid);
        let copied = jobs.iter().any(|job| job.guest == vmid) || copies.iter().any(makes);
        if ours || copied || !resources.contains_key(&service.to_string()) {
            continue;
        }
        if let Copying::Can { .. } | Copying::Cannot(_) = copying(guest, storages) {
            let message = format!(
                "guest {} is under HA, and has no copy: recovered elsewhere it would not start",
                called(guest)
            );
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
        let version = world
            .view
            .facet(node, |o| &o.system)
            .ok()
            .and_then(|system| system.pve.get().ok());
        match version
            .and_then(Option::as_ref)
            .and_then(quorate_model::observation::system::PveVersion::major)
        {
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
    names.extend(
        counted
            .iter()
            .map(|node| node.name.as_str())
            .filter(|name| !leaves(name)),
    );
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
                waits(
                    report,
                    guest,
                    &format!("its configuration can't be told: {}", unknown.reason),
                );
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
            waits(
                report,
                guest,
                &format!("its server {} is not enrolled", guest.guest.node),
            );
            return vec![];
        };
        if !world.is_in(owner) {
            waits(
                report,
                guest,
                &format!("its server {owner} can't be seen, or has no quorum"),
            );
            return vec![];
        }
        if !config.bound_by.is_empty() {
            let message = format!(
                "guest {} is bound to its server by {}",
                called(guest),
                in_a_row(&config.bound_by)
            );
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
            Meant::No => {
                return Places::Nowhere(
                    "its disks are on its own server alone, and no table of replication means it".to_owned(),
                );
            }
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
                Way::Rules => {
                    placement.kind == HaPlacement::NODES && placement.services.contains(&sid) && !placement.disabled
                }
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
        let without = theirs
            .nodes
            .keys()
            .filter(|node| !copies.iter().any(|copy| copy.as_str() == node.as_str()));
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
}

fn waits(report: &mut Report, guest: &ConfiguredGuest, why: &str) {
    let message = format!("guest {} is not put under HA yet: {why}", called(guest));
    let next = "plan again when that is over; quorate guests, quorate replication";
    told(report, Code::HaWaits, guest_subject(guest.guest.vmid), message, next);
}
