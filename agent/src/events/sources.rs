//! Where events come from. Each source remembers what it saw last, and tells what is different: the first look is what was there before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_model::Timestamp;
use quorate_model::drill::{Event, What};
use quorate_model::ids::NodeName;
use quorate_tools::journalctl::{self, From};
use quorate_tools::pmxcfs::members;
use quorate_tools::{corosync_conf, corosync_log, pve_ha_log};

use crate::host::Host;
use crate::observe::{self, hostname, processes};

/// What the journal has of a drill: corosync tells of links at once, HA's master of its decisions.
const UNITS: [&str; 3] = ["corosync.service", "pve-ha-crm.service", "watchdog-mux.service"];

/// When the last look at a source began that brought something: what it shows now may have been so since then. A look may take long, and what it
/// brings is as old as its beginning: /etc/pve stalls for seconds around a change of membership.
#[derive(Debug, Default)]
struct Looked(Option<Duration>);

impl Looked {
    /// A look that began at `began` of the monotonic clock has ended: for how long what is new may have been so, in microseconds.
    fn again(&mut self, host: &Host, began: Duration) -> u64 {
        self.seen(began, host.clock().monotonic())
    }

    fn seen(&mut self, began: Duration, now: Duration) -> u64 {
        let within = self.0.map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.0 = Some(began);
        u64::try_from(within.as_micros()).unwrap_or(u64::MAX)
    }
}

fn name(text: &str) -> Option<NodeName> {
    NodeName::new(text).ok()
}

/// .members: who belongs to the cluster, and quorum.
#[derive(Debug, Default)]
pub(super) struct Members {
    looked: Looked,
    last: Option<(BTreeSet<String>, bool)>,
    /// Node ids, for corosync's log.
    pub(super) ids: BTreeMap<u32, NodeName>,
}

impl Members {
    /// What has changed. A look that failed changes nothing: the next one tells.
    pub(super) async fn look(&mut self, host: &Host) -> Vec<Event> {
        let began = host.clock().monotonic();
        let Ok(Some(text)) = observe::published(host, observe::MEMBERS).await else {
            self.ids_of_corosync(host);
            return Vec::new();
        };
        let Ok(seen) = members::read(&text) else {
            return Vec::new();
        };
        let at = host.now();
        self.ids = seen
            .nodes
            .iter()
            .filter_map(|node| Some((node.id, name(&node.name)?)))
            .collect();
        let online: BTreeSet<String> = seen
            .nodes
            .iter()
            .filter(|node| node.online)
            .map(|node| node.name.clone())
            .collect();
        let Some(quorate) = seen.cluster.map(|cluster| cluster.quorate) else {
            return Vec::new();
        };
        let within_micros = self.looked.again(host, began);
        let Some((before, was_quorate)) = self.last.replace((online.clone(), quorate)) else {
            return Vec::new();
        };
        let mut what: Vec<What> = Vec::new();
        what.extend(
            before
                .difference(&online)
                .filter_map(|gone| Some(What::MemberLost { node: name(gone)? })),
        );
        what.extend(
            online
                .difference(&before)
                .filter_map(|back| Some(What::MemberBack { node: name(back)? })),
        );
        match (was_quorate, quorate) {
            (true, false) => what.push(What::QuorumLost),
            (false, true) => what.push(What::QuorumBack),
            _ => {}
        }
        let event = |what| Event {
            at,
            within_micros,
            what,
        };
        what.into_iter().map(event).collect()
    }

    /// An agent that starts where pmxcfs does not run, as while that is the fault, has no ids from it. corosync's log goes on, and so do its ids.
    fn ids_of_corosync(&mut self, host: &Host) {
        if !self.ids.is_empty() {
            return;
        }
        let Ok(text) = host.root().read_text(observe::LOCAL_CONFIG) else {
            return;
        };
        let Ok(config) = corosync_conf::read(&text) else {
            return;
        };
        let ids = config
            .nodes
            .iter()
            .filter_map(|node| Some((node.id, name(&node.name)?)));
        self.ids = ids.collect();
    }
}

/// What HA's manager publishes: its states of nodes and services.
#[derive(Debug, Default)]
pub(super) struct HaStates {
    looked: Looked,
    nodes: Option<BTreeMap<String, String>>,
    services: BTreeMap<String, (String, String)>,
}

