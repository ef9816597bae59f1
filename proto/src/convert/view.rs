//! What the coordinator knows of its nodes.

use quorate_model::Timestamp;
use quorate_model::facet::Unknown;
use quorate_model::ids::NodeRef;
use quorate_model::observation::Observation;
use quorate_model::reach::Reach;
use quorate_model::view::{ClockOffset, NodeView};

use super::{ConvertError, Wire, field};
use crate::v1;

/// One node as the coordinator sees it: the planner's part of it, and what only people ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The node.
    pub node: NodeRef,
    /// What its agent saw, or why nothing is known.
    pub view: NodeView,
    /// When the observation arrived, on the coordinator's clock; `None`: none ever did.
    pub received_at: Option<Timestamp>,
    /// The connection to its agent; `None`: the node is not enrolled yet.
    pub connection: Option<Connection>,
}

/// The coordinator's connection to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// How it stands.
    pub state: ConnectionState,
    /// Since when, on the coordinator's clock.
    pub since: Timestamp,
    /// Why it is not connected; empty if it is.
    pub reason: String,
}

/// How a connection to an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// The health stream is up.
    Connected,
    /// It was never up since the coordinator started, and is being tried.
    Connecting,
    /// It was up, and is being tried again.
    Lost,
}

impl ConnectionState {
    /// As shown in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Connecting => "connecting",
            Self::Lost => "lost",
        }
    }
}

choice!(
    ConnectionState = v1::connection::State {
        Connected,
        Connecting,
        Lost
    }
);
message!(
    Reach = v1::Reach {
        cluster,
        node,
        bridge,
        vlan,
        guest,
        at,
        failed
    }
);
message!(Connection = v1::Connection { state, since, reason });
message!(ClockOffset = v1::ClockOffset { micros, error_micros });

impl Wire<v1::NodeView> for Sighting {
    fn into_wire(self) -> v1::NodeView {
        v1::NodeView {
            cluster: self.node.cluster.into_wire(),
            node: self.node.node.into_wire(),
            seen: self.view.observation.into_wire(),
            received_at: self.received_at.into_wire(),
            clock_offset: self.view.clock_offset.into_wire(),
            connection: self.connection.into_wire(),
        }
    }
    fn from_wire(wire: v1::NodeView) -> Result<Self, ConvertError> {
        Ok(Self {
            node: NodeRef::new(field("cluster", wire.cluster)?, field("node", wire.node)?),
            view: NodeView {
                observation: field("seen", wire.seen)?,
                clock_offset: field("clock_offset", wire.clock_offset)?,
            },
            received_at: field("received_at", wire.received_at)?,
            connection: field("connection", wire.connection)?,
        })
    }
}
both_ways!(Sighting = v1::NodeView);

impl Wire<Option<v1::Seen>> for Result<Observation, Unknown> {
    fn into_wire(self) -> Option<v1::Seen> {
        let seen = match self {
            Ok(observation) => v1::seen::Seen::Observation(observation.into_wire()),
            Err(unknown) => v1::seen::Seen::Unknown(unknown.into_wire()),
        };
        Some(v1::Seen { seen: Some(seen) })
    }
    fn from_wire(wire: Option<v1::Seen>) -> Result<Self, ConvertError> {
        match wire.and_then(|seen| seen.seen) {
            Some(v1::seen::Seen::Observation(observation)) => field("observation", observation).map(Ok),
            Some(v1::seen::Seen::Unknown(unknown)) => field("unknown", unknown).map(Err),
            None => Err(ConvertError::missing()),
        }
    }
}
