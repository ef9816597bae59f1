//! Ports that something needs open in a server's firewall.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

/// Where an agent listens unless its configuration says otherwise (TCP).
pub const AGENT_PORT: u16 = 7443;

/// Where agents measure the network unless their configuration says otherwise (UDP). Fixed, so that a firewall can let it pass; more than
/// one, since a socket of somebody else may have the first.
pub const MEASURE_PORTS: RangeInclusive<u16> = 7450..=7459;

/// As seen from the server with the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards it.
    In,
    /// Away from it.
    Out,
}

/// The protocols with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A way through a firewall: to these ports, at this server (in) or at another (out).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Passage {
    /// Which way.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

impl Passage {
    /// In to one TCP port.
    #[must_use]
    pub fn tcp_in(port: u16) -> Self {
        Self {
            direction: Direction::In,
            protocol: Protocol::Tcp,
            first: port,
            last: port,
        }
    }

    /// To a range of UDP ports.
    #[must_use]
    pub fn udp(direction: Direction, ports: &RangeInclusive<u16>) -> Self {
        Self {
            direction,
            protocol: Protocol::Udp,
            first: *ports.start(),
            last: *ports.end(),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `7443/tcp`, `7450-7459/udp`, `5405/udp out`.
impl fmt::Display for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}/{}", self.first, self.protocol)?;
        } else {
            write!(f, "{}-{}/{}", self.first, self.last, self.protocol)?;
        }
        match self.direction {
            Direction::In => Ok(()),
            Direction::Out => f.write_str(" out"),
        }
    }
}

/// Reads a list of passages, or the single TCP port that was written before there were passages.
///
/// # Errors
/// When it is neither.
pub fn or_port<'de, D: Deserializer<'de>>(from: D) -> Result<std::collections::BTreeSet<Passage>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Port(u16),
        Passages(std::collections::BTreeSet<Passage>),
    }
    Ok(match Either::deserialize(from)? {
        Either::Port(port) => [Passage::tcp_in(port)].into(),
        Either::Passages(passages) => passages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_as_a_port_is_read_as_a_passage() {
        #[derive(Deserialize)]
        struct Form(#[serde(deserialize_with = "or_port")] std::collections::BTreeSet<Passage>);
        let one = [Passage::tcp_in(7443)].into();
        assert_eq!(serde_json::from_str::<Form>("7443").unwrap().0, one);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Form>(&text).unwrap().0, one);
        assert_eq!(
            Passage::udp(Direction::Out, &MEASURE_PORTS).to_string(),
            "7450-7459/udp out"
        );
    }
}