impl HaStates {
    /// What has changed.
    pub(super) async fn look(&mut self, host: &Host) -> Vec<Event> {
        let began = host.clock().monotonic();
        let Ok(Some(seen)) = observe::ha_manager(host).await else {
            return Vec::new();
        };
        let within_micros = self.looked.again(host, began);
        let at = host.now();
        let event = |what| Event {
            at,
            within_micros,
            what,
        };
        let services: BTreeMap<String, (String, String)> = seen
            .services
            .iter()
            .map(|(sid, service)| (sid.clone(), (service.node.clone(), service.state.clone())))
            .collect();
        let before = self.nodes.replace(seen.nodes.clone());
        let services_before = std::mem::replace(&mut self.services, services);
        let Some(before) = before else {
            return Vec::new();
        };
        let mut new = Vec::new();
        for (node, state) in &seen.nodes {
            if before.get(node) != Some(state)
                && let Some(node) = name(node)
            {
                new.push(event(What::HaNode {
                    node,
                    state: state.clone(),
                }));
            }
        }
        for (sid, (node, state)) in &self.services {
            let is_new = services_before
                .get(sid)
                .is_none_or(|before| before != &(node.clone(), state.clone()));
            if is_new && let Some(node) = name(node) {
                new.push(event(What::HaService {
                    sid: sid.clone(),
                    node,
                    state: state.clone(),
                }));
            }
        }
        new
    }
}

/// The journal: what was logged since the watch began, with the journal's own times.
#[derive(Debug)]
pub(super) struct Journal {
    from: From,
    /// Why it could not be read last time, so that it is said once.
    silent: bool,
}

impl Journal {
    /// From a time on.
    pub(super) fn since(at: Timestamp) -> Self {
        Self {
            from: From::Second(at.seconds()),
            silent: false,
        }
    }

    /// What was logged since the last look.
    pub(super) async fn look(&mut self, host: &Host, ids: &BTreeMap<u32, NodeName>) -> Vec<Event> {
        let asked = host.ask(journalctl::read_units(host.tools(), &UNITS, &self.from)).await;
        let entries = match asked.map(|text| journalctl::read(&text)) {
            Ok(Ok(entries)) => entries,
            Ok(Err(error)) => return self.cannot(host, &error),
            Err(unknown) => return self.cannot(host, &unknown.reason),
        };
        self.silent = false;
        let mut new = Vec::new();
        for entry in entries {
            let what = logged(host, &entry.message, ids);
            new.extend(what.into_iter().map(|what| Event {
                at: entry.at,
                within_micros: 0,
                what,
            }));
            self.from = From::Cursor(entry.cursor);
        }
        new
    }

    fn cannot(&mut self, host: &Host, why: &dyn std::fmt::Display) -> Vec<Event> {
        if std::mem::replace(&mut self.silent, true) {
            return Vec::new();
        }
        vec![Event {
            at: host.now(),
            within_micros: 0,
            what: What::Note {
                text: format!("the journal can't be read, so links and HA's log are missing: {why}"),
            },
        }]
    }
}

