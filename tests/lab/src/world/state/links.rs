//! Which corosync hears which, and over which links.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::State;
use crate::ways::Way;
use crate::world::corosync::conf::ConfNode;
use crate::world::corosync::membership::{Reach, gather, link_down, link_up};
use crate::world::corosync::{Corosync, Link, Token};
use crate::world::oplog::What;
use crate::world::server::Server;

/// What was lost on a link before knet called it down is sent again so much later.
const SENT_AGAIN: Duration = Duration::from_millis(350);

/// knet's own default: `knet_ping_interval` is a quarter of the token.
const PINGS_TO_A_TOKEN: u32 = 4;

/// By pair (lower index first) that is acquainted: the links that are carried.
type Carried = BTreeMap<(usize, usize), Vec<u8>>;

impl State {
    /// The links that cables carry between two corosyncs, both ways.
    fn carried(&self, a: usize, b: usize) -> Vec<u8> {
        let links = |index: usize| self.get(index).and_then(|server| server.corosync.as_ref());
        let known: BTreeSet<u8> = [a, b]
            .into_iter()
            .filter_map(links)
            .flat_map(|corosync| corosync.conf.links.iter().copied())
            .collect();
        let both = |link: &u8| self.link_carries(a, b, *link) && self.link_carries(b, a, *link);
        known.into_iter().filter(both).collect()
    }

    /// Does a cable carry this link from one corosync to another?
    fn link_carries(&self, from: usize, to: usize, link: u8) -> bool {
        let (Some(a), Some(b)) = (self.get(from), self.get(to)) else {
            return false;
        };
        let (Some(ca), Some(cb)) = (&a.corosync, &b.corosync) else {
            return false;
        };
        if a.udp_blocked || b.udp_blocked {
            return false;
        }
        let (Some(own), Some(peer)) = (ca.address_of(ca.node_id, link), ca.address_of(cb.node_id, link)) else {
            return false;
        };
        let (Ok(own), Ok(peer)) = (own.parse(), peer.parse()) else {
            return false;
        };
        match (self.locate(own), self.locate(peer)) {
            (Some((own_server, _)), Some((peer_server, network))) => {
                let passes = |server: &Server| server.carries_link(network, link);
                own_server == from && peer_server == to && (from == to || (passes(a) && passes(b)))
            }
            _ => false,
        }
    }

    /// Are these two configured to talk to one another?
    fn acquainted(&self, from: usize, to: usize) -> bool {
        let (Some(a), Some(b)) = (
            self.get(from).and_then(|s| s.corosync.as_ref()),
            self.get(to).and_then(|s| s.corosync.as_ref()),
        ) else {
            return false;
        };
        let knows = |me: &Corosync, other: &Corosync, name: Option<&str>| {
            me.conf
                .node(other.node_id)
                .is_some_and(|node| Some(node.name.as_str()) == name)
        };
        let name = |index: usize| self.get(index).map(Server::name);
        a.key == b.key && knows(a, b, name(to)) && knows(b, a, name(from))
    }

    /// What reaches from the first to the second, over the links that are carried; `None`: they are not acquainted.
    fn reach(&self, a: usize, b: usize, carried: Option<&[u8]>) -> Reach {
        let Some(carried) = carried else {
            return self.left_behind(a, b).unwrap_or(Reach::Gone);
        };
        let Some(corosync) = self.get(a).and_then(|server| server.corosync.as_ref()) else {
            return Reach::Gone;
        };
        if corosync.conf.links.iter().any(|link| carried.contains(link)) {
            Reach::Hears {
                patience: gather(corosync.conf.token()),
            }
        } else {
            Reach::Silent {
                patience: corosync.conf.token() + corosync.conf.consensus(),
            }
        }
    }

    /// One of the two vanished without a word: the other waits for its token.
    fn left_behind(&self, a: usize, b: usize) -> Option<Reach> {
        let (a, b) = (self.get(a)?, self.get(b)?);
        let stays = match (&a.corosync, &b.corosync) {
            (Some(corosync), None) if b.power.vanished => corosync,
            (None, Some(corosync)) if a.power.vanished => corosync,
            _ => return None,
        };
        Some(Reach::Silent {
            patience: stays.conf.token() + stays.conf.consensus(),
        })
    }

    pub(super) fn observe_links(&mut self) {
        let count = self.servers.len();
        let mut carried = Carried::new();
        for a in 0..count {
            for b in (a + 1)..count {
                let links = self.acquainted(a, b).then(|| self.carried(a, b));
                let reach = self.reach(a, b, links.as_deref());
                self.pairs.observe(a, b, reach, self.now);
                if let Some(links) = links {
                    carried.insert((a, b), links);
                }
            }
        }
        for a in 0..count {
            self.observe_knet(a, &carried);
            self.watch_token(a);
        }
    }

