//! The files of a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::entries::StatsFile;
use super::{Command, DatacenterFile, GuestStats, Hardware, ScenarioError, ServiceFile};
use crate::groups::Groups;
use crate::model::{ManagerStatus, Sid};
use crate::rules::{Complaint, Rules};

/// What a guest may use and uses, where no file says so: 4 and 2 processors, 4 and 2 GiB.
const USUAL: GuestStats = GuestStats {
    maxcpu: Some(4.0),
    maxmem: Some(4096.0 * 1024.0 * 1024.0),
    cpu: Some(2.0),
    mem: Some(2048.0 * 1024.0 * 1024.0),
};

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
