//! What happens on a node while a drill is measured.

use quorate_model::drill::{Event, What};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    Event = v1::DrillEvent {
        at,
        within_micros,
        what
    }
);
oneof!(What = v1::DrillWhat [what: v1::drill_what::What] {
    fault_made: FaultMade { } = v1::FaultMade,
    fault_gone: FaultGone { by } = v1::FaultGone,
    link_down: LinkDown { peer, link } = v1::LinkDown,
    link_up: LinkUp { peer, link } = v1::LinkUp,
    member_lost: MemberLost { node } = v1::MemberLost,
    member_back: MemberBack { node } = v1::MemberBack,
    quorum_lost: QuorumLost { } = v1::QuorumLost,
    quorum_back: QuorumBack { } = v1::QuorumBack,
    reset: Reset { node } = v1::NodeReset,
    ha_node: HaNode { node, state } = v1::HaNodeState,
    ha_service: HaService { sid, node, state } = v1::HaServiceState,
    lock_taken: LockTaken { node } = v1::LockTaken,
    guest_started: GuestStarted { guest, node } = v1::GuestStarted,
    guest_twice: GuestTwice { guest } = v1::GuestTwice,
    in_sync: InSync { guest } = v1::InSync,
    normal: Normal { } = v1::Normal,
    note: Note { text } = v1::DrillNote,
    wrote: Wrote { guest, run, number, silent_micros } = v1::GuestWrote,
});
