//! The third vote: who reaches the QNetd host, whom that gives a vote, and how long memberships wait for it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::State;
use crate::plants::ServiceIs;
use crate::world::clock::SimTime;
use crate::world::oplog::What;
use crate::world::qdevice::{
    ANSWERS, Answer, Connection, Flag, NOTICES, NOTICES_IN_SYNC, POLL, POLL_MAXIMUM, POLL_WITHOUT, Qdevice, TRIES_AGAIN,
};

pub(crate) const STORE: &str = "etc/corosync/qdevice/net/nssdb";
const UNIT: &str = "corosync-qdevice";

/// Whether a membership waits for the vote of its quorum device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Never,
    Begins,
    GoesOn,
    Over,
}

impl State {
    /// Lets every corosync-qdevice see what has become of its QNetd host.
    pub(super) fn follow_qnetd(&mut self) {
        for index in 0..self.servers.len() {
            self.keep_daemon(index);
        }
        for index in 0..self.servers.len() {
            self.connect_qdevice(index);
        }
        self.vote_anew();
        for index in 0..self.servers.len() {
            self.show_flags(index);
        }
    }

    pub(super) fn vote_anew(&mut self) {
        for index in 0..self.servers.len() {
            self.vote(index);
        }
    }

    /// The daemon lives and dies with corosync, and starts with it where it is switched on.
    fn keep_daemon(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let wanted = server.corosync.as_ref().is_some_and(|c| c.conf.device.is_some())
            && server.hardware.enabled.get(UNIT) == Some(&true)
            && !matches!(
                server.hardware.units.get(UNIT),
                Some(ServiceIs::Stopped | ServiceIs::Failed | ServiceIs::Masked)
            );
        match (wanted, server.qdevice.is_some()) {
            (true, false) => {
                self.start_qdevice(index).ok();
            }
            (false, true) => self.end_qdevice(index),
            _ => {}
        }
    }

    /// `systemctl start corosync-qdevice`.
    pub(crate) fn start_qdevice(&mut self, index: usize) -> Result<(), ()> {
        let Some(server) = self.servers.get_mut(index) else {
            return Err(());
        };
        if server.qdevice.is_some() {
            return Ok(());
        }
        let (pid, now) = (server.pid(), server.now());
        if !server.packages.has(UNIT) || server.corosync.as_ref().is_none_or(|c| c.conf.device.is_none()) {
            return Err(());
        }
        // It registers before it looks for its certificates.
        if let Some(corosync) = &mut server.corosync {
            corosync.device_registered = true;
        }
        if !server.root.join(STORE).is_dir() {
            server.log(UNIT, pid, "Can't init nss (-8174): security library: bad database.");
            return Err(());
        }
        server.qdevice = Some(Qdevice::new(pid, now));
        self.note(Some(index), What::QdeviceStarted, "");
        Ok(())
    }

    /// It ends in an orderly way, and tells corosync. One that died before can't any more.
    pub(crate) fn end_qdevice(&mut self, index: usize) {
        if let Some(server) = self.servers.get_mut(index)
            && server.qdevice.take().is_some()
            && let Some(corosync) = &mut server.corosync
        {
            corosync.device_registered = false;
        }
    }

    /// Does the QNetd host of a node's configuration answer it?
    pub(crate) fn qnetd_answers(&self, index: usize) -> Answer {
        let host = self
            .get(index)
            .and_then(|server| server.corosync.as_ref())
            .and_then(|corosync| corosync.conf.device.as_ref())
            .and_then(|device| device.host.parse().ok());
        let Some((host, network)) = host.and_then(|host| self.locate(host)) else {
            return Answer::Silence;
        };
        if !self.connected(index, host, network) {
            return Answer::Silence;
        }
        match self.get(host) {
            Some(server) if server.power.off => Answer::Silence,
            Some(server) if server.qnetd_running && server.packages.has("corosync-qnetd") => Answer::Yes,
            _ => Answer::Refused,
        }
    }

    fn connect_qdevice(&mut self, index: usize) {
        let (now, answer) = (self.now, self.qnetd_answers(index));
        let waiting = self.waiting.iter().any(|(component, _)| component.contains(&index));
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let wall = server.now();
        let Some(daemon) = &mut server.qdevice else { return };
        let connected = daemon.connection == Connection::Connected;
        if connected == (answer == Answer::Yes) {
            daemon.differs_since = None;
            if answer != Answer::Yes {
                daemon.connection = attempt(answer, now);
                daemon.refused = answer == Answer::Refused;
            }
            return;
        }
        let since = now.saturating_sub(*daemon.differs_since.get_or_insert(now));
        if connected {
            let patience = match answer {
                // The connection was closed: no need to wait for a heartbeat.
                Answer::Refused => Duration::ZERO,
                _ if waiting => NOTICES_IN_SYNC,
                _ => NOTICES,
            };
            if since < patience {
                return;
            }
            daemon.connection = attempt(answer, now);
            daemon.refused = answer == Answer::Refused;
            daemon.differs_since = None;
            let pid = daemon.pid;
            server.log(UNIT, pid, "Server didn't send echo reply message on time");
            self.note(Some(index), What::QdeviceLost, "");
        } else if since >= if daemon.refused { TRIES_AGAIN } else { ANSWERS } {
            daemon.connection = Connection::Connected;
            daemon.connected_at = wall;
            daemon.polled = wall;
            daemon.differs_since = None;
            self.note(Some(index), What::QdeviceConnected, "");
        }
    }

