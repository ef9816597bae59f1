//! Canaries: guests of ours, made where an operator wants one, and removed by a word for each.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_model::ByteSize;
use quorate_model::canary::{MEMORY, NewCanary, is_tagged, name as called};
use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::VMIDS;
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::network::InterfaceKind;
use quorate_model::observation::storages::StorageState;
use quorate_model::observation::{ConfiguredGuest, GuestKind};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};

use super::scene::{Scene, sid};
use super::steps::Row;
use super::{canary_disc, owner};
use crate::report::{Report, in_a_row};

/// An image of some gigabytes is imported, and the guest boots.
const MAKES: Duration = Duration::from_secs(120);
/// PVE's scheduler takes copies away within a minute or two.
const GOES: Duration = Duration::from_secs(90);

fn unfit(report: &mut Report, subject: &str, message: String, next: impl Into<String>) {
    report.tell(Finding::new(Code::CanaryUnfit, subject, message, next));
}

/// One is made.
pub(super) fn create(scene: &Scene<'_>, new: &NewCanary, report: &mut Report) -> Option<Vec<Step>> {
    let node = &new.node;
    let subject = node.as_str();
    if !scene.online.contains(node) || !scene.view.nodes.contains_key(node) {
        let others: BTreeSet<NodeName> = scene
            .online
            .iter()
            .filter(|n| scene.view.nodes.contains_key(*n))
            .cloned()
            .collect();
        let message = format!(
            "{node} is no member that is online and enrolled; these are: {}",
            in_a_row(&others)
        );
        unfit(report, subject, message, "quorate status");
        return None;
    }
    let id = match new.guest {
        None => free(scene.guests)?,
        Some(id) => match scene.guest(id) {
            None => id,
            Some(there) => {
                taken(there, id, report);
                return None;
            }
        },
    };
    let before = report.refusals();
    fits(scene, new, report);
    let Some(program) = new.program.clone() else {
        let message = "the coordinator does not have the program that is put into canaries";
        let next =
            "install the whole package quorate there; or name the program's file in coordinator.toml: guest_program";
        unfit(report, subject, message.to_owned(), next);
        return None;
    };
    if report.refusals() > before {
        return None;
    }
    let kind = new.source.kind();
    let (what, how) = match kind {
        GuestKind::Vm => (
            "VM",
            "the program that writes numbers is put into it by its guest agent, if its image has one; it needs no network for that",
        ),
        GuestKind::Container => (
            "container",
            "the program that writes numbers is put into it by PVE; it needs no network for that",
        ),
    };
    let address = match new.address {
        Some(address) => format!("it has the address {address}"),
        None => "no address is set for it".to_owned(),
    };
    let vlan = new.vlan.map_or_else(String::new, |vlan| format!(", VLAN {vlan}"));
    Some(vec![Step {
        id: StepId::new(format!("guest.canary/{id}")).ok()?,
        node: node.clone(),
        action: Action::CreateCanary {
            cluster: scene.cluster.clone(),
            guest: id,
            source: new.source.clone(),
            storage: new.storage.clone(),
            bridge: new.bridge.clone(),
            vlan: new.vlan,
            address: new.address,
            memory: new.memory,
            program,
        },
        title: format!(
            "make and start the canary {} as {what} {id} on {node}: from {}, on {}, at {}{vlan}",
            called(id),
            new.source.volume(),
            new.storage,
            new.bridge
        ),
        why: vec![format!("{how}; {address}")],
        needs: vec![],
        gate: vec![quorate(scene, node)],
        done_when: canary(scene, (id, kind), node, true),
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: MAKES,
        undo: Undo::Operator {
            how: format!("quorate guest remove-canary {id} --destroy guest:{id}"),
        },
        restores: None,
    }])
}

/// The lowest id that is free, as PVE proposes it.
fn free(guests: &[ConfiguredGuest]) -> Option<u32> {
    let taken: BTreeSet<u32> = guests.iter().map(|guest| guest.guest.vmid).collect();
    VMIDS.clone().find(|id| !taken.contains(id))
}

