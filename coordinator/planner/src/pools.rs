//! ZFS pools: on which disks of each member, and what stands against it. A pool that is there is never changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, PoolName, StepId};
use quorate_model::observation::FacetName;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{ReasonKind, Role};
use quorate_model::observation::pools::{Pool, VdevClass};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step, Undo};
use quorate_model::pool_layout::{DiskIdentity, DisksBeside, PoolLayout};
use quorate_model::spec::{ClusterFile, DiskChoice, NodeRole, Pick, PoolSpec};
use quorate_model::{ByteSize, Facet, View};

use crate::disks::{Choice, NotEnough, across, choose};
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// zpool create took 0.3 to 2 s where it was seen; large disks and slow controllers take some more.
const CREATE_TAKES: Duration = Duration::from_secs(5);

/// Hundredths of the largest by which pools of one name may differ before it is said.
const UNEQUAL: u64 = 5;

/// What the file wants of pools, held against what is there. `steps`: those of the cluster, after which they come.
pub(crate) fn plan(file: &ClusterFile, view: &View, steps: &[Step], report: &mut Report) -> Vec<Step> {
    if file.pools.is_empty() {
        return Vec::new();
    }
    let disks = across(view);
    let mut planned = Vec::new();
    let mut room: BTreeMap<&PoolName, BTreeMap<&NodeName, ByteSize>> = BTreeMap::new();
    for (node, spec) in file.members() {
        if spec.role != NodeRole::Member {
            continue;
        }
        let mut taken: Vec<String> = Vec::new();
        for (name, spec) in &file.pools {
            let server = Server {
                node,
                view,
                disks: disks.get(node),
            };
            let Some(wanted) = server.wants(name, spec, &mut taken, report) else {
                continue;
            };
            if let Some(layout) = &wanted.layout {
                planned.extend(step(node, layout, &wanted.why, steps));
            }
            room.entry(name).or_default().insert(node, wanted.usable);
        }
    }
    for (name, of_nodes) in room {
        unequal(file, name, &of_nodes, report);
    }
    planned
}

/// What is to be done about a pool on a server.
struct Wanted {
    /// To be made; `None`: it is there.
    layout: Option<PoolLayout>,
    why: Vec<String>,
    usable: ByteSize,
}

struct Server<'a> {
    node: &'a NodeName,
    view: &'a View,
    disks: Option<&'a Facet<Disks>>,
}

