//! Copies of guests: a job from each guest's present owner to every other server that is to have it. Jobs are known by guest and the two servers
//! that they connect, since PVE turns them round by itself after a failover and a migration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::{JobId, ReplicaRef};
use quorate_model::held::Held;
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::guest_config::GuestDisk;
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::observation::{ConfiguredGuest, FacetName, Storages};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::schedule::Schedule;
use quorate_model::spec::{ReplicationSpec, ReturningNode};

use super::guests::{Copying, Meant, called, copying};
use super::migration::of_copies;
use super::{Making, World, guest_subject, standing, told};
use crate::cluster::slowest_port;
use crate::report::{Report, Weight, in_a_row};

/// So much of a first copy is sent in a second where no rate is said: disks and networks of today do more.
const BYTES_A_SECOND: u64 = 100_000_000;

/// pvescheduler looks once a minute, and what is copied is looked through first.
const BEFORE_A_COPY: Duration = Duration::from_secs(90);

pub(super) fn plan(world: &World<'_>, migration: Option<&StepId>, report: &mut Report) -> Vec<Step> {
    let asked = !world.file.replication.is_empty();
    let storages = if asked {
        let seen = report.facet(world.view, world.speaker, FacetName::Storages, Weight::Told, |o| {
            &o.storages
        });
        let Some(storages) = seen else { return Vec::new() };
        storages.clone()
    } else {
        Storages {
            defined: vec![],
            status: quorate_model::Facet::not_asked(),
        }
    };
    let jobs = match world.config.replication.get() {
        Ok(jobs) => jobs,
        Err(unknown) => {
            let message = format!("which guests are copied could not be seen: {}", unknown.reason);
            let next = format!("on {}: look at /etc/pve/replication.cfg", world.speaker);
            told(report, Code::GuestUntold, world.speaker.to_string(), message, &next);
            return Vec::new();
        }
    };
    let mut planner = Planner {
        world,
        storages: &storages,
        jobs,
        migration,
        created: Vec::new(),
        changed: Vec::new(),
        removed: Vec::new(),
    };
    for guest in world.guests {
        planner.guest(guest, report);
    }
    let Planner {
        created,
        changed,
        removed,
        ..
    } = planner;
    created.into_iter().chain(changed).chain(removed).collect()
}

struct Planner<'a> {
    world: &'a World<'a>,
    storages: &'a Storages,
    jobs: &'a [ReplicationJob],
    /// The step that sets the network which copies go over.
    migration: Option<&'a StepId>,
    created: Vec<Step>,
    changed: Vec<Step>,
    removed: Vec<Step>,
}

/// A guest with its owner and its jobs.
struct Own<'a> {
    guest: &'a ConfiguredGuest,
    owner: &'a NodeName,
    jobs: BTreeMap<&'a str, &'a ReplicationJob>,
}

impl Own<'_> {
    fn vmid(&self) -> u32 {
        self.guest.guest.vmid
    }

    /// A job that is off since a recovery: nothing is made of it, and nothing taken away, but by a word for just that. `other`: its other end.
    fn tell_held(&self, job: &ReplicationJob, held: &Held, other: &str, report: &mut Report) {
        let (vmid, guest, id) = (self.vmid(), called(self.guest), &job.id);
        let Held { node, since } = held;
        let (message, next) = if *node == self.owner.as_str() {
            let message = format!(
                "guest {guest} has no copy on {other}: it is on {node} again, where what it wrote before {since} was kept, and its job {id} is still off"
            );
            let next = format!("when {other} may be overwritten, on {node}: pvesr enable {id}");
            (message, next)
        } else {
            let message = format!(
                "guest {guest} has no copy on {other}: what {node} wrote before {since}, and never copied, is kept there until you decide"
            );
            let next = format!(
                "quorate replication resolve {vmid} --keep, or --discard to have it overwritten; until then the job {id} stays off"
            );
            (message, next)
        };
        told(report, Code::CopyHeld, guest_subject(vmid), message, &next);
    }
}