/// A canary of ours is what was wanted; anybody else's guest is left alone.
fn taken(there: &ConfiguredGuest, id: u32, report: &mut Report) {
    let subject = format!("guest {id}");
    let on = &there.guest.node;
    let finding = match is_tagged(there) {
        Some(true) => Finding::new(
            Code::PartDone,
            subject,
            format!("guest {id} is a canary of ours already, on {on}"),
            "",
        ),
        Some(false) => Finding::new(
            Code::CanaryIdTaken,
            subject,
            format!("there is a guest {id} on {on}, and it is no canary of ours"),
            "name another id, or none: then the lowest that is free is taken",
        ),
        None => Finding::new(
            Code::FacetUnknown,
            subject,
            format!("there is a guest {id} on {on}, and its configuration can't be read"),
            "quorate guests",
        ),
    };
    report.tell(finding);
}

/// Has its server what it needs?
fn fits(scene: &Scene<'_>, new: &NewCanary, report: &mut Report) {
    let node = &new.node;
    let subject = node.as_str();
    if !MEMORY.contains(&new.memory) {
        let message = format!(
            "{} MiB is no memory for a canary: {} to {} MiB are",
            new.memory,
            MEMORY.start(),
            MEMORY.end()
        );
        unfit(report, subject, message, "say another one: --memory 256M");
    }
    if new.vlan.is_some_and(|vlan| !(1..=4094).contains(&vlan)) {
        unfit(
            report,
            subject,
            "a VLAN has a number from 1 to 4094".to_owned(),
            "say another one: --vlan",
        );
    }
    let unknown = |what: &str, why: &str| {
        Finding::new(
            Code::FacetUnknown,
            subject,
            format!("the {what} of {node} can't be seen: {why}"),
            "quorate status",
        )
    };
    match scene.view.facet(node, |o| &o.system) {
        Err(why) => report.tell(unknown("memory", &why.reason)),
        Ok(system) if system.memory.available.0 < u64::from(new.memory) << 20 => {
            let left = ByteSize(system.memory.available.0);
            let message = format!(
                "{node} has {left} of memory left, and the canary may use {} MiB",
                new.memory
            );
            unfit(report, subject, message, "choose another server");
        }
        Ok(_) => {}
    }
    match scene.view.facet(node, |o| &o.network) {
        Err(why) => report.tell(unknown("network", &why.reason)),
        Ok(network) => {
            let found = network.interfaces.iter().find(|one| one.name == new.bridge.as_str());
            let why = match found {
                None => Some("has no"),
                Some(one) if !matches!(one.kind, InterfaceKind::Bridge | InterfaceKind::Other) => Some("has no bridge"),
                Some(_) => None,
            };
            if let Some(why) = why {
                let message = format!("{node} {why} {}", new.bridge);
                unfit(report, subject, message, "name a bridge that is there: --bridge");
            }
        }
    }
    match storage(scene, new) {
        Ok(()) => {}
        Err(Refuses::Unfit(message)) => {
            unfit(
                report,
                subject,
                message,
                "quorate storage; then name another one: --storage",
            );
        }
        Err(Refuses::Unknown(why)) => report.tell(unknown("storages", &why)),
    }
}

enum Refuses {
    Unfit(String),
    Unknown(String),
}

fn storage(scene: &Scene<'_>, new: &NewCanary) -> Result<(), Refuses> {
    let (node, name) = (&new.node, new.storage.as_str());
    let storages = scene.view.facet(node, |o| &o.storages);
    let storages = storages.map_err(|why| Refuses::Unknown(why.reason))?;
    let Some(defined) = storages.defined(name) else {
        return Err(Refuses::Unfit(format!("{node} knows no storage {name}")));
    };
    if !defined.is_for(node) {
        return Err(Refuses::Unfit(format!("storage {name} is not for {node}")));
    }
    let wanted = match new.source.kind() {
        GuestKind::Vm => "images",
        GuestKind::Container => "rootdir",
    };
    let content = defined.properties.get("content");
    if content.is_some_and(|kinds| !kinds.split(',').any(|kind| kind.trim() == wanted)) {
        return Err(Refuses::Unfit(format!("storage {name} is not for {wanted}")));
    }
    let status = storages
        .status
        .get()
        .map_err(|why| Refuses::Unknown(why.reason.clone()))?;
    match status.iter().find(|one| one.id == name) {
        Some(one) if one.state == StorageState::Active => Ok(()),
        Some(_) => Err(Refuses::Unfit(format!("storage {name} is not active on {node}"))),
        None => Err(Refuses::Unknown(format!("nothing is said of {name}"))),
    }
}

