//! The files of a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::command::requested;
use super::{Command, GuestStats, ScenarioError};
use crate::constants::{MAX_RELOCATE, MAX_RESTART};
use crate::groups::Groups;
use crate::model::{Balancing, Datacenter, ManagerStatus, Requested, ServiceConfig, Sid};
use crate::rules::{Complaint, Rules};

/// What a guest may use and uses, where no file says so: 4 and 2 processors, 4 and 2 GiB.
const USUAL: GuestStats = GuestStats {
    maxcpu: Some(4.0),
    maxmem: Some(4096.0 * 1024.0 * 1024.0),
    cpu: Some(2.0),
    mem: Some(2048.0 * 1024.0 * 1024.0),
};

/// A server: one entry of `hardware_status`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// It has power.
    #[serde(deserialize_with = "on")]
    pub power: bool,
    /// It has a network.
    #[serde(deserialize_with = "on")]
    pub network: bool,
    /// Its processors.
    #[serde(default)]
    pub maxcpu: Option<f64>,
    /// Its memory, in bytes.
    #[serde(default)]
    pub maxmem: Option<f64>,
    /// Its version of pve-manager.
    #[serde(default, rename = "pve-manager-version")]
    pub version: Option<String>,
}

/// A service: one entry of `service_config`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// Where it is.
    pub node: String,
    /// What is wanted of it; disabled, where nothing is written, other than in `resources.cfg`.
    #[serde(default = "disabled", deserialize_with = "wanted")]
    pub state: Requested,
    /// Tries of a start on the same node after the first one.
    #[serde(default = "max_restart", deserialize_with = "perl_number")]
    pub max_restart: u32,
    /// Other nodes on which a start is tried.
    #[serde(default = "max_relocate", deserialize_with = "perl_number")]
    pub max_relocate: u32,
    /// To move to a better node when one comes.
    #[serde(default = "yes", deserialize_with = "perl_truth")]
    pub failback: bool,
    /// Its group.
    #[serde(default)]
    pub group: Option<String>,
    /// The lock of its guest.
    #[serde(default)]
    pub lock: Option<String>,
}

impl ServiceFile {
    /// As the configuration has it.
    #[must_use]
    pub fn config(&self) -> ServiceConfig {
        ServiceConfig {
            node: self.node.clone(),
            state: self.state,
            max_restart: self.max_restart,
            max_relocate: self.max_relocate,
            failback: self.failback,
            group: self.group.clone(),
        }
    }

    /// One that was just added.
    #[must_use]
    pub fn new(node: &str, state: Requested) -> Self {
        Self {
            node: node.to_owned(),
            state,
            max_restart: MAX_RESTART,
            max_relocate: MAX_RELOCATE,
            failback: true,
            group: None,
            lock: None,
        }
    }
}

