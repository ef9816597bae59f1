//! Guests with their disks, jobs and HA, as all members see them, and what steps do to them.

use std::collections::BTreeMap;

use quorate_model::facet::Facet;
use quorate_model::guest_ids::Sid;
use quorate_model::ids::NodeName;
use quorate_model::observation::guest_config::{Backing, ConfiguredGuest, GuestConfig, GuestDisk};
use quorate_model::observation::ha::{HaPlacement, HaResource};
use quorate_model::observation::replication::{ReplicationJob, ReplicationState};
use quorate_model::observation::storages::{DefinedStorage, Storages};
use quorate_model::observation::{Guest, GuestKind, GuestRun, GuestStatus, Ha, PveConfig};
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Step};
use quorate_model::view::View;
use quorate_model::{ByteSize, Observation, Timestamp};

use super::{NOW, Servers, known};

/// A guest with one disk of 10 GiB on this storage.
#[must_use]
pub fn guest(vmid: u32, node: &str, storage: &str) -> ConfiguredGuest {
    let config = GuestConfig {
        name: Some(format!("web{vmid}")),
        memory: ByteSize(2 << 30),
        cpus: Some(2),
        cpu_type: None,
        tags: vec![],
        template: false,
        lock: None,
        starts_at_boot: false,
        agent: false,
        disks: vec![volume(vmid, "scsi0", storage)],
        nics: vec![],
        discs: vec![],
        snapshots: vec![],
        bound_by: vec![],
        created: None,
    };
    ConfiguredGuest {
        guest: Guest {
            vmid,
            node: node.to_owned(),
            kind: GuestKind::Vm,
        },
        config: Facet::known(config, NOW),
    }
}

/// A disk of 10 GiB.
#[must_use]
pub fn volume(vmid: u32, key: &str, storage: &str) -> GuestDisk {
    GuestDisk {
        key: key.to_owned(),
        backing: Backing::Volume {
            storage: storage.to_owned(),
            volume: format!(
                "vm-{vmid}-disk-{}",
                key.trim_start_matches(|c: char| !c.is_ascii_digit())
            ),
        },
        size: Some(ByteSize(10 << 30)),
        replicate: true,
        shared: false,
    }
}

/// A job as ours are, every five minutes.
#[must_use]
pub fn job(id: &str, source: &str, target: &str) -> ReplicationJob {
    let guest = id
        .split('-')
        .next()
        .and_then(|guest| guest.parse().ok())
        .expect("GUEST-NUMBER");
    ReplicationJob {
        schedule: "*/5".to_owned(),
        source: Some(source.to_owned()),
        comment: Some("quorate hold".to_owned()),
        ..ReplicationJob::of(id, guest, target)
    }
}

/// What the owner keeps of a job that has run well.
#[must_use]
pub fn copied(guest: u32, target: &str) -> ReplicationState {
    ReplicationState {
        guest,
        target: target.to_owned(),
        last_sync: Some(Timestamp(NOW.0 - 60_000_000)),
        last_try: Some(Timestamp(NOW.0 - 60_000_000)),
        failures: 0,
        took_millis: Some(1200),
        error: None,
        running: false,
        held_since: None,
    }
}

impl Servers {
    /// All servers know these guests, which run, and the storages `data_zfs` (ZFS), `nas` (shared) and `local` (a folder).
    #[must_use]
    pub fn with_guests(self, guests: &[ConfiguredGuest]) -> Self {
        let defined = |id: &str, kind: &str| DefinedStorage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            properties: BTreeMap::new(),
        };
        let storages = Storages {
            defined: vec![
                defined("data_zfs", "zfspool"),
                defined("nas", "nfs"),
                defined("local", "dir"),
            ],
            status: Facet::known(vec![], NOW),
        };
        self.with_each(|seen| {
            known(&mut seen.config).guests = Facet::known(guests.to_vec(), NOW);
            seen.storages = Facet::known(storages.clone(), NOW);
            seen.replication = Facet::known(vec![], NOW);
            let own = guests.iter().filter(|guest| guest.guest.node == seen.hostname);
            seen.running = Facet::known(own.map(|guest| status(&guest.guest, GuestRun::Running)).collect(), NOW);
        })
    }

    /// All servers know these jobs; each owner has copied what is its own.
    #[must_use]
    pub fn with_jobs(self, jobs: &[ReplicationJob]) -> Self {
        self.with_each(|seen| {
            known(&mut seen.config).replication = Facet::known(jobs.to_vec(), NOW);
            let own = jobs.iter().filter(|job| job.source.as_ref() == Some(&seen.hostname));
            seen.replication = Facet::known(own.map(|job| copied(job.guest, &job.target)).collect(), NOW);
        })
    }

    /// A guest does not run.
    #[must_use]
    pub fn stopped(self, vmid: u32) -> Self {
        self.with_each(|seen| {
            for guest in known(&mut seen.running).iter_mut().filter(|guest| guest.vmid == vmid) {
                guest.run = GuestRun::Stopped;
            }
        })
    }

    /// All servers run this version of PVE.
    #[must_use]
    pub fn of_pve(self, version: &str) -> Self {
        self.with_each(|seen| {
            if let Some(pve) = known(&mut known(&mut seen.system).pve) {
                version.clone_into(&mut pve.manager);
            }
        })
    }

    /// Changes HA's configuration, which all see alike.
    #[must_use]
    pub fn with_shared_ha(self, mut change: impl FnMut(&mut Ha)) -> Self {
        self.with_each(|seen| change(known(&mut seen.ha)))
    }
}

