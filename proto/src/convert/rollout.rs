//! The rollout journal, its summary, and what a watcher is told.

use quorate_model::ids::{RolloutId, StepId};
use quorate_model::rollout::{Entry, Progress, Record, RolloutResult, StepState, StopKind, Summary};

use super::{ConvertError, Wire, field, unknown_choice};
use crate::v1;

message!(Entry = v1::JournalEntry { sequence, at, record });
oneof!(Record = v1::Record [record: v1::record::Record] {
    created: Created { plan, by } = v1::Created,
    intended: Intended { step, operation, attempt, generation } = v1::Intended,
    accepted: Accepted { step } = v1::StepAccepted,
    ended: Ended { step, outcome } = v1::StepEnded,
    verified: Verified { step, evidence } = v1::Verified,
    stopped: Stopped { step, state, findings } = v1::Stopped,
    skipped: Skipped { step, reason } = v1::Skipped,
    cancel_requested: CancelRequested { by } = v1::CancelRequested,
    finished: Finished { result } = v1::Finished,
});
choice!(StopKind = v1::stopped::Kind { Failed, Stuck, Held });
choice!(
    RolloutResult = v1::RolloutResult {
        Done,
        Failed,
        Cancelled,
        Abandoned
    }
);

message!(
    Summary = v1::RolloutSummary {
        id,
        cluster,
        created_at,
        by,
        result,
        finished_at,
        steps,
        not_restored
    }
);

impl Wire<v1::StepSummary> for (StepId, StepState) {
    fn into_wire(self) -> v1::StepSummary {
        v1::StepSummary {
            id: self.0.into_wire(),
            state: self.1.into_wire(),
        }
    }
    fn from_wire(wire: v1::StepSummary) -> Result<Self, ConvertError> {
        Ok((field("id", wire.id)?, field("state", wire.state)?))
    }
}

/// On the wire a flat list: the three ways to stop stand beside the other states.
impl Wire<i32> for StepState {
    fn into_wire(self) -> i32 {
        let state = match self {
            Self::Waiting => v1::StepState::Waiting,
            Self::Intended => v1::StepState::Intended,
            Self::Running => v1::StepState::Running,
            Self::Ended => v1::StepState::Ended,
            Self::Verified => v1::StepState::Verified,
            Self::Skipped => v1::StepState::Skipped,
            Self::Stopped { kind: StopKind::Failed } => v1::StepState::Failed,
            Self::Stopped { kind: StopKind::Stuck } => v1::StepState::Stuck,
            Self::Stopped { kind: StopKind::Held } => v1::StepState::Held,
        };
        state.into()
    }
    fn from_wire(wire: i32) -> Result<Self, ConvertError> {
        match v1::StepState::try_from(wire) {
            Ok(v1::StepState::Waiting) => Ok(Self::Waiting),
            Ok(v1::StepState::Intended) => Ok(Self::Intended),
            Ok(v1::StepState::Running) => Ok(Self::Running),
            Ok(v1::StepState::Ended) => Ok(Self::Ended),
            Ok(v1::StepState::Verified) => Ok(Self::Verified),
            Ok(v1::StepState::Skipped) => Ok(Self::Skipped),
            Ok(v1::StepState::Failed) => Ok(Self::Stopped { kind: StopKind::Failed }),
            Ok(v1::StepState::Stuck) => Ok(Self::Stopped { kind: StopKind::Stuck }),
            Ok(v1::StepState::Held) => Ok(Self::Stopped { kind: StopKind::Held }),
            Ok(v1::StepState::Unspecified) | Err(_) => Err(unknown_choice(wire)),
        }
    }
}

oneof!(Progress = v1::Progress [progress: v1::progress::Progress] {
    agent: Agent { step, at, event } = v1::AgentSays,
    waiting: Waiting { step, reason } = v1::Waiting,
    restoring: Restoring { step, reason } = v1::Restoring,
} holding { entry: Entry });

/// A watcher is told which rollout it is about: it may have asked for the newest.
impl From<(RolloutId, Progress)> for v1::RolloutProgress {
    fn from((rollout, progress): (RolloutId, Progress)) -> Self {
        Self {
            rollout: rollout.into_wire(),
            progress: progress.into_wire(),
        }
    }
}

impl TryFrom<v1::RolloutProgress> for (RolloutId, Progress) {
    type Error = ConvertError;
    fn try_from(wire: v1::RolloutProgress) -> Result<Self, ConvertError> {
        Ok((field("rollout", wire.rollout)?, field("progress", wire.progress)?))
    }
}