    /// What corosync says of a token that stays away.
    fn watch_token(&mut self, index: usize) {
        let others = (0..self.servers.len()).filter(|other| *other != index);
        let silent = others.filter_map(|other| self.pairs.silent_since(index, other)).min();
        let waited = silent.map(|since| self.now.saturating_sub(since));
        let Some(corosync) = self.servers.get_mut(index).and_then(|server| server.corosync.as_mut()) else {
            return;
        };
        let (token, consensus) = (corosync.conf.token(), corosync.conf.consensus());
        let warning = token * 3 / 4;
        let now = match waited {
            Some(waited) if waited >= token => Token::Lost,
            Some(waited) if waited >= warning => Token::Late,
            _ => Token::Comes,
        };
        let before = std::mem::replace(&mut corosync.token, now);
        let mut lines = Vec::new();
        if before < Token::Late && now >= Token::Late {
            lines.push(format!(
                "  [TOTEM ] Token has not been received in {} ms ",
                warning.as_millis()
            ));
        }
        if before < Token::Lost && now == Token::Lost {
            lines.push(format!(
                "  [TOTEM ] A processor failed, forming new configuration: token timed out ({}ms), waiting {}ms for consensus.",
                token.as_millis(),
                consensus.as_millis()
            ));
            self.note(Some(index), What::TokenLost, "");
        }
        self.corosync_log(index, lines);
    }

    /// How packets fare on a link to a peer. Links have numbers of their own: what counts is in which network the address is.
    fn way(&self, own: &str, corosync: &Corosync, peer: &ConfNode, link: u8) -> Way {
        let address = corosync
            .address_of(peer.id, link)
            .and_then(|address| address.parse().ok());
        let network = address
            .and_then(|address| self.locate(address))
            .map(|(_, network)| network.link());
        let concerns = |way: &&Way| network.is_some_and(|network| way.concerns(own, &peer.name, network));
        self.ways.iter().rev().find(concerns).cloned().unwrap_or_default()
    }

    fn observe_knet(&mut self, index: usize, carried: &Carried) {
        let now = self.now;
        let Some(corosync) = self.get(index).and_then(|server| server.corosync.as_ref()) else {
            return;
        };
        let server_name = self.get(index).map(Server::name).unwrap_or_default();
        let mut seen = BTreeMap::new();
        for node in corosync.conf.nodes.iter().filter(|node| node.id != corosync.node_id) {
            let peer = self.find(&node.name);
            let carried = peer.and_then(|peer| carried.get(&(index.min(peer), index.max(peer))));
            for link in &corosync.conf.links {
                let carries = carried.is_some_and(|carried| carried.contains(link));
                seen.insert(
                    (node.id, *link),
                    (carries, self.way(server_name, corosync, node, *link)),
                );
            }
        }
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(corosync) = &mut server.corosync else { return };
        corosync.links.retain(|key, _| seen.contains_key(key));
        let best: BTreeMap<u32, Option<u8>> = seen.keys().map(|(id, _)| (*id, corosync.best_link(*id))).collect();
        let token = corosync.conf.token();
        let mut changed = Vec::new();
        for ((id, number), (carries, way)) in seen {
            let link = corosync.links.entry((id, number)).or_insert_with(Link::new);
            if link.connected == carries {
                link.differs_since = None;
                if carries {
                    link.pings.go_on(now, token / PINGS_TO_A_TOKEN, &way);
                }
                continue;
            }
            let since = *link.differs_since.get_or_insert(now);
            let delay = if carries { link_up(token) } else { link_down(token) };
            if now.saturating_sub(since) < delay {
                continue;
            }
            link.connected = carries;
            link.differs_since = None;
            if carries {
                link.up_count += 1;
                link.pings.begin(now, &way);
            } else {
                link.down_count += 1;
                if best.get(&id) == Some(&Some(number)) && corosync.members.contains(&id) {
                    corosync.stalls_until = now + SENT_AGAIN;
                }
            }
            changed.push((id, number, carries));
        }
        let mut lines = Vec::new();
        for (id, number, up) in &changed {
            if *up {
                lines.push(format!("  [KNET  ] rx: host: {id} link: {number} is up"));
                lines.push(format!(
                    "  [KNET  ] link: Resetting MTU for link {number} because host {id} joined"
                ));
            } else {
                lines.push(format!("  [KNET  ] link: host: {id} link: {number} is down"));
            }
            // Without any it names the one that it was told to prefer.
            let best = corosync.best_link(*id);
            let shown = best.or(corosync.conf.links.first().copied()).unwrap_or_default();
            lines.push(format!(
                "  [KNET  ] host: host: {id} (passive) best link: {shown} (pri: {})",
                corosync.conf.priority(shown)
            ));
            if best.is_none() {
                lines.push(format!("  [KNET  ] host: host: {id} has no active links"));
            }
        }
        self.corosync_log(index, lines);
        for (id, number, up) in changed {
            let what = if up { What::LinkUp } else { What::LinkDown };
            self.note(Some(index), what, format!("host: {id} link: {number}"));
        }
    }
}