    /// QNetd gives its vote to one partition: the one with most of its clients, the lowest node id deciding a tie.
    fn vote(&mut self, index: usize) {
        let favoured = self.favoured(index);
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let votes = match &mut server.qdevice {
            Some(daemon) => {
                daemon.votes = daemon.connection == Connection::Connected && favoured;
                daemon.votes
            }
            None => false,
        };
        if let Some(corosync) = &mut server.corosync {
            corosync.device_vote = if votes { corosync.conf.device_votes() } else { 0 };
        }
    }

    fn favoured(&self, index: usize) -> bool {
        let own = |server: usize| {
            let corosync = self.get(server)?.corosync.as_ref()?;
            Some((corosync.key, &corosync.members, corosync.node_id))
        };
        let Some((key, members, _)) = own(index) else {
            return false;
        };
        let mut partitions: Vec<(&BTreeSet<u32>, usize)> = Vec::new();
        for other in 0..self.servers.len() {
            let Some((other_key, other_members, _)) = own(other) else {
                continue;
            };
            let client = self
                .get(other)
                .and_then(|server| server.qdevice.as_ref())
                .is_some_and(|daemon| daemon.connection == Connection::Connected);
            // Who fell silent is no client any more, whatever it still believes.
            if other_key != key || !client || self.qnetd_answers(other) != Answer::Yes {
                continue;
            }
            match partitions.iter_mut().find(|(list, _)| *list == other_members) {
                Some((_, clients)) => *clients += 1,
                None => partitions.push((other_members, 1)),
            }
        }
        let best = partitions
            .iter()
            .max_by_key(|(list, clients)| (*clients, std::cmp::Reverse(list.first().copied())));
        // Whoever has not noticed yet that it lost its host keeps the vote it had.
        best.is_none_or(|(list, _)| *list == members) || self.qnetd_answers(index) != Answer::Yes
    }

    /// What each member knows of the others' daemons; of one that is silent, the last that it heard.
    fn show_flags(&mut self, index: usize) {
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            return;
        };
        let mut flags = Vec::new();
        for other in 0..self.servers.len() {
            let heard = other == index || self.pairs.together(index, other);
            let Some(server) = self.get(other).filter(|_| heard) else {
                continue;
            };
            let Some(peer) = server.corosync.as_ref().filter(|peer| peer.key == corosync.key) else {
                continue;
            };
            let flag = match &server.qdevice {
                None if peer.device_registered => Flag::Dead,
                None => Flag::NotRegistered,
                Some(daemon) if daemon.votes => Flag::Votes,
                Some(_) => Flag::Silent,
            };
            flags.push((peer.node_id, flag));
        }
        let Some(corosync) = self.servers.get_mut(index).and_then(|server| server.corosync.as_mut()) else {
            return;
        };
        corosync.device_seen |= flags.iter().any(|(_, flag)| *flag != Flag::NotRegistered);
        corosync.device_flags.extend(flags);
    }

    /// Must this partition still wait for its device's vote before its new membership stands?
    pub(super) fn waits_for_device(&mut self, component: &BTreeSet<usize>) -> Wait {
        let now = self.now;
        let Some((_, since)) = self.waiting.iter().find(|(waiting, _)| waiting == component) else {
            if !self.loses_silently(component) {
                return Wait::Never;
            }
            self.waiting.push((component.clone(), now));
            return Wait::Begins;
        };
        let waited = now.saturating_sub(*since);
        if waited < POLL_MAXIMUM && component.iter().any(|index| !self.decided(*index, waited)) {
            return Wait::GoesOn;
        }
        self.waiting.retain(|(waiting, _)| waiting != component);
        Wait::Over
    }

    /// Does a device daemon run on one of these?
    pub(super) fn asks_device(&self, component: &BTreeSet<usize>) -> bool {
        component
            .iter()
            .any(|index| self.get(*index).is_some_and(|server| server.qdevice.is_some()))
    }

    fn decided(&self, index: usize, waited: SimTime) -> bool {
        let Some(daemon) = self.get(index).and_then(|server| server.qdevice.as_ref()) else {
            return true;
        };
        match (daemon.connection, self.qnetd_answers(index)) {
            (Connection::Connected, Answer::Yes) => waited >= POLL,
            (Connection::Connected, _) => false,
            _ => waited >= POLL_WITHOUT,
        }
    }

    /// A member that fell silent, and a daemon that is asked about it; one that said goodbye needs no poll.
    fn loses_silently(&self, component: &BTreeSet<usize>) -> bool {
        let asked = self.asks_device(component);
        let names: Vec<String> = component
            .iter()
            .filter_map(|index| self.get(*index)?.corosync.as_ref())
            .flat_map(|corosync| corosync.members.iter().map(|id| corosync.name_of(*id)))
            .collect();
        asked
            && names.iter().any(|name| {
                self.find(name).is_some_and(|other| {
                    !component.contains(&other) && self.get(other).is_some_and(|server| server.corosync.is_some())
                })
            })
    }

    /// Forgets waits of partitions that are no more.
    pub(super) fn forget_waits(&mut self, components: &[BTreeSet<usize>]) {
        self.waiting.retain(|(component, _)| components.contains(component));
    }
}

/// An attempt that nobody answers lasts eight seconds; three later comes the next.
fn attempt(answer: Answer, now: SimTime) -> Connection {
    match answer {
        Answer::Refused => Connection::Failed,
        _ if now.as_secs() % 11 < 8 => Connection::Connecting,
        _ => Connection::Failed,
    }
}