/// `datacenter.cfg`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatacenterFile {
    #[serde(default)]
    ha: HaSettings,
    #[serde(default)]
    crs: CrsSettings,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct HaSettings {
    shutdown_policy: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct CrsSettings {
    ha: Option<String>,
    #[serde(deserialize_with = "perl_truth")]
    ha_rebalance_on_start: bool,
    #[serde(deserialize_with = "perl_truth")]
    ha_auto_rebalance: bool,
    ha_auto_rebalance_threshold: Option<f64>,
    ha_auto_rebalance_method: Option<String>,
    ha_auto_rebalance_hold_duration: Option<u32>,
    ha_auto_rebalance_margin: Option<f64>,
}

impl DatacenterFile {
    /// What it says.
    #[must_use]
    pub fn settings(&self) -> Datacenter {
        let usual = Balancing::default();
        let balance = Balancing {
            threshold: self.crs.ha_auto_rebalance_threshold.unwrap_or(usual.threshold),
            method: self.crs.ha_auto_rebalance_method.clone().unwrap_or(usual.method),
            hold_duration: self.crs.ha_auto_rebalance_hold_duration.unwrap_or(usual.hold_duration),
            margin: self.crs.ha_auto_rebalance_margin.unwrap_or(usual.margin),
        };
        Datacenter {
            shutdown_policy: self.ha.shutdown_policy.clone(),
            scheduler: self.crs.ha.clone(),
            rebalance_on_start: self.crs.ha_rebalance_on_start,
            balance: self.crs.ha_auto_rebalance.then_some(balance),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatsFile {
    #[serde(default)]
    maxcpu: Option<f64>,
    #[serde(default)]
    maxmem: Option<f64>,
    #[serde(default)]
    cpu: Option<f64>,
    #[serde(default)]
    mem: Option<f64>,
}

fn disabled() -> Requested {
    Requested::Disabled
}

fn max_restart() -> u32 {
    MAX_RESTART
}

fn max_relocate() -> u32 {
    MAX_RELOCATE
}

fn yes() -> bool {
    true
}

fn on<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(serde::de::Error::custom(format!("'{other}' is neither on nor off"))),
    }
}

fn wanted<'de, D: Deserializer<'de>>(from: D) -> Result<Requested, D::Error> {
    let word = String::deserialize(from)?;
    requested(&word)
        .ok_or_else(|| serde::de::Error::custom(format!("'{word}' is nothing that can be wanted of a service")))
}

fn perl_truth<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(flag) => Ok(flag),
        Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
        Value::String(text) => Ok(!text.is_empty() && text != "0"),
        other => Err(serde::de::Error::custom(format!("{other} is neither yes nor no"))),
    }
}

fn perl_number<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let value = Value::deserialize(from)?;
    let number = match &value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| serde::de::Error::custom(format!("{value} is no number of tries")))
}

/// Services, and what they use.
type Configured = (BTreeMap<Sid, ServiceFile>, BTreeMap<Sid, GuestStats>);

/// A directory with a scenario.
pub(super) struct Folder<'a> {
    dir: &'a Path,
}

impl<'a> Folder<'a> {
    pub(super) fn new(dir: &'a Path) -> Result<Self, ScenarioError> {
        match dir.is_dir() {
            true => Ok(Self { dir }),
            false => Err(ScenarioError::NoDirectory { path: dir.to_owned() }),
        }
    }

    fn bad(&self, file: &str, line: usize, reason: impl Into<String>) -> ScenarioError {
        ScenarioError::Bad {
            path: self.dir.join(file),
            line,
            reason: reason.into(),
        }
    }

    fn text(&self, file: &str) -> Result<String, ScenarioError> {
        let path: PathBuf = self.dir.join(file);
        fs::read_to_string(&path).map_err(|source| ScenarioError::Unreadable { path, source })
    }

