//! The steps that moving is made of, one after another.

use std::collections::BTreeSet;

use quorate_model::Timestamp;
use quorate_model::guest_ids::JobId;
use quorate_model::held::{GuestVolume, Held};
use quorate_model::ids::{ClusterName, NodeName, StepId};
use quorate_model::moves::MoveKind;
use quorate_model::observation::{ConfiguredGuest, GuestKind};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;

use crate::draft::Draft;

/// What HA's master does takes some rounds of ten seconds.
const HA_SECONDS: u64 = 30;
/// Firmware and disks of a server take their time.
const BOOT_SECONDS: u64 = 300;
const STOP_SECONDS: u64 = 30;
const RENAME_SECONDS: u64 = 5;

/// Steps in a row.
pub(super) struct Row<'v> {
    cluster: &'v ClusterName,
    steps: Vec<Step>,
}

/// A guest on its way.
pub(super) struct Passage<'a> {
    /// The step's name: `guest.migrate`, or `guest.return`.
    pub(super) name: &'a str,
    pub(super) from: &'a NodeName,
    pub(super) to: &'a NodeName,
    pub(super) how: MoveKind,
    pub(super) managed: bool,
    pub(super) seconds: u64,
    pub(super) why: Vec<String>,
}

/// A job that is switched on again.
pub(super) struct Resumed<'a> {
    pub(super) owner: &'a NodeName,
    /// The server that was lost.
    pub(super) back: &'a NodeName,
    pub(super) job: JobId,
    pub(super) schedule: Schedule,
    pub(super) returning_node: ReturningNode,
    pub(super) seconds: u64,
    /// What is kept aside; `None`: nothing, and what the server has is overwritten.
    pub(super) kept: Option<BTreeSet<GuestVolume>>,
    pub(super) held: &'a Held,
}

impl<'v> Row<'v> {
    pub(super) fn new(cluster: &'v ClusterName) -> Self {
        Self {
            cluster,
            steps: Vec::new(),
        }
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Asks this as well before the step of this number begins.
    pub(super) fn gate_at(&mut self, number: usize, condition: Condition) {
        if let Some(step) = self.steps.get_mut(number) {
            step.gate.push(condition);
        }
    }

    pub(super) fn put(&mut self, draft: Draft) -> Option<StepId> {
        let last = self.steps.last().map(|step| step.id.clone());
        let step = draft.after(last.into_iter().collect())?;
        let id = step.id.clone();
        self.steps.push(step);
        Some(id)
    }

    pub(super) fn cluster(&self) -> &'v ClusterName {
        self.cluster
    }

    pub(super) fn quorate(&self, node: &NodeName) -> Condition {
        Condition::Quorate {
            cluster: self.cluster.clone(),
            node: node.clone(),
        }
    }

    pub(super) fn migrate(&mut self, guest: &ConfiguredGuest, passage: Passage<'_>) -> Option<StepId> {
        let (id, kind) = (guest.guest.vmid, guest.guest.kind);
        let Passage {
            name,
            from,
            to,
            how,
            managed,
            ..
        } = passage;
        let cluster = self.cluster;
        let at = |node: &NodeName, other: &NodeName| Condition::GuestAt {
            cluster: cluster.clone(),
            guest: id,
            kind,
            node: node.clone(),
            seen_by: BTreeSet::from([other.clone()]),
            running: how.runs(),
            managed,
        };
        let by = if managed { ", by HA" } else { "" };
        let word = match how {
            MoveKind::Live => "live",
            MoveKind::Restart => "by a restart",
            MoveKind::Offline => "stopped",
        };
        self.put(Draft {
            id: format!("{name}/{id}"),
            node: from.clone(),
            action: Action::MigrateGuest {
                cluster: self.cluster.clone(),
                guest: id,
                kind,
                target: to.clone(),
                how,
                managed,
            },
            title: format!("move {} from {from} to {to}, {word}{by}", called(guest)),
            why: passage.why,
            gate: vec![at(from, to), self.quorate(to)],
            done_when: at(to, from),
            seconds: passage.seconds,
            undo: format!("quorate migrate {id} {from}"),
            destroys: vec![],
            restores: None,
        })
    }

