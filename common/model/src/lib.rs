//! What Quorate talks about: the words of the field as types, and nothing that touches a disk, a socket or a clock.
//!
//! Data flows one way through these modules:
//! [`spec`] (what the operator wants) and [`observation`] (what the servers said) → [`plan`] → [`rollout`] →
//! [`operation`] (what an agent executes) → observation again. [`finding`] is what is said to the operator on the way.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod anchor;
pub mod calendar;
pub mod canary;
pub mod canary_discs;
pub mod clocks;
pub mod compression;
pub mod copies;
pub mod disk_marks;
pub mod drill;
pub mod facet;
pub mod failure;
pub mod fault;
pub mod finding;
pub mod guest_ids;
pub mod held;
pub mod hold;
pub mod ids;
mod keys;
pub mod lost;
pub mod maintenance;
pub mod measurement;
pub mod moves;
pub mod observation;
pub mod operation;
pub mod outlook;
pub mod passage;
pub mod plan;
pub mod pool_fits;
pub mod pool_layout;
mod pool_places;
pub mod property_string;
pub mod raid;
pub mod reach;
pub mod release;
pub mod releases;
pub mod rollout;
pub mod schedule;
pub mod size;
pub mod spec;
pub mod storage;
pub mod time;
mod version;
pub mod view;
pub mod wish;

pub use anchor::JournalAnchor;
pub use facet::{Facet, Unknown, UnknownKind};
pub use finding::{Code, Finding, Severity};
pub use hold::{Frozen, Hold};
pub use ids::{
    ClusterName, FleetName, FrameDigest, Generation, InstanceId, JournalId, NodeName, NodeRef, OperationId,
    OperatorName, RolloutId, SshPublicKey, StepId,
};
pub use maintenance::MaintenanceWindow;
pub use observation::Observation;
pub use passage::Passage;
pub use pool_places::VdevPlace;
pub use release::Release;
pub use size::ByteSize;
pub use time::Timestamp;
pub use view::View;
pub use wish::Wish;
