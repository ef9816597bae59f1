//! What can become of the lost server's guests on this one: each with its copy here and how old that is, or with the reason why not.

use std::collections::{BTreeMap, BTreeSet};

use quorate_exec::{Invocation, Tools};
use quorate_model::facet::Unknown;
use quorate_model::guest_ids::JobId;
use quorate_model::moves::service_id;
use quorate_model::observation::guest_config::{Backing, ConfiguredGuest, GuestDisk};
use quorate_model::observation::storages::{DefinedStorage, StorageState};
use quorate_model::observation::{GuestConfig, Ha, Network, PveConfig, Storages};
use quorate_model::{NodeName, Timestamp};
use quorate_tools::{CallError, zfs_list};

pub(crate) use quorate_model::lost::{Fate, LostCopy as Copy, LostGuest as Guest};

use crate::host::{Host, complaint, text, unparsable};

/// What is on this server's pools, below the datasets of storages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Datasets that were looked at, with what is below each; or why it is not known.
    below: BTreeMap<String, Result<Names, Unknown>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    datasets: BTreeSet<String>,
    snapshots: Vec<zfs_list::Replicated>,
}

impl Held {
    /// Looks at the datasets of all storages that copies may lie on.
    pub(crate) async fn look(host: &Host, storages: &Storages, node: &NodeName) -> Self {
        let zfs = storages
            .defined
            .iter()
            .filter(|storage| storage.kind == "zfspool" && storage.is_for(node));
        let roots: BTreeSet<&String> = zfs.filter_map(|storage| storage.properties.get("pool")).collect();
        let mut below = BTreeMap::new();
        for root in roots {
            below.insert(root.clone(), names(host, root).await);
        }
        Self { below }
    }

    /// When the newest run of replication brought a volume; `None`: none did.
    fn brought(&self, root: &str, volume: &str) -> Result<Option<Timestamp>, String> {
        let dataset = format!("{root}/{volume}");
        let names = match self.below.get(root) {
            Some(Ok(names)) => names,
            Some(Err(unknown)) => return Err(format!("what is on {root} is not known: {}", unknown.reason)),
            None => return Err(format!("what is on {root} is not known")),
        };
        if !names.datasets.contains(&dataset) {
            return Err(format!("there is no {dataset} here"));
        }
        let of_it = names.snapshots.iter().filter(|snapshot| snapshot.dataset == dataset);
        Ok(of_it.map(|snapshot| snapshot.at).max())
    }
}

async fn names(host: &Host, root: &str) -> Result<Names, Unknown> {
    let list = async |call: fn(&Tools, &str) -> Result<Invocation, CallError>| {
        let finished = host.run(call(host.tools(), root)).await?;
        if !finished.exit.is_success() {
            return Err(complaint("zfs", &finished));
        }
        zfs_list::read(&text("zfs", &finished)?).map_err(unparsable)
    };
    let datasets = list(zfs_list::names).await?.into_iter().collect();
    let snapshots = list(zfs_list::snapshots).await?;
    Ok(Names {
        datasets,
        snapshots: snapshots.iter().filter_map(|name| zfs_list::replicated(name)).collect(),
    })
}

/// What fates are judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) own: &'a NodeName,
    pub(crate) lost: &'a str,
    pub(crate) config: &'a PveConfig,
    pub(crate) ha: Result<&'a Ha, &'a Unknown>,
    pub(crate) storages: Result<&'a Storages, &'a Unknown>,
    pub(crate) network: Result<&'a Network, &'a Unknown>,
    pub(crate) held: &'a Held,
}

