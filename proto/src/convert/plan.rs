//! Plans, steps, conditions.

use quorate_model::plan::{Condition, Plan, Step, Undo};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    Plan = v1::Plan {
        cluster,
        spec_digest,
        steps,
        findings
    }
);
message!(
    Step = v1::Step {
        id,
        node,
        action,
        title,
        why,
        needs,
        gate,
        done_when,
        destroys,
        estimate,
        undo,
    }
);
oneof!(Undo = v1::Undo [undo: v1::undo::Undo] {
    operator: Operator { how } = v1::undo::Operator,
});
oneof!(Condition = v1::Condition [condition: v1::condition::Condition] {
    standalone: Standalone { node } = v1::condition::Standalone,
    members: Members { cluster, nodes } = v1::condition::Members,
});
