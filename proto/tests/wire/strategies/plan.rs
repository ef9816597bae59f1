//! Plans.

use std::time::Duration;

use proptest::prelude::*;
use quorate_model::plan::{Condition, Plan, Step, Undo};

use super::operation::action;
use super::types::{cluster, finding, node, step_id};
use super::{some, text};

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        node().prop_map(|node| Condition::Standalone { node }),
        (cluster(), prop::collection::btree_set(node(), 0..4))
            .prop_map(|(cluster, nodes)| Condition::Members { cluster, nodes }),
    ]
}

prop_compose! {
    pub(crate) fn step()(
        (id, node, action) in (step_id(), node(), action()),
        (title, why, needs) in (text(), some(text()), some(step_id())),
        (gate, done_when) in (some(condition()), condition()),
        destroys in some(text()),
        estimate in any::<u64>().prop_map(Duration::from_secs),
        undo in text().prop_map(|how| Undo::Operator { how }),
    ) -> Step {
        Step { id, node, action, title, why, needs, gate, done_when, destroys, estimate, undo }
    }
}

prop_compose! {
    pub(crate) fn plan()(
        cluster in cluster(),
        spec_digest in text(),
        steps in some(step()),
        findings in some(finding()),
    ) -> Plan {
        Plan { cluster, spec_digest, steps, findings }
    }
}
