//! Disks that are picked for a pool, and what stands against them.

use std::collections::BTreeSet;

use quorate_model::ByteSize;
use quorate_model::finding::{Code, Finding, Place};
use quorate_model::ids::{PoolName, StepId};
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role};
use quorate_model::observation::pools::VdevClass;
use quorate_model::plan::Step;
use quorate_model::pool_layout::{DiskIdentity, DisksBeside, PoolLayout};
use quorate_model::spec::{Pick, PoolSpec};

use super::spoken_for::SpokenFor;
use super::{Server, steps};
use crate::disks::{Allowed, Choice, NotEnough, choose, wipeable};
use crate::report::{Report, in_a_row};

/// For what disks are picked.
pub(super) struct Picking {
    /// In words, such as `data of pool data_zfs`.
    pub(super) what: String,
    /// Whom a finding is about.
    pub(super) subject: String,
    /// Where in the file it is asked for.
    pub(super) place: Option<Place>,
}

impl Picking {
    pub(super) fn told(&self, code: Code, message: String, next: &str) -> Finding {
        Finding::new(code, self.subject.as_str(), message, next).at(self.place.clone())
    }
}

/// Disks that were picked.
#[derive(Default)]
pub(super) struct Picked {
    pub(super) identities: Vec<DiskIdentity>,
    /// Of those, the ones on which something goes.
    pub(super) wiped: Vec<DiskIdentity>,
    /// Why these, and not the others.
    pub(super) why: Vec<String>,
}

/// Disks that a selector leaves alone, and that would do.
struct NotTaken<'d> {
    /// Without what is left on them.
    left: Vec<&'d str>,
    /// If what can't be decided of them were accepted.
    undecided: Vec<&'d str>,
}

/// Disks for a pool, by what they are for.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) data: Vec<DiskIdentity>,
    pub(super) beside: Vec<DisksBeside>,
    pub(super) accepted: BTreeSet<ReasonKind>,
    /// Of all of them together, what goes and why these.
    pub(super) picked: Picked,
}

impl Gathered {
    pub(super) fn usable(&self, spec: &PoolSpec, vdevs: usize) -> ByteSize {
        let sizes: Vec<ByteSize> = self.data.iter().map(|disk| disk.size).collect();
        spec.raid.value.usable(&sizes, vdevs)
    }

    /// What goes and why these, taken out.
    pub(super) fn take_picked(&mut self) -> Picked {
        std::mem::take(&mut self.picked)
    }

    pub(super) fn layout(self, name: &PoolName, spec: &PoolSpec, data_vdevs: u8) -> PoolLayout {
        PoolLayout {
            name: name.clone(),
            raid: spec.raid.value,
            disks: self.data,
            data_vdevs,
            beside: self.beside,
            ashift: spec.ashift_when_made(),
            compression: spec.compression_when_made(),
            autotrim: spec.autotrim_when_made(),
            accepted: self.accepted,
        }
    }
}

