//! Operations and what is said about them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;
use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};

use super::types::{address, cluster, finding, node, operation_id, time};
use super::{maybe, some, text};

fn links() -> impl Strategy<Value = BTreeMap<u8, IpAddr>> {
    prop::collection::btree_map(any::<u8>(), address(), 0..4)
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (cluster(), links()).prop_map(|(cluster, links)| Action::CreateCluster { cluster, links }),
        (cluster(), node(), address(), links()).prop_map(|(cluster, member, member_address, links)| {
            Action::JoinCluster {
                cluster,
                member,
                member_address,
                links,
            }
        }),
    ]
}

prop_compose! {
    pub(crate) fn operation()(id in operation_id(), action in action()) -> Operation {
        Operation { id, action }
    }
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        text().prop_map(|evidence| Outcome::Done { evidence }),
        (some(finding()), any::<bool>()).prop_map(|(findings, unchanged)| Outcome::Failed { findings, unchanged }),
        text().prop_map(|reason| Outcome::Unknown { reason }),
    ]
}

pub(crate) fn event_kind() -> impl Strategy<Value = OperationEventKind> {
    use OperationEventKind as Kind;
    prop_oneof![
        Just(Kind::Accepted),
        (text(), any::<u32>()).prop_map(|(command, pid)| Kind::ToolStarted { command, pid }),
        (any::<bool>(), text()).prop_map(|(stderr, text)| Kind::Line { stderr, text }),
        (text(), any::<u64>()).prop_map(|(exit, milliseconds)| Kind::ToolEnded { exit, milliseconds }),
        text().prop_map(|waiting_for| Kind::Verifying { waiting_for }),
        some(text()).prop_map(|diagnosis| Kind::Overdue { diagnosis }),
        outcome().prop_map(Kind::Ended),
    ]
}

prop_compose! {
    pub(crate) fn event()(sequence: u64, at in time(), kind in event_kind()) -> OperationEvent {
        OperationEvent { sequence, at, kind }
    }
}

prop_compose! {
    pub(crate) fn ledger_entry()(
        operation in operation(),
        accepted_at in time(),
        outcome in maybe(outcome()),
        ended_at in maybe(time()),
    ) -> LedgerEntry {
        LedgerEntry { operation, accepted_at, outcome, ended_at }
    }
}
