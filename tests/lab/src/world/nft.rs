//! A server's nftables, as far as rehearsed failures need them: sets whose elements the kernel forgets, and timers of systemd's beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clock::SimTime;

/// All tables.
#[derive(Debug, Default)]
pub(crate) struct Nft {
    /// By family and name.
    pub(crate) tables: BTreeMap<(String, String), Table>,
    /// What is let fall by them, as far as the world's log has it.
    pub(crate) told: BTreeSet<Falls>,
}

/// Packets that fall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Falls {
    /// Those of guests, and all others but corosync's, on this port.
    Guests(&'static str),
    /// Corosync's, at `10.10.10.3:5405`, or on a port.
    Corosync(String),
}

/// A table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) sets: BTreeMap<String, Set>,
    pub(crate) chains: Vec<String>,
}

/// A set.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// The type of its elements: one word, or several for a concatenation.
    pub(crate) kind: Vec<String>,
    pub(crate) elements: Vec<Element>,
}

/// An element.
#[derive(Debug)]
pub(crate) struct Element {
    /// As many as its type has words.
    pub(crate) values: Vec<String>,
    /// In simulated time.
    pub(crate) timeout: Duration,
    pub(crate) until: SimTime,
}

/// A transient timer of systemd's.
#[derive(Debug)]
pub(crate) struct Timer {
    /// With `.timer`.
    pub(crate) unit: String,
    pub(crate) at: SimTime,
    pub(crate) argv: Vec<String>,
}

impl Nft {
    /// The kernel forgets what has had its time.
    pub(crate) fn expire(&mut self, now: SimTime) {
        for set in self.tables.values_mut().flat_map(|table| table.sets.values_mut()) {
            set.elements.retain(|element| element.until > now);
        }
    }

    fn elements<'a>(&'a self, family: &'a str, set: &'a str) -> impl Iterator<Item = &'a Element> {
        let tables = self.tables.iter().filter(move |((of, _), _)| of == family);
        tables
            .filter_map(move |(_, table)| table.sets.get(set))
            .flat_map(|set| &set.elements)
    }

    /// Does nothing at all pass a port?
    pub(crate) fn shuts(&self, port: &str) -> bool {
        self.elements("netdev", "everything")
            .any(|element| element.values == [port])
    }

    /// Does nothing but corosync's packets pass it?
    pub(crate) fn shuts_for_guests(&self, port: &str) -> bool {
        self.shuts(port)
            || self
                .elements("netdev", "guests")
                .any(|element| element.values == [port])
    }

    /// All that falls now.
    pub(crate) fn falls(&self, ports: impl IntoIterator<Item = &'static str>) -> BTreeSet<Falls> {
        let mut found = BTreeSet::new();
        for port in ports {
            if self.shuts_for_guests(port) {
                found.insert(Falls::Guests(port));
            }
            if self.shuts(port) {
                found.insert(Falls::Corosync(port.to_owned()));
            }
        }
        let own = self.elements("inet", "own4");
        found.extend(own.map(|element| Falls::Corosync(element.values.join(":"))));
        found
    }

    /// Are corosync's packets dropped at an own address?
    pub(crate) fn shuts_address(&self, address: Ipv4Addr, port: u16) -> bool {
        let (address, port) = (address.to_string(), port.to_string());
        self.elements("inet", "own4")
            .any(|element| element.values == [address.as_str(), port.as_str()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_hold_until_their_time_is_over() {
        let element = |value: &str, seconds| Element {
            values: value.split(" . ").map(str::to_owned).collect(),
            timeout: Duration::from_secs(seconds),
            until: Duration::from_secs(seconds),
        };
        let set = |value, seconds| Set {
            kind: vec![],
            elements: vec![element(value, seconds)],
        };
        let mut nft = Nft::default();
        let ports = Table {
            sets: [
                ("everything".to_owned(), set("eno1", 3)),
                ("guests".to_owned(), set("eno1", 6)),
            ]
            .into(),
            chains: vec![],
        };
        let own = Table {
            sets: [("own4".to_owned(), set("10.10.10.1 . 5405", 3))].into(),
            chains: vec![],
        };
        nft.tables.insert(("netdev".into(), "a".into()), ports);
        nft.tables.insert(("inet".into(), "b".into()), own);
        let address = Ipv4Addr::new(10, 10, 10, 1);
        assert!(nft.shuts("eno1") && nft.shuts_for_guests("eno1") && !nft.shuts_for_guests("eno2"));
        assert!(nft.shuts_address(address, 5405) && !nft.shuts_address(address, 5406));
        let corosync = |at: &str| Falls::Corosync(at.to_owned());
        let all = [Falls::Guests("eno1"), corosync("10.10.10.1:5405"), corosync("eno1")];
        assert_eq!(nft.falls(["eno1", "eno2"]), all.into());
        nft.expire(Duration::from_secs(3));
        assert_eq!(nft.falls(["eno1", "eno2"]), [Falls::Guests("eno1")].into());
        assert!(!nft.shuts("eno1") && nft.shuts_for_guests("eno1") && !nft.shuts_address(address, 5405));
        nft.expire(Duration::from_secs(6));
        assert!(!nft.shuts_for_guests("eno1"));
    }
}
