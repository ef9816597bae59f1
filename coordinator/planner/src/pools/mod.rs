//! ZFS pools: on which disks of each member, how they grow, and what stands against it. What a pool has is never taken from it.

mod compare;
mod replace;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding, Place};
use quorate_model::ids::{DiskRef, NodeName, PoolName, StepId};
use quorate_model::observation::FacetName;
use quorate_model::observation::disks::{Disk, Disks, Holder, HolderKind};
use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::observation::pools::{Pool, VdevClass, VdevState};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::{DiskIdentity, DisksBeside, PoolLayout};
use quorate_model::spec::{ClusterFile, NodeRole, Pick, PoolSpec};
use quorate_model::{ByteSize, Facet, View, Wish};

use crate::disks::{Allowed, Choice, NotEnough, across, choose, wipeable};
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// Hundredths of the largest by which pools of one name may differ before it is said.
const UNEQUAL: u64 = 5;

/// What the file and the operator want of pools, held against what is there. `steps`: those of the cluster, after which they come.
pub(crate) fn plan(file: &ClusterFile, wish: &Wish, view: &View, steps: &[Step], report: &mut Report) -> Vec<Step> {
    if file.pools.is_empty() && wish.replace_disk.is_none() {
        return Vec::new();
    }
    let disks = across(view);
    let server = |node| Server {
        node,
        view,
        disks: disks.get(node),
        destroy: &wish.destroy,
    };
    let mut planned = Vec::new();
    let mut room: BTreeMap<&PoolName, BTreeMap<&NodeName, ByteSize>> = BTreeMap::new();
    for (node, spec) in file.members() {
        if spec.role != NodeRole::Member {
            continue;
        }
        let mut taken: Vec<String> = Vec::new();
        let before = comes_in(node, steps);
        for (name, spec) in &file.pools {
            let Some(wanted) = server(node).wants(name, spec, &before, &mut taken, report) else {
                continue;
            };
            planned.extend(wanted.steps);
            room.entry(name).or_default().insert(node, wanted.usable);
        }
        if let Some(what) = wish.replace_disk.as_ref().filter(|what| what.node == *node) {
            let place = &file.cluster.name.place;
            planned.extend(replace::plan(&server(node), what, place, &mut taken, report));
        }
    }
    for (name, of_nodes) in room {
        unequal(file, name, &of_nodes, report);
    }
    planned
}

/// The steps by which a server comes into the cluster.
fn comes_in(node: &NodeName, steps: &[Step]) -> Vec<StepId> {
    let comes_in = |step: &&Step| {
        step.node == *node
            && matches!(
                step.action,
                Action::CreateCluster { .. } | Action::JoinCluster { .. } | Action::FinishJoin { .. }
            )
    };
    steps.iter().filter(comes_in).map(|step| step.id.clone()).collect()
}

/// What is to be done about a pool on a server; nothing, where it is as it should be.
struct Wanted {
    steps: Vec<Step>,
    usable: ByteSize,
}

/// For what disks are picked.
struct Picking {
    /// In words, such as `data of pool data_zfs`.
    what: String,
    /// Whom a finding is about.
    subject: String,
    /// Where in the file it is asked for.
    place: Option<Place>,
}

impl Picking {
    fn told(&self, code: Code, message: String, next: &str) -> Finding {
        Finding::new(code, self.subject.as_str(), message, next).at(self.place.clone())
    }
}

/// Disks that were picked.
#[derive(Default)]
struct Picked {
    identities: Vec<DiskIdentity>,
    /// Of those, the ones on which something goes.
    wiped: Vec<DiskIdentity>,
    /// Why these, and not the others.
    why: Vec<String>,
}

/// Disks for a pool, by what they are for.
#[derive(Default)]
struct Gathered {
    data: Vec<DiskIdentity>,
    beside: Vec<DisksBeside>,
    accepted: BTreeSet<ReasonKind>,
    /// Of all of them together, what goes and why these.
    picked: Picked,
}

impl Gathered {
    fn usable(&self, spec: &PoolSpec, vdevs: usize) -> ByteSize {
        let sizes: Vec<ByteSize> = self.data.iter().map(|disk| disk.size).collect();
        spec.raid.value.usable(&sizes, vdevs)
    }

    fn layout(self, name: &PoolName, spec: &PoolSpec, data_vdevs: u8) -> PoolLayout {
        PoolLayout {
            name: name.clone(),
            raid: spec.raid.value,
            disks: self.data,
            data_vdevs,
            beside: self.beside,
            ashift: spec.ashift,
            compression: spec.compression,
            autotrim: spec.autotrim,
            accepted: self.accepted,
        }
    }
}

struct Server<'a> {
    node: &'a NodeName,
    view: &'a View,
    disks: Option<&'a Facet<Disks>>,
    destroy: &'a BTreeSet<DiskRef>,
}

