//! Operations, their events, how they end.

use quorate_model::operation::{Action, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(Operation = v1::Operation { id, action });
oneof!(Action = v1::Action [action: v1::action::Action] {
    create_cluster: CreateCluster { cluster, links } = v1::CreateCluster,
    join_cluster: JoinCluster { cluster, member, member_address, links } = v1::JoinCluster,
});

message!(OperationEvent = v1::OperationEvent { sequence, at, kind });
oneof!(OperationEventKind = v1::OperationEventKind [kind: v1::operation_event_kind::Kind] {
    accepted: Accepted {} = v1::Accepted,
    tool_started: ToolStarted { command, pid } = v1::ToolStarted,
    line: Line { stderr, text } = v1::Line,
    tool_ended: ToolEnded { exit, milliseconds } = v1::ToolEnded,
    verifying: Verifying { waiting_for } = v1::Verifying,
    overdue: Overdue { diagnosis } = v1::Overdue,
} holding { ended: Ended });

oneof!(Outcome = v1::Outcome [outcome: v1::outcome::Outcome] {
    done: Done { evidence } = v1::Done,
    failed: Failed { findings, unchanged } = v1::Failed,
    unknown: Unknown { reason } = v1::OutcomeUnknown,
});

message!(
    LedgerEntry = v1::LedgerEntry {
        operation,
        accepted_at,
        outcome,
        ended_at
    }
);