impl<'a> Planner<'a> {
    fn guest(&mut self, guest: &'a ConfiguredGuest, report: &mut Report) {
        let world = self.world;
        let vmid = guest.guest.vmid;
        let untold = |report: &mut Report, why: String| {
            let message = format!(
                "whether guest {} is copied as the file wants can't be told: {why}",
                called(guest)
            );
            let next = format!(
                "on {}: qm config {vmid}, or pct config {vmid}; pvesr list",
                guest.guest.node
            );
            told(report, Code::GuestUntold, guest_subject(vmid), message, &next);
        };
        let table = match world.meant(world.file, guest) {
            Meant::No => None,
            Meant::By(table) => Some(table),
            Meant::Untold(why) => return untold(report, why),
            Meant::Twice(one, other) => {
                let message = format!(
                    "guest {} is meant by two tables of replication, in line {} and in line {}, which want other things of it",
                    called(guest),
                    one.place.line,
                    other.place.line
                );
                let next =
                    format!("name {vmid} in one of them by its id, or take it out of the other: except = [{vmid}]");
                let finding = Finding::new(Code::CopyWantedTwice, guest_subject(vmid), message, next);
                return report.tell(finding.at(Some(other.place.clone())));
            }
        };
        let has_jobs = self.jobs.iter().any(|job| job.guest == vmid);
        if table.is_none() && !has_jobs {
            return self.unprotected(guest, report);
        }
        let Some(owner) = world.server(&guest.guest.node) else {
            return untold(report, format!("its server {} is not enrolled", guest.guest.node));
        };
        if !world.is_in(owner) {
            return untold(report, format!("its server {owner} can't be seen, or has no quorum"));
        }
        let jobs = match standing::by_other_end(self.jobs, vmid, owner.as_str()) {
            Ok(jobs) => jobs,
            Err(job) => {
                let why = format!(
                    "the job {job} copies to {owner}, which owns the guest, and does not say from where; PVE turns it round within a minute"
                );
                return untold(report, why);
            }
        };
        let own = Own { guest, owner, jobs };
        let Some(table) = table else {
            return self.take_away(&own, None, report);
        };
        match copying(guest, self.storages) {
            Copying::Needless => {}
            Copying::Untold(why) => untold(report, why),
            Copying::Cannot(reasons) => {
                let message = format!("guest {} can't be copied: {}", called(guest), reasons.join("; "));
                let next = "move its disks to a storage on ZFS (qm disk move, pct move-volume), or leave it out: except = [ID]";
                told(report, Code::CopyUnsupported, guest_subject(vmid), message, next);
            }
            Copying::Can { disks, storages } => {
                if disks.len() > 1 {
                    let message = format!(
                        "guest {} has {} disks that are copied, each by a snapshot of its own: after a recovery they may be a moment apart",
                        called(guest),
                        disks.len()
                    );
                    let next = "put what belongs together (a database and its log) on one disk";
                    told(report, Code::CopyNotAtOnce, guest_subject(vmid), message, next);
                }
                self.copies(&own, table, (&disks, &storages), report);
            }
        }
    }

    /// A guest of which nobody speaks, while others are copied.
    fn unprotected(&self, guest: &ConfiguredGuest, report: &mut Report) {
        if self.world.file.replication.is_empty() {
            return;
        }
        if let Copying::Can { .. } | Copying::Cannot(_) = copying(guest, self.storages) {
            let vmid = guest.guest.vmid;
            let message = format!(
                "guest {} is on {} alone: no table of replication means it",
                called(guest),
                guest.guest.node
            );
            let next = format!(
                "quorate protect {vmid}; or say that it is meant so: except = [{vmid}] in a table with guests = \"all\""
            );
            let excepted = |table: &ReplicationSpec| {
                let except = &table.guests.except;
                except
                    .iter()
                    .any(|pick| pick.value == quorate_model::spec::GuestPick::Id(vmid))
            };
            if !self.world.file.replication.iter().any(excepted) {
                told(report, Code::GuestUnprotected, guest_subject(vmid), message, &next);
            }
        }
    }

