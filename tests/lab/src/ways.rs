//! How packets between servers fare: plain data, described before a lab starts or changed while it runs.

use serde::{Deserialize, Serialize};

use crate::description::ServerSpec;

/// The way between servers on a network. Times are true: the lab's speed does not divide them, since they are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Way {
    /// Two servers: between these. One: between it and all others. None: between all.
    pub servers: Vec<String>,
    /// 0 is the cluster network, 1 the public one; both without.
    pub link: Option<u8>,
    /// Microseconds there and back.
    pub rtt_us: u64,
    /// Up to so many microseconds more, anew for each packet.
    pub jitter_us: u64,
    /// Of a hundred packets that go there and back, so many get lost: evenly spread, so that a test can count on them.
    pub loss_percent: f64,
    /// Larger IP packets vanish, as on a way whose switches tell nobody; nothing: what the ports at both ends take.
    pub mtu: Option<u32>,
}

impl Default for Way {
    /// A switch in the same rack.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            link: None,
            rtt_us: 200,
            jitter_us: 0,
            loss_percent: 0.0,
            mtu: None,
        }
    }
}

impl Way {
    /// Between these servers, otherwise as usual.
    #[must_use]
    pub fn between(servers: &[&str]) -> Self {
        Self {
            servers: servers.iter().map(|s| (*s).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Only on this link.
    #[must_use]
    pub fn on(self, link: u8) -> Self {
        Self {
            link: Some(link),
            ..self
        }
    }

    /// With this round trip in milliseconds.
    #[must_use]
    pub fn rtt_ms(self, ms: f64) -> Self {
        Self {
            rtt_us: micros(ms),
            ..self
        }
    }

    /// With up to so many milliseconds more.
    #[must_use]
    pub fn jitter_ms(self, ms: f64) -> Self {
        Self {
            jitter_us: micros(ms),
            ..self
        }
    }

    /// With this share of losses.
    #[must_use]
    pub fn loss(self, percent: f64) -> Self {
        Self {
            loss_percent: percent,
            ..self
        }
    }

    /// With this MTU.
    #[must_use]
    pub fn mtu(self, bytes: u32) -> Self {
        Self {
            mtu: Some(bytes),
            ..self
        }
    }

    /// Does it speak of the way between these two on this link?
    pub(crate) fn concerns(&self, one: &str, other: &str, link: u8) -> bool {
        let named = match self.servers.as_slice() {
            [] => true,
            [server] => server == one || server == other,
            [a, b] => (a == one && b == other) || (a == other && b == one),
            _ => false,
        };
        named && self.link.is_none_or(|l| l == link)
    }

    /// Can there be such a way between these servers?
    pub(crate) fn check(&self, servers: &[ServerSpec]) -> Result<(), String> {
        if self.servers.len() > 2 {
            return Err("a way is between two servers, one and all others, or all".to_owned());
        }
        if let Some(name) = self
            .servers
            .iter()
            .find(|name| servers.iter().all(|s| s.name != **name))
        {
            return Err(format!("the lab has no server called {name}"));
        }
        if self.link.is_some_and(|link| link > 1) {
            return Err("there are the links 0 (cluster network) and 1 (public network)".to_owned());
        }
        if !(0.0..=100.0).contains(&self.loss_percent) {
            return Err("losses are 0 to 100 percent".to_owned());
        }
        Ok(())
    }
}

/// Negative and absurd ones become none: it is a description, not a measurement.
fn micros(ms: f64) -> u64 {
    let whole = std::time::Duration::try_from_secs_f64(ms / 1000.0)
        .unwrap_or_default()
        .as_micros();
    u64::try_from(whole).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_concerns_pairs_servers_or_all() {
        let pair = Way::between(&["a", "b"]).on(0);
        assert!(pair.concerns("b", "a", 0) && !pair.concerns("a", "b", 1) && !pair.concerns("a", "c", 0));
        let one = Way::between(&["a"]);
        assert!(one.concerns("c", "a", 1) && !one.concerns("b", "c", 1));
        assert!(Way::default().concerns("b", "c", 1));
    }
}