    fn optional(&self, file: &str) -> Result<Option<String>, ScenarioError> {
        match self.text(file) {
            Ok(text) => Ok(Some(text)),
            Err(ScenarioError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, file: &str, text: &str) -> Result<T, ScenarioError> {
        serde_json::from_str(text).map_err(|error| {
            let message = error.to_string();
            // The place is told apart from the reason.
            let reason = message
                .rsplit_once(" at line ")
                .map_or(message.as_str(), |(reason, _)| reason);
            self.bad(file, error.line().max(1), reason)
        })
    }

    fn line_of(text: &str, needle: &str) -> usize {
        text.lines()
            .position(|line| line.contains(needle))
            .map_or(1, |index| index + 1)
    }

    pub(super) fn hardware(&self) -> Result<BTreeMap<String, Hardware>, ScenarioError> {
        let file = "hardware_status";
        let nodes: BTreeMap<String, Hardware> = self.json(file, &self.text(file)?)?;
        match nodes.is_empty() {
            true => Err(self.bad(file, 1, "there is no node")),
            false => Ok(nodes),
        }
    }

    /// The services, and what they use.
    pub(super) fn services(&self, nodes: &BTreeMap<String, Hardware>) -> Result<Configured, ScenarioError> {
        let file = "service_config";
        let text = self.text(file)?;
        let services: BTreeMap<Sid, ServiceFile> = self.json(file, &text)?;
        for (sid, service) in &services {
            if !nodes.contains_key(&service.node) {
                let line = Self::line_of(&text, &format!("\"{sid}\""));
                return Err(self.bad(
                    file,
                    line,
                    format!("'{sid}' is on '{}', which is no node", service.node),
                ));
            }
        }
        let mut stats: BTreeMap<Sid, GuestStats> = services.keys().map(|sid| (sid.clone(), USUAL)).collect();
        self.take_stats("static_service_stats", &mut stats, |stats, read| {
            stats.maxcpu = read.maxcpu;
            stats.maxmem = read.maxmem;
        })?;
        self.take_stats("dynamic_service_stats", &mut stats, |stats, read| {
            stats.cpu = read.cpu;
            stats.mem = read.mem;
        })?;
        Ok((services, stats))
    }

    /// Takes figures from a file, where there is one; then only what it says counts.
    fn take_stats(
        &self,
        file: &str,
        stats: &mut BTreeMap<Sid, GuestStats>,
        take: impl Fn(&mut GuestStats, &StatsFile),
    ) -> Result<(), ScenarioError> {
        let Some(text) = self.optional(file)? else {
            return Ok(());
        };
        let read: BTreeMap<Sid, StatsFile> = self.json(file, &text)?;
        // Also of services that come later.
        for sid in read.keys() {
            stats.entry(sid.clone()).or_insert(USUAL);
        }
        let nothing = StatsFile::default();
        for (sid, stats) in stats {
            take(stats, read.get(sid).unwrap_or(&nothing));
        }
        Ok(())
    }

    pub(super) fn manager_status(&self) -> Result<ManagerStatus, ScenarioError> {
        let file = "manager_status";
        match self.optional(file)? {
            Some(text) => self.json(file, &text),
            None => Ok(ManagerStatus::default()),
        }
    }

    pub(super) fn running(
        &self,
        nodes: &BTreeMap<String, Hardware>,
    ) -> Result<BTreeMap<String, BTreeSet<Sid>>, ScenarioError> {
        let mut running = BTreeMap::new();
        for node in nodes.keys() {
            let file = format!("service_status_{node}");
            let status: BTreeMap<Sid, u8> = match self.optional(&file)? {
                Some(text) => self.json(&file, &text)?,
                None => BTreeMap::new(),
            };
            let on = status.into_iter().filter(|(_, on)| *on != 0).map(|(sid, _)| sid);
            running.insert(node.clone(), on.collect());
        }
        Ok(running)
    }

    pub(super) fn rules(&self) -> Result<String, ScenarioError> {
        self.checked("rules_config", |text| Rules::parse(text).1)
    }

    pub(super) fn groups(&self) -> Result<String, ScenarioError> {
        self.checked("groups", |text| Groups::parse(text).1)
    }

    /// PVE passes over what it cannot read; in a scenario it is a mistake.
    fn checked(&self, file: &str, complaints: impl Fn(&str) -> Vec<Complaint>) -> Result<String, ScenarioError> {
        let text = self.optional(file)?.unwrap_or_default();
        match complaints(&text).into_iter().next() {
            Some(complaint) => Err(self.bad(file, complaint.line, complaint.reason)),
            None => Ok(text),
        }
    }

    pub(super) fn datacenter(&self) -> Result<DatacenterFile, ScenarioError> {
        let file = "datacenter.cfg";
        match self.optional(file)? {
            Some(text) => self.json(file, &text),
            None => Ok(DatacenterFile::default()),
        }
    }

    pub(super) fn slots(&self, nodes: &BTreeMap<String, Hardware>) -> Result<Vec<Vec<Command>>, ScenarioError> {
        let file = "cmdlist";
        let text = self.text(file)?;
        let slots: Vec<Vec<Command>> = self.json(file, &text)?;
        for command in slots.iter().flatten() {
            if let Some(node) = command.nodes().into_iter().find(|node| !nodes.contains_key(*node)) {
                let line = Self::line_of(&text, &command.text);
                return Err(self.bad(file, line, format!("'{}': there is no node '{node}'", command.text)));
            }
        }
        Ok(slots)
    }
}