impl<'a> Server<'a> {
    /// Its disks; `None`: it can't be told, and that is told.
    fn seen_disks(&self, report: &mut Report) -> Option<&'a Disks> {
        match self.disks?.get() {
            Ok(disks) => Some(disks),
            // Of a server that can't be seen at all, that alone is told elsewhere.
            Err(unknown) => {
                let seen = self.view.nodes.get(self.node);
                if seen.is_some_and(|seen| seen.observation.is_ok()) {
                    report.tell(facet_unknown(self.node, FacetName::Disks, "disks", unknown));
                }
                None
            }
        }
    }

    fn wants(
        &self,
        name: &PoolName,
        spec: &PoolSpec,
        before: &[StepId],
        taken: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Wanted> {
        let pools = report.facet(self.view, self.node, FacetName::Pools, Weight::Needed, |o| &o.pools)?;
        let disks = self.seen_disks(report)?;
        match pools.iter().find(|pool| pool.name == name.as_str()) {
            Some(pool) => Some(Wanted {
                steps: self.existing(pool, name, spec, disks, before, taken, report),
                usable: pool.size,
            }),
            None => self.new_pool(name, spec, disks, before, taken, report),
        }
    }

    fn picking(&self, name: &PoolName, spec: &PoolSpec, class: VdevClass) -> Picking {
        Picking {
            what: format!("{} of pool {name}", class.as_str()),
            subject: format!("{}/{name}", self.node),
            place: Some(spec.place.clone()),
        }
    }

    fn new_pool(
        &self,
        name: &PoolName,
        spec: &PoolSpec,
        disks: &Disks,
        before: &[StepId],
        taken: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Wanted> {
        let beside = spec
            .beside
            .iter()
            .filter_map(|(class, choice)| Some((*class, choice.of(self.node)?)));
        let wanted = [(VdevClass::Data, spec.disks.of(self.node)?)].into_iter().chain(beside);
        let gathered = self.gather(name, spec, wanted, disks, taken, report)?;
        let wiped = |disk: &Disk| {
            gathered
                .picked
                .wiped
                .iter()
                .any(|wiped| disk.by_id.contains(&wiped.link))
        };
        let carries_it = |disk: &&Disk| {
            let label = |holder: &Holder| holder.kind == HolderKind::ZfsLabel && holder.name == name.as_str();
            disk.holders.iter().any(label) && !wiped(disk)
        };
        let carriers = disks.disks.iter().filter(carries_it);
        let carriers: Vec<&str> = carriers.map(|disk| disk.stable_name().unwrap_or(&disk.path)).collect();
        if let Some(first) = carriers.first() {
            let (node, named) = (self.node, in_a_row(&carriers));
            let message = format!("{named} of {node} carry a pool {name} that is not imported");
            let next = format!(
                "if it is the one that is meant, on {node}: zpool import {name}; if nothing of it is needed any more, wipe each of its disks \
                 there (zpool labelclear), such as {first}; or call the new one otherwise"
            );
            let picking = self.picking(name, spec, VdevClass::Data);
            report.tell(picking.told(Code::PoolNameTaken, message, &next));
            return None;
        }
        let (raid, vdevs) = (spec.raid.value, usize::from(spec.vdevs));
        let count = gathered.data.len();
        if let Some(refused) = raid.refuses(count, vdevs) {
            let message = format!("{raid} {refused}, and {count} of {} fit", self.node);
            let next = "say how many by `count`, or name them";
            let picking = self.picking(name, spec, VdevClass::Data);
            report.tell(picking.told(Code::DisksTooFew, message, next));
            return None;
        }
        let usable = gathered.usable(spec, vdevs);
        let mut why = gathered.picked.why.clone();
        why.push(format!("{usable} usable; {}", raid.survives(count, vdevs)));
        let mut steps = self.wipes(&gathered.picked, disks, before);
        let needs = after(before, &steps);
        let layout = gathered.layout(name, spec, spec.vdevs);
        steps.extend(steps::create(self.node, &layout, why, needs));
        Some(Wanted { steps, usable })
    }

    /// A pool that is there: how it grows, and what differs from the file.
    fn existing(
        &self,
        pool: &Pool,
        name: &PoolName,
        spec: &PoolSpec,
        disks: &Disks,
        before: &[StepId],
        taken: &mut Vec<String>,
        report: &mut Report,
    ) -> Vec<Step> {
        let mut compared = compare::compare(self.node, pool, spec, disks);
        let grows = compared.more.is_some() || !compared.lacks.is_empty();
        if grows && pool.state != VdevState::Online {
            let state = pool.state.as_str();
            compared.differs.push(format!(
                "it is to get more disks, and is {state}: first it must be whole"
            ));
        }
        if !compared.differs.is_empty() {
            let message = format!(
                "pool {} of {} differs from the cluster file: {}",
                pool.name,
                self.node,
                compared.differs.join("; ")
            );
            let next = "make the file say what is there, or change by hand what can be changed (zpool set, zfs set); disks are laid out anew only by hand";
            let subject = format!("{}/{}", self.node, pool.name);
            report.tell(Finding::new(Code::PoolDiffers, subject, message, next).at(Some(spec.place.clone())));
            return Vec::new();
        }
        if !grows {
            return Vec::new();
        }
        let more = compared.more.as_ref();
        let data = more.map(|more| (VdevClass::Data, &more.pick));
        let beside = compared
            .lacks
            .iter()
            .filter_map(|class| Some((*class, spec.beside.get(class)?.of(self.node)?)));
        let wanted = data.into_iter().chain(beside);
        let Some(gathered) = self.gather(name, spec, wanted, disks, taken, report) else {
            return Vec::new();
        };
        let vdevs = more.map_or(1, |more| more.vdevs);
        let mut why = gathered.picked.why.clone();
        if !gathered.data.is_empty() {
            let room = gathered.usable(spec, usize::from(vdevs));
            why.push(format!(
                "{room} more are usable; what is on it stays where it is, new data goes to all its disks"
            ));
            why.push("what is added to the data can't be taken out again".to_owned());
        }
        let mut steps = self.wipes(&gathered.picked, disks, before);
        let needs = after(before, &steps);
        let layout = gathered.layout(name, spec, vdevs);
        steps.extend(steps::grow(self.node, &layout, why, needs));
        steps
    }

    /// Picks disks for each class that is wanted; `None`: not for all, and everything that is missing is told.
    fn gather<'p>(
        &self,
        name: &PoolName,
        spec: &PoolSpec,
        wanted: impl IntoIterator<Item = (VdevClass, &'p Pick)>,
        disks: &Disks,
        taken: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Gathered> {
        let (mut gathered, mut whole) = (Gathered::default(), true);
        for (class, pick) in wanted {
            let picking = self.picking(name, spec, class);
            let Some(found) = self.pick(&picking, pick, disks, taken, &mut gathered.accepted, report) else {
                whole = false;
                continue;
            };
            gathered.picked.wiped.extend(found.wiped);
            gathered.picked.why.extend(found.why);
            match class {
                VdevClass::Data => gathered.data = found.identities,
                class => gathered.beside.push(DisksBeside {
                    class,
                    disks: found.identities,
                }),
            }
        }
        whole.then_some(gathered)
    }

    /// Picks disks and takes them; `None`: there are not enough, or one can't be named, and that is told.
    fn pick(
        &self,
        picking: &Picking,
        pick: &Pick,
        disks: &Disks,
        taken: &mut Vec<String>,
        accepted: &mut BTreeSet<ReasonKind>,
        report: &mut Report,
    ) -> Option<Picked> {
        let names: Vec<&str> = taken.iter().map(String::as_str).collect();
        let consented = |name: &str| steps::disk_ref(self.node, name).is_some_and(|disk| self.destroy.contains(&disk));
        let found = match pick {
            // What must have been meant: a disk of which it can't be told what it is, and one on which something is left. A selector never
            // chooses the one, and the other only by the operator's word for it.
            Pick::Named(_) => choose(pick, Role::Zfs, disks, &names, &Allowed::whatever_may_be()),
            Pick::Matching(_) => choose(pick, Role::Zfs, disks, &names, &Allowed::nothing()).or_else(|missing| {
                let with_consent = Allowed::wiping(&consented);
                choose(pick, Role::Zfs, disks, &names, &with_consent).map_err(|_| missing)
            }),
        };
        let found = match found {
            Ok(found) => found,
            Err(missing) => {
                let left: Vec<&str> = disks
                    .disks
                    .iter()
                    .filter(|disk| wipeable(disk, Role::Zfs))
                    .filter_map(Disk::stable_name)
                    .filter(|name| !names.contains(name))
                    .collect();
                for missing in &missing {
                    report.tell(self.missing(picking, missing, &left));
                }
                return None;
            }
        };
        let mut picked = Picked {
            why: told(&picking.what, &found, disks),
            ..Picked::default()
        };
        for chosen in &found.chosen {
            let disk = disks.disks.iter().find(|disk| disk.path == chosen.disk)?;
            let Some(identity) = DiskIdentity::of(disk) else {
                let message = format!("{} of {} has no link below /dev/disk/by-id", chosen.name, self.node);
                let next = "udev makes it for disks with a serial number; give a virtual disk one";
                report.tell(picking.told(Code::DiskNotThere, message, next));
                return None;
            };
            let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
            let against = verdict.into_iter().flat_map(|verdict| &verdict.against);
            for reason in against.filter(|reason| !reason.kind.goes_by_wiping()) {
                accepted.insert(reason.kind);
                let (name, node, what) = (chosen.name, self.node, &picking.what);
                let message = format!("{name} of {node}, for {what}, {}", reason.text);
                let (code, next) = if reason.kind == ReasonKind::Virtual {
                    (
                        Code::DiskVirtual,
                        "look at the hypervisor: its disk should lie on one of its own and be written through; if so, accept this",
                    )
                } else {
                    (
                        Code::DiskMaybeRaid,
                        "look at the controller's settings: it should show single disks (HBA or JBOD); if it does, accept this",
                    )
                };
                report.tell(picking.told(code, message, next));
            }
            if wipeable(disk, Role::Zfs) {
                picked.wiped.push(identity.clone());
            }
            picked.identities.push(identity);
        }
        taken.extend(found.chosen.iter().map(|chosen| chosen.name.to_owned()));
        Some(picked)
    }

    /// A step for each disk on which something goes.
    fn wipes(&self, picked: &Picked, disks: &Disks, before: &[StepId]) -> Vec<Step> {
        let wipe = |identity: &DiskIdentity| steps::wipe(self.node, identity.find(disks).ok()?, identity, before);
        picked.wiped.iter().filter_map(wipe).collect()
    }

    /// `left`: disks that would be free without what is left on them.
    fn missing(&self, picking: &Picking, missing: &NotEnough, left: &[&str]) -> Finding {
        let (node, what) = (self.node, &picking.what);
        let mut next = format!("quorate disks {node} --role zfs --all says why of each");
        let (code, message) = match missing {
            NotEnough::TooFew { found, wanted } => {
                if let Some(one) = left.first() {
                    let left = in_a_row(left);
                    next.push_str(&format!(
                        "; {left} would be free without what is left there: if nothing of it is needed any more, --destroy {node}:{one}"
                    ));
                }
                let message =
                    format!("{found} disks of {node} fit and are free for {what}, and {wanted} are asked for");
                (Code::DisksTooFew, message)
            }
            NotEnough::NotThere { name: disk, found: 0 } => (Code::DiskNotThere, format!("{node} has no disk {disk}")),
            NotEnough::NotThere { name: disk, found } => (
                Code::DiskNotThere,
                format!("{node} has {found} disks that are called {disk}"),
            ),
            NotEnough::NotFree { name: disk, against } => {
                let texts: Vec<&str> = against.iter().map(|reason| reason.text.as_str()).collect();
                (
                    Code::DiskNotFree,
                    format!("{disk} of {node} is not free: {}", texts.join("; ")),
                )
            }
        };
        picking.told(code, message, &next)
    }
}

fn after(before: &[StepId], steps: &[Step]) -> Vec<StepId> {
    before
        .iter()
        .cloned()
        .chain(steps.iter().map(|step| step.id.clone()))
        .collect()
}

fn told(what: &str, found: &Choice<'_>, disks: &Disks) -> Vec<String> {
    let class = what.split(" of pool ").next().unwrap_or(what);
    let described = |path: &str| disks.disks.iter().find(|disk| disk.path == path).map(describe);
    let mut lines = Vec::new();
    for chosen in &found.chosen {
        let what = described(chosen.disk).unwrap_or_default();
        lines.push(format!(
            "{class}: {} ({what}; now {}) {}",
            chosen.name, chosen.disk, chosen.why
        ));
    }
    for other in &found.passed_over {
        let what = described(other.disk).unwrap_or_default();
        lines.push(format!("not {} ({what}): {}", other.disk, other.why));
    }
    lines
}

/// Model, serial number and size.
fn describe(disk: &Disk) -> String {
    let model = disk.model.as_deref().unwrap_or("no model");
    let serial = disk.serial.as_deref().unwrap_or("no serial number");
    format!("{model}, {serial}, {}", disk.size)
}

fn unequal(file: &ClusterFile, name: &PoolName, of_nodes: &BTreeMap<&NodeName, ByteSize>, report: &mut Report) {
    let (Some(least), Some(most)) = (of_nodes.values().min(), of_nodes.values().max()) else {
        return;
    };
    if (most.0 - least.0).saturating_mul(100) <= most.0.saturating_mul(UNEQUAL) {
        return;
    }
    let smallest = in_a_row(of_nodes.iter().filter(|(_, size)| *size == least).map(|(node, _)| node));
    let message = format!("pool {name} has {least} on {smallest}, and up to {most} elsewhere");
    let next = "choose disks of one size on all servers, if they are to replicate to each other";
    let place = file.pools.get(name).map(|spec| spec.place.clone());
    report.tell(Finding::new(Code::PoolsUnequal, name.as_str(), message, next).at(place));
}