    fn copies(
        &mut self,
        own: &Own<'a>,
        table: &ReplicationSpec,
        (disks, storages): (&[&GuestDisk], &BTreeSet<&str>),
        report: &mut Report,
    ) {
        let numbers: Vec<u32> = standing::free_numbers(self.jobs, own.vmid())
            .take(table.copies_on.value.len())
            .collect();
        let mut numbers = numbers.into_iter();
        for target in table.copies_on.value.iter().filter(|node| *node != own.owner) {
            match own.jobs.get(target.as_str()) {
                Some(job) => self.as_it_is(own, table, job, target, report),
                None => {
                    let Some(number) = numbers.next() else { continue };
                    let job = JobId {
                        guest: own.vmid(),
                        number,
                    };
                    let step = self.create(own, table, (job, target), (disks, storages), report);
                    self.created.extend(step);
                }
            }
        }
        self.take_away(own, Some(table), report);
    }

    /// A new copy.
    fn create(
        &self,
        own: &Own<'_>,
        table: &ReplicationSpec,
        (job, target): (JobId, &NodeName),
        (disks, storages): (&[&GuestDisk], &BTreeSet<&str>),
        report: &mut Report,
    ) -> Option<Step> {
        let world = self.world;
        let vmid = own.vmid();
        let subject = || guest_subject(vmid);
        if !world.is_in(target) {
            let message = format!(
                "guest {} gets no copy on {target} yet: {target} can't be seen, or is not in the cluster",
                called(own.guest)
            );
            let next = format!("quorate status; when {target} is back, plan again");
            told(report, Code::GuestUntold, subject(), message, &next);
            return None;
        }
        let mut needs: Vec<StepId> = world.comes_in(&BTreeSet::from([own.owner, target])).collect();
        for storage in storages {
            let changes = world.steps.iter().find(|step| match &step.action {
                Action::AddStorage { storage: changed, .. } | Action::ExtendStorage { storage: changed, .. } => {
                    changed.name.as_str() == *storage && changed.is_on(target)
                }
                _ => false,
            });
            let there = self
                .storages
                .defined(storage)
                .is_some_and(|defined| defined.is_for(target));
            match changes {
                Some(step) => needs.push(step.id.clone()),
                None if there => {}
                None => {
                    let message = format!(
                        "guest {} can't be copied to {target}: its storage {storage} is not on {target}",
                        called(own.guest)
                    );
                    let next = format!(
                        "make the pool there, and name {target} in the storage's `nodes`; or leave {target} out of `copies_on`"
                    );
                    let finding = Finding::new(Code::CopyUnsupported, subject(), message, next);
                    report.weigh(Weight::Told, finding.at(Some(table.copies_on.place.clone())));
                    return None;
                }
            }
        }
        needs.extend(self.migration.cloned());
        let schedule: Schedule = table.schedule().parse().ok()?;
        let known = || self.bearable(own.owner, target);
        let rate = table.rate.as_ref().map(|rate| rate.value).or_else(known);
        let mut why = vec![format!("the file wants copies on {}", in_a_row(&table.copies_on.value))];
        if let (None, Some(rate)) = (&table.rate, rate) {
            why.push(format!(
                "with at most {rate} MB/s, three quarters of what the migration network's ports bear"
            ));
        }
        why.push("PVE makes the first copy within a minute, one after another; the guest runs on meanwhile".to_owned());
        let mut step = world.step(Making {
            verb: "replication.create",
            about: format!("{vmid}/{target}"),
            node: own.owner.clone(),
            title: format!(
                "copy guest {} from {} to {target} ({schedule})",
                called(own.guest),
                own.owner
            ),
            action: Action::CreateReplication {
                cluster: world.file.cluster.name.value.clone(),
                job: job.clone(),
                target: target.clone(),
                schedule,
                rate,
                returning_node: table.returning_node,
            },
            why,
            needs,
            done_when: Condition::CopyMade {
                node: own.owner.clone(),
                guest: vmid,
                target: target.clone(),
            },
            undo: format!(
                "on {}: pvesr delete {job}; that destroys the copy on {target}",
                own.owner
            ),
        })?;
        let bytes: u64 = disks.iter().filter_map(|disk| disk.size).map(|size| size.0).sum();
        let speed = rate
            .map_or(BYTES_A_SECOND, |rate| u64::from(rate) * 1_000_000)
            .min(BYTES_A_SECOND * 4);
        step.estimate = BEFORE_A_COPY + Duration::from_secs(bytes / speed.max(1));
        Some(step)
    }

