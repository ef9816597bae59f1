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

    /// Does it prove that somebody is there if a connection is refused? In a lab it does not: there the kernel of this machine refuses for
    /// every server, whether it is on or off.
    #[must_use]
    pub fn refusal_is_an_answer(&self) -> bool {
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