fn status(guest: &Guest, run: GuestRun) -> GuestStatus {
    GuestStatus {
        vmid: guest.vmid,
        kind: guest.kind,
        run,
        uptime_seconds: Some(7200),
        memory_used: None,
        memory: ByteSize(2 << 30),
        lock: None,
    }
}

/// What a step for copies or HA leaves behind.
pub(super) fn done(view: &mut View, step: &Step) {
    match &step.action {
        Action::CreateReplication {
            job,
            target,
            schedule,
            rate,
            returning_node,
            ..
        } => {
            let made = ReplicationJob {
                source: Some(step.node.to_string()),
                schedule: schedule.to_string(),
                rate: rate.map(|rate| rate.to_string()),
                comment: Some(returning_node.comment().to_owned()),
                ..ReplicationJob::of(job.to_string(), job.guest, target.as_str())
            };
            config(view, |config| known(&mut config.replication).push(made.clone()));
            if let Some(Ok(seen)) = view.nodes.get_mut(&step.node).map(|node| node.observation.as_mut()) {
                known(&mut seen.replication).push(copied(job.guest, target.as_str()));
            }
        }
        Action::ChangeReplication {
            job,
            schedule,
            rate,
            returning_node,
            enable,
            other,
            ..
        } => {
            if *enable && let Some(Ok(seen)) = view.nodes.get_mut(&step.node).map(|node| node.observation.as_mut()) {
                let states = known(&mut seen.replication);
                states.retain(|state| state.guest != job.guest || state.target != other.as_str());
                states.push(copied(job.guest, other.as_str()));
            }
            config(view, |config| {
                let id = job.to_string();
                for there in known(&mut config.replication).iter_mut().filter(|there| there.id == id) {
                    there.schedule = schedule.to_string();
                    there.comment = Some(returning_node.comment().to_owned());
                    if let Some(rate) = rate {
                        there.rate = Some(rate.to_string());
                    }
                    there.disabled &= !*enable;
                }
            })
        }
        Action::KeepVolumes { volumes, since, .. } => {
            let Some(Ok(seen)) = view.nodes.get_mut(&step.node).map(|node| node.observation.as_mut()) else {
                return;
            };
            for name in known(&mut seen.pools)
                .iter_mut()
                .flat_map(|pool| known(&mut pool.volumes))
            {
                if let Some(volume) = volumes.iter().find(|volume| volume.as_str() == name.as_str()) {
                    *name = volume.kept(*since);
                }
            }
        }
        Action::FreeCanaryDisc { volume, .. } => {
            let Some(Ok(seen)) = view.nodes.get_mut(&step.node).map(|node| node.observation.as_mut()) else {
                return;
            };
            for pool in known(&mut seen.pools) {
                known(&mut pool.volumes).retain(|name| name != volume.as_str());
            }
        }
        Action::RemoveReplication { job, .. } => config(view, |config| {
            let id = job.to_string();
            known(&mut config.replication).retain(|there| there.id != id);
        }),
        Action::SetMigrationNetwork { migration, .. } => config(view, |config| {
            known(&mut config.datacenter).insert("migration".to_owned(), migration.clone());
        }),
        Action::AddHaResource { service, started, .. } => {
            let state = if *started { "started" } else { "stopped" };
            resource(view, *service, &step.done_when, HaResource::of(state));
        }
        Action::ChangeHaResource { service, .. } => {
            resource(view, *service, &step.done_when, HaResource::of("started"))
        }
        Action::SetHaRule {
            rule, service, nodes, ..
        } => {
            let services = vec![service.to_string()];
            place(view, HaPlacement::NODES, rule.as_str(), services, nodes.iter());
        }
        Action::SetHaGroup { group, nodes, .. } => {
            place(view, HaPlacement::GROUP, group.as_str(), vec![], nodes.iter())
        }
        _ => {}
    }
}

fn config(view: &mut View, mut change: impl FnMut(&mut PveConfig)) {
    each(view, |seen| change(known(&mut seen.config)));
}

fn each(view: &mut View, mut change: impl FnMut(&mut Observation)) {
    for node in view.nodes.values_mut() {
        if let Ok(seen) = &mut node.observation {
            change(seen);
        }
    }
}

fn resource(view: &mut View, service: Sid, wanted: &Condition, new: HaResource) {
    let Condition::HaResourceSet {
        max_restart,
        max_relocate,
        group,
        no_failback,
        ..
    } = wanted
    else {
        return;
    };
    each(view, |seen| {
        let there = known(&mut known(&mut seen.ha).resources)
            .entry(service.to_string())
            .or_insert(new.clone());
        there.max_restart = max_restart.or(there.max_restart);
        there.max_relocate = max_relocate.or(there.max_relocate);
        if let Some(group) = group {
            there.group = Some(group.to_string());
        }
        if *no_failback {
            there.failback = Some(false);
        }
    });
}

fn place<'n>(
    view: &mut View,
    kind: &str,
    name: &str,
    services: Vec<String>,
    nodes: impl Iterator<Item = &'n NodeName>,
) {
    let placement = HaPlacement {
        name: name.to_owned(),
        kind: kind.to_owned(),
        services,
        nodes: nodes.map(|node| (node.to_string(), Some(1))).collect(),
        strict: true,
        no_failback: kind == HaPlacement::GROUP,
        disabled: false,
        apart: false,
    };
    each(view, |seen| {
        let all = known(&mut known(&mut seen.ha).placements);
        all.retain(|there| there.name != placement.name);
        all.push(placement.clone());
    });
}
