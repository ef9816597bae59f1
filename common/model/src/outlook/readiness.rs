//! Can a guest run on a node? Each question is answered by what was seen, and by nothing else.

use std::collections::BTreeMap;

use crate::copies::{CopyState, judge};
use crate::facet::{Facet, Unknown, UnknownKind};
use crate::ids::NodeName;
use crate::observation::config::PveConfig;
use crate::observation::guest_config::{Backing, GuestDisk};
use crate::observation::network::InterfaceKind;
use crate::observation::storages::{DefinedStorage, StorageState};
use crate::observation::{Guest, GuestConfig, ReplicationState};
use crate::reach::{self, Reach};
use crate::time::spoken;
use crate::view::View;

use super::{Answer, Asks, Check, Room};

/// A guest's configuration.
pub(super) fn settings(config: &PveConfig, vmid: u32) -> Result<&GuestConfig, Unknown> {
    let all = config.guests.get().map_err(Clone::clone)?;
    let one = all.iter().find(|one| one.guest.vmid == vmid);
    match one {
        Some(one) => one.config.get().map_err(Clone::clone),
        None => Err(Unknown::new(
            UnknownKind::Failed,
            format!("guest {vmid} has no configuration"),
        )),
    }
}

pub(super) fn checks(
    view: &View,
    speaker: &NodeName,
    config: &PveConfig,
    guest: &Guest,
    settings: Result<&&GuestConfig, &Unknown>,
    node: &NodeName,
    rooms: &BTreeMap<NodeName, Room>,
) -> Vec<Check> {
    let answer = |asks: Asks| match settings {
        Err(unknown) => unknown.into(),
        Ok(settings) => {
            let asked = Asked {
                view,
                speaker,
                config,
                guest,
                settings,
                node,
            };
            match asks {
                Asks::Disks => asked.disks(),
                Asks::Storage => asked.storage(),
                Asks::Bridge => asked.bridge(),
                Asks::Processor => asked.processor(),
                Asks::Devices => asked.devices(),
                Asks::Memory => rooms.get(node).map_or_else(
                    || Answer::Unproven("nothing is known of its memory".to_owned()),
                    |room| room.answer.clone(),
                ),
            }
        }
    };
    Asks::ALL
        .into_iter()
        .map(|asks| Check {
            node: node.clone(),
            asks,
            answer: answer(asks),
        })
        .collect()
}

/// What a canary has shown there.
fn by_canary(bridge: &str, shown: &Reach) -> Answer {
    let (guest, at) = (shown.guest, shown.at);
    match &shown.failed {
        None => Answer::Yes(format!("{bridge} is there, and canary {guest} answered at it ({at})")),
        Some(why) => Answer::No(format!(
            "{bridge} is there, and canary {guest} did not answer at it ({at}): {why}"
        )),
    }
}

struct Asked<'a> {
    view: &'a View,
    speaker: &'a NodeName,
    config: &'a PveConfig,
    guest: &'a Guest,
    settings: &'a GuestConfig,
    node: &'a NodeName,
}

