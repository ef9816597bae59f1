//! A small world in which things take their time: rounds as PVE has them, guests that need a while, locks that belong to processes.

use std::collections::{BTreeMap, BTreeSet};

use quorate_lab_ha::crm::Crm;
use quorate_lab_ha::env::{Act, CfsError, CrmEnv, Env, LrmEnv, Next, NodeShutdown, Progress, ServiceChange};
use quorate_lab_ha::load::Load;
use quorate_lab_ha::locks::{Locks, MANAGER_LOCK, agent_lock};
use quorate_lab_ha::log::Level;
use quorate_lab_ha::lrm::Lrm;
use quorate_lab_ha::model::{
    Datacenter, LrmStatus, ManagerStatus, Requested, Seconds, ServiceConfig, ServiceState, Services, Sid,
};
use quorate_lab_ha::usage::OtherGuest;
use quorate_lab_ha::watchdog::{WatchdogId, Watchdogs};

/// So long a membership takes to notice that a node is away (facts C.4: about 2.2 times corosync's token).
pub const DETECTION: Seconds = 8;

#[derive(Default)]
pub struct Node {
    pub power: bool,
    pub network: bool,
    away_since: Option<Seconds>,
    boots: u32,
    pub running: BTreeSet<Sid>,
    work: BTreeMap<Sid, (Act, Seconds)>,
    crm: Option<(Crm, Seconds)>,
    lrm: Option<(Lrm, Seconds)>,
}

pub struct World {
    pub now: Seconds,
    pub nodes: BTreeMap<String, Node>,
    pub services: BTreeMap<Sid, ServiceConfig>,
    pub manager: ManagerStatus,
    pub commands: Vec<String>,
    /// A start, a stop, a move take so long.
    pub effort: Seconds,
    /// Most guests that were worked on at once, on one node.
    pub most_at_work: usize,
    /// When nodes were reset by their watchdog.
    pub resets: Vec<(Seconds, String)>,
    pub log: Vec<String>,
    lrm: BTreeMap<String, LrmStatus>,
    locks: Locks,
    watchdogs: Watchdogs,
    uids: u64,
}

pub fn sid(text: &str) -> Sid {
    Sid::parse(text).unwrap()
}

impl World {
    pub fn new(nodes: usize, services: &[(&str, &str)]) -> Self {
        let service = |(name, node): &(&str, &str)| (sid(name), ServiceConfig::new(node, Requested::Started));
        let mut world = Self {
            now: 0,
            nodes: (1..=nodes).map(|n| (format!("n{n}"), Node::default())).collect(),
            services: services.iter().map(service).collect(),
            manager: ManagerStatus::default(),
            commands: Vec::new(),
            effort: 3,
            most_at_work: 0,
            resets: Vec::new(),
            log: Vec::new(),
            lrm: BTreeMap::new(),
            locks: Locks::default(),
            watchdogs: Watchdogs::default(),
            uids: 0,
        };
        let names: Vec<String> = world.nodes.keys().cloned().collect();
        for name in names {
            world.power_on(&name);
        }
        world
    }

    pub fn power_on(&mut self, name: &str) {
        let now = self.now;
        let node = self.nodes.get_mut(name).unwrap();
        node.power = true;
        node.network = true;
        node.away_since = None;
        node.boots += 1;
        let crm = Crm::new(&mut self.env(name));
        let lrm = Lrm::new(&mut self.env(name));
        let node = self.nodes.get_mut(name).unwrap();
        node.crm = Some((crm, now));
        node.lrm = Some((lrm, now));
    }

    pub fn power_off(&mut self, name: &str) {
        let boots = self.nodes[name].boots;
        let away_since = self.nodes[name].away_since.or(Some(self.now));
        self.watchdogs.forget(name);
        let off = Node {
            boots,
            away_since,
            ..Node::default()
        };
        self.nodes.insert(name.to_owned(), off);
    }

    pub fn cut(&mut self, name: &str) {
        let now = self.now;
        let node = self.nodes.get_mut(name).unwrap();
        node.network = false;
        node.away_since = Some(now);
    }

    /// The network is back, in time.
    pub fn rejoined(&mut self, name: &str) {
        let node = self.nodes.get_mut(name).unwrap();
        node.network = true;
        node.away_since = None;
    }

    /// Lets time pass.
    pub fn until(&mut self, end: Seconds) {
        while self.now < end {
            self.second();
        }
    }

    /// Lets time pass until something is so, but not beyond `limit`.
    pub fn until_so(&mut self, limit: Seconds, so: impl Fn(&Self) -> bool) -> Seconds {
        while !so(self) {
            assert!(self.now < limit, "not so at {limit}; the log:\n{}", self.log.join("\n"));
            self.second();
        }
        self.now
    }