    /// What the network for migration is known to bear between two servers, less a quarter, in MB/s.
    fn bearable(&self, from: &NodeName, to: &NodeName) -> Option<u32> {
        if of_copies(self.world.config).is_some() {
            return None;
        }
        let network = self.world.file.cluster.migration_network.as_ref()?.value;
        let slowest = |node: &NodeName| {
            let seen = self.world.view.facet(node, |o| &o.network).ok()?;
            let address: IpAddr = seen
                .addresses()
                .map(|(_, own)| own.address)
                .find(|own| network.contains(own))?;
            slowest_port(seen, address)
        };
        let mbps = slowest(from)?.min(slowest(to)?);
        Some((mbps / 8 * 3 / 4).max(1))
    }

    /// A job that is there: told of, or told something else.
    fn as_it_is(
        &mut self,
        own: &Own<'_>,
        table: &ReplicationSpec,
        job: &ReplicationJob,
        other: &NodeName,
        report: &mut Report,
    ) {
        let (vmid, subject) = (own.vmid(), guest_subject(own.vmid()));
        if job.removal.is_some() {
            let message = format!(
                "the copy of guest {} on {other}, which the file wants, is just being taken away ({})",
                called(own.guest),
                job.id
            );
            let next = format!(
                "plan again when it is gone: quorate replication; if {other} is dead, on {}: pvesr delete {} --force 1",
                own.owner, job.id
            );
            return told(report, Code::CopyLeaving, subject, message, &next);
        }
        if let Some(held) = job.held() {
            // Whatever else the file wants of it, its comment is what says that it is held.
            return own.tell_held(job, &held, other.as_str(), report);
        }
        if job.disabled {
            let message = format!(
                "the job {} of guest {} to {other} is switched off",
                job.id,
                called(own.guest)
            );
            let next = format!(
                "when {other} may be overwritten, on {}: pvesr enable {}",
                own.owner, job.id
            );
            told(report, Code::CopyOff, subject, message, &next);
        }
        let Ok(id) = job.id.parse::<JobId>() else { return };
        let Ok(schedule) = table.schedule().parse::<Schedule>() else {
            return;
        };
        let mut why = Vec::new();
        if !schedule.is_same_as(&job.schedule) {
            why.push(format!("its schedule is {}, not {schedule}", job.schedule));
        }
        let rate = table.rate.as_ref().map(|rate| rate.value);
        let there = job.rate.as_deref().and_then(|rate| rate.parse::<f64>().ok());
        if let Some(rate) = rate
            && there.is_none_or(|there| (there - f64::from(rate)).abs() > 0.001)
        {
            let there = job.rate.as_deref().unwrap_or("without a limit");
            why.push(format!("its rate is {there}, not {rate}"));
        }
        if job.comment.as_deref().and_then(ReturningNode::of_comment) != Some(table.returning_node) {
            why.push(format!(
                "its comment does not say {} of a server that returns",
                table.returning_node
            ));
        }
        if why.is_empty() {
            return;
        }
        let world = self.world;
        let before = format!("--schedule '{}'", job.schedule);
        let step = world.step(Making {
            verb: "replication.set",
            about: format!("{vmid}/{other}"),
            node: own.owner.clone(),
            title: format!(
                "change the copying of guest {} to {other} ({schedule})",
                called(own.guest)
            ),
            action: Action::ChangeReplication {
                cluster: world.file.cluster.name.value.clone(),
                job: id.clone(),
                other: other.clone(),
                schedule: schedule.clone(),
                rate,
                returning_node: table.returning_node,
                enable: false,
            },
            why,
            needs: world.comes_in(&BTreeSet::from([own.owner])).collect(),
            done_when: Condition::ReplicationSet {
                node: own.owner.clone(),
                job: id.clone(),
                other: other.clone(),
                schedule,
                rate,
                returning_node: table.returning_node,
                enabled: false,
            },
            undo: format!("on {}: pvesr update {id} {before}", own.owner),
        });
        self.changed.extend(step);
    }