    /// `restores`: the step that shut it down.
    pub(super) fn run(
        &mut self,
        guest: &ConfiguredGuest,
        on: &NodeName,
        run: bool,
        restores: Option<StepId>,
    ) -> Option<StepId> {
        let (id, kind) = (guest.guest.vmid, guest.guest.kind);
        let cluster = self.cluster;
        let at = |running| Condition::GuestAt {
            cluster: cluster.clone(),
            guest: id,
            kind,
            node: on.clone(),
            seen_by: BTreeSet::new(),
            running,
            managed: false,
        };
        let (verb, other) = if run { ("start", "shutdown") } else { ("stop", "start") };
        let tool = if kind == GuestKind::Vm { "qm" } else { "pct" };
        let (title, why) = if run {
            (
                format!("start {} on {on} again", called(guest)),
                "it was shut down for the time of the restart; this is done whatever became of that",
            )
        } else {
            (
                format!("shut down {} on {on}", called(guest)),
                "it can't be moved, and --stop says that it may be shut down; it is not switched off",
            )
        };
        // Nothing keeps what restores from being done.
        let gate = if restores.is_some() { vec![] } else { vec![at(!run)] };
        self.put(Draft {
            id: format!("guest.{verb}/{id}"),
            node: on.clone(),
            action: Action::RunGuest {
                cluster: self.cluster.clone(),
                guest: id,
                kind,
                run,
            },
            title,
            why: vec![why.to_owned()],
            gate,
            done_when: at(run),
            seconds: STOP_SECONDS,
            undo: format!("on {on}: {tool} {other} {id}"),
            destroys: vec![],
            restores,
        })
    }

    /// `via`: who tells HA's master. `restores`: the step that began it.
    pub(super) fn maintenance(
        &mut self,
        (node, via): (&NodeName, &NodeName),
        on: bool,
        seconds: u64,
        restores: Option<StepId>,
    ) -> Option<StepId> {
        let (word, other) = if on { ("on", "disable") } else { ("off", "enable") };
        let (title, why) = match (on, &restores) {
            (true, _) => (
                format!("put {node} into maintenance by HA"),
                "HA moves what it looks after to other servers, and brings nothing back until the maintenance ends; it survives a restart",
            ),
            (false, None) => (
                format!("end the maintenance of {node} by HA"),
                "HA may use it again, and brings back what it moved away for the maintenance",
            ),
            (false, Some(_)) => (
                format!("end the maintenance of {node} by HA again"),
                "it was begun for the time of the restart; this is done whatever became of that",
            ),
        };
        let gate = if restores.is_some() {
            vec![]
        } else {
            vec![self.quorate(via)]
        };
        self.put(Draft {
            id: format!("ha.maintenance-{word}/{node}"),
            node: via.clone(),
            action: Action::SetMaintenance {
                cluster: self.cluster.clone(),
                node: node.clone(),
                on,
            },
            title,
            why: vec![why.to_owned()],
            gate,
            done_when: Condition::Maintenance {
                cluster: self.cluster.clone(),
                node: node.clone(),
                on,
                seen_by: via.clone(),
            },
            seconds: HA_SECONDS + seconds,
            undo: format!("on {via}: ha-manager crm-command node-maintenance {other} {node}"),
            destroys: vec![],
            restores,
        })
    }

    pub(super) fn reboot(&mut self, node: &NodeName, boot: &str, others: &BTreeSet<NodeName>) -> Option<StepId> {
        let gate = vec![Condition::Drained { node: node.clone() }, self.spare(node, others)];
        self.put(Draft {
            id: format!("node.reboot/{node}"),
            node: node.clone(),
            action: Action::RebootNode {
                cluster: self.cluster.clone(),
                boot: boot.to_owned(),
            },
            title: format!("restart {node}"),
            why: vec!["no guest runs on it by then; if it is not back in time, no other server is touched".to_owned()],
            gate,
            done_when: Condition::Rebooted {
                cluster: self.cluster.clone(),
                node: node.clone(),
                boot: boot.to_owned(),
            },
            seconds: BOOT_SECONDS,
            undo: "a restart can't be called back".to_owned(),
            destroys: vec![],
            restores: None,
        })
    }