fn logged(host: &Host, message: &str, ids: &BTreeMap<u32, NodeName>) -> Vec<What> {
    use corosync_log::Logged as Corosync;
    use pve_ha_log::Logged as Ha;
    match corosync_log::read(message) {
        Some(Corosync::LinkDown { host, link }) => {
            return ids
                .get(&host)
                .cloned()
                .map(|peer| What::LinkDown { peer, link })
                .into_iter()
                .collect();
        }
        Some(Corosync::LinkUp { host, link }) => {
            return ids
                .get(&host)
                .cloned()
                .map(|peer| What::LinkUp { peer, link })
                .into_iter()
                .collect();
        }
        Some(Corosync::Left(nodes)) => {
            return nodes
                .iter()
                .filter_map(|id| {
                    Some(What::MemberLost {
                        node: ids.get(id)?.clone(),
                    })
                })
                .collect();
        }
        // Whoever joins tells of itself as well.
        Some(Corosync::Joined(nodes)) => {
            let own = hostname(host);
            let others = nodes
                .iter()
                .filter_map(|id| ids.get(id))
                .filter(|node| node.as_str() != own);
            return others.map(|node| What::MemberBack { node: node.clone() }).collect();
        }
        Some(Corosync::QuorumLost) => return vec![What::QuorumLost],
        Some(Corosync::QuorumBack) => return vec![What::QuorumBack],
        None => {}
    }
    let told = match pve_ha_log::read(message) {
        Some(Ha::Node { node, state }) => name(&node).map(|node| What::HaNode { node, state }),
        Some(Ha::Service {
            sid,
            state,
            node: Some(node),
        }) => name(&node).map(|node| What::HaService { sid, node, state }),
        Some(Ha::LockTaken { node }) => name(&node).map(|node| What::LockTaken { node }),
        Some(Ha::WatchdogExpired) => Some(What::Note {
            text: "the watchdog is no longer fed: a reset follows within 10 s".to_owned(),
        }),
        // Where it is to be stands in the status file.
        Some(Ha::Service { node: None, .. }) | None => None,
    };
    told.into_iter().collect()
}

/// The guests that run here, by their processes.
#[derive(Debug, Default)]
pub(super) struct Guests {
    looked: Looked,
    running: Option<BTreeSet<u32>>,
}

impl Guests {
    /// Did it run here at the last look?
    pub(super) fn runs(&self, guest: u32) -> bool {
        self.running.as_ref().is_some_and(|running| running.contains(&guest))
    }

    /// Those that were started since the last look.
    pub(super) fn look(&mut self, host: &Host, watched: &[u32]) -> Vec<Event> {
        let began = host.clock().monotonic();
        let Ok(running) = processes::all(host.root()) else {
            return Vec::new();
        };
        let within_micros = self.looked.again(host, began);
        let at = host.now();
        let running: BTreeSet<u32> = running
            .into_iter()
            .map(|process| process.vmid)
            .filter(|guest| watched.contains(guest))
            .collect();
        let Some(before) = self.running.replace(running.clone()) else {
            return Vec::new();
        };
        let Some(node) = name(&hostname(host)) else {
            return Vec::new();
        };
        let started = running.difference(&before).map(|guest| What::GuestStarted {
            guest: *guest,
            node: node.clone(),
        });
        started
            .map(|what| Event {
                at,
                within_micros,
                what,
            })
            .collect()
    }
}

/// The copies of the guests that this node owns.
#[derive(Debug, Default)]
pub(super) struct Copies {
    looked: Looked,
    in_sync: Option<BTreeSet<u32>>,
}

impl Copies {
    /// Guests all of whose copies have been made without an error, and had not at the last look.
    pub(super) fn look(&mut self, host: &Arc<Host>, watched: &[u32]) -> Vec<Event> {
        let began = host.clock().monotonic();
        let Ok(states) = observe::replication_states(host) else {
            return Vec::new();
        };
        let within_micros = self.looked.again(host, began);
        let at = host.now();
        let is_fresh = |guest: u32| {
            let mut own = states.iter().filter(|state| state.guest == guest).peekable();
            own.peek().is_some() && own.all(|state| state.last_sync.is_some() && state.failures == 0 && !state.running)
        };
        let in_sync: BTreeSet<u32> = watched.iter().copied().filter(|guest| is_fresh(*guest)).collect();
        let Some(before) = self.in_sync.replace(in_sync.clone()) else {
            return Vec::new();
        };
        let new = in_sync.difference(&before).map(|guest| What::InSync { guest: *guest });
        new.map(|what| Event {
            at,
            within_micros,
            what,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_may_be_as_old_as_the_beginning_of_the_look_before() {
        let ms = Duration::from_millis;
        let mut looked = Looked::default();
        assert_eq!(
            looked.seen(ms(100), ms(101)),
            0,
            "the first look is what was there before"
        );
        // This one was held up for three seconds, and read what it read at any time in these.
        assert_eq!(looked.seen(ms(200), ms(3_200)), 3_100_000);
        assert_eq!(looked.seen(ms(3_300), ms(3_301)), 3_101_000);
        assert_eq!(looked.seen(ms(3_400), ms(3_401)), 101_000);
    }
}