    /// Copies that the file does not want: those that the file before it wanted go, by a word for each; others are left alone.
    fn take_away(&mut self, own: &Own<'_>, table: Option<&ReplicationSpec>, report: &mut Report) {
        let world = self.world;
        let before = match world.applied.map(|applied| world.meant(applied, own.guest)) {
            Some(Meant::By(table)) => Some(table),
            _ => None,
        };
        let wanted =
            |node: &str| table.is_some_and(|table| table.copies_on.value.iter().any(|one| one.as_str() == node));
        let was = |node: &str| before.is_some_and(|table| table.copies_on.value.iter().any(|one| one.as_str() == node));
        for (other, job) in own.jobs.iter().filter(|(other, _)| !wanted(other)) {
            if job.removal.is_some() {
                continue;
            }
            if let Some(held) = job.held() {
                own.tell_held(job, &held, other, report);
                continue;
            }
            if !was(other) {
                if !world.file.replication.is_empty() {
                    let message = format!(
                        "the job {} copies guest {} to {other}, which the file does not ask for",
                        job.id,
                        called(own.guest)
                    );
                    let next = format!(
                        "name {other} in `copies_on`; or, if that copy is not needed, on {}: pvesr delete {}",
                        own.owner, job.id
                    );
                    told(report, Code::CopyUnmanaged, guest_subject(own.vmid()), message, &next);
                }
                continue;
            }
            let (Ok(id), Ok(target)) = (job.id.parse::<JobId>(), NodeName::new(*other)) else {
                continue;
            };
            let step = self.remove(own, table, (id, target));
            self.removed.extend(step);
        }
    }

    fn remove(&self, own: &Own<'_>, table: Option<&ReplicationSpec>, (job, target): (JobId, NodeName)) -> Option<Step> {
        let (world, vmid) = (self.world, own.vmid());
        let replica = ReplicaRef {
            guest: vmid,
            node: target.clone(),
        };
        let of_guest =
            |step: &&Step| matches!(&step.action, Action::CreateReplication { job, .. } if job.guest == vmid);
        let mut step = world.step(Making {
            verb: "replication.remove",
            about: format!("{vmid}/{target}"),
            node: own.owner.clone(),
            title: format!("take the copy of guest {} on {target} away", called(own.guest)),
            action: Action::RemoveReplication {
                cluster: world.file.cluster.name.value.clone(),
                job,
                target: target.clone(),
            },
            why: vec![format!(
                "the file that was applied before wanted a copy on {target}, and this one does not"
            )],
            needs: self
                .created
                .iter()
                .filter(of_guest)
                .map(|step| step.id.clone())
                .collect(),
            done_when: Condition::CopyGone {
                node: own.owner.clone(),
                guest: vmid,
                target: target.clone(),
            },
            undo: format!("name {target} in `copies_on` again: the whole guest is copied anew"),
        })?;
        // What is to stay is there before anything goes.
        let stay = table
            .iter()
            .flat_map(|table| &table.copies_on.value)
            .filter(|node| *node != own.owner);
        step.gate.extend(stay.map(|node| Condition::CopyMade {
            node: own.owner.clone(),
            guest: vmid,
            target: node.clone(),
        }));
        step.destroys = vec![format!(
            "the copy of guest {} on {target} ({replica})",
            called(own.guest)
        )];
        Some(step)
    }
}