    /// What a server has of a guest that another one owns gets other names there.
    pub(super) fn keep_volumes(
        &mut self,
        guest: &ConfiguredGuest,
        (back, owner): (&NodeName, &NodeName),
        volumes: &BTreeSet<GuestVolume>,
        since: Timestamp,
    ) -> Option<StepId> {
        let id = guest.guest.vmid;
        let new: Vec<String> = volumes.iter().map(|volume| volume.kept(since)).collect();
        let back_again: Vec<String> = volumes
            .iter()
            .map(|volume| format!("zfs rename {} {volume}", volume.kept(since)))
            .collect();
        self.put(Draft {
            id: format!("replication.keep/{id}/{back}"),
            node: back.clone(),
            action: Action::KeepVolumes {
                cluster: self.cluster.clone(),
                guest: id,
                volumes: volumes.clone(),
                since,
            },
            title: format!("keep aside what {back} has of {}", called(guest)),
            why: vec![
                format!("{owner} owns it since {since}, and {back} still has what it wrote before"),
                format!("by names that PVE leaves alone: {}", new.join(", ")),
            ],
            gate: vec![self.quorate(back)],
            done_when: Condition::VolumesKept {
                node: back.clone(),
                volumes: volumes.clone(),
                since,
            },
            seconds: RENAME_SECONDS,
            undo: format!("before the next step is begun, on {back}: {}", back_again.join("; ")),
            destroys: vec![],
            restores: None,
        })
    }

    /// The copying to a server that was lost goes on.
    pub(super) fn resume(&mut self, guest: &ConfiguredGuest, resumed: Resumed<'_>) -> Option<()> {
        let Resumed {
            owner,
            back,
            job,
            schedule,
            returning_node,
            seconds,
            kept,
            held,
        } = resumed;
        let id = guest.guest.vmid;
        let mut gate = vec![self.quorate(owner), self.quorate(back)];
        let (title, why, undo) = match &kept {
            Some(_) => (
                format!("copy {} from {owner} to {back} again, the whole of it", called(guest)),
                format!(
                    "{back} has nothing of it any more by PVE's names; it needs room for all of it beside what is kept"
                ),
                format!("on {owner}: pvesr disable {job}; what is kept stays as it is"),
            ),
            None => (
                format!("copy {} from {owner} to {back} again", called(guest)),
                format!("the disks on {back} are rolled back to the last common copy, and brought up to date"),
                "what was overwritten can't be had back".to_owned(),
            ),
        };
        if let Some(volumes) = kept.as_ref().filter(|volumes| !volumes.is_empty()) {
            gate.push(Condition::VolumesKept {
                node: back.clone(),
                volumes: volumes.clone(),
                since: held.since,
            });
        }
        let lost = kept.is_none().then(|| {
            format!(
                "what {back} wrote to {} after its last copy, before {}",
                called(guest),
                held.since
            )
        });
        let cluster = self.cluster.clone();
        self.put(Draft {
            id: format!("replication.resume/{id}/{back}"),
            node: owner.clone(),
            action: Action::ChangeReplication {
                cluster,
                job,
                other: back.clone(),
                schedule,
                rate: None,
                returning_node,
                enable: true,
            },
            title,
            why: vec![why, "the step is done when a copy has succeeded".to_owned()],
            gate,
            done_when: Condition::CopyMade {
                node: owner.clone(),
                guest: id,
                target: back.clone(),
            },
            seconds,
            undo,
            destroys: lost.into_iter().collect(),
            restores: None,
        })?;
        Some(())
    }

    pub(super) fn spare(&self, node: &NodeName, others: &BTreeSet<NodeName>) -> Condition {
        Condition::Spare {
            cluster: self.cluster.clone(),
            node: node.clone(),
            others: others.clone(),
        }
    }
}

/// `VM 100 (mail)`, `container 101`.
pub(super) fn called(guest: &ConfiguredGuest) -> String {
    let word = match guest.guest.kind {
        GuestKind::Vm => "VM",
        GuestKind::Container => "container",
    };
    let name = guest.config.get().ok().and_then(|config| config.name.as_ref());
    match name {
        Some(name) => format!("{word} {} ({name})", guest.guest.vmid),
        None => format!("{word} {}", guest.guest.vmid),
    }
}
