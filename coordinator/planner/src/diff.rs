//! What another plan would do differently: shown when a fresh plan is not the one that the operator saw.

use std::fmt;

use quorate_model::ids::StepId;
use quorate_model::plan::{Plan, Step};

/// One difference between two plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The plans are about different clusters.
    Cluster {
        /// The old one's.
        old: String,
        /// The new one's.
        new: String,
    },
    /// Only the new plan has this step.
    Added {
        /// Its id.
        step: StepId,
        /// Its title.
        title: String,
    },
    /// Only the old plan has this step.
    Removed {
        /// Its id.
        step: StepId,
        /// Its title.
        title: String,
    },
    /// Both have it, but not the same.
    Changed {
        /// Its id.
        step: StepId,
        /// The parts that differ, in words.
        parts: Vec<&'static str>,
        /// The new title.
        title: String,
    },
    /// The steps are the same, but stand in another order.
    Order,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { old, new } => write!(f, "! about cluster {new}, not {old}"),
            Self::Added { step, title } => write!(f, "+ {step}: {title}"),
            Self::Removed { step, title } => write!(f, "- {step}: {title}"),
            Self::Changed { step, parts, title } => write!(f, "~ {step}: {title} (other {})", parts.join(", ")),
            Self::Order => f.write_str("! the same steps in another order"),
        }
    }
}

/// The differences from `old` to `new`: what is gone in the old order, then what is new or changed in the new one.
/// Findings are not compared: they don't change what is done. Empty exactly if [`Plan::same_steps`].
#[must_use]
pub fn differences(old: &Plan, new: &Plan) -> Vec<Difference> {
    let mut found = Vec::new();
    if old.cluster != new.cluster {
        found.push(Difference::Cluster {
            old: old.cluster.to_string(),
            new: new.cluster.to_string(),
        });
    }
    for step in old.steps.iter().filter(|s| new.step(&s.id).is_none()) {
        found.push(Difference::Removed {
            step: step.id.clone(),
            title: step.title.clone(),
        });
    }
    for step in &new.steps {
        match old.step(&step.id) {
            None => found.push(Difference::Added {
                step: step.id.clone(),
                title: step.title.clone(),
            }),
            Some(before) if !before.is_same_as(step) => {
                found.push(Difference::Changed {
                    step: step.id.clone(),
                    parts: parts(before, step),
                    title: step.title.clone(),
                });
            }
            Some(_) => {}
        }
    }
    if found.is_empty() && !old.same_steps(new) {
        found.push(Difference::Order);
    }
    found
}

fn parts(old: &Step, new: &Step) -> Vec<&'static str> {
    let compared = [
        (old.node != new.node, "node"),
        (old.action != new.action, "action"),
        (old.needs != new.needs, "order"),
        (old.gate != new.gate, "gate"),
        (old.done_when != new.done_when, "outcome"),
        (old.destroys != new.destroys || old.disks != new.disks, "destruction"),
        (old.title != new.title, "title"),
        (old.estimate != new.estimate, "estimate"),
        (old.undo != new.undo, "undo"),
        (old.restores != new.restores, "what it takes back"),
    ];
    compared
        .into_iter()
        .filter_map(|(differs, part)| differs.then_some(part))
        .collect()
}