impl Server<'_> {
    fn wants(&self, name: &PoolName, spec: &PoolSpec, taken: &mut Vec<String>, report: &mut Report) -> Option<Wanted> {
        let pools = report.facet(self.view, self.node, FacetName::Pools, Weight::Needed, |o| &o.pools)?;
        let disks = match self.disks?.get() {
            Ok(disks) => disks,
            // Of a server that can't be seen at all, that alone is told elsewhere.
            Err(_)
                if self
                    .view
                    .nodes
                    .get(self.node)
                    .is_none_or(|seen| seen.observation.is_err()) =>
            {
                return None;
            }
            Err(unknown) => {
                report.tell(facet_unknown(self.node, FacetName::Disks, "disks", unknown));
                return None;
            }
        };
        if let Some(pool) = pools.iter().find(|pool| pool.name == name.as_str()) {
            self.compare(pool, spec, report);
            return Some(Wanted {
                layout: None,
                why: vec![],
                usable: pool.size,
            });
        }
        let mut why = Vec::new();
        let mut accepted = BTreeSet::new();
        let mut of = |class: VdevClass, choice: &DiskChoice, taken: &mut Vec<String>| {
            let pick = choice.of(self.node)?;
            // A disk of which it can't be told what it is must have been meant: a selector never chooses it.
            let may_accept: &[ReasonKind] = match pick {
                Pick::Named(_) => &[ReasonKind::MaybeRaid, ReasonKind::Virtual],
                Pick::Matching(_) => &[],
            };
            let names: Vec<&str> = taken.iter().map(String::as_str).collect();
            let found = match choose(pick, Role::Zfs, disks, &names, may_accept) {
                Ok(found) => found,
                Err(missing) => {
                    missing
                        .iter()
                        .for_each(|m| report.tell(self.missing(name, spec, class, m)));
                    return None;
                }
            };
            let identities = self.identities(name, spec, class, &found, disks, &mut accepted, report)?;
            taken.extend(found.chosen.iter().map(|chosen| chosen.name.to_owned()));
            why.extend(told(class, &found, disks));
            Some(identities)
        };
        let data = of(VdevClass::Data, &spec.disks, taken);
        let mut beside = Vec::new();
        let mut whole = true;
        for (class, choice) in &spec.beside {
            match of(*class, choice, taken) {
                Some(disks) => beside.push(DisksBeside { class: *class, disks }),
                None => whole = false,
            }
        }
        let data = data.filter(|_| whole)?;
        let raid = spec.raid.value;
        if let Some(refused) = raid.refuses(data.len()) {
            let message = format!("{raid} {refused}, and {} of {} fit", data.len(), self.node);
            let next = "say how many by `count`, or name them";
            report.tell(self.told(name, spec, Code::DisksTooFew, message, next));
            return None;
        }
        let sizes: Vec<ByteSize> = data.iter().map(|disk| disk.size).collect();
        let usable = raid.usable(&sizes);
        why.push(format!("{usable} usable; {}", raid.survives(data.len())));
        Some(Wanted {
            layout: Some(PoolLayout {
                name: name.clone(),
                raid,
                disks: data,
                beside,
                ashift: spec.ashift,
                compression: spec.compression,
                autotrim: spec.autotrim,
                accepted,
            }),
            why,
            usable,
        })
    }

    fn identities(
        &self,
        name: &PoolName,
        spec: &PoolSpec,
        class: VdevClass,
        found: &Choice<'_>,
        disks: &Disks,
        accepted: &mut BTreeSet<ReasonKind>,
        report: &mut Report,
    ) -> Option<Vec<DiskIdentity>> {
        let mut identities = Vec::new();
        for chosen in &found.chosen {
            let disk = disks.disks.iter().find(|disk| disk.path == chosen.disk)?;
            let Some(identity) = DiskIdentity::of(disk) else {
                let message = format!("{} of {} has no link below /dev/disk/by-id", chosen.name, self.node);
                let next = "udev makes it for disks with a serial number; give a virtual disk one";
                report.tell(self.told(name, spec, Code::DiskNotThere, message, next));
                return None;
            };
            let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
            for reason in verdict.into_iter().flat_map(|verdict| &verdict.against) {
                accepted.insert(reason.kind);
                let message = format!(
                    "{} of {}, for {} of {name}, {}",
                    chosen.name,
                    self.node,
                    class.as_str(),
                    reason.text
                );
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
                report.tell(self.told(name, spec, code, message, next));
            }
            identities.push(identity);
        }
        Some(identities)
    }

    fn missing(&self, name: &PoolName, spec: &PoolSpec, class: VdevClass, missing: &NotEnough) -> Finding {
        let (node, class) = (self.node, class.as_str());
        let (code, message) = match missing {
            NotEnough::TooFew { found, wanted } => {
                let message = format!(
                    "{found} disks of {node} fit and are free for {class} of pool {name}, and {wanted} are asked for"
                );
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
        self.told(
            name,
            spec,
            code,
            message,
            &format!("quorate disks {node} --role zfs --all says why of each"),
        )
    }

    fn told(&self, name: &PoolName, spec: &PoolSpec, code: Code, message: String, next: &str) -> Finding {
        Finding::new(code, format!("{}/{name}", self.node), message, next).at(Some(spec.place.clone()))
    }

    /// A pool that is there against what the file says of it.
    fn compare(&self, pool: &Pool, spec: &PoolSpec, report: &mut Report) {
        let data: Vec<usize> = pool
            .vdevs
            .iter()
            .filter(|vdev| vdev.class == VdevClass::Data)
            .map(|vdev| vdev.leaves.len())
            .collect();
        let wanted = spec.raid.value.vdevs(data.iter().sum());
        let shape: Vec<usize> = wanted.iter().map(Vec::len).collect();
        let mut differs = Vec::new();
        if shape != data {
            differs.push(format!("its disks are not laid out as {}", spec.raid.value));
        }
        let count = match spec.disks.of(self.node) {
            Some(Pick::Named(names)) => Some(names.len()),
            Some(Pick::Matching(selector)) => selector.count.as_ref().map(|count| usize::from(count.value)),
            None => None,
        };
        let has: usize = data.iter().sum();
        if let Some(count) = count.filter(|count| *count != has) {
            differs.push(format!("it has {has} disks for data, not {count}"));
        }
        if pool
            .ashift
            .is_some_and(|ashift| ashift != 0 && ashift != u32::from(spec.ashift))
        {
            differs.push(format!(
                "its ashift is {}, not {}",
                pool.ashift.unwrap_or(0),
                spec.ashift
            ));
        }
        for class in spec.beside.keys() {
            if !pool.vdevs.iter().any(|vdev| vdev.class == *class) {
                differs.push(format!("it has no {}", class.as_str()));
            }
        }
        if !differs.is_empty() {
            let message = format!(
                "pool {} of {} differs from the cluster file: {}",
                pool.name,
                self.node,
                differs.join("; ")
            );
            let finding = Finding::new(
                Code::PoolDiffers,
                format!("{}/{}", self.node, pool.name),
                message,
                "make the file say what is there; a pool is laid out anew only by hand",
            );
            report.tell(finding.at(Some(spec.place.clone())));
        }
    }
}

fn told(class: VdevClass, found: &Choice<'_>, disks: &Disks) -> Vec<String> {
    let described = |path: &str| disks.disks.iter().find(|disk| disk.path == path).map(describe);
    let mut lines = Vec::new();
    for chosen in &found.chosen {
        let what = described(chosen.disk).unwrap_or_default();
        lines.push(format!(
            "{}: {} ({what}; now {}) {}",
            class.as_str(),
            chosen.name,
            chosen.disk,
            chosen.why
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

fn step(node: &NodeName, layout: &PoolLayout, why: &[String], before: &[Step]) -> Option<Step> {
    let name = &layout.name;
    let comes_in = |step: &&Step| {
        step.node == *node
            && matches!(
                step.action,
                Action::CreateCluster { .. } | Action::JoinCluster { .. } | Action::FinishJoin { .. }
            )
    };
    let count = layout.all_disks().count();
    Some(Step {
        id: StepId::new(format!("zfs.create/{node}/{name}")).ok()?,
        node: node.clone(),
        action: Action::CreatePool { layout: layout.clone() },
        title: format!("create pool {name} on {node}: {} of {count} disks", layout.raid),
        why: why.to_vec(),
        needs: before.iter().filter(comes_in).map(|step| step.id.clone()).collect(),
        gate: vec![Condition::DisksFree {
            node: node.clone(),
            layout: layout.clone(),
        }],
        done_when: Condition::PoolMade {
            node: node.clone(),
            layout: layout.clone(),
        },
        destroys: vec![],
        disks: BTreeSet::new(),
        estimate: CREATE_TAKES,
        undo: Undo::Operator {
            how: format!("on {node}, while nothing is on it: zpool destroy {name}; its disks then carry an old label"),
        },
        restores: None,
    })
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
