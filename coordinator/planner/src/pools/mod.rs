//! ZFS pools: on which disks of each member, how they grow, and what stands against it. What a pool has is never taken from it.

mod compare;
mod picking;
mod replace;
mod spoken_for;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{DiskRef, NodeName, PoolName, StepId};
use quorate_model::observation::FacetName;
use quorate_model::observation::disks::{Disk, Disks, Holder, HolderKind};
use quorate_model::observation::pools::{Pool, VdevClass, VdevState, import_unit};
use quorate_model::operation::Action;
use quorate_model::plan::Step;
use quorate_model::pool_layout::PoolLayout;
use quorate_model::spec::{ClusterFile, NodeRole, PoolSpec};
use quorate_model::wish::DiskReplacement;
use quorate_model::{ByteSize, Facet, View, Wish};

use crate::disks::across;
use crate::report::{Report, Weight, facet_unknown, in_a_row};
use picking::Picking;
use spoken_for::SpokenFor;

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
    let spoken_for = |node| SpokenFor::by_name(file, wish.replace_disk.as_ref(), node, server(node).disks());
    let mut planned = Vec::new();
    let mut taken: BTreeMap<&NodeName, SpokenFor> = BTreeMap::new();
    let mut room: BTreeMap<&PoolName, BTreeMap<&NodeName, ByteSize>> = BTreeMap::new();
    for (node, _) in file.members().filter(|(_, spec)| spec.role == NodeRole::Member) {
        let taken = taken.entry(node).or_insert_with(|| spoken_for(node));
        let before = comes_in(node, steps);
        for (name, spec) in &file.pools {
            let Some(wanted) = server(node).wants(name, spec, &before, taken, report) else {
                continue;
            };
            planned.extend(wanted.steps);
            if let Some(usable) = wanted.usable {
                room.entry(name).or_default().insert(node, usable);
            }
        }
    }
    if let Some(what) = &wish.replace_disk {
        let taken = taken.entry(&what.node).or_insert_with(|| spoken_for(&what.node));
        planned.extend(replace::plan(&server(&what.node), what, file, taken, report));
    }
    for (name, of_nodes) in room {
        unequal(file, name, &of_nodes, report);
    }
    planned
}

/// A disk is replaced, and nothing else is done: what the file wants of its server and of all others does not matter.
pub(crate) fn replacement(
    file: &ClusterFile,
    wish: &Wish,
    what: &DiskReplacement,
    view: &View,
    report: &mut Report,
) -> Vec<Step> {
    let disks = across(view);
    let server = Server {
        node: &what.node,
        view,
        disks: disks.get(&what.node),
        destroy: &wish.destroy,
    };
    let mut taken = SpokenFor::by_name(file, Some(what), &what.node, server.disks());
    replace::plan(&server, what, file, &mut taken, report)
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
    /// What of it can be used, once they are done; `None`: it can't be told.
    usable: Option<ByteSize>,
}

/// A pool of the file, and what it is planned with.
struct Asked<'p> {
    name: &'p PoolName,
    spec: &'p PoolSpec,
    /// Those of its server.
    disks: &'p Disks,
    /// What comes before it.
    before: &'p [StepId],
}

struct Server<'a> {
    node: &'a NodeName,
    view: &'a View,
    disks: Option<&'a Facet<Disks>>,
    destroy: &'a BTreeSet<DiskRef>,
}