/// One goes, with all that it wrote.
pub(super) fn remove(scene: &Scene<'_>, id: u32, destroy: bool, report: &mut Report) -> Option<Vec<Step>> {
    let subject = format!("guest {id}");
    let Some(guest) = scene.guest(id) else {
        let message = format!("{} has no guest {id} (any more)", scene.cluster);
        report.tell(Finding::new(Code::PartDone, subject, message, ""));
        return None;
    };
    let node = owner(guest, report)?;
    match is_tagged(guest) {
        Some(true) => {}
        Some(false) => {
            let message = format!("guest {id} on {node} is no canary of ours: nothing of it is touched");
            report.tell(Finding::new(Code::CanaryNotOurs, subject, message, "quorate guests"));
            return None;
        }
        None => {
            let message = format!("the configuration of guest {id} on {node} can't be read");
            report.tell(Finding::new(Code::FacetUnknown, subject, message, "quorate guests"));
            return None;
        }
    }
    if !scene.online.contains(&node) || !scene.view.nodes.contains_key(&node) {
        let message = format!("{node}, whose it is, is no member that is online and enrolled");
        report.tell(Finding::new(Code::CanaryUnfit, subject, message, "quorate status"));
        return None;
    }
    if !destroy {
        let message = format!("the canary {id} on {node} would be destroyed, with its disks and their copies");
        let next = format!("if it is not needed any more: --destroy guest:{id}");
        report.tell(Finding::new(Code::DestroyNotConsented, &subject, message, next));
    }
    let kind = guest.guest.kind;
    let mut copies: Vec<&str> = scene
        .jobs
        .iter()
        .filter(|job| job.guest == id)
        .map(|job| job.target.as_str())
        .collect();
    copies.sort_unstable();
    let mut why =
        vec!["it bears our tag; that its description says so as well is looked at in the instant before".to_owned()];
    if scene.resources.contains_key(&sid(guest)) {
        why.push("it is taken out of HA first".to_owned());
    }
    if !copies.is_empty() {
        why.push(format!(
            "its copies on {} are taken away by PVE's scheduler, which takes a minute or two",
            copies.join(", ")
        ));
    }
    let mut row = Row::new(scene.cluster);
    canary_disc::before_it_goes(scene, guest, &node, &mut row);
    let mut steps = row.into_steps();
    let needs = steps.last().map(|step| step.id.clone()).into_iter().collect();
    steps.push(Step {
        id: StepId::new(format!("guest.remove-canary/{id}")).ok()?,
        node: node.clone(),
        action: Action::DestroyCanary {
            cluster: scene.cluster.clone(),
            guest: id,
            kind,
        },
        title: format!("destroy the canary {id} on {node}"),
        why,
        needs,
        gate: vec![quorate(scene, &node)],
        done_when: canary(scene, (id, kind), &node, false),
        destroys: vec![format!("guest {id} with all its disks and their copies")],
        disks: BTreeSet::new(),
        estimate: GOES,
        undo: Undo::Operator {
            how: "it can't be had back; another one: quorate guest create-canary".to_owned(),
        },
        restores: None,
    });
    Some(steps)
}

fn quorate(scene: &Scene<'_>, node: &NodeName) -> Condition {
    Condition::Quorate {
        cluster: scene.cluster.clone(),
        node: node.clone(),
    }
}

fn canary(scene: &Scene<'_>, (guest, kind): (u32, GuestKind), node: &NodeName, there: bool) -> Condition {
    Condition::Canary {
        cluster: scene.cluster.clone(),
        guest,
        kind,
        node: node.clone(),
        there,
    }
}
