//! Copies of guests and HA: a copy goes only by a word for it and after the others are there, HA starts and stops nothing, and nobody is bound to a
//! server that gets no copy.

use std::collections::BTreeSet;

use quorate_model::Timestamp;
use quorate_model::guest_ids::{HaName, JobId, ReplicaRef, Sid};
use quorate_model::held::GuestVolume;
use quorate_model::ids::NodeName;
use quorate_model::moves::Moves;
use quorate_model::observation::ha::HaPlacement;
use quorate_model::observation::{GuestRun, PveConfig, ReplicationJob};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::spec::{GuestPick, NodeRole};

use super::Checker;

impl Checker<'_> {
    pub(super) fn protects(&mut self, step: &Step) {
        let quorate = step
            .gate
            .iter()
            .any(|gate| matches!(gate, Condition::Quorate { node, .. } if *node == step.node));
        self.demand(step, quorate, "it does not wait for quorum where it is done");
        match &step.action {
            Action::CreateReplication { job, target, .. } => self.makes_a_copy(step, job, target),
            Action::ChangeReplication { job, other, enable, .. } => {
                self.of_its_owner(step, job.guest);
                self.switches_on(step, job, other, *enable);
                let there = self.job(step, job).is_some_and(|end| end == other.as_str());
                self.demand(step, there, "there is no such job between these two");
            }
            Action::RemoveReplication { job, target, .. } => self.takes_a_copy_away(step, job, target),
            Action::SetMigrationNetwork { migration, before, .. } => {
                let wanted = self
                    .file
                    .cluster
                    .migration_network
                    .as_ref()
                    .map(|network| network.value);
                let says =
                    wanted.is_some_and(|network| migration.split(',').any(|part| part == format!("network={network}")));
                self.demand(step, says, "the file names no such migration network");
                let there = self.config(&step.node).and_then(|config| config.datacenter.get().ok());
                let there = there.map(|settings| settings.get("migration").cloned());
                self.demand(
                    step,
                    there.as_ref() == Some(before),
                    "the setting is not what it says that it was",
                );
            }
            Action::AddHaResource { service, started, .. } => self.puts_under_ha(step, *service, *started),
            Action::ChangeHaResource { service, .. } => {
                let there = self
                    .resources(&step.node)
                    .is_some_and(|all| all.contains(&service.to_string()));
                self.demand(step, there, "it is not under HA");
            }
            Action::SetHaRule {
                rule, nodes, exists, ..
            } => self.binds(step, rule, nodes, *exists),
            Action::SetHaGroup {
                group, nodes, exists, ..
            } => self.binds(step, group, nodes, *exists),
            _ => {}
        }
    }

    /// Nothing is switched on but by a word for it; and what is held goes only by a word for that.
    fn switches_on(&mut self, step: &Step, job: &JobId, other: &NodeName, enable: bool) {
        let Some(Moves::Resolve { guest, node, keep }) = &self.wish.moves else {
            return self.demand(step, !enable, "nobody asked to switch it on");
        };
        let (asked, keep) = (
            *guest == job.guest && node.as_ref().is_none_or(|node| node == other),
            *keep,
        );
        self.demand(step, asked && enable, "nobody asked for it");
        let copied = Condition::CopyMade {
            node: step.node.clone(),
            guest: job.guest,
            target: other.clone(),
        };
        self.demand(step, step.done_when == copied, "it is done without a copy being seen");
        if !keep {
            return self.demand(step, !step.destroys.is_empty(), "it does not say what it destroys");
        }
        let plan = self.plan;
        let storages = self.view.facet(other, |o| &o.storages).ok();
        let own = |volume: &str| {
            let volume = volume.parse::<GuestVolume>().ok();
            volume.is_some_and(|volume| {
                volume.guest() == job.guest && storages.is_some_and(|all| all.has_volume(other, &volume))
            })
        };
        let pools = self.view.facet(other, |o| &o.pools).ok();
        let left: Option<usize> = pools.filter(|_| storages.is_some()).and_then(|pools| {
            let each = pools
                .iter()
                .map(|pool| Some(pool.volumes.get().ok()?.iter().filter(|name| own(name)).count()));
            each.sum()
        });
        let keeps = |other: &&Step| matches!(other.action, Action::KeepVolumes { .. });
        let kept = plan
            .steps
            .iter()
            .filter(keeps)
            .any(|other| self.order.is_after(step, &other.id));
        self.demand(step, left == Some(0) || kept, "what is to be kept would be overwritten");
    }

    /// What a server has of a guest that is another one's gets other names, all of it, because somebody asked for it.
    pub(super) fn keeps(&mut self, step: &Step, guest: u32, volumes: &BTreeSet<GuestVolume>, since: Timestamp) {
        let asked = matches!(&self.wish.moves, Some(Moves::Resolve { guest: id, keep: true, .. }) if *id == guest);
        self.demand(step, asked, "nobody asked to keep it");
        let config = self.config(&step.node);
        let guests = config.and_then(|config| config.guests.get().ok());
        let elsewhere = guests.is_some_and(|guests| {
            let mut own = guests.iter().filter(|there| there.guest.vmid == guest);
            own.next().is_some_and(|there| there.guest.node != step.node.as_str())
        });
        let jobs = config.and_then(|config| config.replication.get().ok());
        let held = jobs.is_some_and(|jobs| {
            let mut held = jobs
                .iter()
                .filter(|job| job.guest == guest)
                .filter_map(ReplicationJob::held);
            held.any(|held| held.node == step.node.as_str() && held.since == since)
        });
        self.demand(step, elsewhere && held, "it is not held there, or that can't be told");
        let pools = self.view.facet(&step.node, |o| &o.pools).ok();
        let storages = self.view.facet(&step.node, |o| &o.storages).ok();
        let deals = |volume: &GuestVolume| storages.is_some_and(|all| all.has_volume(&step.node, volume));
        let all: BTreeSet<GuestVolume> = pools
            .into_iter()
            .flatten()
            .filter_map(|pool| pool.volumes.get().ok())
            .flatten()
            .filter_map(|name| name.parse::<GuestVolume>().ok())
            .filter(|volume| volume.guest() == guest && deals(volume))
            .collect();
        self.demand(
            step,
            !all.is_empty() && all == *volumes,
            "it is not all that the server has of the guest",
        );
        let seen = Condition::VolumesKept {
            node: step.node.clone(),
            volumes: volumes.clone(),
            since,
        };
        self.demand(step, step.done_when == seen, "it is done without being seen so");
    }

    pub(super) fn config(&self, node: &NodeName) -> Option<&PveConfig> {
        self.view.facet(node, |o| &o.config).ok()
    }

    /// The node at the other end of a job, seen from the step's node.
    fn job(&self, step: &Step, job: &JobId) -> Option<String> {
        let jobs = self.config(&step.node)?.replication.get().ok()?;
        let there = jobs.iter().find(|there| there.id == job.to_string())?;
        there.other_end(step.node.as_str()).map(str::to_owned)
    }

    fn of_its_owner(&mut self, step: &Step, guest: u32) {
        let guests = self.config(&step.node).and_then(|config| config.guests.get().ok());
        let owns = guests.is_some_and(|guests| {
            let own = |there: &&quorate_model::observation::ConfiguredGuest| there.guest.vmid == guest;
            guests
                .iter()
                .find(own)
                .is_some_and(|there| there.guest.node == step.node.as_str())
        });
        self.demand(step, owns, "it is not done by the guest's owner");
    }

    fn full(&self, node: &NodeName) -> bool {
        self.file
            .nodes
            .get(node)
            .is_some_and(|node| node.role == NodeRole::Member)
    }

    fn makes_a_copy(&mut self, step: &Step, job: &JobId, target: &NodeName) {
        self.of_its_owner(step, job.guest);
        self.demand(step, *target != step.node, "it copies a guest to its own server");
        let wanted = self
            .file
            .replication
            .iter()
            .any(|table| table.copies_on.value.contains(target));
        self.demand(step, wanted && self.full(target), "nobody asks for copies there");
        let jobs = self.config(&step.node).and_then(|config| config.replication.get().ok());
        let free = jobs.is_some_and(|jobs| {
            let mut own = jobs.iter().filter(|there| there.guest == job.guest);
            own.all(|there| there.id != job.to_string() && there.other_end(step.node.as_str()) != Some(target.as_str()))
        });
        self.demand(step, free, "there is such a job already, or that can't be told");
        let seen = Condition::CopyMade {
            node: step.node.clone(),
            guest: job.guest,
            target: target.clone(),
        };
        self.demand(step, step.done_when == seen, "it is done without a copy being seen");
        let same = |other: &&Step| matches!(&other.action, Action::CreateReplication { job: id, .. } if id == job);
        let once = self.plan.steps.iter().filter(same).count() == 1;
        self.demand(step, once, "two jobs would have one number");
    }

    /// HA may not send a guest to the server whose copy goes: not by then.
    fn is_kept_away(&self, step: &Step, guest: u32, target: &NodeName) -> bool {
        let Ok(ha) = self.view.facet(&step.node, |o| &o.ha) else {
            return false;
        };
        let Ok(resources) = ha.resources.get() else {
            return false;
        };
        let of_guest = |sid: &str| sid.split_once(':').is_some_and(|(_, id)| id == guest.to_string());
        let Some((sid, resource)) = resources.iter().find(|(sid, _)| of_guest(sid)) else {
            return true;
        };
        let narrowed = self.plan.steps.iter().any(|other| {
            let narrows = match &other.action {
                Action::SetHaRule { nodes, service, .. } => service.vmid == guest && !nodes.contains(target),
                Action::SetHaGroup { nodes, .. } => {
                    other.id.as_str().ends_with(&format!("/{sid}")) && !nodes.contains(target)
                }
                _ => false,
            };
            narrows && self.order.is_after(step, &other.id)
        });
        let off = matches!(resource.state.as_str(), "ignored" | "disabled");
        let ruled_out = ha.placements.get().is_ok_and(|all| {
            let about = |one: &&HaPlacement| one.kind != HaPlacement::TOGETHER_OR_APART && one.is_about(sid, resource);
            all.iter().filter(about).any(|one| one.class(target.as_str()).is_none())
        });
        narrowed || off || ruled_out
    }

    fn takes_a_copy_away(&mut self, step: &Step, job: &JobId, target: &NodeName) {
        self.of_its_owner(step, job.guest);
        let jobs = self.config(&step.node).and_then(|config| config.replication.get().ok());
        let held = jobs.is_some_and(|jobs| {
            let mut own = jobs.iter().filter(|there| there.id == job.to_string());
            own.any(|there| there.held().is_some())
        });
        self.demand(step, !held, "what was written before a recovery is held there");
        let kept_away = self.is_kept_away(step, job.guest, target);
        self.demand(step, kept_away, "HA may recover the guest where its copy goes");
        let copy = ReplicaRef {
            guest: job.guest,
            node: target.clone(),
        };
        self.demand(
            step,
            self.wish.destroy_replicas.contains(&copy),
            "nobody consented to it",
        );
        self.demand(step, !step.destroys.is_empty(), "it does not say what it destroys");
        let there = self.job(step, job).is_some_and(|end| end == target.as_str());
        self.demand(step, there, "there is no such job between these two");
        let by_id = |pick: &&quorate_model::spec::Located<GuestPick>| pick.value == GuestPick::Id(job.guest);
        let kept = self
            .file
            .replication
            .iter()
            .any(|table| table.guests.ids().any(|pick| by_id(&pick)) && table.copies_on.value.contains(target));
        self.demand(step, !kept, "the file wants that copy");
        let creates =
            |other: &&Step| matches!(&other.action, Action::CreateReplication { job: id, .. } if id.guest == job.guest);
        let after = self
            .plan
            .steps
            .iter()
            .filter(creates)
            .all(|other| self.order.is_after(step, &other.id));
        self.demand(step, after, "a copy goes before the new one is there");
    }

    fn resources(&self, node: &NodeName) -> Option<BTreeSet<String>> {
        let ha = self.view.facet(node, |o| &o.ha).ok()?;
        Some(ha.resources.get().ok()?.keys().cloned().collect())
    }

    fn puts_under_ha(&mut self, step: &Step, service: Sid, started: bool) {
        self.demand(step, self.file.ha.is_some(), "nobody asks for HA");
        let free = self
            .resources(&step.node)
            .is_some_and(|all| !all.contains(&service.to_string()));
        self.demand(step, free, "it is under HA already, or that can't be told");
        let running = self.view.facet(&step.node, |o| &o.running);
        let as_it_is = running.is_ok_and(|all| {
            all.iter().any(|guest| {
                let run = if started { GuestRun::Running } else { GuestRun::Stopped };
                guest.vmid == service.vmid && guest.kind == service.kind && guest.run == run
            })
        });
        self.demand(step, as_it_is, "it would start or stop the guest");
        let third = step
            .gate
            .iter()
            .any(|gate| matches!(gate, Condition::NotTwoVotes { node, .. } if *node == step.node));
        self.demand(step, third, "it does not look whether the cluster hangs on two votes");
        let joins = |other: &&Step| {
            matches!(
                other.action,
                Action::CreateCluster { .. }
                    | Action::JoinCluster { .. }
                    | Action::FinishJoin { .. }
                    | Action::RemoveMember { .. }
            )
        };
        let after = self
            .plan
            .steps
            .iter()
            .filter(joins)
            .all(|other| self.order.is_after(step, &other.id));
        self.demand(
            step,
            after,
            "a watchdog may be armed by it while the membership changes",
        );
    }

    fn binds(&mut self, step: &Step, name: &HaName, nodes: &BTreeSet<NodeName>, exists: bool) {
        self.demand(step, HaName::is_ours(name.as_str()), "it changes what is none of ours");
        let all = nodes.iter().all(|node| self.full(node));
        self.demand(
            step,
            all && nodes.contains(&step.node),
            "it binds a guest to servers that may not run it, or away from its own",
        );
        let ha = self.view.facet(&step.node, |o| &o.ha).ok();
        let there = ha.and_then(|ha| ha.placements.get().ok());
        let there = there.map(|all| all.iter().any(|there| there.name == name.as_str()));
        self.demand(
            step,
            there == Some(exists),
            "whether there is such a rule or group is not what it says",
        );
    }
}