    pub fn runs_on(&self, name: &str) -> Option<String> {
        let on = |(node, state): (&String, &Node)| state.running.contains(&sid(name)).then(|| node.clone());
        self.nodes.iter().find_map(on)
    }

    /// Does any daemon of the node have to report to its watchdog?
    pub fn is_armed(&self, name: &str) -> bool {
        self.watchdogs.armed(name)
    }

    pub fn state(&self, name: &str) -> Option<ServiceState> {
        self.manager.service_status.get(&sid(name)).map(|status| status.state)
    }

    fn second(&mut self) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in &names {
            if let Some((mut crm, at)) = self.nodes.get_mut(name).unwrap().crm.take() {
                let next = if at <= self.now {
                    Some(crm.step(&mut self.env(name)))
                } else {
                    None
                };
                let later = at_next(self.now, at, next);
                self.nodes.get_mut(name).unwrap().crm = later.map(|at| (crm, at));
            }
            if let Some((mut lrm, at)) = self.nodes.get_mut(name).unwrap().lrm.take() {
                let next = if at <= self.now {
                    Some(lrm.step(&mut self.env(name)))
                } else {
                    None
                };
                let later = at_next(self.now, at, next);
                self.nodes.get_mut(name).unwrap().lrm = later.map(|at| (lrm, at));
            }
            if self.watchdogs.ran_out(name, self.now) {
                self.resets.push((self.now, name.clone()));
                self.power_off(name);
            }
        }
        self.now += 1;
    }

    /// As the partition with quorum sees it.
    fn is_member(&self, name: &str) -> bool {
        let node = &self.nodes[name];
        node.network || node.away_since.is_some_and(|since| self.now < since + DETECTION)
    }

    fn has_quorum(&self) -> bool {
        let members = self.nodes.keys().filter(|name| self.is_member(name)).count();
        members > self.nodes.len() / 2
    }

    fn env<'a>(&'a mut self, node: &'a str) -> At<'a> {
        At { world: self, node }
    }
}

fn at_next(now: Seconds, at: Seconds, next: Option<Next>) -> Option<Seconds> {
    match next {
        None => Some(at),
        Some(Next::Within(rest) | Next::Round(rest)) => Some(now + rest.max(1)),
        Some(Next::Exit) => None,
    }
}

/// The world, as a daemon of one node sees it.
struct At<'a> {
    world: &'a mut World,
    node: &'a str,
}

impl At<'_> {
    fn me(&self) -> &Node {
        &self.world.nodes[self.node]
    }

    /// A lock belongs to the processes of one boot.
    fn owner(&self) -> String {
        format!("{}#{}", self.node, self.me().boots)
    }

    fn take(&mut self, lock: &str) -> bool {
        // Nothing that needs the others works without the network, even if nobody has noticed yet.
        let (owner, now) = (self.owner(), self.world.now);
        self.me().network && self.quorate() && self.world.locks.take(lock, &owner, now).ours()
    }

    fn release(&mut self, lock: &str) -> bool {
        let (owner, now) = (self.owner(), self.world.now);
        self.me().network && self.quorate() && self.world.locks.release(lock, &owner, now)
    }

    fn writable(&self) -> Result<(), CfsError> {
        match self.me().network && self.quorate() {
            true => Ok(()),
            false => Err(CfsError::NotMounted),
        }
    }
}

impl Env for At<'_> {
    fn now(&self) -> Seconds {
        self.world.now
    }
    fn node(&self) -> &str {
        self.node
    }
    fn log(&mut self, level: Level, text: &str) {
        let line = format!("{:>4} {:<4} {}: {text}", self.world.now, level.tag(), self.node);
        self.world.log.push(line);
    }
    fn quorate(&self) -> bool {
        let alone = self
            .me()
            .away_since
            .is_some_and(|since| self.world.now >= since + DETECTION);
        self.me().power && !alone && self.world.has_quorum()
    }
    fn members(&self) -> BTreeMap<String, bool> {
        let quorum = self.world.has_quorum();
        let member = |name: &String| (name.clone(), quorum && self.world.is_member(name));
        self.world.nodes.keys().map(member).collect()
    }
    fn update_cluster_state(&mut self) -> bool {
        true
    }
    fn manager_status(&self) -> Result<ManagerStatus, CfsError> {
        Ok(self.world.manager.clone())
    }
    fn services(&self) -> Result<Services, CfsError> {
        let all = self.world.services.clone();
        Ok(Services { all, digest: None })
    }
    fn datacenter(&self) -> Datacenter {
        Datacenter::default()
    }
    fn watchdog_open(&mut self) -> WatchdogId {
        self.world.watchdogs.open(self.node, self.world.now)
    }
    fn watchdog_update(&mut self, id: WatchdogId) {
        self.world.watchdogs.update(id, self.world.now);
    }
    fn watchdog_close(&mut self, id: WatchdogId) {
        self.world.watchdogs.close(id, self.world.now);
    }
}

