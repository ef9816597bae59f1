//! What is known of a node at the moment, as its link keeps it.

use quorate_model::view::ClockOffset;
use quorate_model::{Observation, Timestamp};
use quorate_proto::{Connection, ConnectionState};

/// What is known of one enrolled node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// How the connection to its agent stands.
    pub(crate) connection: Connection,
    /// Everything that was seen, each facet as new as it came.
    pub(crate) observation: Option<Observation>,
    /// When something of it last arrived, on our clock.
    pub(crate) received_at: Option<Timestamp>,
    /// How its clock differs from ours.
    pub(crate) clock_offset: Option<ClockOffset>,
}

impl Health {
    /// Before anything was tried.
    pub(crate) fn new(now: Timestamp) -> Self {
        let connection = Connection {
            state: ConnectionState::Connecting,
            since: now,
            reason: "not tried yet".to_owned(),
        };
        Self {
            connection,
            observation: None,
            received_at: None,
            clock_offset: None,
        }
    }

    /// Something was seen.
    pub(crate) fn see(&mut self, observation: Observation, now: Timestamp) {
        self.received_at = Some(now);
        match &mut self.observation {
            Some(known) => known.update(observation),
            None => self.observation = Some(observation),
        }
    }

    /// The health stream speaks. Returns whether that is news.
    pub(crate) fn connected(&mut self, now: Timestamp) -> bool {
        let news = self.connection.state != ConnectionState::Connected;
        if news {
            self.connection = Connection {
                state: ConnectionState::Connected,
                since: now,
                reason: String::new(),
            };
        }
        news
    }

    /// The health stream can't be had. Returns whether that, or the reason, is news.
    pub(crate) fn disconnected(&mut self, reason: String, now: Timestamp) -> bool {
        let news = self.connection.reason != reason;
        if self.connection.state == ConnectionState::Connected {
            self.connection = Connection {
                state: ConnectionState::Lost,
                since: now,
                reason,
            };
        } else {
            self.connection.reason = reason;
        }
        news
    }
}

/// Compares clocks as NTP does: `sent` and `answered` on our clock, `received` and `replied` on theirs.
pub(crate) fn clock_offset(
    sent: Timestamp,
    received: Timestamp,
    replied: Timestamp,
    answered: Timestamp,
) -> ClockOffset {
    let ahead = (received.0 - sent.0) + (replied.0 - answered.0);
    let on_the_way = (answered.0 - sent.0) - (replied.0 - received.0);
    ClockOffset {
        micros: ahead / 2,
        error_micros: u64::try_from(on_the_way / 2).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_found_whatever_the_node_takes_to_answer() {
        // 3 s ahead, 10 ms there, 500 ms of work, 30 ms back.
        let at = |ms: i64| Timestamp(ms * 1000);
        let offset = clock_offset(at(0), at(3010), at(3510), at(540));
        assert_eq!((offset.micros, offset.error_micros), (2_990_000, 20_000));
        let behind = clock_offset(at(0), at(-2990), at(-2990), at(20));
        assert_eq!((behind.micros, behind.error_micros), (-3_000_000, 10_000));
    }

    #[test]
    fn a_loss_keeps_what_was_seen_and_names_its_first_moment() {
        let mut health = Health::new(Timestamp(1));
        assert!(health.disconnected("refused".to_owned(), Timestamp(2)));
        assert_eq!(health.connection.state, ConnectionState::Connecting);
        assert!(health.connected(Timestamp(3)) && !health.connected(Timestamp(4)));
        health.see(Observation::empty("prox1", Timestamp(9)), Timestamp(4));
        assert!(health.disconnected("silent".to_owned(), Timestamp(5)));
        assert!(health.disconnected("refused".to_owned(), Timestamp(6)));
        assert!(!health.disconnected("refused".to_owned(), Timestamp(7)));
        assert_eq!(
            (health.connection.state, health.connection.since),
            (ConnectionState::Lost, Timestamp(5))
        );
        assert_eq!(health.received_at, Some(Timestamp(4)));
        assert!(health.observation.is_some());
    }
}
