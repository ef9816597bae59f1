//! What the coordinator knows of its nodes.

use proptest::prelude::*;
use quorate_model::ids::NodeRef;
use quorate_model::view::{ClockOffset, NodeView};
use quorate_proto::{Connection, ConnectionState, Sighting};

use super::observation::observation;
use super::types::{cluster, node, time, unknown};
use super::{maybe, one_of, text};

prop_compose! {
    fn connection()(
        state in one_of([ConnectionState::Connected, ConnectionState::Connecting, ConnectionState::Lost]),
        since in time(),
        reason in text(),
    ) -> Connection {
        Connection { state, since, reason }
    }
}

prop_compose! {
    fn node_view()(
        observation in prop_oneof![observation().prop_map(Ok), unknown().prop_map(Err)],
        clock_offset in maybe(any::<(i64, u64)>().prop_map(|(micros, error_micros)| ClockOffset { micros, error_micros })),
    ) -> NodeView {
        NodeView { observation, clock_offset }
    }
}

prop_compose! {
    pub(crate) fn sighting()(
        node in (cluster(), node()).prop_map(|(cluster, node)| NodeRef::new(cluster, node)),
        view in node_view(),
        received_at in maybe(time()),
        connection in maybe(connection()),
    ) -> Sighting {
        Sighting { node, view, received_at, connection }
    }
}
