//! Where a link's address really is: on a server where it says, in a lab at a loopback address that stands for it.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Which address of this machine stands for a link's address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkMap {
    /// `None`: every address is what it says.
    lab: Option<BTreeMap<IpAddr, IpAddr>>,
}

impl LinkMap {
    /// Of a simulated server: link address → loopback address. What is not in it can't be reached.
    #[must_use]
    pub fn lab(stands_for: BTreeMap<IpAddr, IpAddr>) -> Self {
        Self { lab: Some(stands_for) }
    }

    /// Is whatever answers at an address the server that has it? In a lab it is not: there this machine answers, or refuses, on every port
    /// that no lab has taken, whether the server is on or off.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.lab.is_none()
    }

    /// What to bind or to send to; `None`: the lab has no such address.
    #[must_use]
    pub fn real(&self, link: IpAddr) -> Option<IpAddr> {
        match &self.lab {
            None => Some(link),
            Some(map) => map.get(&link).copied(),
        }
    }
}
