//! A server's running corosync: what it was configured with, whom it sees, and whether that is enough.

mod check;
pub(crate) mod conf;
pub(crate) mod membership;
mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::conf::Conf;
use super::clock::SimTime;
use super::qdevice::Flag;
use crate::ways::Way;

/// One running corosync.
#[derive(Debug, Clone)]
pub(crate) struct Corosync {
    pub(crate) pid: u32,
    pub(crate) node_id: u32,
    /// The configuration it runs with, which may lag behind the file.
    pub(crate) conf: Conf,
    /// Only holders of the same key hear one another.
    pub(crate) key: u64,
    /// Node ids of the present membership, this one included.
    pub(crate) members: BTreeSet<u32>,
    /// Counts up by four with each membership.
    pub(crate) ring: u64,
    pub(crate) expected_votes: u32,
    pub(crate) quorate: bool,
    /// How often each node joined since this corosync started; a node that left stays listed.
    pub(crate) join_counts: BTreeMap<u32, u32>,
    /// What the quorum device's vote counts for this node at present.
    pub(crate) device_vote: u32,
    /// A quorum device was registered with it or a peer: the tools keep its column until corosync ends.
    pub(crate) device_seen: bool,
    /// What is known of each member's device daemon.
    pub(crate) device_flags: BTreeMap<u32, Flag>,
    /// The configuration version that each member runs with, as far as it was heard of.
    pub(crate) versions: BTreeMap<u32, u64>,
    /// Each member's addresses as they were when it joined for the so-manieth time: later changes do not show.
    pub(crate) addresses: BTreeMap<u32, (u32, String)>,
    /// What knet thinks of each peer's links.
    pub(crate) links: BTreeMap<(u32, u8), Link>,
    /// The best link to a member was called down: what was lost on it is sent again until then.
    pub(crate) stalls_until: SimTime,
    /// What was said of the token that stays away.
    pub(crate) token: Token,
    /// A device daemon registered here and did not go away in an orderly way.
    pub(crate) device_registered: bool,
}

/// How far corosync is with a token that does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Token {
    #[default]
    Comes,
    Late,
    Lost,
}

/// One knet link to one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    /// Since when reality differs from `connected`.
    pub(crate) differs_since: Option<SimTime>,
    pub(crate) down_count: u32,
    pub(crate) up_count: u32,
    pub(crate) pings: Pings,
}

/// The pings that came back on a link, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pings {
    pub(crate) count: u32,
    pub(crate) average: u32,
    pub(crate) longest: u32,
    /// Nothing before the first.
    pub(crate) shortest: Option<u32>,
    /// When the last one was sent.
    last: SimTime,
}

impl Pings {
    /// A link came up: knet believes the second answer.
    pub(crate) fn begin(&mut self, now: SimTime, way: &Way) {
        self.last = now;
        self.came_back(2, way);
    }

    /// As many as fit into the time since the last one.
    pub(crate) fn go_on(&mut self, now: SimTime, every: Duration, way: &Way) {
        let due = now.saturating_sub(self.last).as_millis() / every.as_millis().max(1);
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due > 0 {
            self.last += every * due;
            self.came_back(due, way);
        }
    }

    fn came_back(&mut self, count: u32, way: &Way) {
        let micros = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
        let (least, most) = (micros(way.rtt_us), micros(way.rtt_us + way.jitter_us));
        self.count = self.count.saturating_add(count);
        self.average = micros(way.rtt_us + way.jitter_us / 2);
        self.longest = self.longest.max(most);
        self.shortest = Some(self.shortest.map_or(least, |known| known.min(least)));
    }
}

impl Link {
    /// A first connection already counts one loss.
    pub(crate) fn new() -> Self {
        Self {
            connected: false,
            differs_since: None,
            down_count: 1,
            up_count: 0,
            pings: Pings::default(),
        }
    }
}

impl Corosync {
    pub(crate) fn new(pid: u32, node_id: u32, conf: Conf, key: u64) -> Self {
        let expected_votes = conf.node_votes();
        let mut corosync = Self {
            pid,
            node_id,
            conf,
            key,
            members: BTreeSet::from([node_id]),
            ring: 5,
            expected_votes,
            quorate: false,
            join_counts: BTreeMap::from([(node_id, 1)]),
            device_vote: 0,
            device_seen: false,
            device_flags: BTreeMap::new(),
            versions: BTreeMap::new(),
            addresses: BTreeMap::new(),
            links: BTreeMap::new(),
            stalls_until: SimTime::ZERO,
            token: Token::Comes,
            device_registered: false,
        };
        corosync.quorate = corosync.total_votes() >= corosync.quorum();
        corosync
    }

    pub(crate) fn total_votes(&self) -> u32 {
        self.members
            .iter()
            .filter_map(|id| self.conf.node(*id))
            .map(|node| node.votes)
            .sum::<u32>()
            + self.device_vote
    }

    /// Votes needed: more than half of those expected.
    pub(crate) fn quorum(&self) -> u32 {
        self.expected_votes / 2 + 1
    }

    /// `representative.sequence`, the second in hexadecimal, as corosync prints ring ids.
    pub(crate) fn ring_id(&self) -> String {
        format!(
            "{}.{:x}",
            self.members.first().copied().unwrap_or(self.node_id),
            self.ring
        )
    }

    pub(crate) fn name_of(&self, id: u32) -> String {
        self.conf
            .node(id)
            .map_or_else(|| format!("Node{id}"), |node| node.name.clone())
    }

    /// The link that carries the traffic to a peer: of those that are up the one of the highest priority, the lowest first.
    pub(crate) fn best_link(&self, id: u32) -> Option<u8> {
        let links = self.links.range((id, 0)..=(id, u8::MAX));
        let up = links.filter(|(_, link)| link.connected);
        up.map(|((_, number), _)| *number)
            .max_by_key(|number| (self.conf.priority(*number), std::cmp::Reverse(*number)))
    }

    /// Does what is sent to a member get lost, because knet has not noticed yet that its best link is silent?
    pub(crate) fn loses_packets(&self, now: SimTime) -> bool {
        now < self.stalls_until
            || self.members.iter().any(|id| {
                self.best_link(*id)
                    .and_then(|best| self.links.get(&(*id, best)))
                    .is_some_and(|link| link.differs_since.is_some())
            })
    }

    pub(crate) fn address_of(&self, id: u32, link: u8) -> Option<&str> {
        self.conf.node(id)?.rings.get(&link).map(String::as_str)
    }

    pub(crate) fn first_address_of(&self, id: u32) -> String {
        self.conf
            .node(id)
            .and_then(|node| node.rings.values().next().cloned())
            .unwrap_or_default()
    }
}