impl CrmEnv for At<'_> {
    fn take_manager_lock(&mut self) -> bool {
        self.take(MANAGER_LOCK)
    }
    fn release_manager_lock(&mut self) -> bool {
        self.release(MANAGER_LOCK)
    }
    fn take_agent_lock_of(&mut self, node: &str) -> bool {
        self.take(&agent_lock(node))
    }
    fn write_manager_status(&mut self, status: &ManagerStatus) -> Result<(), CfsError> {
        self.writable()?;
        self.world.manager = status.clone();
        Ok(())
    }
    fn lrm_status(&self, node: &str) -> Result<LrmStatus, CfsError> {
        Ok(self.world.lrm.get(node).cloned().unwrap_or_default())
    }
    fn take_commands(&mut self) -> Result<Vec<String>, CfsError> {
        Ok(std::mem::take(&mut self.world.commands))
    }
    fn commands_wait(&self) -> bool {
        !self.world.commands.is_empty()
    }
    fn rules(&self) -> Result<String, CfsError> {
        Ok(String::new())
    }
    fn write_rules(&mut self, _text: &str) -> Result<(), CfsError> {
        Ok(())
    }
    fn groups(&self) -> Result<String, CfsError> {
        Ok(String::new())
    }
    fn remove_groups(&mut self) -> Result<(), CfsError> {
        Ok(())
    }
    fn change_services(&mut self, _changes: &[ServiceChange]) -> Result<(), CfsError> {
        Ok(())
    }
    fn steal_service(&mut self, sid: &Sid, _from: &str, to: &str) -> Result<(), CfsError> {
        self.writable()?;
        to.clone_into(&mut self.world.services.get_mut(sid).unwrap().node);
        Ok(())
    }
    fn remove_guest_lock(&mut self, _sid: &Sid, _locks: &[&str]) -> Option<String> {
        None
    }
    fn other_guests(&self) -> Vec<OtherGuest> {
        Vec::new()
    }
    fn load(&mut self, scheduler: &str) -> Result<Load, CfsError> {
        Err(CfsError::Refused(format!("no figures for '{scheduler}'")))
    }
    fn node_version(&self, _node: &str) -> Option<String> {
        None
    }
    fn fresh_uid(&mut self) -> String {
        self.world.uids += 1;
        self.world.uids.to_string()
    }
    fn notify(&mut self, subject: &str) {
        self.log(Level::Email, subject);
    }
}

impl LrmEnv for At<'_> {
    fn take_agent_lock(&mut self) -> bool {
        self.take(&agent_lock(self.node))
    }
    fn release_agent_lock(&mut self) {
        self.release(&agent_lock(self.node));
    }
    fn write_lrm_status(&mut self, status: &LrmStatus) -> Result<(), CfsError> {
        self.writable()?;
        self.world.lrm.insert(self.node.to_owned(), status.clone());
        Ok(())
    }
    fn node_shutdown(&self) -> NodeShutdown {
        NodeShutdown::No
    }
    fn max_workers(&self) -> usize {
        4
    }
    fn knows_type(&self, kind: &str) -> bool {
        kind == "vm"
    }
    fn runs(&self, sid: &Sid) -> bool {
        self.me().running.contains(sid)
    }
    fn begin(&mut self, sid: &Sid, act: &Act) -> Progress {
        let end = self.world.now + self.world.effort;
        let node = self.world.nodes.get_mut(self.node).unwrap();
        node.work.insert(sid.clone(), (act.clone(), end));
        self.world.most_at_work = self.world.most_at_work.max(node.work.len());
        Progress::Going
    }
    fn progress(&mut self, sid: &Sid) -> Progress {
        let now = self.world.now;
        let node = self.world.nodes.get_mut(self.node).unwrap();
        let Some((_, end)) = node.work.get(sid) else {
            return Progress::Failed;
        };
        if now < *end {
            return Progress::Going;
        }
        let Some((act, _)) = node.work.remove(sid) else {
            return Progress::Failed;
        };
        match act {
            Act::Start => drop(node.running.insert(sid.clone())),
            Act::Stop { .. } => drop(node.running.remove(sid)),
            Act::Move { target, .. } => {
                node.running.remove(sid);
                self.world.nodes.get_mut(&target).unwrap().running.insert(sid.clone());
                self.world.services.get_mut(sid).unwrap().node = target;
            }
        }
        Progress::Ended { done: true }
    }
}