impl Seen<'_> {
    /// All guests of the lost server, by id.
    ///
    /// # Errors
    /// Which guests there are is not known.
    pub(crate) fn guests(&self) -> Result<Vec<Guest>, Unknown> {
        let all = self.config.guests.get().map_err(Clone::clone)?;
        let own = all.iter().filter(|one| one.guest.node == self.lost);
        Ok(own.map(|one| self.guest(one)).collect())
    }

    fn guest(&self, one: &ConfiguredGuest) -> Guest {
        let settings = one.config.get();
        Guest {
            vmid: one.guest.vmid,
            kind: one.guest.kind,
            name: settings.ok().and_then(|settings| settings.name.clone()),
            elsewhere: self.elsewhere(one.guest.vmid),
            copy: settings.ok().and_then(|settings| self.copy(settings).ok()),
            fate: match settings {
                Err(unknown) => Fate::Not(format!("what it is configured to be is not known: {}", unknown.reason)),
                Ok(settings) => self.fate(one, settings),
            },
        }
    }

    fn fate(&self, one: &ConfiguredGuest, settings: &GuestConfig) -> Fate {
        let (vmid, kind) = (one.guest.vmid, one.guest.kind);
        let resources = match self.ha.map(|ha| ha.resources.get()) {
            Ok(Ok(resources)) => resources,
            Ok(Err(unknown)) | Err(unknown) => {
                return Fate::Not(format!("whether HA looks after it is not known: {}", unknown.reason));
            }
        };
        let sid = service_id(kind, vmid);
        if let Some(resource) = resources.get(&sid).filter(|resource| resource.state != "ignored") {
            return Fate::Ha(self.by_ha(&sid, &resource.state));
        }
        if settings.template {
            return Fate::Template;
        }
        if let Some(held) = self.held_here(vmid) {
            return Fate::Not(format!(
                "what {} itself wrote to it before {}, and never copied, is held in these disks, and is no copy of {}'s: whoever starts it here \
                 decides for that, and takes it over by hand",
                self.own, held.since, self.lost
            ));
        }
        if let Some(lock) = &settings.lock {
            let tool = quorate_tools::guest::name(kind);
            return Fate::Not(format!(
                "it is locked ({lock}): it would not start; when you know what that was: {tool} unlock {vmid}, after it was taken over by hand"
            ));
        }
        if !settings.bound_by.is_empty() {
            return Fate::Not(format!(
                "it is bound to devices of {} by {}",
                self.lost,
                settings.bound_by.join(", ")
            ));
        }
        match self.jobs(vmid).and_then(|jobs| {
            Ok((
                self.copy(settings)?,
                jobs,
                self.discs(one, settings)?,
                self.bridges(settings)?,
            ))
        }) {
            Ok((copy, jobs, (), ())) => Fate::Recoverable {
                copy,
                jobs,
                starts: settings.starts_at_boot,
            },
            Err(why) => Fate::Not(why),
        }
    }

    /// What HA does about one of the lost server's, in words. Source: pve-ha-manager PVE/HA/Manager.pm (`next_state_recovery`, `next_state_error`).
    fn by_ha(&self, sid: &str, asked: &str) -> String {
        let manager = match self.ha.map(|ha| ha.manager.get()) {
            Ok(Ok(manager)) => manager.as_ref(),
            Ok(Err(unknown)) | Err(unknown) => {
                return format!(
                    "HA looks after it; whether it takes it over can't be told: {}",
                    unknown.reason
                );
            }
        };
        if let Some(disarm) = manager.and_then(|manager| manager.disarm.as_ref()) {
            return format!(
                "HA looks after it, and is {}: it takes nothing over until it is armed again",
                disarm.state
            );
        }
        let state = manager
            .and_then(|manager| manager.services.get(sid))
            .map(|place| place.state.as_str());
        match (asked, state) {
            ("disabled", _) => "HA neither moves nor starts it: it is asked to be disabled".to_owned(),
            ("stopped", _) => {
                "HA takes it over once there is quorum, and does not start it: it is asked to be stopped".to_owned()
            }
            (_, Some("error")) => format!(
                "HA has given it up (error), and does nothing about it: ha-manager set {sid} --state disabled, and when that is so --state started"
            ),
            _ => "HA looks after it, and takes it over by itself once there is quorum".to_owned(),
        }
    }

    /// What this very server wrote before it was lost itself, and nobody has decided about.
    fn held_here(&self, vmid: u32) -> Option<quorate_model::held::Held> {
        let jobs = self.config.replication.get().ok()?;
        let of_guest = jobs.iter().filter(|job| job.guest == vmid);
        let mut held = of_guest.filter_map(quorate_model::observation::ReplicationJob::held);
        held.find(|held| held.node == self.own.as_str())
    }

    fn elsewhere(&self, vmid: u32) -> Vec<String> {
        let jobs = self.config.replication.get().map(Vec::as_slice).unwrap_or_default();
        let others = jobs
            .iter()
            .filter(|job| job.guest == vmid && job.target != self.own.as_str() && job.target != self.lost);
        others.map(|job| job.target.clone()).collect()
    }

    /// Jobs between the two servers: PVE turns them round once the guest is here.
    fn jobs(&self, vmid: u32) -> Result<Vec<JobId>, String> {
        let jobs = self.config.replication.get();
        let jobs = jobs.map_err(|unknown| format!("its replication jobs are not known: {}", unknown.reason))?;
        let ours = jobs
            .iter()
            .filter(|job| job.guest == vmid && job.target == self.own.as_str());
        let parsed = ours.map(|job| {
            job.id
                .parse()
                .map_err(|_| format!("its job {} has an odd name", job.id))
        });
        parsed.collect()
    }

    fn copy(&self, settings: &GuestConfig) -> Result<Copy, String> {
        let mut times = BTreeSet::new();
        for disk in settings.disks.iter().filter(|disk| !disk.is_unused()) {
            if let Some(at) = self.disk(disk)? {
                times.insert(at);
            }
        }
        let mut times = times.into_iter();
        Ok(match (times.next(), times.next()) {
            (None, _) => Copy::Whole,
            (Some(at), None) => Copy::Of(at),
            (Some(oldest), Some(_)) => Copy::Uneven(oldest),
        })
    }

    /// `None`: it is the disk itself, which all servers see.
    fn disk(&self, disk: &GuestDisk) -> Result<Option<Timestamp>, String> {
        let key = &disk.key;
        let (storage, volume) = match &disk.backing {
            Backing::Volume { storage, volume } => (storage, volume),
            // The same on every server, by the administrator's word.
            Backing::Device(_) | Backing::Folder(_) if disk.shared => return Ok(None),
            Backing::Device(path) | Backing::Folder(path) => {
                return Err(format!("{key} is {path} of {}, and of no other server", self.lost));
            }
        };
        let defined = self.storage(key, storage)?;
        if defined.is_shared() {
            return Ok(None);
        }
        if defined.kind != "zfspool" {
            return Err(format!(
                "{key} lies on {storage} of {} ({}), which PVE does not copy",
                self.lost, defined.kind
            ));
        }
        let Some(pool) = defined.properties.get("pool") else {
            return Err(format!("{key} lies on {storage}, which names no pool"));
        };
        // A linked clone is `base-9000-disk-0/vm-100-disk-0`; the dataset is the last part.
        let volume = volume.rsplit('/').next().unwrap_or(volume);
        match self.held.brought(pool, volume) {
            Ok(Some(at)) => Ok(Some(at)),
            Ok(None) => Err(format!(
                "{key}: {pool}/{volume} is here, and replication has not brought it: what it holds can't be told"
            )),
            Err(why) => Err(format!("{key}: no copy is here: {why}")),
        }
    }

    /// What lies in its CD drives must be there, or it would not start: what is on the lost server alone is not.
    fn discs(&self, one: &ConfiguredGuest, settings: &GuestConfig) -> Result<(), String> {
        for disc in settings.discs.iter().filter(|disc| !disc.shared) {
            let (key, lost) = (&disc.key, self.lost);
            let unknown =
                |unknown: &Unknown| format!("{key}: what storages there are is not known: {}", unknown.reason);
            let storages = self.storages.map_err(unknown)?;
            let defined = disc.storage().and_then(|id| storages.defined(id));
            if defined.is_some_and(DefinedStorage::is_shared) {
                continue;
            }
            return Err(format!(
                "{key} has {} of {lost} in it, without which it would not start: with quorum, write `{key}: none,media=cdrom` into \
                 /etc/pve/nodes/{lost}/{}/{}.conf",
                disc.written(),
                super::plan::folder(one.guest.kind),
                one.guest.vmid
            ));
        }
        Ok(())
    }

    /// The storage must be one that is here, and active.
    fn storage(&self, key: &str, id: &str) -> Result<&DefinedStorage, String> {
        let unknown = |unknown: &Unknown| format!("{key}: what storages there are is not known: {}", unknown.reason);
        let storages = self.storages.map_err(unknown)?;
        let defined = storages.defined(id);
        let defined = defined.ok_or_else(|| format!("{key}: there is no storage {id}"))?;
        if !defined.is_for(self.own) {
            return Err(format!("{key}: the storage {id} is not for {}", self.own));
        }
        let status = storages.status.get().map_err(unknown)?;
        match status.iter().find(|one| one.id == id).map(|one| one.state) {
            Some(StorageState::Active) => Ok(defined),
            Some(state) => Err(format!("{key}: the storage {id} is {} here", state.as_str())),
            None => Err(format!("{key}: the storage {id} is not here")),
        }
    }

    fn bridges(&self, settings: &GuestConfig) -> Result<(), String> {
        let wanted: Vec<&String> = settings.nics.iter().filter_map(|nic| nic.bridge.as_ref()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let network = self.network;
        let network = network.map_err(|unknown| format!("this server's bridges are not known: {}", unknown.reason))?;
        for bridge in wanted {
            if !network.interfaces.iter().any(|one| one.name == *bridge) {
                return Err(format!("there is no {bridge} here"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "fates_tests.rs"]
pub(super) mod tests;