impl Asked<'_> {
    fn used(&self) -> impl Iterator<Item = &GuestDisk> {
        self.settings.disks.iter().filter(|disk| !disk.is_unused())
    }

    fn defined(&self, id: &str) -> Result<&DefinedStorage, Answer> {
        let storages = self
            .view
            .facet(self.speaker, |o| &o.storages)
            .map_err(|unknown| Answer::from(&unknown))?;
        storages
            .defined(id)
            .ok_or_else(|| Answer::No(format!("there is no storage {id}")))
    }

    /// Is every disk there, and what lies in its CD drives?
    fn disks(&self) -> Answer {
        let answers: Vec<Answer> = self.used().map(|disk| self.disk(disk)).collect();
        let count = answers.len();
        let discs = self.settings.discs.iter().map(|disc| self.disc(disc));
        match Answer::worst(discs.chain(answers)) {
            None => Answer::Yes("it has none".to_owned()),
            Some(Answer::Yes(reason)) if count > 1 => Answer::Yes(format!("{count} disks; {reason}")),
            Some(worst) => worst,
        }
    }

    /// A start activates what lies in a CD drive as well, and fails where it is missing.
    fn disc(&self, disc: &GuestDisk) -> Answer {
        let (key, owner) = (&disc.key, &self.guest.node);
        let storage = match &disc.backing {
            Backing::Volume { storage, .. } => storage,
            Backing::Device(path) | Backing::Folder(path) if disc.shared => {
                return Answer::Yes(format!("{path} is shared"));
            }
            Backing::Device(path) | Backing::Folder(path) => {
                return Answer::Unproven(format!(
                    "{key} is {path} of {owner}; whether {} has one is not known",
                    self.node
                ));
            }
        };
        match self.defined(storage) {
            Ok(defined) if defined.is_shared() => Answer::Yes(format!("{storage} is shared")),
            Err(Answer::Unproven(why)) => Answer::Unproven(why),
            // `local` need not be defined.
            Ok(_) | Err(_) => Answer::No(format!("{key} has {} of {owner} in it", disc.written())),
        }
    }

    fn disk(&self, disk: &GuestDisk) -> Answer {
        let key = &disk.key;
        let storage = match &disk.backing {
            Backing::Device(path) | Backing::Folder(path) if disk.shared => {
                return Answer::Yes(format!("{path} is shared"));
            }
            Backing::Volume { storage, .. } => storage,
            Backing::Device(path) | Backing::Folder(path) => {
                return Answer::No(format!("{key} is {path} of {}", self.guest.node));
            }
        };
        let defined = match self.defined(storage) {
            Ok(defined) => defined,
            Err(answer) => return answer,
        };
        if defined.is_shared() {
            return Answer::Yes(format!("{storage} is shared"));
        }
        if defined.kind != "zfspool" {
            let reason = format!(
                "{key} lies on {storage} of {} ({}), which PVE does not copy",
                self.guest.node, defined.kind
            );
            return Answer::No(reason);
        }
        if !disk.replicate {
            return Answer::No(format!("{key} is left out of replication (replicate=0)"));
        }
        self.copy()
    }

    /// How its copy on the node stands.
    fn copy(&self) -> Answer {
        let node = self.node;
        let jobs = match self.config.replication.get() {
            Ok(jobs) => jobs,
            Err(unknown) => return unknown.into(),
        };
        let owner = &self.guest.node;
        let job = jobs
            .iter()
            .find(|job| job.guest == self.guest.vmid && job.other_end(owner) == Some(node.as_str()));
        let Some(job) = job else {
            return Answer::No(format!("no copy of it is kept on {node}"));
        };
        let states: Facet<Vec<ReplicationState>> = match self.view.nodes.iter().find(|(name, _)| name.as_str() == owner)
        {
            Some((_, seen)) => match &seen.observation {
                Ok(seen) => seen.replication.clone(),
                Err(unknown) => Facet::Unknown(unknown.clone()),
            },
            None => Facet::unknown(UnknownKind::NotAsked, format!("{owner} is not enrolled")),
        };
        let (states, now) = match &states {
            Facet::Known { value, collected_at } => (value, *collected_at),
            Facet::Unknown(unknown) => return unknown.into(),
        };
        let mut of_job = states.iter().filter(|state| state.guest == job.guest);
        let state = of_job.find(|state| state.target == job.target);
        let age = state.and_then(|state| state.last_sync).map(|at| spoken(at.age(now)));
        let aged = |what: &str| match &age {
            Some(age) => format!("its copy on {node} is {age} old{what}"),
            None => format!("nothing is known of a copy on {node}{what}"),
        };
        match judge(job, owner, state, now) {
            CopyState::Fresh | CopyState::Syncing if age.is_some() => Answer::Yes(aged("")),
            CopyState::Never | CopyState::Syncing | CopyState::Fresh => {
                Answer::No(format!("no run has succeeded to {node} yet"))
            }
            CopyState::Late => Answer::Unproven(aged(", older than its schedule promises")),
            CopyState::Failing { error, .. } => Answer::Unproven(aged(&format!(", and its job fails: {error}"))),
            CopyState::Off => Answer::Unproven(aged(", and its job is switched off")),
            CopyState::Held(held) => Answer::Unproven(format!(
                "what {node} wrote before {} is held there, and nothing that was written since",
                held.since
            )),
            CopyState::Leaving => Answer::No(format!("its copy on {node} is being removed")),
            CopyState::Turning => Answer::Unproven(format!(
                "its job is being turned round: nothing is known of a copy on {node}"
            )),
        }
    }

    /// Is every storage active there?
    fn storage(&self) -> Answer {
        let all = self.used().chain(&self.settings.discs);
        let mut names: Vec<&str> = all.filter_map(GuestDisk::storage).collect();
        names.sort_unstable();
        names.dedup();
        let status = match self.view.facet(self.node, |o| &o.storages) {
            Ok(storages) => match storages.status.get() {
                Ok(status) => status,
                Err(unknown) => return unknown.into(),
            },
            Err(unknown) => return (&unknown).into(),
        };
        let answers = names.iter().map(
            |name| match status.iter().find(|one| one.id == *name).map(|one| one.state) {
                Some(StorageState::Active) => Answer::Yes(format!("{name} is active")),
                Some(state) => Answer::No(format!("{name} is {} there", state.as_str())),
                None => Answer::No(format!("{name} is not there")),
            },
        );
        Answer::worst(answers).unwrap_or_else(|| Answer::Yes("it needs none".to_owned()))
    }

    /// Is every bridge there? That a VLAN reaches the switch is another thing, which only a guest that answers proves.
    fn bridge(&self) -> Answer {
        let network = match self.view.facet(self.node, |o| &o.network) {
            Ok(network) => network,
            Err(unknown) => return (&unknown).into(),
        };
        let answers = self.settings.nics.iter().map(|nic| {
            let Some(bridge) = &nic.bridge else {
                return Answer::Yes(format!("{} needs no bridge", nic.key));
            };
            let found = network.interfaces.iter().find(|one| one.name == *bridge);
            let shown = reach::newest(&self.view.reach, self.node, bridge, nic.vlan);
            match (found, nic.vlan) {
                (None, _) => Answer::No(format!("there is no {bridge}")),
                (Some(one), _) if !one.up => Answer::No(format!("{bridge} is down")),
                (Some(one), _) if !matches!(one.kind, InterfaceKind::Bridge | InterfaceKind::Other) => {
                    Answer::No(format!("{bridge} is no bridge"))
                }
                (Some(_), vlan) => match (shown, vlan) {
                    (Some(shown), _) => by_canary(bridge, shown),
                    (None, Some(vlan)) => Answer::Unproven(format!(
                        "{bridge} is there; whether VLAN {vlan} reaches it, only a guest shows"
                    )),
                    (None, None) => Answer::Yes(format!("{bridge} is there")),
                },
            }
        });
        Answer::worst(answers).unwrap_or_else(|| Answer::Yes("it has no network card".to_owned()))
    }

    /// It is started afresh: what counts is only that the node can give what is asked for.
    fn processor(&self) -> Answer {
        let model = |node: &str| {
            let found = self.view.nodes.iter().find(|(name, _)| name.as_str() == node)?;
            let system = found.1.observation.as_ref().ok()?.system.get().ok()?;
            Some((system.cpu.model.clone(), system.cpu.threads))
        };
        let here = model(self.node.as_str());
        if let (Some(cpus), Some((_, threads))) = (self.settings.cpus, &here)
            && cpus > *threads
        {
            return Answer::No(format!(
                "it has {cpus} processors, and {} has {threads} threads",
                self.node
            ));
        }
        let kind = match self.settings.cpu_type.as_deref() {
            // What every processor has, or what the node has, whatever that is.
            None | Some("host" | "max" | "kvm64" | "qemu64") => None,
            Some(kind) => Some(kind),
        };
        match (kind, here, model(&self.guest.node)) {
            (_, None, _) => Answer::Unproven(format!("the processor of {} is not known", self.node)),
            (None, Some(_), _) => Answer::Yes("any that runs PVE".to_owned()),
            (Some(_), Some((here, _)), Some((there, _))) if here == there => Answer::Yes(format!("{here}, as now")),
            (Some(kind), Some((here, _)), _) => {
                Answer::Unproven(format!("whether {here} can give it {kind}, only a start shows"))
            }
        }
    }

    fn devices(&self) -> Answer {
        match self.settings.bound_by.as_slice() {
            [] => Answer::Yes("none".to_owned()),
            keys => Answer::No(format!("bound to {} by {}", self.guest.node, keys.join(", "))),
        }
    }
}