impl<'a> Server<'a> {
    /// Its disks, if they can be told.
    fn disks(&self) -> Option<&'a Disks> {
        self.disks?.get().ok()
    }

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
        taken: &mut SpokenFor,
        report: &mut Report,
    ) -> Option<Wanted> {
        let pools = report.facet(self.view, self.node, FacetName::Pools, Weight::Needed, |o| &o.pools)?;
        let disks = self.seen_disks(report)?;
        let asked = Asked {
            name,
            spec,
            disks,
            before,
        };
        match pools.iter().find(|pool| pool.name == name.as_str()) {
            Some(pool) => Some(self.existing(pool, &asked, taken, report)),
            None => self.new_pool(&asked, taken, report),
        }
    }

    fn picking(&self, name: &PoolName, spec: &PoolSpec, class: VdevClass) -> Picking {
        Picking {
            what: format!("{} of pool {name}", class.as_str()),
            subject: format!("{}/{name}", self.node),
            place: Some(spec.place.clone()),
        }
    }

    fn new_pool(&self, asked: &Asked<'_>, taken: &mut SpokenFor, report: &mut Report) -> Option<Wanted> {
        let Asked {
            name,
            spec,
            disks,
            before,
        } = *asked;
        let data = spec.disks.of(self.node)?;
        // First of all: the disks of the one that is meant are not offered for wiping.
        let consented = |disk: &Disk| disk.stable_name().is_some_and(|name| self.may_wipe(name));
        self.no_other(asked, consented, report)?;
        let beside = spec
            .beside
            .iter()
            .filter_map(|(class, choice)| Some((*class, choice.of(self.node)?)));
        let wanted = [(VdevClass::Data, data)].into_iter().chain(beside);
        let mut gathered = self.gather(name, spec, wanted, disks, taken, report)?;
        let wiped = &gathered.picked.wiped;
        self.no_other(
            asked,
            |disk| wiped.iter().any(|wiped| disk.by_id.contains(&wiped.link)),
            report,
        )?;
        let (raid, vdevs) = (spec.raid.value, usize::from(spec.vdevs));
        let count = gathered.data.len();
        let usable = gathered.usable(spec, vdevs);
        let picked = gathered.take_picked();
        let mut why = picked.why.clone();
        why.push(format!("{usable} usable; {}", raid.survives(count, vdevs)));
        let layout = gathered.layout(name, spec, spec.vdevs);
        if !self.fits(&layout, None, spec, report) {
            return None;
        }
        let picking = self.picking(name, spec, VdevClass::Data);
        let mut steps = self.wipes(&picking, &picked, disks, before, report)?;
        let needs = after(before, &steps);
        steps.extend(steps::create(self.node, &layout, why, needs));
        Some(Wanted {
            steps,
            usable: Some(usable),
        })
    }

    /// The operator has said that what is on this disk may go.
    fn may_wipe(&self, name: &str) -> bool {
        steps::disk_ref(self.node, name).is_some_and(|disk| self.destroy.contains(&disk))
    }

    /// No pool of the wanted name lies on disks of the server, but on those that lose it; `None`: one does, and that is told.
    fn no_other(&self, asked: &Asked<'_>, loses_it: impl Fn(&Disk) -> bool, report: &mut Report) -> Option<()> {
        let (node, name) = (self.node, asked.name);
        let carries_it = |disk: &&Disk| {
            let label = |holder: &Holder| holder.kind == HolderKind::ZfsLabel && holder.name == name.as_str();
            disk.holders.iter().any(label) && !loses_it(disk)
        };
        let carriers = asked.disks.disks.iter().filter(carries_it);
        let carriers: Vec<&str> = carriers.map(|disk| disk.stable_name().unwrap_or(&disk.path)).collect();
        let Some(first) = carriers.first() else {
            return Some(());
        };
        let message = format!(
            "{} of {node} carry a pool {name} that is not imported",
            in_a_row(&carriers)
        );
        let next = format!(
            "if it is the one that is meant, on {node}: zpool import {name}; if nothing of it is needed any more, wipe each of its disks \
             there (zpool labelclear), such as {first}; or call the new one otherwise"
        );
        let picking = self.picking(name, asked.spec, VdevClass::Data);
        report.tell(picking.told(Code::PoolNameTaken, message, &next));
        None
    }

    /// Would zpool take it? What it would refuse is told.
    fn fits(&self, layout: &PoolLayout, pool: Option<&Pool>, spec: &PoolSpec, report: &mut Report) -> bool {
        let unfit = layout.unfit(pool);
        for unfit in &unfit {
            let picking = self.picking(&layout.name, spec, unfit.class);
            let message = format!("{} on {}: {}", picking.what, self.node, unfit.why);
            report.tell(picking.told(Code::DisksUnfit, message, unfit.next));
        }
        unfit.is_empty()
    }

    /// A pool that only a cache file brings back is gone after a boot without that file.
    fn imported_at_boot(&self, pool: &Pool, spec: &PoolSpec, report: &mut Report) {
        if pool.import_enabled != Some(false) {
            return;
        }
        let (node, name) = (self.node, &pool.name);
        let message = format!("pool {name} of {node} has no unit that imports it at boot, as PVE gives to its pools");
        let next = format!("on {node}: systemctl enable '{}'", import_unit(name));
        let subject = format!("{node}/{name}");
        let finding = Finding::new(Code::PoolNotAtBoot, subject, message, next);
        report.tell(finding.at(Some(spec.place.clone())));
    }

    /// A pool that is there: how it grows, and what differs from the file.
    fn existing(&self, pool: &Pool, asked: &Asked<'_>, taken: &mut SpokenFor, report: &mut Report) -> Wanted {
        let (spec, disks) = (asked.spec, asked.disks);
        let mut compared = compare::compare(self.node, pool, spec, disks);
        let grows = compared.more.is_some() || !compared.lacks.is_empty();
        if grows && pool.state != VdevState::Online {
            let state = pool.state.as_str();
            compared.differs.push(format!(
                "it is to get more disks, and is {state}: first it must be whole"
            ));
        }
        self.imported_at_boot(pool, spec, report);
        let differs: Vec<&str> = compared
            .differs
            .iter()
            .chain(&compared.besides)
            .map(String::as_str)
            .collect();
        if !differs.is_empty() {
            let message = format!(
                "pool {} of {} differs from the cluster file: {}",
                pool.name,
                self.node,
                differs.join("; ")
            );
            let next = "make the file say what is there, or change by hand what can be changed (zpool set, zfs set); disks are laid out anew only by hand";
            let subject = format!("{}/{}", self.node, pool.name);
            report.tell(Finding::new(Code::PoolDiffers, subject, message, next).at(Some(spec.place.clone())));
        }
        let usable = usable_now(pool, disks);
        let as_it_is = Wanted {
            steps: Vec::new(),
            usable,
        };
        if !grows || !compared.differs.is_empty() {
            return as_it_is;
        }
        match self.growth(pool, asked, &compared, taken, report) {
            Some((steps, more)) => Wanted {
                steps,
                usable: usable.map(|usable| ByteSize(usable.0.saturating_add(more.0))),
            },
            None => as_it_is,
        }
    }

    /// The steps by which a pool grows, and what more is usable then; `None`: it can't, and that is told.
    fn growth(
        &self,
        pool: &Pool,
        asked: &Asked<'_>,
        compared: &compare::Compared,
        taken: &mut SpokenFor,
        report: &mut Report,
    ) -> Option<(Vec<Step>, ByteSize)> {
        let Asked {
            name,
            spec,
            disks,
            before,
        } = *asked;
        let more = compared.more.as_ref();
        let data = more.map(|more| (VdevClass::Data, &more.pick));
        let beside = compared
            .lacks
            .iter()
            .filter_map(|class| Some((*class, spec.beside.get(class)?.of(self.node)?)));
        let wanted = data.into_iter().chain(beside);
        let mut gathered = self.gather(name, spec, wanted, disks, taken, report)?;
        let vdevs = more.map_or(1, |more| more.vdevs);
        let picked = gathered.take_picked();
        let mut why = picked.why.clone();
        let mut room = ByteSize(0);
        if !gathered.data.is_empty() {
            room = gathered.usable(spec, usize::from(vdevs));
            why.push(format!(
                "{room} more are usable; what is on it stays where it is, new data goes to all its disks"
            ));
            why.push("what is added to the data can't be taken out again".to_owned());
        }
        let mut layout = gathered.layout(name, spec, vdevs);
        // Blocks of one size, unless the file says otherwise.
        let as_it_has = pool
            .ashift
            .filter(|ashift| *ashift != 0)
            .and_then(|ashift| u8::try_from(ashift).ok());
        layout.ashift = spec.ashift.or(as_it_has).unwrap_or(layout.ashift);
        if !self.fits(&layout, Some(pool), spec, report) {
            return None;
        }
        let picking = self.picking(name, spec, VdevClass::Data);
        let mut steps = self.wipes(&picking, &picked, disks, before, report)?;
        let needs = after(before, &steps);
        steps.extend(steps::grow(self.node, &layout, why, needs));
        Some((steps, room))
    }
}

/// What of a pool's data can be used; `None`: it can't be told.
fn usable_now(pool: &Pool, disks: &Disks) -> Option<ByteSize> {
    let data = pool.vdevs.iter().filter(|vdev| vdev.class == VdevClass::Data);
    let each: Option<Vec<u64>> = data.map(|vdev| Some(vdev.usable(disks)?.0)).collect();
    Some(ByteSize(each?.into_iter().fold(0, u64::saturating_add)))
}

fn after(before: &[StepId], steps: &[Step]) -> Vec<StepId> {
    before
        .iter()
        .cloned()
        .chain(steps.iter().map(|step| step.id.clone()))
        .collect()
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