impl Server<'_> {
    /// Picks disks for each class that is wanted; `None`: not for all, and everything that is missing is told.
    pub(super) fn gather<'p>(
        &self,
        name: &PoolName,
        spec: &PoolSpec,
        wanted: impl IntoIterator<Item = (VdevClass, &'p Pick)>,
        disks: &Disks,
        taken: &mut SpokenFor,
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
    pub(super) fn pick(
        &self,
        picking: &Picking,
        pick: &Pick,
        disks: &Disks,
        taken: &mut SpokenFor,
        accepted: &mut BTreeSet<ReasonKind>,
        report: &mut Report,
    ) -> Option<Picked> {
        let consented = |name: &str| self.may_wipe(name);
        let chosen = |taken, allowed: &Allowed<'_>| choose(pick, Role::Zfs, disks, taken, allowed);
        let with_consent = Allowed::wiping(&consented);
        let names = taken.against(pick);
        let found = match pick {
            // What must have been meant: a disk of which it can't be told what it is, and one on which something is left. A selector never
            // chooses the one, and the other only by the operator's word for it.
            Pick::Named(_) => chosen(&names, &Allowed::whatever_may_be()),
            // All that fit are meant, and so are those.
            Pick::Matching(selector) if selector.count.is_none() => chosen(&names, &with_consent),
            Pick::Matching(_) => chosen(&names, &Allowed::nothing())
                .or_else(|missing| chosen(&names, &with_consent).map_err(|_| missing)),
        };
        let found = match found {
            Ok(found) => found,
            Err(missing) => {
                let others = || {
                    let name = |disk: &Disk| disk.stable_name().is_some_and(|name| names.contains_key(name));
                    disks.disks.iter().filter(move |disk| !name(disk))
                };
                let beside = NotTaken {
                    left: others()
                        .filter(|disk| wipeable(disk, Role::Zfs))
                        .filter_map(Disk::stable_name)
                        .collect(),
                    undecided: others()
                        .filter(|disk| is_undecided(disk))
                        .filter_map(Disk::stable_name)
                        .collect(),
                };
                for missing in &missing {
                    report.tell(self.missing(picking, missing, &beside));
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
                let (code, next) = doubt(reason.kind);
                report.tell(picking.told(code, message, next));
            }
            if wipeable(disk, Role::Zfs) {
                picked.wiped.push(identity.clone());
            }
            picked.identities.push(identity);
        }
        for chosen in &found.chosen {
            taken.choose(chosen.name, &picking.what);
        }
        Some(picked)
    }

    /// A step for each disk on which something goes; `None`: there can't be one, and that is told.
    pub(super) fn wipes(
        &self,
        picking: &Picking,
        picked: &Picked,
        disks: &Disks,
        before: &[StepId],
        report: &mut Report,
    ) -> Option<Vec<Step>> {
        let mut wipes = Vec::new();
        for identity in &picked.wiped {
            let disk = identity.find(disks).ok();
            let Some(step) = disk.and_then(|disk| steps::wipe(self.node, disk, identity, before)) else {
                let message = format!(
                    "{} of {} would have to be wiped, and can't be named in a step: its name is too long, or is that of two disks",
                    identity.link, self.node
                );
                report.tell(picking.told(Code::DiskNotFree, message, "wipe it by hand, or choose another one"));
                return None;
            };
            wipes.push(step);
        }
        Some(wipes)
    }

    fn missing(&self, picking: &Picking, missing: &NotEnough, beside: &NotTaken<'_>) -> Finding {
        let (node, what) = (self.node, &picking.what);
        let mut next = format!("quorate disks {node} --role zfs --all says why of each");
        let (code, message) = match missing {
            NotEnough::TooFew { found, wanted } => {
                if let Some(one) = beside.left.first() {
                    let left = in_a_row(&beside.left);
                    next.push_str(&format!(
                        "; {left} would be free without what is left there: if nothing of it is needed any more, --destroy {node}:{one}"
                    ));
                }
                if !beside.undecided.is_empty() {
                    let undecided = in_a_row(&beside.undecided);
                    next.push_str(&format!(
                        "; {undecided} would do if named, and if what can't be told of it were accepted"
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
            NotEnough::NotFree { name: disk, against } => (
                Code::DiskNotFree,
                format!("{disk} of {node} is not free: {}", against.join("; ")),
            ),
        };
        picking.told(code, message, &next)
    }
}

/// Does nothing speak against it but what can't be decided?
fn is_undecided(disk: &Disk) -> bool {
    let verdict = disk.verdicts.iter().find(|verdict| verdict.role == Role::Zfs);
    let undecided = |reason: &Reason| reason.kind.may_be_accepted();
    verdict.is_some_and(|verdict| !verdict.against.is_empty() && verdict.against.iter().all(undecided))
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

/// What an operator can accept about a disk, and on what grounds.
fn doubt(kind: ReasonKind) -> (Code, &'static str) {
    match kind {
        ReasonKind::Virtual => (
            Code::DiskVirtual,
            "look at the hypervisor: its disk should lie on one of its own and be written through; if so, accept this",
        ),
        ReasonKind::MaybeShared => (
            Code::DiskMaybeShared,
            "bring that server back and plan again; or look at its cabling and the storage's settings: if it can't see the disk, accept this",
        ),
        _ => (
            Code::DiskMaybeRaid,
            "look at the controller's settings: it should show single disks (HBA or JBOD); if it does, accept this",
        ),
    }
}

/// Model, serial number and size.
fn describe(disk: &Disk) -> String {
    let model = disk.model.as_deref().unwrap_or("no model");
    let serial = disk.serial.as_deref().unwrap_or("no serial number");
    format!("{model}, {serial}, {}", disk.size)
}
